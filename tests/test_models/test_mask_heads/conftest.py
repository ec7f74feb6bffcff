"""A small SAM 2 with random weights, saved in the released format."""

import pytest
import torch

SIDE = 96
SIZES = dict(
    blocks=(1, 1, 2, 1), embed_dims=(16, 32, 64, 96), num_heads=(1, 2, 4, 6), window_sizes=(8, 4, 6, 3),
    global_blocks=(3,), background_size=4, patch_stride=2, channels=128, decoder_heads=4, decoder_mlp=48,
    memory_layers=2, memory_mlp=48, fuser_layers=1, fuser_mlp=48,
)  # fmt: skip


@pytest.fixture(scope='session')
def sam2_folder(tmp_path_factory):
    """Every parameter is random: those that start at zero would hide mistakes."""
    from transformers import Sam2VideoModel

    from lavida_mm.models.mask_heads.sam2_architectures import build_config, fit_image_size

    config = build_config(SIZES)
    fit_image_size(config, SIDE)
    torch.manual_seed(0)
    network = Sam2VideoModel(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        positions = network.shared_image_embedding.positional_embedding
        network.prompt_encoder.shared_embedding.positional_embedding.copy_(positions)
    folder = tmp_path_factory.mktemp('sam2') / 'released'
    network.save_pretrained(folder)
    return folder
