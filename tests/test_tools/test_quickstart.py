"""The quickstart: what it picks, what it prints, and that it stops at the first step that fails."""

import importlib.util
import json
import sys

import pytest

from tests.conftest import ROOT


@pytest.fixture
def quickstart(tmp_path, monkeypatch):
    """tools/quickstart.py as a module, with an empty folder in the repository's place."""
    spec = importlib.util.spec_from_file_location('quickstart', ROOT / 'tools' / 'quickstart.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'ROOT', tmp_path)
    return module


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_manifest(quickstart, videos):
    write(quickstart.ROOT / quickstart.WORLD / 'benchmark' / 'manifest.json', json.dumps({'videos': videos}))


def test_takes_a_clip_whose_anomaly_has_a_before(quickstart):
    normal = dict(video_id='a', anomalies=[])
    from_the_start = dict(video_id='b', anomalies=[dict(start=0, end=4)])
    wanted = dict(video_id='c', anomalies=[dict(start=3, end=4)])
    write_manifest(quickstart, [normal, from_the_start, wanted])
    assert quickstart.choose_clip()['video_id'] == 'c'


def test_the_learning_curve_is_that_of_the_newest_run(quickstart):
    for run, auc in (('20260101_000000', 0.4), ('20260102_000000', 0.7)):
        lines = [
            dict(loss=1.0, step=20),
            {'vad/frame_auc': auc, 'step': 100},
            {'vad/frame_auc': auc + 0.1, 'step': 200},
        ]
        write(quickstart.ROOT / 'train' / run / 'vis_data' / 'scalars.json', '\n'.join(map(json.dumps, lines)))
    assert quickstart.learning_curve('train') == [(100, pytest.approx(0.7)), (200, pytest.approx(0.8))]
    assert quickstart.learning_curve('elsewhere') == []


def test_stops_at_the_first_step_that_fails_with_its_exit_code(quickstart, capfd):
    write(quickstart.ROOT / 'tools' / 'dataset_tools' / 'make_synthetic_world.py', 'print("world")')
    write(quickstart.ROOT / 'tools' / 'train.py', 'raise SystemExit(7)')
    assert quickstart.main() == 7
    out, err = capfd.readouterr()
    assert 'world' in out
    assert '[3/4]' not in out
    assert err.strip() == 'error: step 2 (train for a few minutes, to see it learn) failed with exit code 7'


def test_ends_with_figures_and_paths(quickstart, capfd):
    write_manifest(
        quickstart, [dict(path='videos/b0.mp4', categories=['red star', 'blue ring'], anomalies=[dict(start=3, end=4)])]
    )
    for name in ('tools/dataset_tools/make_synthetic_world.py', 'tools/train.py'):
        write(quickstart.ROOT / name, '')
    touch = 'import sys; from pathlib import Path; out = Path(sys.argv[-1]); out.mkdir(parents=True)\n'
    write(
        quickstart.ROOT / 'tools' / 'test.py',
        touch + "(out / 'metrics.json').write_text('{\"vad/frame_auc\": 0.9125}')",
    )
    given = ['data/synthetic_world/benchmark/videos/b0.mp4', '--categories', 'red star, blue ring']
    demo = f'{touch}assert sys.argv[1:4] == {given}\n'
    demo += "[(out / f'b0_{end}').write_text('') for end in ('annotated.mp4', 'scores.png', 'scores.json')]"
    write(quickstart.ROOT / 'demo' / 'video_demo.py', demo)
    assert quickstart.main() == 0, capfd.readouterr().err
    out = capfd.readouterr().out
    for shown in ('vad/frame_auc', '0.9125', 'b0_annotated.mp4', 'b0_scores.png', 'b0_scores.json', 'metrics.json'):
        assert shown in out


def test_a_missing_checkpoint_ends_with_the_code_of_the_test_tool(quickstart):
    write(quickstart.ROOT / 'tools' / 'dataset_tools' / 'make_synthetic_world.py', '')
    write(quickstart.ROOT / 'tools' / 'train.py', '')
    write(quickstart.ROOT / 'tools' / 'test.py', 'import sys; sys.exit(1)')
    assert quickstart.main() == 1


def test_runs_with_the_interpreter_it_was_started_with(quickstart, capfd):
    write(quickstart.ROOT / 'tools' / 'step.py', 'import sys; print(sys.executable)')
    quickstart.run_step(1, 1, 'say who runs', ['tools/step.py'])
    assert sys.executable in capfd.readouterr().out
