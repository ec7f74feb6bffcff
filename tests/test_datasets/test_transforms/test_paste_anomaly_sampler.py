from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import init_default_scope

from lavida_mm.datasets import PasteAnomalySampler, PlainVideoSource
from lavida_mm.datasets.pasting.compose import place_objects, visible_masks
from lavida_mm.datasets.synthetic.vocabulary import HELD_OUT_PAIRS
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from tests.conftest import ROOT
from tests.test_datasets.worlds import write_images

LOADING = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=False, with_label=False, with_mask=True),
    dict(type='LoadImageObjects'),
]
KINDS = {'red star': ['red star', 'red'], 'blue ring': ['blue ring', 'blue'], 'red cross': ['red cross', 'red']}


class Shelf:
    """One object per item, of a shape of its own, and words; two kinds share a word."""

    name = 'shelf'

    def __init__(self, extra=('green dot', 'white bar')):
        self.vocabulary = [*dict.fromkeys(word for words in KINDS.values() for word in words), *extra]

    def __len__(self):
        return len(KINDS)

    def __getitem__(self, item):
        rng = np.random.default_rng(item)
        mask = cv2.resize(rng.random((3, 4)).astype(np.float32), (20, 16)) > 0.4
        frames = rng.integers(0, 256, (1, 16, 20, 3), dtype=np.uint8)
        return dict(frames=frames, object_masks=mask[None, None], object_words=[list(KINDS.values())[item]])


def clip(seed: int = 0, num_objects: int = 0, **changes) -> dict:
    rng = np.random.default_rng(seed)
    masks = np.zeros((num_objects, 4, 24, 32), bool)
    for mask in masks:
        left = int(rng.integers(0, 24))
        mask[..., left : left + int(rng.integers(4, 24))] = True
    frames = rng.integers(0, 256, (4, 24, 32, 3), dtype=np.uint8)
    results = dict(
        frames=frames, frame_inds=np.arange(4), source='yard', video_id='v', vocabulary=[], object_masks=masks
    )
    return results | dict(object_words=[[] for _ in masks], present_words=[]) | changes


def dilate(mask: np.ndarray, margin: int) -> np.ndarray:
    """The last two axes, by a square, as a maximum over shifts."""
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(margin, margin)] * 2)
    height, width = mask.shape[-2:]
    shifts = [padded[..., y : y + height, x : x + width] for y in range(2 * margin + 1) for x in range(2 * margin + 1)]
    return np.logical_or.reduce(shifts)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    num_objects=st.integers(0, 2),
    margin=st.integers(0, 3),
    blending=st.sampled_from(['feather', 'seamless']),
    ratio=st.sampled_from([0.0, 0.5, 1.0]),
    decoys=st.sampled_from([0.0, 0.5, 1.0]),
    horizon=st.sampled_from([None, 0.3]),
    present=st.lists(st.sampled_from(['Blue', 'white  bar', 'car']), max_size=2),
)
def test_properties_of_every_sample(seed, num_objects, margin, blending, ratio, decoys, horizon, present):
    sampler = PasteAnomalySampler(
        objects=Shelf(), anomaly_ratio=ratio, decoy_ratio=decoys, max_categories=4, num_templates=3, scale=(0.2, 0.9),
        horizon=horizon, speed=(0.0, 0.3), min_pixels=1, blending=blending, blend_margin=margin,
    )  # fmt: skip
    results = clip(seed, num_objects, present_words=present)
    original, foreground = results['frames'].copy(), results['object_masks'].copy()
    plan = sampler._draw(results, np.random.default_rng(seed))
    out = sampler._apply(results, plan)
    again = sampler._apply(clip(seed, num_objects, present_words=present), plan)
    assert np.array_equal(out['frames'], again['frames'])

    # Pixels: outside of what shows, and its margin, nothing changed; the mask is the target's share of it.
    placed = place_objects(plan.pastes, foreground)
    shown = visible_masks(placed, original.shape[:3])
    changed = (out['frames'] != original).any(axis=-1)
    assert not (changed & ~dilate(shown.any(axis=0), margin)).any()
    if margin == 0 and blending == 'feather':  # random colours on random colours: none stays by chance
        assert np.array_equal(changed, shown.any(axis=0))
    assert len(shown) <= 2 and not (shown.sum(axis=0) > 1).any()
    for paste, mask in zip(plan.pastes, shown, strict=True):
        assert not (mask & foreground[list(paste.behind)].any(axis=0)).any()
    target = shown[plan.target] if plan.target is not None else np.zeros(original.shape[:3], bool)
    assert np.array_equal(out['gt_masks'], target)
    assert out['gt_frame_labels'].tolist() == [int(frame.any()) for frame in target]

    # Words: the target's among those that nothing in the clip has.
    key = [' '.join(word.lower().split()) for word in present]
    words = [word.lower() for word in out['categories']]
    named = [word for word, label in zip(words, out['gt_category_labels'], strict=True) if label]
    assert bool(named) == bool(target.any()) and len(named) <= 1
    assert len(set(words)) == len(words) <= 4 and set(words) <= set(Shelf().vocabulary) and not set(words) & set(key)
    pasted = {word for paste in plan.pastes for word in paste.cutout.words}
    assert set(words) & pasted == {plan.target_word} - {None}
    if plan.target is not None:
        decoy_words = {word for n, paste in enumerate(plan.pastes) if n != plan.target for word in paste.cutout.words}
        assert plan.target_word in plan.pastes[plan.target].cutout.words and plan.target_word not in decoy_words
        assert not set(plan.pastes[plan.target].cutout.words) & set(key)
    assert ratio == 0.5 or (plan.target is not None) == bool(ratio)
    assert 0 <= out['template'] < 3
    assert not {'object_masks', 'object_words', 'vocabulary', 'present_words'} & out.keys()


