"""tools/analysis_tools/make_readme_pictures.py on outputs in the demo's form."""

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from lavida_mm.utils import DataError, UsageError
from lavida_mm.visualization import FrameAnnotator
from tests.conftest import ROOT
from tests.videos import red_square_frames, write_video

TOOL = ROOT / 'tools' / 'analysis_tools' / 'make_readme_pictures.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('make_readme_pictures', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scores(tmp_path):
    """What the demo writes about a clip whose frames 3 to 6 are anomalous; frame 1 scores highest, wrongly."""
    frames = red_square_frames(8, 96, 96, present=range(3, 7))
    write_video(tmp_path / 'clip.mp4', frames, fps=8)
    annotator = FrameAnnotator(height=96, width=96, categories=['red square'], threshold=0.5, fps=8)
    curve = [0.1, 0.95, 0.1, 0.7, 0.8, 0.9, 0.7, 0.1]
    shown = [annotator.draw(frame, None, score, number) for number, (frame, score) in enumerate(zip(frames, curve))]
    write_video(tmp_path / 'clip_annotated.mp4', shown, fps=8)
    report = dict(
        video=str(tmp_path / 'clip.mp4'), fps=8.0, threshold=0.5, categories=['red square'], frame_scores=curve,
        events=[dict(start_frame=3, end_frame=7)],
    )  # fmt: skip
    record = dict(path='clip.mp4', anomalies=[dict(category='red square', start=3, end=7)])
    (tmp_path / 'manifest.json').write_text(json.dumps(dict(videos=[record])))
    path = tmp_path / 'clip_scores.json'
    path.write_text(json.dumps(report))
    return path


def is_red(picture):
    """Whether the middle of the left picture, the frame as it was, shows the square."""
    red, green, _ = picture[192, 192].astype(int)
    return red - green > 100


@pytest.mark.parametrize(
    ('options', 'shows_the_square'), [([], False), (['--manifest', 'manifest.json'], True), (['--frame', '6'], True)]
)
def test_pictures(tool, scores, options, shows_the_square):
    options = [str(scores.with_name(option)) if option.endswith('.json') else option for option in options]
    out = scores.parent / 'assets'
    tool.main([str(scores), '--out-dir', str(out), *options])
    with Image.open(out / 'annotated_frame.png') as picture:
        page = np.asarray(picture)
    assert page.shape[1] > 2 * 384 and is_red(page) == shows_the_square
    with Image.open(out / 'score_plot.png') as picture:
        picture.verify()
    assert len(list(out.iterdir())) == 2


def test_what_is_refused(tool, scores):
    with pytest.raises(UsageError, match=r'--frame must be in \[0, 7\], got 8'):
        tool.main([str(scores), '--frame', '8'])
    other = scores.with_name('other.json')
    for text, message in (('{', 'must be JSON'), ('{}', "lacks 'video'"), ('[]', 'must be what the demo writes')):
        other.write_text(text)
        with pytest.raises(DataError, match=f'other.json: .*{message}'):
            tool.main([str(other)])
    other.write_text('{"videos": []}')
    with pytest.raises(DataError, match=r'other\.json: videos must list .*clip\.mp4, it does not'):
        tool.main([str(scores), '--manifest', str(other)])
