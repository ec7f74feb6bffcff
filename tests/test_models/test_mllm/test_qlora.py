"""The language model in 4 bits beside LoRA, with bitsandbytes itself (`make test-extras`)."""

import pytest
import torch

from lavida_mm.models.compressors import ReverseAttnCompressor
from lavida_mm.models.mllm.export import export_merged
from tests.test_models.test_mllm.reference import WORDS

pytestmark = [
    pytest.mark.extras,
    # bitsandbytes on a CPU without its optional kernels, and what it uses of torch.
    pytest.mark.filterwarnings('default::DeprecationWarning', 'default::FutureWarning', 'default::UserWarning'),
]
SETTINGS = dict(lora=dict(r=2, dropout=0.0), train_embeddings='seg')


@pytest.fixture
def quantized(tiny_folder, build):
    return build(tiny_folder, quantize='4bit', dtype='float32', **SETTINGS)


def test_only_the_language_models_projections_are_in_4_bits(quantized):
    from bitsandbytes.nn import Linear4bit

    found = [name for name, module in quantized.model.named_modules() if isinstance(module, Linear4bit)]
    assert len(found) == 2 * 7  # layers; q, k, v, o, gate, up, down
    assert all(name.startswith(f'{quantized.family.language_model}.layers.') for name in found)


def test_learns_and_saves_what_it_learnt_alone(quantized, make_clip):
    quantized.train()
    for name, parameter in quantized.named_parameters():
        if 'lora_B' in name:
            torch.nn.init.normal_(parameter, std=0.1)
    trained = {name for name, parameter in quantized.named_parameters() if parameter.requires_grad}
    out = quantized([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    (out.loss + out.seg_states.square().mean()).backward()
    reached = {n for n, p in quantized.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert reached == trained
    assert set(quantized.state_dict()) == trained | {'base_fingerprint', 'lora_alpha'}


def test_computes_with_the_weights_that_its_4_bits_stand_for(quantized, tiny_folder, make_clip, build):
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    exact = build(tiny_folder, **SETTINGS)
    with torch.no_grad():
        for name, module in quantized.model.named_modules():
            if isinstance(module, Linear4bit):
                rounded = dequantize_4bit(module.weight.data, module.weight.quant_state)
                weight = exact.model.get_submodule(name).weight
                assert 0 < (rounded - weight).abs().max() < weight.abs().max()
                weight.copy_(rounded)
    # In train mode: at test bitsandbytes repacks the weights for the CPU, for which widths of 96 are too odd.
    ours, theirs = (model.train()([make_clip(4)], [WORDS], [0]) for model in (quantized, exact))
    torch.testing.assert_close(ours.seg_states, theirs.seg_states, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-4, atol=1e-4)


def test_adapters_move_to_the_weights_themselves(quantized, tiny_folder, build):
    exact = build(tiny_folder, **SETTINGS)
    exact.load_state_dict(quantized.state_dict())  # the same base, so its fingerprint agrees


def test_4_bits_cannot_be_exported(quantized, tmp_path):
    with pytest.raises(ValueError, match='in 4 bits cannot be merged'):
        export_merged(quantized, tmp_path / 'out')
