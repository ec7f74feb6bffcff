import cv2
import pytest

from tests.conftest import ROOT, run_python

TOOL = 'tools/analysis_tools/make_paste_picture.py'


def test_sheet_of_the_recipe(small_world, tmp_path):
    config = tmp_path / 'paste.py'
    config.write_text(
        f"_base_ = '{ROOT}/configs/examples/tiny_paste.py'\n"
        f"normal = dict(data_root='{small_world}/normal')\n"
        f"paste = dict(objects=dict(data_root='{small_world}/images'))\n"
        'dataset = dict(sources=dict(normal=normal), anomaly_sampler=paste)\n'
        'train_dataloader = dict(dataset=dataset)\n'
    )
    out = tmp_path / 'sheet.png'
    run_python(TOOL, config, '--clips', 4, '--height', 48, '--out', out)
    assert cv2.imread(str(out)).shape == (2 * (48 + 18), 2 * (4 * 48 + 6), 3)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--clips', 0], '--clips must be at least 1, got 0'),
        (['--clips', 3], '--clips must be a multiple of --columns'),
    ],
)
def test_bad_options(options, message):
    done = run_python(TOOL, 'configs/examples/tiny_paste.py', *options, check=False)
    assert done.returncode == 2 and message in done.stderr
