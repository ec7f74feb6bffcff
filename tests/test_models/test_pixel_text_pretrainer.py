"""The pretraining stand-in: which pixel learns which word."""

import pytest
import torch

from lavida_mm.models.pretrain.pixel_text_pretrainer import BACKGROUND, UNKNOWN, region_targets
from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample


def make_model(word_groups: dict | None = None) -> torch.nn.Module:
    return MODELS.build(
        dict(
            type='PixelTextPretrainer',
            segmenter=dict(
                type='SAM',
                image_encoder=dict(type='ConvImageEncoder', widths=(16, 16, 16), depths=(1, 1, 1), out_channels=64),
                image_size=96,
                prompt_dim=64,
                transformer_depth=1,
                transformer_heads=4,
                transformer_mlp=32,
                iou_hidden=16,
                freeze_image_encoder=False,
            ),
            text_encoder=dict(type='CLIPTextEncoder', pretrained='checkpoints/tiny/clip_text', freeze=False),
            similarity=dict(type='PixelTextSimilarity', visual_channels=64, text_channels=64, embed_channels=16),
            word_groups=word_groups or dict(colour=['red', 'blue'], name=['red star', 'blue ring']),
        )
    )


def make_sample(words: list[list[str]]) -> VADDataSample:
    sample = VADDataSample(metainfo=dict(video_id='img7', source='test', object_words=words))
    masks = torch.zeros(len(words), 1, 96, 96, dtype=torch.bool)
    for index in range(len(words)):
        masks[index, 0, :32, 32 * index : 32 * index + 32] = True
    sample.gt_object_masks = masks
    return sample


def test_region_targets_by_coverage():
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, :4, :4] = True  # all of cell (0, 0)
    masks[1, :4, 4:6] = True  # half of cell (0, 1)
    masks[1, 4:5, :1] = True  # 1 of 16 pixels of cell (1, 0)
    masks[0, 4:6, 4:6] = True  # a quarter of cell (1, 1)
    expected = torch.tensor([[0, 1], [BACKGROUND, UNKNOWN]])
    assert torch.equal(region_targets(masks, (2, 2)), expected)


def test_region_targets_without_objects():
    assert (region_targets(torch.zeros(0, 8, 8, dtype=torch.bool), (2, 2)) == BACKGROUND).all()


def test_loss_sees_only_the_words_that_are_known():
    """An object known by nothing but a name contributes nothing to the colours, neither for nor against."""
    model = make_model().eval()
    image = torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8)
    losses = model([image], [make_sample([['red star']])], mode='loss')
    assert losses['loss_colour'] == 0
    assert losses['loss_name'] > 0
    labels = model._label_pixels(make_sample([['red star', 'red'], ['blue ring']]), (3, 3))
    colour, name = labels
    assert colour.tolist() == [[0, UNKNOWN, BACKGROUND]] + [[BACKGROUND] * 3] * 2
    assert name.tolist() == [[0, 1, BACKGROUND]] + [[BACKGROUND] * 3] * 2


def test_it_learns_one_image():
    torch.manual_seed(0)
    model = make_model().train()
    image = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    image[:, 0, :32, :32] = 255
    image[:, 2, :32, 32:64] = 255
    sample = make_sample([['red star', 'red'], ['blue ring', 'blue']])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(30):
        losses = model([image, image], [sample, sample], mode='loss')
        loss, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses['acc_colour'] == losses['acc_name'] == 1


def test_words_outside_the_groups_are_refused():
    model = make_model()
    with pytest.raises(ValueError, match="img7: object word 'green star' is in none of word_groups"):
        model._label_pixels(make_sample([['green star']]), (3, 3))
    with pytest.raises(ValueError, match="img7: an object may have one word of group 'colour'"):
        model._label_pixels(make_sample([['red', 'blue']]), (3, 3))
    with pytest.raises(ValueError, match='must not name a word twice'):
        make_model(dict(colour=['red', 'red']))


def test_it_only_pretrains():
    with pytest.raises(ValueError, match="'loss' or 'tensor'"):
        make_model()([], [], mode='predict')
