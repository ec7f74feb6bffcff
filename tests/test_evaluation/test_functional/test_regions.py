import time
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from lavida_mm.evaluation.functional import regions
from lavida_mm.evaluation.functional.regions import (
    boxes_from_mask,
    detections_from_mask,
    match_regions,
    rbdc_tbdc,
    rbdc_tbdc_from_matches,
)

shares = st.sampled_from([0.1, 0.25, 0.5, 1.0])
lengths = st.integers(1, 6)


@st.composite
def boxes(draw):
    x1, y1 = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    return [x1, y1, x1 + draw(st.integers(0, 6)), y1 + draw(st.integers(0, 6))]


@st.composite
def videos(draw):
    """A few videos with many equal scores; some lack detections, tracks or both, and at least one has a track."""
    detections, tracks, num_frames = [], [], []
    for _ in range(draw(st.integers(1, 4))):
        length = draw(lengths)
        frame = st.integers(0, length - 1)
        score = st.sampled_from([-3.0, 0.0, 0.1, 0.5, 0.9, 1.0])
        found = draw(st.lists(st.tuples(frame, boxes(), score), max_size=12))
        truth = draw(st.lists(st.tuples(st.integers(0, 2), frame, boxes()), max_size=8))
        detections.append(np.array([[f, *box, s] for f, box, s in found], dtype=np.float64).reshape(-1, 6))
        tracks.append(np.array([[track, f, *box] for track, f, box in truth]).reshape(-1, 6))
        num_frames.append(length)
    if not any(map(len, tracks)):
        tracks[0] = np.array([[0, 0, 1, 1, 3, 3]])
    return detections, tracks, num_frames


@lru_cache(maxsize=10_000)
def pixels_of(x1, y1, x2, y2):
    return {(x, y) for x in range(int(x1), int(x2) + 1) for y in range(int(y1), int(y2) + 1)}


def slow_iou(first, second):
    first, second = pixels_of(*first), pixels_of(*second)
    shared = len(first & second)
    return Fraction(shared, len(first) + len(second) - shared)


def slow_rates(detections, tracks, num_frames, threshold, alpha, beta):
    """False positives per frame, share of detected regions and share of detected tracks, by the definition."""
    alarms, region_hits, track_hits = 0, [], {}
    for video, (found, truth) in enumerate(zip(detections, tracks)):
        kept = [row for row in found if row[5] >= threshold]
        for row in kept:
            overlaps = [slow_iou(row[1:5], region[2:]) for region in truth if region[1] == row[0]]
            alarms += all(float(overlap) < beta for overlap in overlaps)
        for region in truth:
            same_frame = [row for row in kept if row[0] == region[1]]
            hit = any(float(slow_iou(row[1:5], region[2:])) >= beta for row in same_frame)
            region_hits.append(hit)
            track_hits.setdefault((video, region[0]), []).append(hit)
    detected = [float(Fraction(sum(hits), len(hits))) >= alpha for hits in track_hits.values()]
    return (
        Fraction(alarms, sum(num_frames)),
        Fraction(sum(region_hits), len(region_hits)),
        Fraction(sum(detected), len(detected)),
    )


def slow_area(points):
    """Area under straight lines between points from x = 0 to x = 1, level after the last point."""
    area, points = Fraction(0), [(Fraction(0), Fraction(0)), *points]
    points.append((max(points[-1][0], Fraction(1)), points[-1][1]))
    for (x1, y1), (x2, y2) in pairwise(points):
        if x1 >= 1 or x1 == x2:
            continue
        end = min(x2, Fraction(1))
        area += (end - x1) * (2 * y1 + (y2 - y1) * (end - x1) / (x2 - x1)) / 2
    return float(area)


def slow_rbdc_tbdc(detections, tracks, num_frames, alpha, beta):
    thresholds = sorted({row[5] for found in detections for row in found}, reverse=True)
    rates = [slow_rates(detections, tracks, num_frames, threshold, alpha, beta) for threshold in thresholds]
    return slow_area([(x, y) for x, y, _ in rates]), slow_area([(x, y) for x, _, y in rates])


