from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from lavida_mm.datasets.transforms import PseudoAnomalySampler
from lavida_mm.datasets.transforms.pseudo_anomaly_sampler import ExposurePlan
from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.datasets.word_embeddings import save_embeddings
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
        vocabulary=draw(st.lists(WORDS, max_size=6)) + ['far', 'away', 'far away'],
        present_words=draw(st.lists(st.sampled_from(['cross', 'GREEN ring']), max_size=2)),
        source='hypothesis',
        video_id='v',
    )


def key(word: str) -> str:
    return ' '.join(word.lower().split())


@pytest.fixture(scope='module')
def embeddings(tmp_path_factory):
    path = tmp_path_factory.mktemp('embeddings') / 'words.npz'
    words = ['red', 'blue', 'star', 'red star', 'ring', 'green ring', 'cross', 'far', 'away', 'far away']
    save_embeddings(path, words, np.random.default_rng(0).normal(size=(len(words), 4)))
    return str(path)


@settings(max_examples=400, deadline=None)
@given(
    results=clips(),
    ratio=st.sampled_from([0.0, 0.5, 1.0]),
    most_targets=st.integers(1, 3),
    room=st.integers(1, 5),
    kind=st.sampled_from(['vocabulary', 'phrases', 'hard']),
    min_area=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**31 - 1),
)
def test_properties_of_every_sample(results, ratio, most_targets, room, kind, min_area, seed, embeddings):
    masks, words = results['object_masks'].copy(), [list(own) for own in results['object_words']]
    vocabulary = {key(word) for word in results['vocabulary'] if kind != 'phrases' or ' ' in word.strip()}
    visible = masks.any(axis=(1, 2, 3))
    present = {key(word) for own, seen in zip(words, visible, strict=True) if seen for word in own}
    largest = [max((frame.mean() for frame in mask), default=0) for mask in masks]
    large = {key(word) for own, share in zip(words, largest, strict=True) if share >= (min_area or 0.1) for word in own}
    sampler = PseudoAnomalySampler(
        anomaly_ratio=ratio,
        max_categories=most_targets + room,
        num_targets=(1, most_targets),
        num_templates=3,
        distractors=kind,
        embeddings=embeddings if kind == 'hard' else None,
        hard_pool=2,
        min_area=min_area,
    )
    plan = sampler._draw(results, np.random.default_rng(seed))
    known_present = present | {key(word) for word in results['present_words']}
    out = sampler._apply(results, plan)

    named = [key(word) for word in out['categories']]
    targets = [word for word, label in zip(named, out['gt_category_labels'], strict=True) if label]
    distractors = [word for word, label in zip(named, out['gt_category_labels'], strict=True) if not label]
    assert len(set(named)) == len(named) <= most_targets + room
    assert len(distractors) >= 1 and not set(distractors) & known_present and set(distractors) <= vocabulary
    assert set(targets) <= large <= present and len(targets) <= most_targets
    assert bool(targets) == (ratio == 1.0 and bool(large)) or 0 < ratio < 1
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
    """20,000 draws of a clip whose target is always visible, one target, ratio 0.5, at most 6 words."""
    vocabulary = Vocabulary(f'w{number}' for number in range(40))
    sampler = PseudoAnomalySampler(anomaly_ratio=0.5, max_categories=6, num_templates=2)
    rng, clip = np.random.default_rng(0), scene(vocabulary=vocabulary)
    plans = [sampler._draw(clip, rng) for _ in range(20_000)]
    positives = [plan for plan in plans if plan.targets]
    low, high = binom.interval(0.999, 20_000, 0.5)
    assert low <= len(positives) <= high
    for own, most in ((positives, 5), ([plan for plan in plans if not plan.targets], 6)):
        numbers = Counter(len(plan.categories) - len(plan.targets) for plan in own)
        assert sorted(numbers) == list(range(1, most + 1)) and chisquare(list(numbers.values())).pvalue > 0.001
    words = Counter(word for plan in plans for word in plan.categories if word.startswith('w'))
    assert len(words) == 40 and chisquare(list(words.values())).pvalue > 0.001
    places = Counter(plan.categories.index(plan.targets[0]) for plan in positives if len(plan.categories) == 3)
    assert sorted(places) == [0, 1, 2] and chisquare(list(places.values())).pvalue > 0.001
    assert chisquare(list(Counter(plan.template for plan in plans).values())).pvalue > 0.001


def test_number_of_distractors_ends_with_the_absent_words():
    clip = scene(vocabulary=['red star', 'blue ring', 'ring that is blue', 'w0', 'w1', 'w2'])
    sampler = PseudoAnomalySampler(anomaly_ratio=0.0, max_categories=30)
    rng = np.random.default_rng(1)
    numbers = Counter(len(sampler._draw(clip, rng).categories) for _ in range(3000))
    assert sorted(numbers) == [1, 2, 3] and chisquare(list(numbers.values())).pvalue > 0.001


def test_phrases_alone():
    vocabulary = ['box', 'white box', 'bar', 'cyan bar', 'blue ring', 'green cross']
    sampler = PseudoAnomalySampler(distractors='phrases', max_categories=4)
    plans = [sampler._draw(scene(vocabulary=vocabulary), np.random.default_rng(seed)) for seed in range(60)]
    named = {word for plan in plans for word in plan.categories if word not in plan.targets}
    assert named == {'white box', 'cyan bar', 'green cross'}
    with pytest.raises(DataError, match='every one of the phrases among the 2 words of the vocabulary is present'):
        sampler._draw(scene(vocabulary=['box', 'Blue ring']), np.random.default_rng(0))


