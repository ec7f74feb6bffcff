"""The folder of a report: what programs read of it."""

import csv
import json

import numpy as np
from PIL import Image

from lavida_mm.visualization.evaluation_report import write_report
from lavida_mm.visualization.evaluation_report.report_writer import picture_name
from tests.test_visualization.test_evaluation_report.reports import HOSTILE, make_report, make_video


def test_all_files_are_written(tmp_path):
    steps = []
    written = write_report(tmp_path / 'new', make_report(), num_timelines=2, advance=lambda: steps.append(1))
    names = ['report.json', 'videos.csv', 'roc.png', 'pr.png', 'report.html']
    assert [path.name for path in written] == names
    pictures = sorted(path for path in (tmp_path / 'new').rglob('*.png'))
    assert len(pictures) == 4 and len(steps) == 2
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) > 200
            assert len(np.unique(np.asarray(picture.convert('RGB')).reshape(-1, 3), axis=0)) > 5
    assert not list(tmp_path.rglob('.writing*'))


def test_the_worst_false_alarm_comes_first_everywhere(tmp_path):
    write_report(tmp_path, make_report(), num_timelines=1)
    report = json.loads((tmp_path / 'report.json').read_text())
    assert [video['video'] for video in report['videos']] == [HOSTILE, 'normal', 'quiet']
    with (tmp_path / 'videos.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['video'] for row in rows] == [HOSTILE, 'normal', 'quiet']
    assert rows[0]['highest_false_alarm'] == '0.8' and rows[0]['highest_false_alarm_frame'] == '0'
    assert rows[1]['auc'] == '' and rows[1]['fps'] == '' and rows[1]['anomalous_frames'] == '0'
    assert rows[2]['scored_frames'] == '90' and rows[2]['highest_hit'] == '0.9' and rows[2]['highest_hit_frame'] == '10'
    assert len(list((tmp_path / 'timelines').iterdir())) == 1


def test_the_json_states_protocol_version_coverage_and_what_is_undefined(tmp_path):
    figure = {'frame_auc': np.float64(0.123456789012345), 'num_videos': np.int64(3)}
    (written,) = write_report(tmp_path, make_report(figures=figure), json_only=True)
    assert [path.name for path in tmp_path.iterdir()] == ['report.json']
    report = json.loads(written.read_text())
    assert report['figures'] == {'frame_auc': 0.123456789012345, 'num_videos': 3}
    assert report['protocol']['name'] == 'default' and report['protocol']['version'] == 1
    assert report['coverage']['frames_scored'] == 3130 and report['coverage']['complete'] is False
    assert report['undefined'] == {'pixel_auc': 'no masks <i>'}
    assert report['intervals'] == {'frame_auc': [0.8, 0.9]}


def test_a_second_report_leaves_nothing_of_the_first(tmp_path):
    write_report(tmp_path, make_report())
    assert len(list((tmp_path / 'timelines').iterdir())) == 3
    video = make_video('other', 30)
    video.labels = None
    write_report(tmp_path, make_report([video], roc=None, pr=None))
    assert not (tmp_path / 'roc.png').exists() and not (tmp_path / 'pr.png').exists()
    assert [path.name for path in (tmp_path / 'timelines').iterdir()] == ['other.png']


def test_any_name_is_a_file_name(tmp_path):
    names = ['../../etc', 'x' * 400, '..', 'a/b', 'ü\n', 'y' * 300 + '1', 'y' * 300 + '2', 'nul\0']
    pictures = {picture_name(name) for name in names}
    assert len(pictures) == len(names)
    for picture in pictures:
        (tmp_path / picture).touch()
    assert len(list(tmp_path.iterdir())) == len(names)