@settings(max_examples=100, deadline=None)
@given(videos(), shares, shares)
def test_equals_the_definition(case, alpha, beta):
    detections, tracks, num_frames = case
    expected = slow_rbdc_tbdc(detections, tracks, num_frames, alpha, beta)
    assert rbdc_tbdc(detections, tracks, num_frames, alpha, beta) == pytest.approx(expected, abs=1e-12)
    assert rbdc_tbdc(detections, tracks, sum(num_frames), alpha, beta) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(videos(), st.randoms())
def test_order_of_rows_and_videos_does_not_change_a_bit(case, random):
    detections, tracks, num_frames = case
    order = list(range(len(tracks)))
    random.shuffle(order)

    def shuffled(rows):
        return rows[random.sample(range(len(rows)), len(rows))]

    matches = [match_regions(shuffled(detections[video]), shuffled(tracks[video])) for video in order]
    assert rbdc_tbdc_from_matches(matches, sum(num_frames)) == rbdc_tbdc(detections, tracks, num_frames)


@settings(max_examples=30, deadline=None)
@given(videos())
def test_a_transformation_that_keeps_order_changes_nothing(case):
    detections, tracks, num_frames = case
    changed = [found.copy() for found in detections]
    for found in changed:
        found[:, 5] = np.exp(found[:, 5]) * 100
    assert rbdc_tbdc(changed, tracks, num_frames) == rbdc_tbdc(detections, tracks, num_frames)


def test_small_chunks_change_nothing(monkeypatch):
    detections, tracks, num_frames = random_videos(3, 60, 40, num_frames=4)
    expected = rbdc_tbdc(detections, tracks, num_frames)
    monkeypatch.setattr(regions, 'CHUNK', 7)
    assert rbdc_tbdc(detections, tracks, num_frames) == expected
    assert 0 < expected[0] < 1


BOX = [10, 10, 19, 19]
AWAY = [100, 100, 109, 109]


def test_figures_by_hand():
    # One track of two frames; found in frame 0 at 0.9, a false alarm at 0.8 and, in a frame without regions, at 0.7,
    # found in frame 1 at 0.6.
    tracks = [np.array([[0, 0, *BOX], [0, 1, *BOX]])]
    detections = [np.array([[0, *BOX, 0.9], [0, *AWAY, 0.8], [3, *BOX, 0.7], [1, *BOX, 0.6]])]
    # Of four frames: half of the regions up to 2/4 false positives per frame, then all; the track at once.
    assert rbdc_tbdc(detections, tracks, [4]) == (0.75, 1.0)
    # Half of the regions are too few for alpha = 1.
    assert rbdc_tbdc(detections, tracks, [4], alpha=1) == (0.75, 0.5)


def test_perfect_detections_and_detections_that_miss():
    tracks = [np.array([[0, 0, *BOX], [1, 1, *BOX]])]
    hits = [np.array([[0, *BOX, 0.5], [1, *BOX, 0.5]])]
    misses = [np.array([[0, *AWAY, 0.5], [1, *AWAY, 0.4]])]
    assert rbdc_tbdc(hits, tracks, 2) == (1, 1)
    assert rbdc_tbdc(misses, tracks, 2) == (0, 0)


def test_no_detection_is_zero_and_no_track_is_loud():
    tracks = [np.array([[0, 0, *BOX]]), np.zeros((0, 6))]
    assert rbdc_tbdc([np.zeros((0, 6)), []], tracks, [3, 3]) == (0, 0)
    with pytest.raises(ValueError, match='no ground-truth track, so there is no share'):
        rbdc_tbdc([np.array([[0, *BOX, 1]])], [[]], [3])
    with pytest.raises(ValueError, match='no ground-truth track'):
        rbdc_tbdc_from_matches([], 5)


