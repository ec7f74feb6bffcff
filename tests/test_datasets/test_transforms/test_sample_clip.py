import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavida_mm.datasets.transforms import SampleClip


@given(
    frame_ids=st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True).map(sorted),
    num_frames=st.integers(1, 6),
    intervals=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    seed=st.integers(0, 2**31 - 1),
)
def test_clips_step_by_one_interval_and_repeat_only_the_last_frame(frame_ids, num_frames, intervals, seed):
    np.random.seed(seed)
    out = SampleClip(num_frames=num_frames, intervals=intervals).transform(dict(frame_ids=frame_ids))
    places = [frame_ids.index(frame) for frame in out['frame_inds']]
    assert len(places) == num_frames
    steps = set(np.diff(places).tolist())
    if any((num_frames - 1) * interval < len(frame_ids) for interval in intervals):
        assert len(steps) <= 1 and steps <= set(intervals)
    else:
        assert places[0] == 0 and places[-1] == len(frame_ids) - 1 and min(steps) >= 0


def test_every_start_and_interval_is_drawn():
    np.random.seed(0)
    clip = SampleClip(num_frames=2, intervals=(1, 3))
    seen = {tuple(clip.transform(dict(frame_ids=[0, 1, 2, 3, 4]))['frame_inds'].tolist()) for _ in range(200)}
    assert seen == {(0, 1), (1, 2), (2, 3), (3, 4), (0, 3), (1, 4)}


@pytest.mark.parametrize(
    'options', [dict(num_frames=0), dict(num_frames=2, intervals=()), dict(num_frames=2, intervals=(0,))]
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=r'must (be|hold)'):
        SampleClip(**options)
