"""Tiny models of every family, built once per run and reloaded by the automatic classes."""

from typing import Any, NamedTuple

import pytest
import torch

from lavida_mm.models.tiny.builders import MLLM_FAMILIES, save_tiny_mllm


class Tiny(NamedTuple):
    """A tiny model as it is read back from its folder."""

    family: str
    processor: Any
    model: Any

    def read(self, kind, pixels, **settings):
        """What the processor makes of a question about a 'video' (T, 3, H, W) or an 'image' (3, H, W)."""
        shown = {'type': kind}
        messages = [{'role': 'user', 'content': [shown, {'type': 'text', 'text': 'is there a red star?'}]}]
        template = self.processor.chat_template
        text = self.processor.tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
        visuals = [[pixels]] if self.family == 'smolvlm' else [pixels]  # SmolVLM wants a list per text
        return self.processor(text=[text], **{f'{kind}s': visuals}, return_tensors='pt', **settings)


@pytest.fixture(scope='session')
def tiny_models(tmp_path_factory):
    """Every family's folder."""
    root = tmp_path_factory.mktemp('families')
    for family in MLLM_FAMILIES:
        save_tiny_mllm(root / family, family=family, words=('zebra',))
    return root


@pytest.fixture(scope='session')
def load_tiny(tiny_models):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    loaded: dict[str, Tiny] = {}

    def load(family):
        if family not in loaded:
            folder = tiny_models / family
            model = AutoModelForImageTextToText.from_pretrained(folder).eval()
            loaded[family] = Tiny(family, AutoProcessor.from_pretrained(folder), model)
        return loaded[family]

    return load


@pytest.fixture(scope='session')
def clip():
    return torch.randint(0, 256, (4, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
