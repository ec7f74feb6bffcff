"""A family in one file outside the package: the one that docs/backbones.md shows, trained and tested by the tools."""

import os
import re
import subprocess
import sys

import pytest
import torch

from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.tiny.sizes import IMAGE_SIDE
from lavida_mm.models.tiny.smolvlm import build_smolvlm
from lavida_mm.models.tiny.vocabulary import build_corpus
from lavida_mm.registry import MLLM_FAMILIES
from tests.conftest import ROOT
from tests.test_end_to_end import world_options
from tests.test_models.test_mllm.reference import WORDS


def code_of_the_page() -> str:
    """The Python of the section on adding a family."""
    page = (ROOT / 'docs/backbones.md').read_text()
    return re.search(r'## Adding a family.*?```python\n(.*?)```', page, re.DOTALL).group(1)


@pytest.fixture(scope='module')
def idefics3(tmp_path_factory):
    """A tiny Idefics3 in the Hugging Face format, made of the tiny SmolVLM's parts."""
    from transformers import AutoModelForImageTextToText, Idefics3Config, Idefics3ImageProcessor, Idefics3Processor

    folder = tmp_path_factory.mktemp('plugin') / 'idefics3'
    parts = build_smolvlm(build_corpus())
    settings = parts.config.to_dict()
    config = Idefics3Config(
        **{key: settings[key] for key in ('text_config', 'vision_config', 'scale_factor', 'image_token_id')},
        tie_word_embeddings=False,
    )
    size = {'longest_edge': IMAGE_SIDE}
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(size=dict(size), max_image_size=dict(size)),
        tokenizer=parts.processor.tokenizer,
        image_seq_len=16,
        chat_template=parts.processor.chat_template,
    )
    torch.manual_seed(0)
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def plugin():
    code = code_of_the_page()
    assert code.count('\n') < 60
    exec(code, {})
    yield
    MLLM_FAMILIES.module_dict.pop('idefics3')


@pytest.mark.usefixtures('plugin')
def test_equals_plain_transformers(idefics3, make_clip):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = MLLMBackbone(pretrained=str(idefics3), lora=None, train_embeddings='none').eval()
    clip = make_clip(3)
    processor = AutoProcessor.from_pretrained(idefics3)
    processor.tokenizer.add_tokens(['<SEG>'], special_tokens=True)
    head, middle, tail = model.writer._frames[False]
    shown = head.replace('<image>', '<image>' * 3)
    question, answer = f'Find what is unusual here: {", ".join(WORDS)}.', 'The result is <SEG>.'
    text = [f'{shown}{question}{middle}{answer}{tail}']
    inputs = processor(text=text, images=[list(clip)], do_image_splitting=False, return_tensors='pt')
    plain = AutoModelForImageTextToText.from_pretrained(idefics3).eval()
    with torch.no_grad():
        ours = model([clip], [WORDS], [0])
        theirs = plain(**inputs, output_hidden_states=True).hidden_states[-1]
    is_seg = inputs['input_ids'] == model.writer.seg_id
    torch.testing.assert_close(ours.seg_states, theirs[is_seg], rtol=1e-5, atol=1e-5)
    assert ours.num_tokens_before == [48]


@pytest.mark.slow
def test_trains_and_tests_through_the_tools(idefics3, small_world, tmp_path):
    (tmp_path / 'idefics3_family.py').write_text(code_of_the_page())
    config = tmp_path / 'idefics3.py'
    config.write_text(
        f"_base_ = '{ROOT}/configs/lavida_tiny.py'\n"
        "custom_imports = dict(imports=['idefics3_family'])\n"
        f"model = dict(mllm=dict(pretrained='{idefics3}'))\n"
    )
    environment = dict(os.environ, PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}')
    settings = {**world_options(small_world), 'train_cfg.max_iters': 2, 'train_cfg.val_interval': 10}
    options = [f'{name}={value}' for name, value in settings.items()]
    for command in (
        ['tools/train.py', config, '--work-dir', tmp_path / 'work'],
        ['tools/test.py', config, tmp_path / 'work' / 'iter_2.pth', '--work-dir', tmp_path / 'test'],
    ):
        command = [sys.executable, *map(str, command), '--cfg-options', *options]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / 'test' / 'metrics.json').is_file()
