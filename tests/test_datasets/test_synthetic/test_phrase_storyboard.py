"""Truth of what is said is worked out anew from the tracks."""

import re

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lavida_mm.datasets.synthetic import BEHAVIOURS, RELATIONS, TRAINED_PAIRS, plan_phrase_video
from lavida_mm.datasets.synthetic.choreography import find_relations
from lavida_mm.datasets.synthetic.phrase_storyboard import draw_behaviour_clip, draw_relation_clip
from lavida_mm.datasets.synthetic.phrases import embed_phrases, is_held_out
from lavida_mm.datasets.transforms.pseudo_anomaly_sampler import HardWords, draw_exposure

HEADINGS = {'left': (-1, 0), 'right': (1, 0), 'up': (0, -1), 'down': (0, 1)}
LOOKS = {str(pair): pair for pair in TRAINED_PAIRS}


@pytest.fixture(scope='module')
def behaviour_clips():
    return [draw_behaviour_clip(np.random.default_rng(seed), 16) for seed in range(150)]


@pytest.fixture(scope='module')
def relation_clips():
    return [draw_relation_clip(np.random.default_rng(seed), 16) for seed in range(150)]


@pytest.fixture(scope='module', params=['behaviour', 'relation'])
def boards(request):
    return [plan_phrase_video(request.param, 5, index) for index in range(12)]


def parse(phrase):
    """Which pairs a phrase may speak of, behaviour or relation, and the anchor's pair."""
    for name, wordings in {**BEHAVIOURS, **RELATIONS}.items():
        for wording in wordings:
            pattern = wording.replace('{pair}', r'(\w+ \w+|\w+)').replace('{anchor}', r'(\w+ \w+)')
            if found := re.fullmatch(pattern, phrase):
                looks, *anchors = found.groups()
                wanted = set(looks.split()) - {'object'}
                meant = {pair for pair in TRAINED_PAIRS if wanted <= {pair.colour, pair.shape}}
                assert meant
                return meant, name, LOOKS[anchors[0]] if anchors else None
    raise AssertionError(phrase)


def pairs_of(scene):
    return [LOOKS[f'{thing.colour} {thing.shape}'] for thing in scene.objects]


def read_truth(scene, phrase):
    """Frames (N, T) in which each object does what a phrase says, None where steps alone do not tell."""
    spoken_of, name, anchor = parse(phrase)
    pairs = pairs_of(scene)
    centres = np.array([thing.track for thing in scene.objects])
    meant = np.array([one in spoken_of for one in pairs])[:, None]
    if anchor is not None:
        if anchor not in pairs:
            return np.zeros(centres.shape[:2], bool)
        return find_relations(centres, [thing.radius for thing in scene.objects])[name][:, pairs.index(anchor)] & meant
    if name not in HEADINGS:
        return None
    steps = np.diff(centres, axis=1)
    along = np.einsum('ntk,k->nt', steps, np.array(HEADINGS[name])) - 0.9 * np.linalg.norm(steps, axis=2)
    straight = (along > 0) & (np.linalg.norm(steps, axis=2) < 4)  # a swing goes further
    return np.concatenate([straight[:, :1], straight], axis=1) & meant  # a step belongs to the later frame


def test_visits_and_words_are_true(boards):
    checked = 0
    for index, board in enumerate(boards):
        assert board.anomalous == (index % 3 != 2) == bool(board.visits)
        assert board.phrase in board.words and len({*board.words, *board.absent}) == 8
        shown = np.zeros(48, bool)
        for start, end in board.visits:
            shown[start:end] = True
            assert (board.masks[0, start:end].sum((1, 2)) >= 10).all()
        for phrase in (*board.words, *board.absent):
            (pair,), name, _ = parse(phrase)
            assert is_held_out(pair, name)
            truth = read_truth(board.scene, phrase)
            if truth is not None:
                checked += 1
                expected = shown if phrase == board.phrase else np.zeros(48, bool)
                assert np.array_equal(truth.any(0), expected), phrase
    assert checked > 20


def test_a_normal_video_has_the_looks_of_its_group(boards):
    for first in range(0, len(boards), 3):
        group = boards[first : first + 3]
        assert len({tuple(pairs_of(board.scene)) for board in group}) == 1
        assert len({thing.radius for board in group for thing in board.scene.objects}) == 1
        looks = pairs_of(group[2].scene)
        assert looks.count(group[2].pair) == 2 and len(set(looks)) == 3
    assert len({board.pair for board in boards}) == 4


def test_relations_said_in_clips_are_true(relation_clips):
    for scene, said in relation_clips[:40]:
        for phrase in {phrase for own in said for frame in own for phrase in frame}:
            truth = read_truth(scene, phrase)
            assert [[phrase in frame for frame in own] for own in said] == truth.tolist()


def test_directions_said_in_clips_are_true(behaviour_clips):
    checked = 0
    for scene, said in behaviour_clips[:40]:
        for phrase in {phrase for own in said for frame in own for phrase in frame}:
            truth = read_truth(scene, phrase)
            if truth is not None:
                checked += 1
                heard = np.array([[phrase in frame for frame in own] for own in said])
                assert np.array_equal(heard[:, 1:], truth[:, 1:])
    assert checked > 40


@pytest.mark.parametrize('kind', ['behaviour_clips', 'relation_clips'])
def test_training_never_names_what_is_held_out(kind, request):
    named, partly = set(), 0
    for scene, said in request.getfixturevalue(kind):
        pairs = pairs_of(scene)
        assert pairs[0] == pairs[1] and said[0] != said[1]
        for pair, own in zip(pairs, said, strict=True):
            for phrase in {phrase for frame in own for phrase in frame}:
                spoken_of, name, _ = parse(phrase)
                assert pair in spoken_of and not is_held_out(pair, name)
                named.add(name)
                partly += len(spoken_of) > 1
    assert named == set(BEHAVIOURS if kind == 'behaviour_clips' else RELATIONS)
    assert bool(partly) == (kind == 'behaviour_clips')


def test_training_clips_do_not_show_held_out_directions(behaviour_clips):
    for scene, _ in behaviour_clips[:40]:
        for pair in set(pairs_of(scene)):
            for name in filter(lambda name: is_held_out(pair, name), HEADINGS):
                truth = read_truth(scene, BEHAVIOURS[name][0].format(pair=pair))
                assert not (truth[:, 2:] & truth[:, 1:-1]).any()


def test_looks_tell_nothing_about_training_prompts(behaviour_clips):
    """With the embeddings of the world, positive and negative prompts alike name what the clip shows."""
    vocabulary = sorted({phrase for _, said in behaviour_clips for own in said for frame in own for phrase in frame})
    features = embed_phrases(vocabulary)
    hard = HardWords((features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32), pool=8)
    rng = np.random.default_rng(0)
    labels, scores = [], []
    for scene, said in behaviour_clips * 3:
        start = int(rng.integers(13))
        words = [sorted({phrase for frame in own[start : start + 4] for phrase in frame}) for own in said]
        plan = draw_exposure(words, vocabulary, [], anomaly_ratio=0.5, max_categories=6, num_targets=(1, 1),
                             num_templates=1, rng=rng, hard=hard)  # fmt: skip
        labels.append(bool(plan.targets))
        scores.append(np.mean([not parse(phrase)[0].isdisjoint(pairs_of(scene)) for phrase in plan.categories]))
    assert 0.4 < np.mean(labels) < 0.6
    assert roc_auc_score(labels, scores) == pytest.approx(0.5, abs=0.08)
