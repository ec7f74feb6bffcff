"""SAM: the released networks, names and results; files that are not what they should be."""

import pickle
from functools import partial

import pytest
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from lavida_mm.models.mask_heads import SAM, FrameFeatures
from lavida_mm.models.mask_heads.object_mask_decoder import ObjectMaskDecoder
from lavida_mm.models.mask_heads.sam_checkpoint import load_released
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError

SIDE, DIM = 64, 32
VIT = dict(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), window_size=3, position_size=SIDE)
SIZES = dict(prompt_dim=DIM, transformer_heads=4, transformer_mlp=48, iou_hidden=24, mask_in_channels=8)
CONV = dict(type='ConvImageEncoder', widths=(16, 16, 16), depths=(1, 1, 1), out_channels=DIM)
OWN = ('mask_decoder.object_token.', 'mask_decoder.object_head.')


def _reference() -> Sam:
    """segment-anything's own model, small, every parameter random (relative positions start at zero otherwise)."""
    torch.manual_seed(0)
    model = Sam(
        image_encoder=ImageEncoderViT(
            img_size=SIDE, patch_size=16, embed_dim=32, depth=2, num_heads=2, out_chans=DIM, use_rel_pos=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), window_size=3, global_attn_indexes=(1,),
        ),
        prompt_encoder=PromptEncoder(DIM, (SIDE // 16, SIDE // 16), (SIDE, SIDE), mask_in_chans=8),
        mask_decoder=MaskDecoder(
            transformer_dim=DIM, iou_head_hidden_dim=24,
            transformer=TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=4, mlp_dim=48),
        ),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture(scope='module')
def reference() -> Sam:
    return _reference()


@pytest.fixture(scope='module')
def released(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp('sam') / 'sam_small.pth'
    torch.save(reference.state_dict(), path)
    return path


def _sam(**changes) -> SAM:
    torch.manual_seed(1)
    return MODELS.build({**dict(type='SAM', arch=VIT, image_size=SIDE), **SIZES, **changes}).eval()


def _tiny(**changes) -> SAM:
    return _sam(image_encoder=CONV, transformer_depth=1, **changes)


@pytest.mark.parametrize('shape', [(SIDE, SIDE), (SIDE, 40), (24, SIDE)])
@pytest.mark.parametrize('prompt', ['box', 'points', 'box and point', 'mask'])
def test_masks_and_ious_are_those_of_sam_predictor(reference, released, shape, prompt):
    frame = torch.randint(0, 256, (1, 3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    boxes = torch.tensor([[4.0, 6.0, 20.0, 18.0]]) if 'box' in prompt else None
    coords = torch.tensor([[[7.0, 9.0], [15.0, 11.0]]]) if 'point' in prompt else None
    labels = torch.tensor([[1, 0]]) if 'point' in prompt else None
    mask = torch.randn(1, 1, SIDE // 4, SIDE // 4) if prompt == 'mask' else None
    predictor = SamPredictor(reference)
    predictor.set_torch_image(frame, shape)
    three, ious, low = predictor.predict_torch(coords, labels, boxes, mask, multimask_output=True, return_logits=True)
    one, iou, _ = predictor.predict_torch(coords, labels, boxes, mask, multimask_output=False, return_logits=True)

    sam = _sam(checkpoint=str(released))
    with torch.no_grad():
        features = sam.encode([frame])
        points = None if coords is None else (coords, labels)
        sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=mask)
        output = sam.decode(features, sparse, dense)
        restored = sam.restore(output.masks[0], shape)
    torch.testing.assert_close(features.deep, predictor.features, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.masks[:, 1:], low, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.ious, torch.cat([iou, ious], dim=1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(restored[None], torch.cat([one, three], dim=1), atol=1e-5, rtol=1e-5)


def test_the_object_token_does_not_touch_the_masks(released):
    sam = _sam(checkpoint=str(released))
    features, sparse = FrameFeatures(torch.randn(2, DIM, 4, 4)), torch.randn(2, 1, DIM)
    before = sam.decode(features, sparse)
    with torch.no_grad():
        sam.mask_decoder.object_token.weight += 1
    after = sam.decode(features, sparse)
    torch.testing.assert_close(after.masks, before.masks, rtol=0, atol=0)
    torch.testing.assert_close(after.ious, before.ious, rtol=0, atol=0)
    assert (after.object_logits - before.object_logits).abs().min() > 1e-5


def test_the_object_token_reads_image_and_prompt():
    sam = _tiny()
    features, sparse = FrameFeatures(torch.randn(1, DIM, 8, 8)), torch.randn(1, 1, DIM)
    logits = sam.decode(features, sparse).object_logits
    assert (sam.decode(FrameFeatures(features.deep + 0.5), sparse).object_logits - logits).abs() > 1e-5
    assert (sam.decode(features, sparse + 0.5).object_logits - logits).abs() > 1e-5


@pytest.mark.parametrize('arch', ['vit_b', 'vit_l', 'vit_h'])
def test_names_and_shapes_are_the_released_ones(arch):
    with torch.device('meta'):
        ours = SAM(arch=arch, checkpoint='not there: weights are not read on meta').state_dict()
        theirs = sam_model_registry[arch]().state_dict()
    shapes = {name: value.shape for name, value in ours.items() if not name.startswith(OWN)}
    assert shapes == {name: value.shape for name, value in theirs.items()}
    assert any(name.startswith(OWN[0]) for name in ours) and any(name.startswith(OWN[1]) for name in ours)


def test_what_is_trained():
    sam = _sam()
    trained = {name for name, p in sam.named_parameters() if p.requires_grad}
    assert trained == {'prompt_encoder.no_mask_embed.weight'} | {
        name for name, _ in sam.named_parameters() if name.startswith('mask_decoder.')
    }
    thawed = {name for name, p in _sam(freeze_image_encoder=False).named_parameters() if p.requires_grad}
    assert thawed - trained == {name for name, _ in sam.named_parameters() if name.startswith('image_encoder.')}


def test_frames_of_several_sizes_in_one_batch():
    sam = _tiny()
    sizes = ((2, 64, 64), (1, 30, 77), (3, 128, 90))
    clips = [torch.randint(0, 256, (n, 3, h, w), dtype=torch.uint8) for n, h, w in sizes]
    together = sam.encode(clips)
    assert together.deep.shape == (6, DIM, 8, 8)
    assert together.lengths == (2, 1, 3) and together.fine == ()
    alone = [sam.encode([clip[i : i + 1]]) for clip in clips for i in range(len(clip))]
    torch.testing.assert_close(together.deep, FrameFeatures.join(alone, (2, 1, 3)).deep)


def test_frames_are_decoded_each_with_their_own_prompts():
    sam = _tiny()
    features = FrameFeatures(torch.randn(3, DIM, 8, 8))
    sparse, dense = torch.randn(3, 2, DIM), torch.randn(3, DIM, 8, 8)
    together = sam.decode(features, sparse, dense)
    assert together.masks.shape == (3, 4, 32, 32)
    assert together.ious.shape == (3, 4) and together.object_logits.shape == (3,)
    for i in range(3):
        alone = sam.decode(features.select([i]), sparse[i : i + 1], dense[i : i + 1])
        torch.testing.assert_close(alone.masks[0], together.masks[i])
        torch.testing.assert_close(alone.ious[0], together.ious[i])
        torch.testing.assert_close(alone.object_logits[0], together.object_logits[i])


def test_without_a_dense_prompt_it_is_sams_no_mask():
    sam = _tiny()
    features, sparse = FrameFeatures(torch.randn(2, DIM, 8, 8)), torch.randn(2, 1, DIM)
    dense = sam.prompt_encoder(points=None, boxes=None, masks=None)[1]
    torch.testing.assert_close(sam.decode(features, sparse).masks, sam.decode(features, sparse, dense).masks)


def test_a_frozen_encoder_gets_no_gradient_and_keeps_its_statistics():
    clip = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    frozen = _tiny().train()
    before = {name: value.clone() for name, value in frozen.image_encoder.named_buffers()}
    assert not frozen.encode([clip]).deep.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in frozen.image_encoder.named_buffers())
    thawed = _tiny(freeze_image_encoder=False).train()
    thawed.encode([clip]).deep.sum().backward()
    assert all(p.grad is not None for p in thawed.image_encoder.parameters())


def test_other_image_sizes_interpolate_the_positions(released):
    sam = _sam(checkpoint=str(released), image_size=32)
    assert sam.encode([torch.zeros(1, 3, 32, 32, dtype=torch.uint8)]).deep.shape == (1, DIM, 2, 2)
    with torch.no_grad():
        sam.image_encoder.pos_embed[:] = torch.arange(32.0)  # the same everywhere: it must stay so
    torch.testing.assert_close(sam.image_encoder._position(2, 3), torch.arange(32.0).expand(1, 2, 3, -1))
    torch.testing.assert_close(sam.image_encoder._position(4, 4), sam.image_encoder.pos_embed)


def test_position_encoding_keeps_float32_under_autocast():
    sam = _tiny()
    plain = sam.position_encoding()
    assert plain.shape == (1, DIM, 8, 8)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        torch.testing.assert_close(sam.position_encoding(), plain, rtol=0, atol=0)
        output = sam.decode(FrameFeatures(torch.randn(1, DIM, 8, 8)), torch.randn(1, 1, DIM))
    assert torch.isfinite(output.masks).all()


@pytest.mark.parametrize(
    ('change', 'rule'),
    [
        (dict(resize='crop'), "resize must be one of .* got 'crop'"),
        (dict(arch='vit_x'), "arch must be one of .* got 'vit_x'"),
        (dict(arch=dict(VIT, heads=3)), r"unknown keys \['heads'\]"),
        (dict(arch=dict(embed_dim=32)), 'missing keys'),
        (dict(image_size=60), 'multiple of the encoder.s stride 16, got 60'),
        (dict(image_size=0), 'image_size must be a whole number of at least 1, got 0'),
        (dict(transformer_heads=0), 'transformer_heads must be a whole number of at least 1, got 0'),
        (dict(iou_hidden=1.5), 'iou_hidden must be a whole number of at least 1, got 1.5'),
        (dict(freeze_image_encoder='no'), "freeze_image_encoder must be True or False, got 'no'"),
        (dict(prompt_dim=36), 'transformer_dim must be a multiple'),
        (dict(image_encoder=dict(CONV, out_channels=16)), 'out_channels must equal prompt_dim'),
    ],
)
def test_values_out_of_range_are_refused(change, rule):
    with pytest.raises(ValueError, match=rule):
        _sam(**change)


def test_prompts_that_do_not_match_are_refused():
    sam = _tiny()
    features = FrameFeatures(torch.randn(3, DIM, 8, 8))
    with pytest.raises(ValueError, match=r'sparse prompts must have shape .* got \(2, 1, 32\)'):
        sam.decode(features, torch.randn(2, 1, DIM))
    with pytest.raises(ValueError, match=r'dense prompts must have shape .* got \(2, 32, 8, 8\)'):
        sam.decode(features, torch.randn(3, 1, DIM), torch.randn(2, DIM, 8, 8))
    with pytest.raises(ValueError, match=r'clip 1 must have shape \(T, 3, H, W\), got \(2, 64, 64\)'):
        sam.encode([torch.zeros(1, 3, 64, 64), torch.zeros(2, 64, 64)])


def test_nan_features_name_the_image_encoder():
    sam = _tiny()
    with torch.no_grad():
        sam.image_encoder.out.bias[0] = torch.nan
    with pytest.raises(FloatingPointError, match=r'segmenter\.image_encoder'):
        sam.encode([torch.zeros(1, 3, 64, 64, dtype=torch.uint8)])


def test_a_missing_checkpoint_says_what_and_where():
    with pytest.raises(DataError, match=r'nowhere/w\.pth.*sam_vit_b_01ec64\.pth.*facebookresearch/segment-anything'):
        load_released(torch.nn.Identity(), 'nowhere/w.pth', 'vit_b')
    with pytest.raises(DataError, match='is not a file'):
        _sam(checkpoint='nowhere/w.pth')


class _Touch:
    """Unpickling it would create the file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path):
    evil, touched = tmp_path / 'evil.pth', tmp_path / 'touched'
    torch.save({'weight': _Touch(touched)}, evil)
    with pytest.raises(DataError, match=r'evil\.pth.*tensors alone'):
        _sam(checkpoint=str(evil))
    evil.write_bytes(pickle.dumps(_Touch(touched)))
    with pytest.raises(DataError, match=r'evil\.pth.*tensors alone'):
        _sam(checkpoint=str(evil))
    assert not touched.exists()


def test_broken_files_are_refused(released, tmp_path):
    path = tmp_path / 'w.pth'
    for content in (b'', b'not a checkpoint', released.read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r'w\.pth'):
            _sam(checkpoint=str(path))
    torch.save({'epoch': 3}, path)
    with pytest.raises(DataError, match='must map parameter names to tensors'):
        _sam(checkpoint=str(path))


def test_a_checkpoint_of_another_size_is_refused(reference, tmp_path):
    path = tmp_path / 'w.pth'
    state = dict(reference.state_dict())
    shorter = {name: value for name, value in state.items() if not name.startswith('image_encoder.blocks.1.')}
    torch.save(shorter, path)
    with pytest.raises(DataError, match=r'w\.pth.*missing \(image_encoder\.blocks\.1'):
        _sam(checkpoint=str(path))
    torch.save({**state, 'extra': torch.zeros(1)}, path)
    with pytest.raises(DataError, match=r'1 unexpected \(extra\)'):
        _sam(checkpoint=str(path))
    torch.save({**state, 'image_encoder.pos_embed': torch.zeros(1, 8, 8, 32)}, path)
    with pytest.raises(DataError, match=r'1 of another shape \(image_encoder\.pos_embed\)'):
        _sam(checkpoint=str(path))


def test_gradients_reach_every_parameter_of_the_decoder():
    torch.manual_seed(0)
    decoder = ObjectMaskDecoder(transformer_dim=DIM, transformer_depth=2, num_heads=4, mlp_channels=16, iou_hidden=24)
    features, position = torch.randn(2, DIM, 4, 4), torch.randn(1, DIM, 4, 4)
    outputs = decoder(features, position, torch.randn(2, 1, DIM), torch.zeros(1, DIM, 1, 1))
    sum(output.square().sum() for output in outputs).backward()
    still = [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in still if not name.endswith('k_proj.bias')] == []
