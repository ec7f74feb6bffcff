"""Tiny models, built once per run by our own tool's functions and loaded as the released ones are."""

import pytest
import torch

from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.tiny.builders import MLLM_FAMILIES, save_tiny_mllm

QWEN = [name for name in MLLM_FAMILIES if name.startswith('qwen')]


@pytest.fixture(scope='session')
def tiny_folders(tmp_path_factory):
    """Folder of a tiny model, per family."""
    root = tmp_path_factory.mktemp('tiny')
    for family in MLLM_FAMILIES:
        save_tiny_mllm(root / family, family=family, seed=0)
    return {family: root / family for family in MLLM_FAMILIES}


@pytest.fixture(params=MLLM_FAMILIES)
def tiny_folder(request, tiny_folders):
    return tiny_folders[request.param]


@pytest.fixture(params=QWEN)
def qwen_folder(request, tiny_folders):
    return tiny_folders[request.param]


@pytest.fixture
def make_clip():
    def make(num_frames: int, height: int = 96, width: int = 96, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (num_frames, 3, height, width), dtype=torch.uint8, generator=generator)

    return make


@pytest.fixture
def build():
    """Builds the backbone of a folder, in eval mode."""

    def make(folder, **settings):
        settings = {'lora': None, 'frame_pixels': (16, 16), 'train_embeddings': 'none', **settings}
        return MLLMBackbone(pretrained=str(folder), **settings).eval()

    return make