def test_shares_of_what_is_drawn():
    """Ratios 0.4 and 0.25, one of two foreground objects in front, four templates: 3.3 deviations over 2000 draws."""
    sampler = PasteAnomalySampler(
        objects=Shelf(),
        anomaly_ratio=0.4,
        decoy_ratio=0.25,
        max_categories=7,
        num_templates=4,
        min_pixels=1,
        flip_ratio=0.1,
    )
    rng = np.random.default_rng(0)
    plans = [sampler._draw(clip(), rng) for _ in range(2000)]
    positives = [plan for plan in plans if plan.target is not None]
    negatives = [plan for plan in plans if plan.target is None]
    assert abs(len(positives) / 2000 - 0.4) < 0.037
    assert abs(np.mean([len(plan.pastes) == 1 for plan in negatives]) - 0.25) < 0.042
    assert abs(np.mean([len(plan.pastes) == 2 for plan in positives]) - 0.25) < 0.051
    pastes = [paste for plan in plans for paste in plan.pastes]
    assert abs(np.mean([paste.flip for paste in pastes]) - 0.1) < 0.03
    kinds = Counter(plan.pastes[plan.target].cutout.words[0] for plan in positives)
    assert all(abs(count / len(positives) - 1 / 3) < 0.056 for count in kinds.values()) and len(kinds) == 3
    assert sorted(Counter(plan.template for plan in plans)) == [0, 1, 2, 3]
    both = [plan for plan in positives if len(plan.pastes) == 2]
    assert 0.35 < np.mean([plan.target for plan in both]) < 0.65  # in front as often as behind


def test_a_target_that_would_be_hidden_comes_to_the_front():
    everything = np.ones((1, 4, 24, 32), bool)
    sampler = PasteAnomalySampler(
        objects=Shelf(), max_categories=7, anomaly_ratio=1.0, decoy_ratio=0.0, behind_ratio=1.0, min_pixels=1
    )
    rng = np.random.default_rng(0)
    for _ in range(30):
        results = clip(object_masks=everything, object_words=[[]])
        assert sampler._apply(results, sampler._draw(results, rng))['gt_masks'].any()


def test_decoys_stay_behind_what_hides_them():
    everything = np.ones((1, 4, 24, 32), bool)
    sampler = PasteAnomalySampler(
        objects=Shelf(), max_categories=7, anomaly_ratio=0.0, decoy_ratio=1.0, behind_ratio=1.0, min_pixels=1
    )
    results = clip(object_masks=everything, object_words=[[]])
    original = results['frames'].copy()
    out = sampler._apply(results, sampler._draw(results, np.random.default_rng(0)))
    assert np.array_equal(out['frames'], original)


