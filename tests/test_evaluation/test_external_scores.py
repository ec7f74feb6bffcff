"""Scores of other systems: every file form, every way in which one can be wrong, names, and lengths."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavida_mm.evaluation.external_scores import ScoreList, match_scores, read_scores, spread_scores
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError

SCORES = [0.25, 0.5, 1.0]


def named(*names):
    return [ScoreList(name, np.array([0.5]), f'file of {name}') for name in names]


def records(*names):
    return [VideoRecord(name) for name in names]


def write_folder(folder, form):
    """One video, 'Class/clip.1', in one of the file forms."""
    path = folder / 'Class' / f'clip.1.{form}'
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == 'npy':
        np.save(path, np.array(SCORES, dtype=np.float32).reshape(3, 1))
    elif form == 'npz':
        np.savez(path, anything=SCORES)
    elif form == 'json':
        path.write_text(json.dumps(SCORES))
    else:
        path.write_text('score\n0.25\n0.5\n\n1.0' if form == 'csv' else '0.25\n0.5\n1\n')
    return folder


@pytest.mark.parametrize('form', ['npy', 'npz', 'json', 'csv', 'txt'])
def test_a_folder_with_a_file_per_video(form, tmp_path):
    (found,) = read_scores(write_folder(tmp_path, form))
    assert found.name == 'Class/clip.1'
    assert found.scores.tolist() == SCORES
    assert found.scores.dtype == np.float64
    assert 'clip.1' in found.origin and found.step is None


def test_one_file_of_all_videos(tmp_path):
    np.savez(tmp_path / 'all.npz', **{'b/x.mp4': np.array([1, 2]), 'a#=,': np.array([0.5])})
    (tmp_path / 'all.json').write_text(json.dumps({'b/x.mp4': [1, 2], 'a#=,': {'scores': [0.5]}}))
    for name in ('all.npz', 'all.json'):
        first, second = read_scores(tmp_path / name)
        assert (first.name, first.scores.tolist()) == ('a#=,', [0.5])
        assert (second.name, second.scores.tolist()) == ('b/x.mp4', [1, 2])


def test_numbered_frames_are_put_in_order_and_give_the_step(tmp_path):
    (tmp_path / 'a.json').write_text('{"16": 0.2, "0": 0.1, "32": 0.3}')
    (tmp_path / 'b.csv').write_text('frame,score\n4.0,0.2\n0,0.1\n')
    (tmp_path / 'c.json').write_text('{"scores": [1, 2]}')
    a, b, c = read_scores(tmp_path)
    assert (a.scores.tolist(), a.step) == ([0.1, 0.2, 0.3], 16)
    assert (b.scores.tolist(), b.step) == ([0.1, 0.2], 4)
    assert (c.scores.tolist(), c.step) == ([1, 2], None)


def test_an_unfinished_file_of_ours_is_no_score_file(tmp_path):
    write_folder(tmp_path, 'npy')
    (tmp_path / '.writing-abc-clip.npy').write_bytes(b'half')
    assert len(read_scores(tmp_path)) == 1


BAD_FILES = {
    'not a number': ('v.txt', '0.1\n0.2\nabc\n', r"v\.txt:3: must be a number: 'abc'"),
    'garbage in the first line': ('v.txt', 'abc\n0.2\n', r"v\.txt:1: must be a number: 'abc'"),
    'three columns': ('v.csv', '0,1,2\n', r'v\.csv:1: must be one score, or frame and score'),
    'columns change': ('v.csv', '0.5\n1,0.5\n', r'v\.csv:2: must be one score'),
    'NaN in text': ('v.txt', '0.5\nnan\n', r'v\.txt:2: scores must be finite, got nan'),
    'infinite in text': ('v.csv', '0,0.5\n1,-inf\n', r'v\.csv:2: score must be a finite number, got -inf'),
    'duplicate frame': ('v.csv', '0,0.5\n1,0.1\n1,0.2\n', r'v\.csv:3: frame 1 stands twice, also at .*v\.csv:2'),
    'frames from one': ('v.csv', '1,0.5\n2,0.1\n', r'v\.csv:1: frames must count from 0 in even steps'),
    'frame left out': ('v.csv', '0,0.5\n1,0.1\n3,0.1\n', r'v\.csv:3: .* got 3 where 2 should be'),
    'half a frame': ('v.csv', '0.5,0.5\n', r"frame must be a whole number of at least 0, got '0.5'"),
    'empty text': ('v.txt', '\n', r'v\.txt: holds no scores'),
    'half-written JSON': ('v.json', '[0.1, 0.2', r'v\.json: must be whole JSON'),
    'JSON of text': ('v.json', '["0.1"]', r"v\.json: score 0 must be a number, got '0.1'"),
    'JSON of truth values': ('v.json', '[true]', r'score 0 must be a number, got True'),
    'JSON of NaN': ('v.json', '[0.1, NaN]', r'v\.json: scores must be finite, score 1 is nan'),
    'JSON too large': ('v.json', '[1' + '0' * 400 + ']', r'scores must be finite'),
    'JSON name twice': ('v.json', '{"0": 1, "0": 2}', r'v\.json: 0 stands twice'),
    'JSON of one number': ('v.json', '3', r'v\.json: must be a list of scores, got a number'),
    'empty JSON': ('v.json', '[]', r'v\.json: holds no scores'),
    'no NumPy file': ('v.npy', 'text', r'v\.npy: cannot be read'),
    'not UTF-8': ('v.txt', b'\xff\xfe0', r'v\.txt: must be text in UTF-8'),
}


@pytest.mark.parametrize('case', BAD_FILES)
def test_a_bad_file_is_named_with_its_line(case, tmp_path):
    name, content, message = BAD_FILES[case]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path)


BAD_ARRAYS = {
    'text': (np.array(['0.5']), 'must be real numbers, got dtype <U3'),
    'truth values': (np.array([True]), 'must be real numbers, got dtype bool'),
    'complex': (np.array([1j]), 'must be real numbers, got dtype complex'),
    'two dimensions': (np.zeros((3, 2)), r'must have one dimension \(S,\), got shape \(3, 2\)'),
    'empty': (np.zeros(0), 'holds no scores'),
    'NaN': (np.array([0.1, np.nan, np.nan]), r'score 1 is nan \(2 are not finite\)'),
    'infinite': (np.array([np.inf]), 'score 0 is inf'),
    'objects': (np.array([None, 1]), 'Python objects'),
}


@pytest.mark.parametrize('case', BAD_ARRAYS)
@pytest.mark.parametrize('form', ['npy', 'npz', 'one npz'])
def test_a_bad_array_is_named(case, form, tmp_path):
    array, message = BAD_ARRAYS[case]
    path = tmp_path / ('v.npy' if form == 'npy' else 'v.npz')
    np.save(path, array) if form == 'npy' else np.savez(path, v=array)
    with pytest.raises(DataError, match=message) as caught:
        read_scores(path if form == 'one npz' else tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('form', ['npy', 'npz'])
@pytest.mark.parametrize('kept', [0, 10, 0.5, 0.9])
def test_a_half_written_file_is_an_error_and_not_a_short_curve(form, kept, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / f'v.{form}'
    np.save(path, rng.random(500)) if form == 'npy' else np.savez_compressed(path, v=rng.random(500))
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if kept in (0, 10) else int(kept * len(whole))])
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_scores(tmp_path)


def test_a_damaged_npz_is_an_error(tmp_path):
    path = tmp_path / 'v.npz'
    np.savez_compressed(path, v=np.random.default_rng(0).random(500))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match='cannot be read'):
        read_scores(path)


def test_what_cannot_be_scores_is_refused(tmp_path):
    with pytest.raises(DataError, match=r'nowhere: scores must be an existing folder, \.npz or \.json'):
        read_scores(tmp_path / 'nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match=r'empty: holds no score file'):
        read_scores(tmp_path / 'empty')
    np.save(tmp_path / 'all.npy', np.zeros(5))
    with pytest.raises(DataError, match='one array does not say which scores are whose'):
        read_scores(tmp_path / 'all.npy')
    (tmp_path / 'all.json').write_text('[1, 2]')
    with pytest.raises(DataError, match='must map each video to its list of scores, got a list'):
        read_scores(tmp_path / 'all.json')
    (tmp_path / 'none.json').write_text('{}')
    with pytest.raises(DataError, match='holds no scores'):
        read_scores(tmp_path / 'none.json')
    folder = tmp_path / 'twice'
    folder.mkdir()
    (folder / 'v.txt').write_text('1')
    (folder / 'v.csv').write_text('1')
    with pytest.raises(DataError, match=r'v\.txt: video v has scores twice, also in .*v\.csv'):
        read_scores(folder)


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    'given_name', ['Abuse028_x264', 'Abuse028_x264.mp4', 'Abuse/Abuse028_x264.MP4', 'a/b/Abuse028_x264']
)
@pytest.mark.parametrize('video_id', ['Abuse028_x264', 'Abuse028_x264.mp4', 'Abuse/Abuse028_x264.mp4'])
def test_names_match_with_and_without_folders_and_suffix(given_name, video_id):
    assert list(match_scores(named(given_name), records(video_id))) == [video_id]


def test_a_dot_in_a_name_is_no_suffix():
    ids = [
        'v=S-7rRLrxnVQ__#1_label_B4-0-0',
        'A.Beautiful.Mind.2001__#00-25-20_00-29-20_label_A',
        'a,b',
        'clip.1',
        'clip.2',
    ]
    assert list(match_scores(named(*reversed(ids)), records(*ids))) == ids


def test_the_whole_name_wins_over_its_parts():
    matched = match_scores(named('a/x', 'b/x'), records('b/x', 'a/x'))
    assert {video: item.name for video, item in matched.items()} == {'b/x': 'b/x', 'a/x': 'a/x'}


def test_unknown_missing_double_and_ambiguous_names_are_errors():
    with pytest.raises(
        DataError, match=r'file of x: 4 of 5 score lists belong to no video of the benchmark: x, y, z and 1'
    ):
        match_scores(named('a', 'x', 'y', 'z', 'zz'), records('a'))
    with pytest.raises(DataError, match=r'2 of 3 videos have no scores: b, c; .*--allow-partial'):
        match_scores(named('a'), records('a', 'b', 'c'))
    assert list(match_scores(named('a'), records('a', 'b'), allow_missing=True)) == ['a']
    with pytest.raises(DataError, match=r'video a has scores twice, also in file of a\.mp4'):
        match_scores(named('a.mp4', 'x/a.mp4'), records('a'))
    with pytest.raises(DataError, match=r"name 'x' fits 2 videos: a/x, b/x"):
        match_scores(named('x'), records('a/x', 'b/x'))


# ------------------------------------------------------------------ lengths


@given(st.integers(1, 500), st.integers(1, 40))
def test_every_frame_has_the_score_of_its_stretch(num_frames, frames_per_score):
    count = math.ceil(num_frames / frames_per_score)
    item = ScoreList('v', np.arange(count, dtype=float), 'file')
    curve = spread_scores(item, frames_per_score=frames_per_score, num_frames=num_frames)
    assert curve.scores.tolist() == [frame // frames_per_score for frame in range(num_frames)]
    assert curve.difference == 0
    for wrong in (count - 1, count + 1):
        if wrong:
            with pytest.raises(DataError, match=rf'= {count} scores, got {wrong}'):
                spread_scores(
                    ScoreList('v', np.zeros(wrong), 'file'), frames_per_score=frames_per_score, num_frames=num_frames
                )


@given(st.integers(1, 100), st.none() | st.integers(1, 500))
def test_features_decide_the_length_under_i3d_16(count, num_frames):
    item = ScoreList('v', np.arange(count, dtype=float), 'file')
    curve = spread_scores(item, frames_per_score=16, num_frames=num_frames, rule='i3d-16')
    assert curve.scores.tolist() == [frame // 16 for frame in range(16 * count)]
    assert curve.difference == (None if num_frames is None else 16 * count - num_frames)


def test_a_wrong_number_of_scores_names_rule_both_lengths_and_the_way_out():
    def spread(count, per_score, num_frames, **options):
        item = ScoreList('n', np.zeros(count), 'scores.npz: n', **options)
        return spread_scores(item, frames_per_score=per_score, num_frames=num_frames, video_id='v')

    with pytest.raises(DataError) as caught:
        spread(87, 16, 1412)
    assert 'scores.npz: n: video v has 1412 frames' in str(caught.value)
    assert 'ceil(1412 / 16) = 89 scores, got 87' in str(caught.value)
    assert "protocol 'i3d-16'" in str(caught.value)
    with pytest.raises(DataError, match='these are one per frame: frames_per_score 1'):
        spread(1412, 16, 1412)
    with pytest.raises(DataError, match='frames are numbered in steps of 8, frames_per_score is 16'):
        spread(89, 16, 1412, step=8)
    assert spread(7, 3, None).difference is None
    with pytest.raises(ValueError, match='frames_per_score must be a whole number of at least 1, got 0'):
        spread(1, 0, 1)
    with pytest.raises(ValueError, match=r"length rule must be one of .*, got 'half'"):
        spread_scores(named('a')[0], frames_per_score=1, num_frames=1, rule='half')


def claim(shape):
    header = repr({'descr': '<f4', 'fortran_order': False, 'shape': shape}).encode()
    header += b' ' * (-(10 + len(header) + 1) % 64) + b'\n'
    return b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('a.json', json.dumps({'0' * 400: 0.5, '1' + '0' * 400: 0.5}).encode()),
        ('a.json', b'{"0": 1' + b'0' * 400 + b'}'),
        ('a.csv', b'1' + b'0' * 400 + b',0.5\n'),
        ('a.npy', claim((10**30,))),
        ('a.npy', claim((10**15,))),
    ],
)
def test_figures_beyond_all_measure_are_errors_that_name_the_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / name))):
        read_scores(tmp_path)