def test_curve_is_level_where_detections_end_and_cut_at_one_alarm_per_frame():
    tracks = [np.array([[0, 0, *BOX]])]
    hit, alarm = [0, *BOX], [0, *AWAY]
    # One alarm, then the region, then nothing: 0 up to a rate of 1/4, level at 1 from there.
    assert rbdc_tbdc([np.array([[*alarm, 0.9], [*hit, 0.8]])], tracks, 4) == (0.75, 0.75)
    # The region comes after as many alarms as there are frames.
    assert rbdc_tbdc([np.array([[*alarm, 0.9], [*alarm, 0.9], [*hit, 0.8]])], tracks, 2) == (0, 0)
    # One score for four alarms and the region: the line from (0, 0) to (2, 1) is cut at 1, where it is 1/2 high.
    assert rbdc_tbdc([np.array([*[[*alarm, 0.9]] * 4, [*hit, 0.9]])], tracks, 2) == (0.25, 0.25)


def test_second_detection_of_a_region_is_no_false_positive():
    tracks = [np.array([[0, 0, *BOX]])]
    detections = [np.array([[0, *BOX, 0.9], [0, 11, 10, 19, 19, 0.95]])]
    assert len(match_regions(detections[0], tracks[0]).false_positives) == 0
    assert rbdc_tbdc(detections, tracks, 1) == (1, 1)


def test_equal_track_ids_of_two_videos_are_two_tracks():
    tracks = [np.array([[0, 0, *BOX]]), np.array([[0, 0, *BOX]])]
    detections = [np.array([[0, *BOX, 0.9]]), np.zeros((0, 6))]
    assert rbdc_tbdc(detections, tracks, [1, 1]) == (0.5, 0.5)


@pytest.mark.parametrize(('width', 'hit'), [(7, True), (6, False)])
def test_overlap_counts_whole_pixels_and_may_equal_beta(width, hit):
    # The region has 100 pixels; a detection of 7 of them has IoU 7 / 100, and 0.07 * 100 is above 7 in floating point.
    region, found = [0, 0, 9, 9], [0, 0, width - 1, 0]
    matches = match_regions(np.array([[0, *found, 1.0]]), np.array([[0, 0, *region]]), beta=0.07)
    assert matches.regions.tolist() == [1.0 if hit else -np.inf]
    assert len(matches.false_positives) == (0 if hit else 1)


@pytest.mark.parametrize('alpha', [0.1, 0.14, 0.28, 0.7, 0.999, 1.0])
def test_share_of_a_track_may_equal_alpha(alpha):
    for size in range(1, 61):
        tracks = np.array([[0, frame, *BOX] for frame in range(size)])
        detections = np.array([[frame, *BOX, size - frame] for frame in range(size)])
        smallest = next(number for number in range(1, size + 1) if number / size >= alpha)
        assert match_regions(detections, tracks, alpha=alpha).tracks.tolist() == [size - smallest + 1]


def random_videos(num_videos, num_detections, num_regions, num_frames=381):
    rng = np.random.default_rng(0)
    detections, tracks = [], []
    for _ in range(num_videos):
        corners, sizes = rng.integers(0, 500, (num_detections, 2)), rng.integers(10, 150, (num_detections, 2))
        frames, scores = rng.integers(0, num_frames, num_detections), rng.random(num_detections).astype(np.float32)
        detections.append(np.column_stack([frames, corners, corners + sizes, scores]))
        corners, sizes = rng.integers(0, 500, (num_regions, 2)), rng.integers(10, 150, (num_regions, 2))
        frames = rng.integers(0, num_frames, num_regions)
        tracks.append(np.column_stack([rng.integers(0, 3, num_regions), frames, corners, corners + sizes]))
    return detections, tracks, [num_frames] * num_videos