ANGLES = {'red star': 0, 'pink star': 5, 'red cross': 10, 'blue box': 80, 'blue ring': 90, 'cyan ring': 95, 'bar': 180}


def test_hard_words_are_the_nearest_to_the_targets_or_to_a_present_word(tmp_path):
    """Words on a circle: those within 15 degrees of the red star and those within 15 of the blue ring."""
    turns = np.deg2rad(list(ANGLES.values()))
    save_embeddings(tmp_path / 'words.npz', list(ANGLES), np.stack([np.cos(turns), np.sin(turns)], 1))
    near = {'red star': {'pink star', 'red cross'}, 'blue ring': {'blue box', 'cyan ring'}}
    found = Counter()
    for ratio in (0.0, 1.0):
        sampler = PseudoAnomalySampler(
            anomaly_ratio=ratio,
            max_categories=3,
            distractors='hard',
            embeddings=str(tmp_path / 'words.npz'),
            hard_pool=2,
        )
        clip = scene(object_words=[['red star'], ['red star'], ['blue ring']], vocabulary=Vocabulary(ANGLES))
        for seed in range(80):
            plan = sampler._draw(clip, np.random.default_rng(seed))
            distractors = set(plan.categories) - set(plan.targets)
            if len(distractors) == 3:  # wider than the pool: the third is the next nearest
                continue
            (side,) = [word for word in near if distractors <= near[word]]
            assert not plan.targets or plan.targets == (side,)
            found[side, bool(plan.targets), len(distractors)] += 1
    assert len(found) == 8


def test_hard_words_where_the_clip_has_no_word_of_the_vocabulary(embeddings):
    sampler = PseudoAnomalySampler(distractors='hard', max_categories=3, embeddings=embeddings, hard_pool=1)
    clip = scene(object_words=[['dog'], [], []], vocabulary=['red', 'blue', 'star', 'ring'])
    plans = [sampler._draw(clip, np.random.default_rng(seed)) for seed in range(60)]
    assert {word for plan in plans for word in plan.categories} == {'dog', 'red', 'blue', 'star', 'ring'}


def test_small_objects_are_present_but_no_targets():
    masks = np.zeros((3, 2, 4, 4), bool)
    masks[0, 0, 0, 0] = masks[2, 1, :2] = True  # a 16th of a frame, and half of one
    sampler = PseudoAnomalySampler(anomaly_ratio=1.0, max_categories=5, min_area=0.4)
    for seed in range(30):
        plan = sampler._draw(scene(object_masks=masks), np.random.default_rng(seed))
        assert plan.targets[0] in ('blue ring', 'ring that is blue') and 'red star' not in plan.categories
    clip = scene(object_masks=masks, object_words=[['ring'], ['x'], ['ring']])
    out = sampler._apply(clip, sampler._draw(clip, np.random.default_rng(0)))
    assert out['gt_masks'].sum() == 9  # of the small one too, where it bears the target's word


@pytest.mark.parametrize(
    ('options', 'words', 'message'),
    [
        (
            dict(max_categories=4),
            ['a', 'b', 'c'],
            "source 's': max_categories must be at most 3, .* has 3 words, got 4",
        ),
        (
            dict(max_categories=4, num_targets=(1, 2), distractors='phrases'),
            ['a b', 'b', 'c', 'd'],
            'max_categories must be at most 3, since its vocabulary has 1 phrases, and a prompt 2 targets, got 4',
        ),
        (dict(max_categories=2, distractors='hard'), ['red', 'dog'], "lacks 1 of the 2 words of source 's', 'dog'"),
    ],
)
def test_vocabulary_that_does_not_suffice(options, words, message, embeddings):
    sampler = PseudoAnomalySampler(**options, embeddings=embeddings if 'hard' in options.values() else None)
    with pytest.raises(ValueError, match=message):
        sampler.check_vocabulary('s', Vocabulary(words))


def test_vocabulary_that_just_suffices(embeddings):
    PseudoAnomalySampler(max_categories=3).check_vocabulary('s', Vocabulary('abc'))
    PseudoAnomalySampler(max_categories=3, distractors='phrases', num_targets=(1, 2)).check_vocabulary(
        's', Vocabulary(['a b'])
    )
    PseudoAnomalySampler(max_categories=2, distractors='hard', embeddings=embeddings).check_vocabulary(
        's', Vocabulary(['far', 'Away'])
    )


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
        (dict(num_templates=0), 'num_templates must be a whole number of at least 1, got 0'),
        (dict(distractors='soft'), "distractors must be one of .*, got 'soft'"),
        (dict(distractors='hard'), "embeddings must be given with distractors='hard' and without it not, got None"),
        (dict(embeddings='x.npz'), "embeddings must be given with distractors='hard' and without it not, got 'x.npz'"),
        (dict(hard_pool=0), 'hard_pool must be a whole number of at least 1, got 0'),
        (dict(min_area=1), r'min_area must be in \[0, 1\), got 1'),
        (dict(min_area=-0.1), 'min_area'),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        PseudoAnomalySampler(**options)
    with pytest.raises(TypeError):
        PseudoAnomalySampler(anomaly_ration=0.5)