def test_words_of_the_clips_own_objects_are_neither_absent_nor_pasted_as_target():
    sampler = PasteAnomalySampler(objects=Shelf(), max_categories=7, anomaly_ratio=1.0, decoy_ratio=0.0, min_pixels=1)
    rng = np.random.default_rng(0)
    for _ in range(30):
        plan = sampler._draw(clip(num_objects=1, object_words=[['RED', 'green dot']]), rng)
        assert plan.pastes[plan.target].cutout.words == ('blue ring', 'blue')
        assert not {'red', 'green dot'} & set(plan.categories)


def test_objects_of_a_coco_file_in_plain_footage(tmp_path):
    """The whole way by configs; equal states of NumPy's generator give equal samples."""
    init_default_scope('lavida_mm')
    write_images(tmp_path / 'coco')
    (tmp_path / 'normal' / 'yard').mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(tmp_path / 'normal' / 'yard' / f'{number}.png'), np.full((40, 60, 3), 128, np.uint8))
    objects = dict(type='CocoInstancesSource', data_root=str(tmp_path / 'coco'), ann_file='instances.json')
    source = PlainVideoSource(
        data_root=str(tmp_path / 'normal'),
        pipeline=[
            dict(type='SampleClip', num_frames=2),
            dict(type='LoadClipFrames'),
            dict(type='LoadForegroundMasks'),
            dict(
                type='PasteAnomalySampler',
                objects=dict(objects, pipeline=LOADING),
                anomaly_ratio=1.0,
                max_categories=7,
                decoy_ratio=0.0,
                blend_margin=0,
                flip_ratio=0.0,
            ),
            dict(type='PackVADInputs'),
        ],
    )
    colours = {'red star': (255, 0, 0), 'blue ring': (0, 0, 255)}
    seen = set()
    for seed in range(12):
        np.random.seed(seed)
        packed = source[0]
        np.random.seed(seed)
        assert (source[0]['inputs'] == packed['inputs']).all()
        sample = packed['data_samples']
        word = sample.categories[sample.gt_category_labels.argmax()]
        pixels = packed['inputs'].permute(0, 2, 3, 1)[sample.gt_masks].numpy()
        kind = 'red star' if word in ('red star', 'red', 'star') else 'blue ring'
        assert len(pixels) and (pixels == colours[kind]).all()
        assert (packed['inputs'].permute(0, 2, 3, 1)[~sample.gt_masks] == 128).all()
        seen.add(kind)
    assert seen == set(colours)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(anomaly_ratio=1.2), r'anomaly_ratio must be in \[0, 1\], got 1\.2'),
        (dict(decoy_ratio=-0.1), r'decoy_ratio must be in'),
        (dict(cut_ratio=2), r'cut_ratio must be in'),
        (dict(flip_ratio=float('nan')), r'flip_ratio must be in'),
        (dict(behind_ratio=-1), r'behind_ratio must be in'),
        (dict(scale=(0.5, 1.5)), r'scale must be .*would not fit into the frame, got \(0\.5, 1\.5\)'),
        (dict(scale=(0.0, 0.5)), r'scale must be'),
        (dict(scale=(0.5, 0.4)), r'scale must be'),
        (dict(scale=(0.5,)), r'scale must be'),
        (dict(horizon=0.0), r'horizon must be None or in \(0, 1\), got 0\.0'),
        (dict(horizon=1.0), r'horizon must be'),
        (dict(speed=(0.2, 0.1)), r'speed must be'),
        (dict(speed=(0.0, float('inf'))), r'speed must be'),
        (dict(turn=200), r'turn must be in \[0, 180\] degrees'),
        (dict(blending='magic'), r"blending must be one of \('feather', 'seamless'\), got 'magic'"),
        (dict(blend_margin=-1), r'blend_margin must be at least 0, got -1'),
        (dict(max_categories=1), r'max_categories must be at least 2, got 1'),
        (dict(max_categories=8), r'max_categories must be at most the 7 words of objects, got 8'),
        (dict(num_templates=0), r'num_templates must be at least 1'),
        (dict(min_pixels=0), r'min_pixels must be at least 1'),
    ],
)
def test_arguments_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        PasteAnomalySampler(objects=Shelf(), **changes)


