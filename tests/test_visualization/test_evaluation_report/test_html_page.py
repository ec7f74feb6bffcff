"""The page without a browser: what it holds, that it is safe, and how large it is."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lavida_mm.visualization.evaluation_report import make_page
from lavida_mm.visualization.evaluation_report.html_page import shorten_curve
from tests.test_visualization.test_evaluation_report.reports import HOSTILE, make_report, make_video


class Reader(HTMLParser):
    """Tags, and the content of scripts and title."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self._open = [], {}, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open.append((tag, dict(attributes).get('id', '')))

    def handle_data(self, text):
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], '') + text

    def handle_endtag(self, tag):
        if self._open and self._open[-1][0] == tag:
            self._open.pop()

    @property
    def data(self):
        return json.loads(self.texts['script', 'data'])


def test_hostile_names_stay_names():
    page = Reader(make_page(make_report()))
    assert [tag for tag, _ in page.tags].count('script') == 2
    assert not any(tag == 'img' for tag, _ in page.tags)
    assert page.data['benchmark'] == HOSTILE
    assert page.data['videos'][1]['id'] == HOSTILE
    assert page.texts['title', ''].startswith(HOSTILE)


@given(st.text(st.characters(exclude_categories=['Cs'])))
def test_any_name_survives(name):
    page = Reader(make_page(make_report([make_video(name, 3, truth=())], benchmark='b')))
    assert page.data['videos'][0]['id'] == name
    assert [tag for tag, _ in page.tags].count('script') == 2


def test_the_page_names_no_other_file_and_forbids_the_network():
    page = make_page(make_report())
    reader = Reader(page)
    policy = next(a['content'] for tag, a in reader.tags if a.get('http-equiv') == 'Content-Security-Policy')
    assert policy.startswith("default-src 'none'")
    assert set(re.findall(r'https?://[^\s\'"<]*', page)) == {'http://www.w3.org/2000/svg'}  # the name of a language
    for _, attributes in reader.tags:
        for name in ('src', 'href', 'action'):
            assert attributes.get(name, 'data:').startswith('data:')


def test_what_the_page_says():
    data = Reader(make_page(make_report())).data
    assert [item['name'] for item in data['figures']] == ['frame_auc', 'frame_eer']  # headline first, counts left out
    assert (data['figures'][0]['low'], data['figures'][0]['high']) == (0.8, 0.9)
    assert data['undefined'] == [{'label': 'Pixel AUC', 'reason': 'no masks <i>'}]
    assert data['coverage']['complete'] is False
    assert ['words', 'a, b'] in data['protocol']['settings'] and ['window', 'none'] in data['protocol']['settings']
    assert data['range'] == [0, 1]
    quiet, hostile, normal = data['videos']
    assert quiet['truth'] == [[10, 20]] and quiet['low'] is None and len(quiet['high']) == 100
    assert [level < 0 for level in quiet['high']] == [50 <= frame < 60 for frame in range(100)]
    assert hostile['alarm'] == [0, 0.8] and len(hostile['thumbnails']) == 2
    assert hostile['thumbnails'][0]['src'].startswith('data:image/jpeg;base64,/9j/')
    assert normal['truth'] == [] and normal['auc'] is None


def test_scores_beyond_one_keep_their_range_and_constant_ones_are_drawn():
    videos = [make_video('a', 30, peak=12.0), make_video('b', 30, truth=(), peak=0.0)]
    data = Reader(make_page(make_report(videos))).data
    assert data['range'] == [0, 12]
    assert set(data['videos'][1]['high']) == {0}
    video = make_video('unknown', 5)
    video.labels = None
    (shown,) = Reader(make_page(make_report([video]))).data['videos']
    assert (shown['truth'], shown['alarm'], shown['share']) == (None, None, None)


curves = arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(-5, 5) | st.just(float('nan')))


@given(curves, st.integers(1, 80))
def test_a_shortened_curve_keeps_lowest_and_highest_of_every_stretch(scores, points):
    lows, highs = shorten_curve(scores, points)
    count = min(len(scores), points)
    assert len(lows) == len(highs) == count
    for k in range(count):
        part = scores[k * len(scores) // count : (k + 1) * len(scores) // count]
        known = part[~np.isnan(part)]
        assert len(part)
        if known.size:
            assert (lows[k], highs[k]) == (known.min(), known.max())
        else:
            assert np.isnan(lows[k]) and np.isnan(highs[k])


@pytest.mark.parametrize(('num_videos', 'num_frames'), [(800, 2920), (1, 1_000_000)])
def test_the_page_of_any_benchmark_is_a_few_megabytes(num_videos, num_frames):
    rng = np.random.default_rng(0)
    videos = [make_video(f'Abuse{number:03d}_x264', num_frames) for number in range(num_videos)]
    for video in videos:
        video.scores = rng.random(num_frames)
    assert len(make_page(make_report(videos)).encode()) < 4e6
