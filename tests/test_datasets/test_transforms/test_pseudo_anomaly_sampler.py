from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavida_mm.datasets.transforms import PseudoAnomalySampler
from lavida_mm.datasets.transforms.pseudo_anomaly_sampler import ExposurePlan
from lavida_mm.utils.errors import DataError

WORDS = st.sampled_from(['red', 'Red', ' red ', 'blue', 'star', 'red  star', 'red star', 'ring', 'green ring', 'cross'])


@st.composite
def clips(draw):
    """Clips with few words, so that objects share them, and with spellings that differ in case and blanks."""
    object_words = draw(st.lists(st.lists(WORDS, max_size=3), max_size=4))
    shape = (len(object_words), draw(st.integers(1, 3)), 3, 3)
    bits = draw(st.lists(st.booleans(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    masks = np.asarray(bits, dtype=bool).reshape(shape)
    for number in range(len(object_words)):
        if draw(st.booleans()):
            masks[number] = False  # an object that no frame shows
    return dict(
        frames=np.zeros((shape[1], 3, 3, 3), np.uint8),
        object_masks=masks,
        object_words=object_words,
        vocabulary=draw(st.lists(WORDS, max_size=6)) + ['far', 'away'],
        present_words=draw(st.lists(st.sampled_from(['cross', 'GREEN ring']), max_size=2)),
        source='hypothesis',
        video_id='v',
    )


def key(word: str) -> str:
    return ' '.join(word.lower().split())


@settings(max_examples=300, deadline=None)
@given(
    results=clips(),
    ratio=st.sampled_from([0.0, 0.5, 1.0]),
    most_targets=st.integers(1, 3),
    room=st.integers(1, 5),
    seed=st.integers(0, 2**31 - 1),
)
def test_properties_of_every_sample(results, ratio, most_targets, room, seed):
    masks, words = results['object_masks'].copy(), [list(own) for own in results['object_words']]
    vocabulary = {key(word) for word in results['vocabulary']}
    visible = masks.any(axis=(1, 2, 3))
    present = {key(word) for own, seen in zip(words, visible, strict=True) if seen for word in own}
    sampler = PseudoAnomalySampler(
        anomaly_ratio=ratio, max_categories=most_targets + room, num_targets=(1, most_targets), num_templates=3
    )
    plan = sampler._draw(results, np.random.default_rng(seed))
    known_present = present | {key(word) for word in results['present_words']}
    out = sampler._apply(results, plan)

    named = [key(word) for word in out['categories']]
    targets = [word for word, label in zip(named, out['gt_category_labels'], strict=True) if label]
    distractors = [word for word, label in zip(named, out['gt_category_labels'], strict=True) if not label]
    assert len(set(named)) == len(named) <= most_targets + room
    assert len(distractors) >= 1 and not set(distractors) & known_present and set(distractors) <= vocabulary
    assert set(targets) <= present and len(targets) <= most_targets
    assert bool(targets) == (ratio == 1.0 and bool(present)) or 0 < ratio < 1
    assert 0 <= out['template'] < 3

    union = np.zeros(masks.shape[1:], bool)  # every object that carries a target's word, by hand
    for own, mask in zip(words, masks, strict=True):
        if {key(word) for word in own} & set(targets):
            union |= mask
    assert np.array_equal(out['gt_masks'], union)
    assert out['gt_frame_labels'].tolist() == [int(frame.any()) for frame in union]
    assert bool(targets) == bool(union.any())
    assert not {'object_masks', 'object_words', 'vocabulary', 'present_words'} & out.keys()


def scene(**changes):
    masks = np.zeros((3, 2, 4, 4), bool)
    masks[0, 0, 0, 0] = masks[1, 1, 1, 1] = masks[2, :, 3, 3] = True
    scene = dict(
        object_masks=masks,
        object_words=[['red star'], ['red star'], ['blue ring', 'ring that is blue']],
        vocabulary=['red star', 'blue ring', 'ring that is blue', 'green cross', 'white box', 'cyan bar'],
        source='scene',
        video_id='s',
    )
    return {**scene, **changes}


def test_two_objects_of_one_word_are_both_in_the_mask():
    plan = ExposurePlan(('green cross', 'red star'), ('red star',), 0)
    out = PseudoAnomalySampler()._apply(scene(), plan)
    assert out['gt_masks'].sum() == 2 and out['gt_masks'][0, 0, 0] and out['gt_masks'][1, 1, 1]
    assert out['gt_frame_labels'].tolist() == [1, 1]
    assert out['gt_category_labels'].tolist() == [0, 1]


def test_paraphrases_of_the_target_never_become_distractors():
    sampler = PseudoAnomalySampler(anomaly_ratio=1.0, max_categories=6)
    for seed in range(60):
        plan = sampler._draw(scene(), np.random.default_rng(seed))
        assert len({'blue ring', 'ring that is blue', 'red star'} & set(plan.categories)) == 1


def test_figures_of_the_draw():
    """Ratio 0.5, one target, distractors uniform in 1..5: three standard deviations over 4000 draws."""
    vocabulary = [f'w{number}' for number in range(40)]
    sampler = PseudoAnomalySampler(anomaly_ratio=0.5, max_categories=6, num_templates=2)
    rng = np.random.default_rng(0)
    plans = [sampler._draw(scene(vocabulary=vocabulary), rng) for _ in range(4000)]
    positives = [plan for plan in plans if plan.targets]
    assert abs(len(positives) / 4000 - 0.5) < 0.024
    lengths = Counter(len(plan.categories) - 1 for plan in positives)
    assert sorted(lengths) == [1, 2, 3, 4, 5]
    assert all(abs(count / len(positives) - 0.2) < 0.027 for count in lengths.values())
    negatives = Counter(len(plan.categories) for plan in plans if not plan.targets)
    assert sorted(negatives) == [1, 2, 3, 4, 5, 6]
    places = Counter(plan.categories.index(plan.targets[0]) for plan in positives if len(plan.categories) == 2)
    assert abs(places[0] / places.total() - 0.5) < 0.08
    assert abs(sum(plan.template for plan in plans) / 4000 - 0.5) < 0.024


def test_numpy_seed_fixes_the_sample():
    def draw(seed):
        np.random.seed(seed)
        return [tuple(PseudoAnomalySampler().transform(scene())['categories']) for _ in range(8)]

    assert draw(3) == draw(3) != draw(4)


def test_vocabulary_without_an_absent_word_names_the_source():
    with pytest.raises(DataError, match=r"source 'scene', 's': .* extra_words"):
        PseudoAnomalySampler().transform(scene(vocabulary=['Red  star', 'blue ring']))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(anomaly_ratio=1.5), r'anomaly_ratio must be in \[0, 1\], got 1.5'),
        (dict(anomaly_ratio=-0.1), 'anomaly_ratio'),
        (dict(max_categories=1), 'max_categories must leave room for a distractor beside 1 targets, got 1'),
        (dict(num_targets=(0, 1)), 'num_targets'),
        (dict(num_targets=(2, 1)), 'num_targets'),
        (dict(num_templates=0), 'num_templates must be at least 1, got 0'),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        PseudoAnomalySampler(**options)
    with pytest.raises(TypeError):
        PseudoAnomalySampler(anomaly_ration=0.5)
