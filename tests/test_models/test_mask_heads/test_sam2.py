"""SAM 2: the released networks, names and results; image sizes; files that are not what they should be."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lavida_mm.models.mask_heads import SAM2, FrameFeatures
from lavida_mm.models.mask_heads.sam2 import OF_MEMORY, UNUSED
from lavida_mm.models.mask_heads.sam2_architectures import SAM2_ARCHS, SAM2_RELEASES, build_config, image_unit
from lavida_mm.models.mask_heads.sam2_decoding import stabilise
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError
from tests.test_models.test_mask_heads.conftest import SIDE, SIZES

DIM, GRID = SIZES['channels'], SIDE // 8
TINY = dict(SIZES, channels=64, memory_layers=1)
# https://github.com/facebookresearch/sam2, "Model Description", in millions
PUBLISHED = {'tiny': 38.9, 'small': 46, 'base_plus': 80.8, 'large': 224.4}


def _sam2(**changes) -> SAM2:
    torch.manual_seed(1)
    source = {} if 'pretrained' in changes else dict(arch=TINY)
    return MODELS.build({**dict(type='SAM2', image_size=SIDE), **source, **changes}).eval()


def _clip(frames, shape=(SIDE, SIDE), seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, 3, *shape), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope='module')
def reference(sam2_folder):
    from transformers import Sam2Model

    return Sam2Model.from_pretrained(sam2_folder).eval()


PROMPTS = {
    'box': dict(input_boxes=torch.tensor([[[14.0, 16.0, 50.0, 68.0]]])),
    'points': dict(input_points=torch.tensor([[[[37.0, 49.0], [75.0, 11.0]]]]), input_labels=torch.tensor([[[1, 0]]])),
    'box and point': dict(
        input_boxes=torch.tensor([[[14.0, 16.0, 50.0, 68.0]]]),
        input_points=torch.tensor([[[[37.0, 49.0]]]]),
        input_labels=torch.tensor([[[1]]]),
    ),
    'mask': dict(input_masks=torch.linspace(-3, 3, 48 * 48).view(1, 1, 48, 48)),
}


@pytest.mark.parametrize('resize', ['squash', 'pad'])
@pytest.mark.parametrize('prompt', PROMPTS)
def test_masks_and_ious_are_those_of_transformers(reference, sam2_folder, prompt, resize):
    sam2 = _sam2(pretrained=str(sam2_folder), resize=resize)
    frame = _clip(1, (SIDE, 80))
    names = ('input_points', 'input_labels', 'input_boxes', 'input_masks')
    given = {name: PROMPTS[prompt].get(name) for name in names}
    if prompt == 'mask':  # the library pads such a prompt with a point that is none
        nowhere = dict(input_points=torch.zeros(1, 1, 1, 2), input_labels=-torch.ones(1, 1, 1, dtype=torch.int))
    with torch.no_grad():
        pixels = sam2.canvas.fit([frame])
        three = reference(pixel_values=pixels, multimask_output=True, **given)
        one = reference(pixel_values=pixels, multimask_output=False, **given)
        sparse, dense = reference.prompt_encoder(**{**given, **(nowhere if prompt == 'mask' else {})})
        output = sam2.decode(sam2.encode([frame]), sparse[:, 0], dense)
    assert three.pred_masks.abs().max() > 1
    masks = torch.cat([one.pred_masks, three.pred_masks], dim=2)[:, 0]
    torch.testing.assert_close(output.masks, masks, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        output.ious, torch.cat([one.iou_scores, three.iou_scores], dim=2)[:, 0], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(output.object_logits, three.object_score_logits.flatten(), atol=1e-5, rtol=0)
    assert output.memory is None


def test_frames_are_resized_and_normalised_as_transformers_does_it(sam2_folder):
    from transformers import Sam2ImageProcessor

    processor = Sam2ImageProcessor(size=dict(height=SIDE, width=SIDE))
    frame = _clip(1, (70, 130))
    expected = processor(images=list(frame), return_tensors='pt').pixel_values
    # transformers rounds to whole grey levels, twice
    torch.testing.assert_close(_sam2().canvas.fit([frame]), expected, atol=1.2 / 57, rtol=0)


@pytest.mark.parametrize('release', SAM2_RELEASES)
def test_released_sizes_on_meta(release):
    from transformers import Sam2Model

    with torch.device('meta'):
        sam2 = SAM2(pretrained=release)
        config = sam2.network.config
        image_only = Sam2Model(config).state_dict()
    arch = SAM2_RELEASES[release]
    number = sum(parameter.numel() for parameter in sam2.parameters()) / 1e6
    assert number == pytest.approx(PUBLISHED[arch], abs=0.1)
    assert sam2.embed_dim == 256 and sam2.mask_size == 256
    features = sam2.encode([torch.empty(2, 3, 270, 480, dtype=torch.uint8, device='meta')])
    assert features.deep.shape == (2, 256, 64, 64)
    assert [tuple(scale.shape[1:]) for scale in features.fine] == [(32, 256, 256), (64, 128, 128)]
    output = sam2.decode(features, torch.empty(2, 1, 256, device='meta'))
    assert output.masks.shape == (2, 4, 256, 256)
    ours = {name: value.shape for name, value in sam2.network.state_dict().items()}
    theirs = {name: value.shape for name, value in image_only.items()}
    assert {name: shape for name, shape in ours.items() if name in theirs} == theirs
    extra = {name for name in ours if name not in theirs}
    assert extra and all(name.startswith((*OF_MEMORY, *UNUSED)) for name in extra)
    dims = SAM2_ARCHS[arch]['embed_dims']
    assert ours['vision_encoder.backbone.pos_embed'][1] == dims[0]
    assert ours['vision_encoder.neck.convs.0.weight'] == (256, dims[-1], 1, 1)


def test_the_config_is_that_of_the_released_one():
    """transformers' defaults are those of SAM 2.1 tiny."""
    from transformers import Sam2VideoConfig

    assert build_config('tiny').to_dict() == Sam2VideoConfig().to_dict()


