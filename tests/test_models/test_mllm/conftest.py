"""Tiny models, built once per run by our own tool's functions and loaded as the released ones are."""

import pytest
import torch

from lavida_mm.models.tiny.builders import save_tiny_mllm


@pytest.fixture(scope='session')
def tiny_folders(tmp_path_factory):
    """Folder of a tiny model, per family."""
    root = tmp_path_factory.mktemp('tiny')
    for family in ('qwen2_vl', 'qwen2_5_vl'):
        save_tiny_mllm(root / family, family=family, seed=0)
    return {family: root / family for family in ('qwen2_vl', 'qwen2_5_vl')}


@pytest.fixture(params=['qwen2_vl', 'qwen2_5_vl'])
def tiny_folder(request, tiny_folders):
    return tiny_folders[request.param]


@pytest.fixture
def make_clip():
    def make(num_frames: int, height: int = 96, width: int = 96, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (num_frames, 3, height, width), dtype=torch.uint8, generator=generator)

    return make
