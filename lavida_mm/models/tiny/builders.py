"""Tiny, randomly initialised models in the Hugging Face format."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from lavida_mm.models.tiny.internvl import build_internvl
from lavida_mm.models.tiny.llava_onevision import build_llava_onevision
from lavida_mm.models.tiny.qwen_vl import build_qwen_vl, build_wide_qwen2_vl
from lavida_mm.models.tiny.sizes import TinyParts, count_rows
from lavida_mm.models.tiny.smolvlm import build_smolvlm
from lavida_mm.models.tiny.tokenizers import CLIP_CONTEXT, train_clip_tokenizer
from lavida_mm.models.tiny.vocabulary import PHRASE_WORDS, build_corpus

__all__ = ['MLLM_FAMILIES', 'save_tiny_clip_text', 'save_tiny_mllm']

CLIP_HIDDEN = 64
VALUE_GAIN = 1.5  # of orthogonal value and output projections: words stay apart from the first step on

BUILDERS: dict[str, Callable[[Sequence[str]], TinyParts]] = {
    'qwen2_vl': partial(build_qwen_vl, 'qwen2_vl'),
    'qwen2_5_vl': partial(build_qwen_vl, 'qwen2_5_vl'),
    'qwen3_vl': partial(build_qwen_vl, 'qwen3_vl'),
    'internvl': build_internvl,
    'llava_onevision': build_llava_onevision,
    'smolvlm': build_smolvlm,
}
MLLM_FAMILIES = tuple(BUILDERS)


def save_tiny_mllm(
    folder: str | Path, *, family: str = 'qwen2_vl', wide: bool = False, words: Sequence[str] = (), seed: int = 0
) -> None:
    """Build a tiny multimodal LLM and save model, tokenizer and processor.

    Args:
        folder: where; made if need be.
        family: one of MLLM_FAMILIES.
        wide: the size that can follow motion, with the words of phrases about it; of Qwen2-VL alone.
        words: further words that shall be one token each.
        seed: of the initialisation.

    Raises:
        ValueError: an unknown family, or one that has no wide size.
    """
    from transformers import AutoModelForImageTextToText

    if family not in BUILDERS:
        raise ValueError(f'family must be one of {", ".join(MLLM_FAMILIES)}, got {family!r}')
    if wide and family != 'qwen2_vl':
        raise ValueError(f"family must be 'qwen2_vl' for the wide size, got {family!r}")
    if wide:
        config, processor = build_wide_qwen2_vl(build_corpus([*PHRASE_WORDS, *words]))
    else:
        config, processor = BUILDERS[family](build_corpus(words))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def spread_values(model: nn.Module) -> None:
    """Give value and output projections orthogonal weights, so that a random encoder tells its words apart."""
    for name, module in model.named_modules():
        if name.endswith(('v_proj', 'out_proj')):
            nn.init.orthogonal_(module.weight, gain=VALUE_GAIN)


def save_tiny_clip_text(folder: str | Path, *, words: Sequence[str] = (), seed: int = 0) -> None:
    """Build a tiny CLIP text encoder with its projection and save model and tokenizer.

    Args:
        folder: where; made if need be.
        words: further words that shall be one token each.
        seed: of the initialisation.
    """
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    tokenizer = train_clip_tokenizer(build_corpus(words))
    config = CLIPTextConfig(
        vocab_size=count_rows(len(tokenizer)),
        hidden_size=CLIP_HIDDEN,
        intermediate_size=4 * CLIP_HIDDEN,
        projection_dim=CLIP_HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=CLIP_CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPTextModelWithProjection(config)
        spread_values(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