def test_a_source_without_words_has_nothing_to_name():
    shelf = Shelf()
    shelf.vocabulary = []
    with pytest.raises(ValueError, match=r"objects must be a source with a vocabulary, got 'shelf' without a word"):
        PasteAnomalySampler(objects=shelf)


def test_a_source_without_masks(monkeypatch):
    monkeypatch.setattr(Shelf, '__getitem__', lambda self, item: dict(frames=np.zeros((1, 4, 4, 3)), video_id='i3'))
    sampler = PasteAnomalySampler(objects=Shelf(), anomaly_ratio=1.0, max_categories=7)
    with pytest.raises(DataError, match=r"'shelf' of objects, 'i3': .* lacks object_masks, object_words"):
        sampler.transform(clip())


def test_a_vocabulary_of_which_nothing_is_absent():
    sampler = PasteAnomalySampler(objects=Shelf(extra=()), anomaly_ratio=0.0, decoy_ratio=0.0, max_categories=5)
    with pytest.raises(DataError, match=r"'yard', 'v': every one of the 5 words .*'shelf' is present.* extra_words"):
        sampler.transform(clip(present_words=Shelf(extra=()).vocabulary))


def test_coco_objects_in_real_surveillance_footage(shared_data):
    """Real pixels: unchanged beyond the margin, changed where the mask is, bit by bit, in every frame."""
    media = shared_data / 'media'
    for folder in (media / 'coco', media / 'surveillance'):
        if not folder.is_dir():
            pytest.skip(f'real test data is not here: {folder}')
    init_default_scope('lavida_mm')
    objects = dict(
        type='CocoInstancesSource',
        data_root=str(media / 'coco'),
        ann_file='panoptic_coco_detection_format.json',
        image_folder='input_images',
        pipeline=LOADING,
    )
    footage = PlainVideoSource(
        data_root=str(media / 'surveillance'),
        normal_words=['car', 'person'],
        pipeline=[
            dict(type='SampleClip', num_frames=3, intervals=(4,)),
            dict(type='LoadClipFrames', backend='pyav'),
            dict(type='LoadForegroundMasks'),
        ],
    )
    assert footage.counts() == dict(videos=2, frames=1771)
    sampler = PasteAnomalySampler(
        objects=objects, paste_words=['horse', 'truck'], anomaly_ratio=1.0, decoy_ratio=0.0, horizon=0.1, blend_margin=2
    )
    for seed, item in enumerate((0, 1, 0, 1)):
        np.random.seed(seed)
        results = footage[item]
        original = results['frames'].copy()
        out = sampler.transform(results)
        changed = (out['frames'] != original).any(axis=-1)
        word = out['categories'][out['gt_category_labels'].argmax()]
        assert word in ('horse', 'truck') and not {'car', 'person'} & set(out['categories'])
        assert not (changed & ~dilate(out['gt_masks'], 2)).any()
        assert changed[out['gt_masks']].mean() > 0.9  # few pixels of a horse have the colour of what they cover
        assert out['gt_frame_labels'].tolist() == [int(frame.any()) for frame in changed] and changed.any()


def test_the_recipe_reads_no_annotated_video_and_names_no_held_out_pair(small_world):
    """configs/examples/tiny_paste.py opens the normal videos and the images of the objects, and no other source."""
    config = Config.fromfile(ROOT / 'configs' / 'examples' / 'tiny_paste.py')
    init_default_scope('lavida_mm')
    dataset = config.train_dataloader.dataset.to_dict()
    for source in dataset['sources'].values():
        source['data_root'] = 'not there'
    dataset['sources']['normal']['data_root'] = str(small_world / 'normal')
    dataset['anomaly_sampler']['objects']['data_root'] = str(small_world / 'images')
    mixture = DATASETS.build(dataset)
    assert mixture.names == ['normal']
    held_out = {str(pair) for pair in HELD_OUT_PAIRS}
    np.random.seed(0)
    samples = [mixture[0]['data_samples'] for _ in range(40)]
    named = {word for sample in samples for word in sample.categories}
    assert len(named) > 20 and not named & held_out
    sampler = mixture.datasets[0].pipeline.transforms[-2]
    assert not set(sampler.vocabulary) & held_out
