import importlib.util
import sys
from pathlib import Path

import pytest

from lavida_mm.utils.errors import run_tool

TOOL = Path(__file__).parents[3] / 'tools' / 'dataset_tools' / 'make_synthetic_world.py'


@pytest.fixture
def call(monkeypatch):
    spec = importlib.util.spec_from_file_location('make_synthetic_world', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*options):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, options)])
        try:
            run_tool(module.main)
        except SystemExit as stop:
            return stop.code
        return 0

    return run


def test_the_tool_writes_the_parts_it_is_asked_for(call, tmp_path, capsys):
    options = ('--out', tmp_path / 'w', '--parts', 'stage0', 'images', '--num-stage0', 2, '--num-images', 1)
    assert call(*options) == 0
    captured = capsys.readouterr()
    assert 'wrote stage0, images' in captured.out
    assert 'stage0' in captured.err  # the progress bar
    assert len(list((tmp_path / 'w/stage0/images').iterdir())) == 2
    assert call(*options) == 0
    assert 'already there: stage0, images' in capsys.readouterr().out
    assert call(*options, '--seed', 1) == 1
    assert '--overwrite' in capsys.readouterr().err
    assert call(*options, '--seed', 1, '--overwrite') == 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--num-clips', '0'], 'count of clips must be at least 1, got 0'),
        (['--num-clips', 'many'], '--num-clips'),
        (['--seed', '-1'], 'seed must be in'),
        (['--parts', 'stage1'], 'stage1'),
        (['--workers', '0'], 'workers must be at least 1'),
        (['--sed', '1'], '--sed'),
    ],
)
def test_usage_errors_exit_with_2(call, tmp_path, capsys, options, message):
    assert call('--out', tmp_path / 'w', *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'w').exists()


def test_a_root_that_cannot_be_written_exits_with_1(call, tmp_path, capsys):
    (tmp_path / 'file').touch()
    assert call('--out', tmp_path / 'file' / 'w', '--no-progress') == 1
    assert capsys.readouterr().err.startswith('error: ')
    assert call('--out', '/proc/lavida', '--no-progress') == 1
