"""The steps of a retraining fit together: what a step reads, one before it has made."""

import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / 'tools'))
import retrain_tiny

OUT = Path('some/folder/seed3')


def list_steps(behaviour):
    steps = retrain_tiny.plan_alignment(OUT, 3)
    config, mllm = 'configs/lavida_tiny.py', OUT / 'tiny/mllm'
    if behaviour:
        steps += retrain_tiny.plan_pretraining(OUT, 3)
        config, mllm = 'configs/lavida_tiny_behaviour.py', OUT / 'mllm'
    return steps + retrain_tiny.plan_lavida(OUT, 3, config, mllm, ['benchmark', 'behaviour'], ['model.compressor=None'])


def find_made(command):
    """Files and folders below OUT that a command writes."""
    words = [str(word) for word in command]
    tool = Path(words[0]).name
    if tool == 'make_tiny_models.py':
        out = words[words.index('--out') + 1]
        return {f'{out}/mllm_wide' if '--wide' in words else f'{out}/mllm', f'{out}/clip_text'}
    if tool in ('train.py', 'test.py'):
        return {words[words.index('--work-dir') + 1]}
    return {words[3 if tool == 'export_hf.py' else 2]} if len(words) > 2 and str(OUT) in ' '.join(words) else set()


@pytest.mark.parametrize('behaviour', [False, True])
def test_each_step_reads_what_an_earlier_one_made(behaviour):
    made, read = set(), set()
    for product, command in list_steps(behaviour):
        assert (ROOT / command[0]).is_file()
        texts = [str(word).split('=')[-1] for word in command[1:]]
        assert all((ROOT / text).is_file() for text in texts if text.startswith('configs/'))
        new = find_made(command)
        for text in texts:
            if text.startswith(str(OUT)) and text not in new | {str(OUT / 'tiny')}:
                parents = {text, str(Path(text).parent)}
                assert parents & made, f'{command[:2]} reads {text}'
                read.add(text)
        made |= new
        assert product is None or str(product) in made or not command[0].endswith(('publish_checkpoint.py', 'hf.py'))
    assert str(OUT / 'pixel_text.safetensors') in read
    assert (str(OUT / 'mllm') in read) == behaviour


@pytest.mark.parametrize('behaviour', [False, True])
def test_options_name_settings_that_the_config_has(behaviour):
    for _, command in list_steps(behaviour):
        if '--cfg-options' not in command:
            continue
        config = Config.fromfile(ROOT / next(word for word in map(str, command) if word.startswith('configs/')))
        for option in command[command.index('--cfg-options') + 1 :]:
            value = config
            for key in str(option).partition('=')[0].split('.'):
                assert key in value, option
                value = value[key]


def test_the_first_stage_ends_with_the_file_that_the_second_starts_from():
    stages = [command for _, command in retrain_tiny.plan_pretraining(OUT, 3) if command[0] == 'tools/train.py']
    first, second = (Config.fromfile(ROOT / command[1]) for command in stages)
    ending = f'{first.work_dir if "work_dir" in first else "tiny_mllm_naming"}/iter_{first.train_cfg.max_iters}.pth'
    assert f'load_from={OUT}/{ending}' in map(str, stages[1])
    assert second.load_from == f'work_dirs/{ending}'


def test_the_two_models_share_a_folder_and_no_file_of_their_own():
    """After a plain run, one with --behaviour goes on from the alignment, and not from the other's LAVIDA."""
    plans = [
        retrain_tiny.plan_lavida(OUT, 3, config, OUT / 'mllm', ['benchmark'], [])
        for config in ('configs/lavida_tiny.py', 'configs/lavida_tiny_behaviour.py')
    ]
    first, second = (set().union(*(find_made(command) for _, command in steps)) for steps in plans)
    assert first and second and not first & second
