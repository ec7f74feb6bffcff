"""Contact sheets: every frame, mask and word is there, the targets in colour."""

import numpy as np
import pytest

from lavida_mm.visualization import draw_contact_sheet
from lavida_mm.visualization.contact_sheet import EDGE, FRAME_HEIGHT, GAP, LINE, MAX_COLUMNS, wrap_words
from lavida_mm.visualization.palette import ALARM, MUTED, QUIET

TOP = LINE + GAP


def sheet(num_frames=3, shape=(96, 96), categories=('red star', 'ring'), targets=(True, False), anomalous=(0,)):
    frames = np.stack([np.full((*shape, 3), 20 * frame + 20, np.uint8) for frame in range(num_frames)])
    masks = np.zeros((num_frames, *shape), bool)
    for frame in anomalous:
        masks[frame, 30:60, 30:60] = True
    return draw_contact_sheet(frames, masks, categories=list(categories), targets=list(targets), title='clips  v1')


def has(picture, colour):
    return bool((picture.reshape(-1, 3) == colour).all(axis=1).any())


def test_frames_stand_side_by_side_over_a_line_that_tells_their_label():
    picture = sheet()
    for frame in range(3):
        left = GAP + frame * (FRAME_HEIGHT + GAP)
        assert (picture[TOP + 5, left + 5] == 20 * frame + 20).all()
        edge = picture[TOP + FRAME_HEIGHT : TOP + FRAME_HEIGHT + EDGE, left : left + FRAME_HEIGHT]
        assert (edge == (ALARM if frame == 0 else QUIET)).all()
    cells = [picture[TOP : TOP + FRAME_HEIGHT, GAP + i * (FRAME_HEIGHT + GAP) :][:, :FRAME_HEIGHT] for i in range(3)]
    assert [bool((cell != cell[5, 5]).any()) for cell in cells] == [True, False, False]  # where a mask is drawn


def test_targets_are_written_in_their_colour_and_the_others_are_not():
    words = TOP + FRAME_HEIGHT + EDGE + GAP
    assert has(sheet()[words:], ALARM) and has(sheet()[words:], MUTED)
    assert not has(sheet(targets=(False, False))[words:], ALARM)
    assert not has(sheet(targets=(True, True))[words:], MUTED)


def test_long_clips_and_long_prompts_take_more_lines():
    few, many = sheet(MAX_COLUMNS), sheet(MAX_COLUMNS + 1)
    assert many.shape[0] == few.shape[0] + FRAME_HEIGHT + EDGE + GAP and many.shape[1] == few.shape[1]
    words = [f'word number {number}' for number in range(30)]
    assert sheet(categories=words, targets=[False] * 30).shape[0] >= sheet().shape[0] + 3 * LINE


@pytest.mark.parametrize('shape', [(1, 1), (480, 640), (30, 400)])
def test_any_size_of_frame(shape):
    assert sheet(1, shape, anomalous=()).dtype == np.uint8


def test_every_word_stands_in_one_line():
    words = ['a', 'longer than any line', 'b', 'c']
    lines = wrap_words(words, 8, len)
    assert [number for line in lines for number in line] == [0, 1, 2, 3]
    assert lines == [[0], [1], [2, 3]]


def test_what_does_not_match_is_refused():
    frames, masks = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((1, 8, 8), bool)
    with pytest.raises(ValueError, match='one per frame, got 1 for 2 frames'):
        draw_contact_sheet(frames, masks, categories=['a'], targets=[True])
    with pytest.raises(ValueError, match='one per word, got 2 for 1 words'):
        draw_contact_sheet(frames[:1], masks, categories=['a'], targets=[True, False])
