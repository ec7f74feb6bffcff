"""The small image encoder."""

import pytest
import torch

from lavida_mm.models.mask_heads import ConvImageEncoder
from lavida_mm.registry import MODELS


def test_shape_stride_and_size():
    torch.manual_seed(0)
    encoder = MODELS.build(dict(type='ConvImageEncoder'))
    features = encoder(torch.randn(2, 3, 96, 64))
    assert features.shape == (2, 64, 12, 8)
    assert encoder.stride == 8 and encoder.out_channels == 64
    assert sum(p.numel() for p in encoder.parameters()) == 385072


def test_receptive_field_is_the_documented_one():
    torch.manual_seed(0)
    encoder = ConvImageEncoder().eval()
    image = torch.randn(1, 3, 192, 192, requires_grad=True)
    encoder(image)[0, :, 12, 12].abs().sum().backward()
    rows = image.grad[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    assert rows.max() - rows.min() + 1 == 95


def test_a_frame_does_not_depend_on_its_neighbours_at_test():
    torch.manual_seed(0)
    encoder = ConvImageEncoder()
    images = torch.randn(4, 3, 32, 32)
    encoder(images)
    encoder.eval()
    together = encoder(images)
    alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(together, alone)


def test_norm_eval_keeps_the_statistics():
    encoder = ConvImageEncoder(norm_eval=True).train()
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    encoder(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in encoder.named_buffers())
    assert encoder.stem[0].weight.grad.abs().sum() > 0
    encoder = ConvImageEncoder().train()
    encoder(torch.randn(2, 3, 32, 32))
    assert any(not torch.equal(value, before[name]) for name, value in encoder.named_buffers())


@pytest.mark.parametrize(
    ('change', 'rule'),
    [
        (dict(depths=(1, 1)), 'one entry per stage'),
        (dict(widths=(16, 0, 8)), 'must be at least 1'),
        (dict(widths=(8, 16, 32)), 'multiples of 16'),
    ],
)
def test_bad_sizes_are_refused(change, rule):
    with pytest.raises(ValueError, match=rule):
        ConvImageEncoder(**change)
