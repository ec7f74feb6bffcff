"""tools/test.py --dump and --protocol, on a detector of red pixels and a small benchmark of one's own."""

import json
import os
import shutil
import signal

import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import ROOT
from tests.fake_detector import RednessDetector
from tests.test_datasets.worlds import write_manifest
from tests.test_engine import forked
from tests.test_tools.test_train_and_test import error_line, run_script

LENGTHS = (5, 4, 9, 7, 6)
CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=['tests.fake_detector'])
model = dict(type='RednessDetector', delay={delay})
test_dataloader = dict(
    batch_size=1, num_workers=0, collate_fn=dict(type='pseudo_collate'), sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset', benchmark=dict(type='ManifestBenchmark', root={root!r}, ann_file='manifest.json'),
        window=2, pipeline=[dict(type='PackVADInputs')]))
test_evaluator = dict(type='VADMetric', regions=True)
test_cfg = dict(type='TestLoop')
"""


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    """A benchmark, a config for it and weights."""
    folder = tmp_path_factory.mktemp('bench')
    write_manifest(folder / 'world', LENGTHS)
    for gain in (1, 2):
        save_file({'gain': torch.tensor(float(gain))}, folder / f'gain{gain}.safetensors')
    for name, delay in (('quick', 0), ('slow', 0.15)):
        base = str(ROOT / 'configs' / '_base_' / 'default_runtime.py')
        text = CONFIG.format(base=base, root=str(folder / 'world'), delay=delay)
        (folder / f'{name}.py').write_text(text)
    assert RednessDetector.__name__ in text
    return folder


def run_test(bench, folder, *args, config='quick', weights='gain1'):
    files = [bench / f'{config}.py', bench / f'{weights}.safetensors']
    folder.mkdir(parents=True, exist_ok=True)
    return forked.run('tools/test.py', *files, '--work-dir', folder, *args, folder=folder)


def read_metrics(folder):
    return json.loads((folder / 'metrics.json').read_text())


def check_same_files(first, second):
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.fixture(scope='module')
def at_once(bench, tmp_path_factory):
    """A run without --dump, and one with it."""
    folder = tmp_path_factory.mktemp('at_once')
    done = run_test(bench, folder / 'plain')
    assert done.code == 0, done.err
    done = run_test(bench, folder / 'dumped', '--dump', folder / 'files')
    assert done.code == 0, done.err
    return folder


def test_figures_come_from_the_files_and_are_the_same(at_once):
    assert read_metrics(at_once / 'dumped') == read_metrics(at_once / 'plain')
    assert read_metrics(at_once / 'plain')['vad/pixel_auc'] > 0.5
    names = sorted(path.name for path in (at_once / 'files').iterdir())
    assert names == ['predictions.json', *(f'v{number}.npz' for number in range(len(LENGTHS)))]
    shared = json.loads((at_once / 'files' / 'predictions.json').read_text())['shared']
    assert (shared['benchmark'], shared['config'], shared['checkpoint']) == (
        'mini',
        'quick.py',
        'gain1.safetensors',
    )
    assert len(shared['checkpoint_sha256']) == 64
    assert set(shared['versions']) == {'lavida_mm', 'torch', 'transformers', 'numpy'}


def test_a_finished_folder_is_evaluated_without_the_model(at_once, bench, tmp_path):
    shutil.copytree(at_once / 'files', tmp_path / 'files')
    done = run_test(bench, tmp_path, '--dump', tmp_path / 'files')
    assert done.code == 0, done.err
    assert 'continued, 5 of 5 videos are done' in done.out
    assert read_metrics(tmp_path) == read_metrics(at_once / 'plain')
    check_same_files(at_once / 'files', tmp_path / 'files')


def test_other_weights_are_refused(at_once, bench, tmp_path):
    shutil.copytree(at_once / 'files', tmp_path / 'files')
    done = run_test(bench, tmp_path, '--dump', tmp_path / 'files', weights='gain2')
    assert done.code == 2, done.err
    line = error_line(done)
    assert line.startswith(f'error: {tmp_path}/files: holds predictions of another run: checkpoint_sha256 is gain1.saf')
    assert 'and gain2.safetensors' in line
    done = run_test(bench, tmp_path, '--dump', tmp_path / 'files', '--dump-overwrite', weights='gain2')
    assert done.code == 0, done.err
    assert (tmp_path / 'files' / 'v0.npz').read_bytes() != (at_once / 'files' / 'v0.npz').read_bytes()


def test_other_words_and_damaged_files_are_refused(at_once, bench, tmp_path):
    shutil.copytree(at_once / 'files', tmp_path / 'files')
    words = "test_dataloader.dataset.prompt_words=['comet']"
    done = run_test(bench, tmp_path, '--dump', tmp_path / 'files', '--cfg-options', words)
    assert done.code == 2, done.err
    assert "prompt_words is own there and ['comet'] now" in error_line(done)
    (tmp_path / 'files' / 'v1.npz').write_bytes(b'PK half')
    done = run_test(bench, tmp_path, '--dump', tmp_path / 'files')
    assert done.code == 1
    assert f'error: {tmp_path}/files/v1.npz: half-written or no prediction file' in error_line(done)


def test_protocol_of_ones_own_on_the_command_line(at_once, bench, tmp_path):
    """Windows of 2 frames, 2 apart: of 5, 4, 9, 7, 6 frames, 4, 4, 8, 4, 4 are scored."""
    own = dict(name='mine', base='lavida-code', window=2, stride=2, frame_interval=2, words=None, pixel_size=None)
    (tmp_path / 'mine.json').write_text(json.dumps(own))
    done = run_test(bench, tmp_path, '--protocol', tmp_path / 'mine.json', '--dump', tmp_path / 'files')
    assert done.code == 0, done.err
    metrics = read_metrics(tmp_path)
    assert (metrics['vad/protocol'], metrics['vad/protocol_version']) == ('mine', 1)
    assert metrics['vad/coverage'] == dict(
        videos_scored=5, videos_known=5, frames_scored=24, frames_known=31, anomalous_frames=2
    )
    assert metrics['vad/options']['tail'] == 'drop'
    assert '7 of 31 frames dropped' in metrics['vad/notes'][0]
    done = run_test(bench, tmp_path, '--protocol', 'lavida-code')
    assert done.code == 2
    assert 'protocol lavida-code fixes no frame_interval for benchmark manifest' in error_line(done)
    done = run_test(bench, tmp_path, '--protocol', 'best')
    assert (done.code, 'protocol must be one of default, lavida-code' in error_line(done)) == (2, True)


def test_options_of_dump_need_dump(bench, tmp_path):
    done = run_test(bench, tmp_path, '--dump-masks', 'rle')
    assert (done.code, 'need --dump' in done.err) == (2, True)
    done = run_test(bench, tmp_path, '--dump', tmp_path / 'files', '--dump-mask-stride', '0')
    assert (done.code, '--dump-mask-stride must be at least 1, got 0' in done.err) == (2, True)


@pytest.mark.slow
def test_killed_three_times_and_continued_gives_the_same_files(bench, tmp_path):
    options = ['--dump-masks', 'float16', '--dump-mask-stride', '2']
    done = run_test(bench, tmp_path / 'once', '--dump', tmp_path / 'files', *options, config='slow')
    assert done.code == 0, done.err
    killed = tmp_path / 'killed'
    arguments = [bench / 'slow.py', bench / 'gain1.safetensors', '--work-dir', tmp_path / 'again']
    for finished in (0, 1, 3):
        process = forked.start('tools/test.py', *arguments, '--dump', killed, *options, folder=tmp_path)

        def is_in_the_middle(finished=finished):
            names = [path.name for path in killed.glob('*')] + [path.name for path in killed.glob('.writing-*')]
            return names.count('predictions.json') == 1 and (
                sum(name[:1] == 'v' for name in names) >= finished and any(name[0] == '.' for name in names)
            )

        forked.wait_for(is_in_the_middle, process)
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        assert any(path.name.startswith('.writing-') for path in killed.iterdir())
        assert len(list(killed.glob('v*.npz'))) < len(LENGTHS)
    done = run_test(bench, tmp_path / 'last', '--dump', killed, *options, config='slow')
    assert done.code == 0, done.err
    check_same_files(tmp_path / 'files', killed)
    assert read_metrics(tmp_path / 'last') == read_metrics(tmp_path / 'once')


@pytest.mark.slow
@pytest.mark.parametrize('processes', [2, 4])
def test_any_number_of_processes_gives_the_same_files_and_figures(at_once, bench, tmp_path, processes):
    files = [bench / 'quick.py', bench / 'gain1.safetensors']
    options = ['--work-dir', tmp_path, '--dump', tmp_path / 'files']
    done = run_script('tools/dist_test.sh', *files, processes, *options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    check_same_files(at_once / 'files', tmp_path / 'files')
    assert read_metrics(tmp_path) == read_metrics(at_once / 'plain')


def test_words_of_the_command_line_keep_their_blanks(bench, tmp_path):
    done = run_test(bench, tmp_path, '--dump', tmp_path / 'dump', '--words', 'person on the tracks,  smoke')
    assert done.code == 0, done.err
    shared = json.loads((tmp_path / 'dump' / 'predictions.json').read_text())['shared']
    assert shared['prompt_words'] == ['person on the tracks', 'smoke']


def test_words_that_are_none(bench, tmp_path):
    done = run_test(bench, tmp_path, '--words', 'smoke, smoke')
    assert done.code == 2 and 'must name each word once' in error_line(done)


def test_words_that_changed_in_the_manifest_are_refused(at_once, bench, tmp_path):
    shutil.copytree(at_once / 'files', tmp_path / 'files')
    shutil.copytree(bench / 'world', tmp_path / 'world')
    (tmp_path / 'files' / 'v3.npz').unlink()
    manifest = json.loads((tmp_path / 'world' / 'manifest.json').read_text())
    for video in manifest['videos']:
        video['categories'] = ['purple elephant']
    (tmp_path / 'world' / 'manifest.json').write_text(json.dumps(manifest))
    root = f'test_dataloader.dataset.benchmark.root={tmp_path}/world'
    done = run_test(bench, tmp_path, '--dump', tmp_path / 'files', '--cfg-options', root)
    assert done.code == 2 and 'videos_and_words_sha256' in error_line(done)


def test_pixels_counted_with_other_masks_are_not_used(at_once, bench, tmp_path):
    from lavida_mm.apis import evaluate_scores

    shutil.copytree(bench / 'world', tmp_path / 'world')
    options = dict(benchmark='manifest', events=dict(on=0.5))
    evaluation = evaluate_scores(at_once / 'files', data_root=tmp_path / 'world', **options)
    assert 'pixel_auc' in evaluation.figures
    assert 'frame rate' not in str(evaluation.undefined)  # the files know it, the manifest does not
    manifest = json.loads((tmp_path / 'world' / 'manifest.json').read_text())
    masks = next(a['masks'] for video in manifest['videos'] for a in video.get('anomalies', ()) if a.get('masks'))
    masks.popitem()
    (tmp_path / 'world' / 'manifest.json').write_text(json.dumps(manifest))
    evaluation = evaluate_scores(at_once / 'files', data_root=tmp_path / 'world', **options)
    assert 'with the masks that the benchmark has now' in evaluation.undefined['pixel_auc']