def test_fifty_thousand_detections_of_107_videos_take_seconds():
    case = random_videos(107, 468, 160)
    started = time.perf_counter()
    rbdc_tbdc(*case)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ('detections', 'tracks', 'num_frames', 'rule'),
    [
        ([[0, *BOX, np.nan]], [[0, 0, *BOX]], [2], 'video 0: detection row 0 must be finite'),
        ([[0, *BOX]], [[0, 0, *BOX]], [2], r'detection rows must be \(frame, x1'),
        ([[0, *BOX, 1]], [[0, *BOX]], [2], r'track rows must be \(track_id, frame'),
        ([[2, *BOX, 1]], [[0, 0, *BOX]], [2], 'frame of a detection row must be a whole number from 0 to 1, got 2'),
        ([[0.5, *BOX, 1]], [[0, 0, *BOX]], 2, 'frame of a detection row must be a whole number from 0, got 0.5'),
        ([[0, *BOX, 1]], [[0, -1, *BOX]], 2, 'frame of a track row'),
        ([[0, 5, 0, 4, 0, 1]], [[0, 0, *BOX]], 2, 'box of a detection row must have x1 <= x2'),
        ([[0, *BOX, 1]], [[0, 0, 0, 3, 0, 2]], 2, 'box of a track row'),
        ([[0, *BOX, 1]], [[0, 0, *BOX]], [2, 2], 'num_frames must name as many videos'),
        ([[0, *BOX, 1]], [[0, 0, *BOX]], 0, 'num_frames must be at least 1, got 0'),
    ],
)
def test_bad_rows_are_refused(detections, tracks, num_frames, rule):
    with pytest.raises(ValueError, match=rule):
        rbdc_tbdc([np.array(detections)], [np.array(tracks)], num_frames)


@pytest.mark.parametrize('name', ['alpha', 'beta'])
@pytest.mark.parametrize('share', [0, 1.5, np.nan])
def test_bad_settings_are_refused(name, share):
    tracks = [np.array([[0, 0, *BOX]])]
    with pytest.raises(ValueError, match=rf'{name} must be in \(0, 1\]'):
        rbdc_tbdc([[]], tracks, 1, **{name: share})
    with pytest.raises(ValueError, match='as many videos, got 2 and 1'):
        rbdc_tbdc([[], []], tracks, 1)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0.25, 0.5, 1]))
)
def test_detections_are_the_components_at_or_above_the_threshold(probabilities):
    labels, number = ndimage.label(probabilities >= 0.5, np.ones((3, 3)))
    expected = [
        [7, columns.start, rows.start, columns.stop - 1, rows.stop - 1, probabilities[labels == region].max()]
        for region, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1)
    ]
    found = detections_from_mask(probabilities, 7)
    assert found.dtype == np.float32 and found.shape == (number, 6)
    assert sorted(found.tolist()) == sorted(expected)
    assert found[:, [2, 1]].tolist() == sorted(found[:, [2, 1]].tolist())
    assert sorted(boxes_from_mask(probabilities >= 0.5).tolist()) == sorted(row[1:5] for row in expected)


def test_detections_by_hand():
    probabilities = np.zeros((6, 8), dtype=np.float32)
    probabilities[4:6, 5:8] = 0.75
    probabilities[0, 0] = probabilities[1, 1] = 0.5  # they touch at a corner
    probabilities[5, 7] = 0.875
    found = detections_from_mask(probabilities, 3)
    assert found.tolist() == [[3, 0, 0, 1, 1, 0.5], [3, 5, 4, 7, 5, 0.875]]
    assert detections_from_mask(probabilities, 3, threshold=0.8).tolist() == [[3, 7, 5, 7, 5, 0.875]]
    assert boxes_from_mask((probabilities > 0).astype(np.uint8)).tolist() == [[0, 0, 1, 1], [5, 4, 7, 5]]
    assert boxes_from_mask(np.zeros((3, 3))).shape == (0, 4)


def test_ring_and_what_it_encloses_are_two_regions():
    mask = np.zeros((7, 7), dtype=bool)
    mask[[0, -1]] = mask[:, [0, -1]] = mask[3, 3] = True
    assert boxes_from_mask(mask).tolist() == [[0, 0, 6, 6], [3, 3, 3, 3]]


def test_bad_maps_are_refused():
    with pytest.raises(ValueError, match=r'must be of shape \(H, W\), got \(2,\)'):
        detections_from_mask(np.zeros(2), 0)
    with pytest.raises(ValueError, match='frame must be from 0 to 16777216, got 16777217'):
        detections_from_mask(np.zeros((1, 1)), 2**24 + 1)
    with pytest.raises(ValueError, match='probabilities of frame 4 must be finite'):
        detections_from_mask(np.array([[np.nan]]), 4)
    with pytest.raises(ValueError, match=r'must be of shape \(H, W\), got \(1, 2, 2\)'):
        boxes_from_mask(np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match='0 or 1, got 255'):
        boxes_from_mask(np.array([[255]]))
