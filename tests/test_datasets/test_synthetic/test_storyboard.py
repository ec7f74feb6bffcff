import numpy as np
import pytest

from lavida_mm.datasets.synthetic import HELD_OUT_PAIRS, TRAINED_PAIRS, plan_video
from lavida_mm.datasets.synthetic.storyboard import MIN_VISIBLE, cast_clip, cast_halves, cast_image, cast_normal


@pytest.fixture(scope='module')
def boards():
    return [plan_video('benchmark', 5, index) for index in range(12)]


def pairs_of(board):
    return [(thing.colour, thing.shape) for thing in board.scene.objects]


def test_a_third_is_normal(boards):
    assert [board.anomalous for board in boards] == [True, True, False] * 4


def test_only_the_target_is_a_named_pair_on_screen(boards):
    for board in boards:
        named = [pair for pair in pairs_of(board) if pair in board.words]
        assert set(named) == ({board.target} if board.anomalous else set())
        assert len(named) == len(board.visits)
        assert board.target in board.words


def test_absent_words_are_absent_and_others(boards):
    for board in boards:
        assert len(board.absent) == len(board.words) == len({*board.absent, *board.words}) / 2
        assert not set(board.absent) & set(pairs_of(board))
        assert set(board.absent + board.words) <= set(HELD_OUT_PAIRS)


def test_decoys_share_a_word_with_the_target_and_unseen_pairs_occur(boards):
    for board in boards:
        others = [pair for pair in pairs_of(board) if pair != board.target]
        assert any(colour == board.target.colour for colour, _ in others)
        assert any(shape == board.target.shape for _, shape in others)
        assert any(pair in HELD_OUT_PAIRS for pair in others)


def test_visits_say_when_the_target_is_visible(boards):
    for board in (board for board in boards if board.anomalous):
        areas = board.masks[: len(board.visits)].sum((2, 3))
        for (start, end), area in zip(board.visits, areas, strict=True):
            assert area[start:end].min() >= MIN_VISIBLE
            assert area[:start].sum() + area[end:].sum() == 0
        assert 0.25 <= sum(end - start for start, end in board.visits) / 48 <= 0.6


def test_the_target_is_plain_to_see(boards):
    areas = []
    for board in (board for board in boards if board.anomalous):
        for (start, end), mask in zip(board.visits, board.masks, strict=False):
            area = mask[start:end].sum((1, 2))
            areas.append(area / area.max())
    assert np.mean(np.concatenate(areas) > 0.6) > 0.9


def test_val_shows_and_names_trained_pairs_only():
    for index in range(6):
        board = plan_video('val', 5, index)
        assert {*board.words, *board.absent, *pairs_of(board)} <= set(TRAINED_PAIRS)
        assert 4 <= len(board.words) <= 6


def test_a_storyboard_depends_on_seed_and_index_only():
    first, again, other = plan_video('val', 1, 2), plan_video('val', 1, 2), plan_video('val', 2, 2)
    assert first.scene == again.scene
    assert first.scene != other.scene


def test_training_casts_hold_no_held_out_pair():
    rng = np.random.default_rng(0)
    casts = [cast_halves(rng) for _ in range(60)] + [cast_image(rng) for _ in range(60)]
    casts += [cast_clip(rng, 12) for _ in range(60)] + [cast_normal(rng, 48) for _ in range(10)]
    roles = [(role.colour, role.shape) for cast in casts for role in cast]
    assert not set(roles) & set(HELD_OUT_PAIRS)
    assert {pair for pair in roles if all(pair)} == set(TRAINED_PAIRS)


def test_most_pretraining_objects_are_known_by_half_of_a_pair():
    rng = np.random.default_rng(0)
    roles = [role for _ in range(300) for role in cast_halves(rng)]
    assert np.mean([role.colour is None for role in roles]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([role.shape is None for role in roles]) == pytest.approx(0.25, abs=0.05)
    assert not any(role.colour is None and role.shape is None for role in roles)


def test_clips_hold_decoys_and_objects_that_come_and_go():
    rng = np.random.default_rng(0)
    casts = [cast_clip(rng, 12) for _ in range(100)]
    assert all(len({(role.colour, role.shape) for role in cast}) == len(cast) for cast in casts)
    assert np.mean([len({role.colour for role in cast}) < len(cast) for cast in casts]) > 0.4
    assert np.mean([len({role.shape for role in cast}) < len(cast) for cast in casts]) > 0.4
    intervals = [role.interval for cast in casts for role in cast]
    assert np.mean([interval != (0, 12) for interval in intervals]) > 0.5
    assert all(0 <= start < end <= 12 for start, end in intervals)