def test_what_is_trained():
    sam2 = _sam2()
    trained = {name.removeprefix('network.') for name, p in sam2.named_parameters() if p.requires_grad}
    assert {'no_memory_embedding', 'prompt_encoder.no_mask_embed.weight'} <= trained
    assert all(
        name.startswith(('mask_decoder.', 'no_memory_embedding', 'prompt_encoder.no_mask_embed.')) for name in trained
    )
    with_memory = {name.removeprefix('network.') for name, p in _sam2(memory=2).named_parameters() if p.requires_grad}
    assert with_memory > trained and all(name.startswith(OF_MEMORY) for name in with_memory - trained)
    thawed = {
        name.removeprefix('network.')
        for name, p in _sam2(freeze_image_encoder=False).named_parameters()
        if p.requires_grad
    }
    assert all(name.startswith('vision_encoder.') for name in thawed - trained)


@pytest.mark.parametrize('memory', [0, 2])
def test_gradients_reach_every_trained_parameter(memory):
    sam2 = _sam2(memory=memory, freeze_image_encoder=False).train()
    with torch.no_grad():
        for parameter in sam2.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        sam2.network.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(2.0)  # all show the object
    output = sam2.decode(sam2.encode([_clip(3), _clip(2)]), torch.randn(5, 1, 64))
    sum(part.square().sum() for part in (output.masks, output.ious, output.object_logits)).backward()
    still = [n for n, p in sam2.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    allowed = ('k_proj.bias', 'no_object_pointer', 'occlusion_spatial_embedding_parameter')  # of absent objects
    assert [name for name in still if not name.endswith(allowed)] == []
    assert all(p.grad is None for p in sam2.parameters() if not p.requires_grad)


def test_images_alone_leave_no_parameter_of_the_memory_without_gradient():
    sam2 = _sam2(memory=2).train()
    output = sam2.decode(sam2.encode([_clip(1), _clip(1)]), torch.randn(2, 1, 64))
    (output.masks.sum() + output.ious.sum() + output.object_logits.sum()).backward()
    assert [name for name, p in sam2.named_parameters() if p.requires_grad and p.grad is None] == []


def test_a_frozen_encoder_gets_no_gradient():
    features = _sam2().train().encode([_clip(1)])
    assert not features.deep.requires_grad and all(scale.requires_grad for scale in features.fine)
    assert _sam2(freeze_image_encoder=False).train().encode([_clip(1)]).deep.requires_grad


def test_frames_of_several_sizes_in_one_batch():
    sam2 = _sam2()
    clips = [_clip(2, (96, 96)), _clip(1, (30, 77)), _clip(3, (128, 90))]
    with torch.no_grad():
        together = sam2.encode(clips)
        parts = [sam2.encode([clip[i : i + 1]]) for clip in clips for i in range(len(clip))]
    assert together.lengths == (2, 1, 3) and together.deep.shape == (6, 64, GRID, GRID)
    alone = FrameFeatures.join(parts, together.lengths)
    for found, expected in zip((together.deep, *together.fine), (alone.deep, *alone.fine), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_frames_are_decoded_each_with_their_own_prompts():
    sam2 = _sam2()
    features, sparse, dense = sam2.encode([_clip(3)]), torch.randn(3, 2, 64), torch.randn(3, 64, GRID, GRID)
    together = sam2.decode(features, sparse, dense)
    assert together.masks.shape == (3, 4, 48, 48) and together.ious.shape == (3, 4)
    for i in range(3):
        alone = sam2.decode(features.select([i]), sparse[i : i + 1], dense[i : i + 1])
        torch.testing.assert_close(alone.masks[0], together.masks[i], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone.object_logits[0], together.object_logits[i], atol=1e-5, rtol=1e-4)
    no_mask = sam2.network.prompt_encoder.no_mask_embed.weight[:, :, None, None]
    torch.testing.assert_close(sam2.decode(features, sparse).masks, sam2.decode(features, sparse, no_mask).masks)


def test_an_unstable_single_mask_gives_way_to_the_best_of_three():
    masks = torch.full((3, 4, 4, 4), -9.0)
    masks[:, 1:] = torch.randn(3, 3, 4, 4)
    masks[0, 0, :2] = 9.0  # the same area at any threshold
    masks[1, 0, :2], masks[1, 0, 2] = 9.0, 0.0  # two rows or three
    ious = torch.tensor([[0.1, 0.2, 0.4, 0.3]]).repeat(3, 1)  # the third frame's single mask is empty
    found, quality = stabilise(masks, ious, 0.05, 0.98)
    assert torch.equal(found[:, 1:], masks[:, 1:]) and torch.equal(quality[:, 1:], ious[:, 1:])
    assert torch.equal(found[0, 0], masks[0, 0]) and torch.equal(found[2, 0], masks[2, 0])
    assert torch.equal(found[1, 0], masks[1, 2])
    assert quality[:, 0].tolist() == pytest.approx([0.1, 0.4, 0.1])


def test_other_image_sizes_interpolate_the_positions(sam2_folder):
    for size in (64, 160):
        sam2 = _sam2(pretrained=str(sam2_folder), image_size=size, memory=2)
        with torch.no_grad():
            output = sam2.decode(sam2.encode([_clip(3)]), torch.randn(3, 1, DIM))
        assert output.masks.shape == (3, 4, size // 2, size // 2)
        assert sam2.position_encoding().shape == (1, DIM, size // 8, size // 8)


def test_the_released_unit_is_32():
    assert all(image_unit(build_config(arch)) == 32 for arch in SAM2_ARCHS)


def test_masks_go_back_to_the_frame():
    sam2 = _sam2(resize='pad')
    mask = torch.zeros(1, 40, 96)
    mask[:, 10:30, 20:60] = 1
    fitted = sam2.fit_masks(mask)
    assert fitted.shape == (1, 48, 48)
    restored = sam2.restore(fitted - 0.5, (40, 96)) > 0
    assert (restored != mask.bool()).float().mean() < 0.02


def test_position_encoding_keeps_float32_under_autocast(sam2_folder):
    sam2 = _sam2(pretrained=str(sam2_folder), memory=2)
    plain = sam2.position_encoding()
    with torch.autocast('cpu', dtype=torch.bfloat16), torch.no_grad():
        torch.testing.assert_close(sam2.position_encoding(), plain, rtol=0, atol=0)
        output = sam2.decode(sam2.encode([_clip(3)]), torch.randn(3, 1, DIM))
    assert torch.isfinite(output.masks).all()


def test_mmengine_keeps_the_loaded_weights(sam2_folder):
    sam2 = _sam2(pretrained=str(sam2_folder))
    before = {name: value.clone() for name, value in sam2.state_dict().items()}
    sam2.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in sam2.state_dict().items())
    stored = load_file(sam2_folder / 'model.safetensors')
    assert all(torch.equal(before[f'network.{name}'], value) for name, value in stored.items())


@pytest.mark.parametrize(
    ('change', 'rule'),
    [
        (dict(resize='crop'), "resize must be one of .* got 'crop'"),
        (dict(arch='huge'), "arch must be one of .* got 'huge'"),
        (dict(arch=dict(TINY, heads=3)), r"unknown keys \['heads'\]"),
        (dict(arch=dict(blocks=(1, 1, 1, 1))), 'missing keys'),
        (dict(arch=dict(TINY, blocks=(1, 1))), r'arch\.blocks must have one entry for each of the 4 stages'),
        (dict(arch=dict(TINY, channels=96)), r'arch\.channels must be a multiple of 64, got 96'),
        (dict(image_size=100), 'multiple of the encoder.s stride 16, got 100'),
        (dict(image_size='96'), "image_size must be a whole number of at least 1, got '96'"),
        (dict(memory=8), r'memory must be in \[0, 7\], got 8'),
        (dict(memory=-1), 'memory must be a whole number of at least 0, got -1'),
        (dict(memory=2.5), 'memory must be a whole number of at least 0, got 2.5'),
        (dict(arch=None), 'one of pretrained and arch must be set, got None and None'),
        (dict(pretrained='x/y', arch='tiny'), 'one of pretrained and arch must be set'),
    ],
)
def test_values_out_of_range_are_refused(change, rule):
    with pytest.raises(ValueError, match=rule):
        _sam2(**change)


def test_prompts_that_do_not_match_are_refused():
    sam2 = _sam2()
    features = sam2.encode([_clip(3)])
    with pytest.raises(ValueError, match=r'sparse prompts must have shape .* got \(2, 1, 64\)'):
        sam2.decode(features, torch.randn(2, 1, 64))
    with pytest.raises(ValueError, match=r'dense prompts must have shape .* got \(2, 64, 12, 12\)'):
        sam2.decode(features, torch.randn(3, 1, 64), torch.randn(2, 64, GRID, GRID))
    with pytest.raises(ValueError, match=r'clip 1 must have shape \(T, 3, H, W\), got \(2, 64, 64\)'):
        sam2.encode([_clip(1), torch.zeros(2, 64, 64)])


def test_nan_features_name_the_image_encoder():
    sam2 = _sam2()
    with torch.no_grad():
        sam2.image_encoder.neck.convs[3].bias[0] = torch.nan
    with pytest.raises(FloatingPointError, match=r'segmenter\.image_encoder'):
        sam2.encode([_clip(1)])


def test_a_name_that_meta_does_not_know():
    with torch.device('meta'), pytest.raises(ValueError, match=r'sam2_architectures\.py holds only: facebook/sam2\.1'):
        SAM2(pretrained='facebook/sam3')


def test_folders_that_do_not_fit_are_refused(sam2_folder, tmp_path):
    with pytest.raises(DataError, match=r"SAM2\.pretrained='\./nowhere': no such folder"):
        _sam2(pretrained='./nowhere')

    folder = tmp_path / 'copy'
    shutil.copytree(sam2_folder, folder)
    weights = load_file(folder / 'model.safetensors')
    name = 'memory_attention.layer_norm.weight'
    save_file({key: value for key, value in weights.items() if key != name}, folder / 'model.safetensors')
    with pytest.raises(DataError, match=rf'copy must hold the weights of SAM 2, got 1 missing \({name}\)'):
        _sam2(pretrained=str(folder))
    save_file({**weights, name: torch.zeros(3)}, folder / 'model.safetensors')
    with pytest.raises(DataError, match=r'copy (cannot be loaded|must hold)'):
        _sam2(pretrained=str(folder))
    (folder / 'model.safetensors').write_bytes(b'not weights')
    with pytest.raises(DataError, match='copy cannot be loaded'):
        _sam2(pretrained=str(folder))
    config = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps({**config, 'model_type': 'sam'}))
    with pytest.raises(DataError, match=r"config\.json must be of model_type 'sam2_video', got 'sam'"):
        _sam2(pretrained=str(folder))
