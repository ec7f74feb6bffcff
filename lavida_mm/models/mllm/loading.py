"""The model behind ``pretrained``: its shapes, its weights, and which weights they are."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import OutOfMemoryError, Tensor

from lavida_mm.models.mllm.families import MLLMFamily, family_of
from lavida_mm.models.mllm.released_architectures import released_config
from lavida_mm.models.pretrained import find_pretrained, is_local
from lavida_mm.utils.errors import DataError

__all__ = ['build_shapes', 'check_settings', 'fingerprint', 'folder_errors', 'load_model', 'load_processor']

DTYPES = ('auto', 'float32', 'bfloat16', 'float16')
QUANTIZATIONS = (None, '4bit')
ATTENTIONS = ('sdpa', 'eager', 'flash_attention_2')
PROBED = 16  # values of each weight that enter the fingerprint


def check_settings(dtype: str, attn_implementation: str, quantize: str | None) -> None:
    """Raise ValueError for a setting that does not exist."""
    if dtype not in DTYPES:
        raise ValueError(f'dtype must be one of {", ".join(DTYPES)}, got {dtype!r}')
    if attn_implementation not in ATTENTIONS:
        raise ValueError(f'attn_implementation must be one of {", ".join(ATTENTIONS)}, got {attn_implementation!r}')
    if quantize not in QUANTIZATIONS:
        raise ValueError(f"quantize must be None or '4bit', got {quantize!r}")


def check_packages(attn_implementation: str, quantize: str | None) -> None:
    """Raise ImportError, with the cure, where a setting needs a package that is not here."""
    from transformers.utils import is_bitsandbytes_available, is_flash_attn_2_available

    if attn_implementation == 'flash_attention_2' and not is_flash_attn_2_available():
        raise ImportError(
            "attn_implementation='flash_attention_2' needs flash-attn and a GPU: pip install flash-attn "
            "--no-build-isolation, or take 'sdpa'"
        )
    if quantize is not None and not is_bitsandbytes_available():
        raise ImportError("quantize='4bit' needs bitsandbytes: pip install lavida_mm[qlora]")


@contextmanager
def folder_errors(pretrained: str, folder: Path) -> Iterator[None]:
    """Turn what a damaged folder raises in transformers into a DataError that names it."""
    try:
        yield
    except (DataError, ImportError, OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # JSON, safetensors, jinja and transformers each have their own
        reason = ' '.join(str(error).split())[:300]
        raise DataError(
            f"MLLMBackbone.pretrained='{pretrained}': {folder} is no whole model of transformers: "
            f'{type(error).__name__}: {reason}'
        ) from error


def read_config(folder: Path, pretrained: str) -> Any:
    """The config of a folder, of a family that is served or not."""
    from transformers import CONFIG_MAPPING, AutoConfig

    with folder_errors(pretrained, folder):
        model_type = json.loads((folder / 'config.json').read_text(encoding='utf-8')).get('model_type')
    if model_type not in CONFIG_MAPPING:
        raise DataError(
            f"MLLMBackbone.pretrained='{pretrained}': {folder / 'config.json'}: model_type must be one that "
            f'transformers knows, got {model_type!r}'
        )
    with folder_errors(pretrained, folder):
        return AutoConfig.from_pretrained(folder)


def build_shapes(pretrained: str, attn_implementation: str) -> tuple[Any, MLLMFamily]:
    """The architecture alone, under ``torch.device('meta')``, and its family."""
    from transformers import AutoModelForImageTextToText

    if is_local(pretrained):
        config = read_config(find_pretrained(pretrained, owner='MLLMBackbone'), pretrained)
    else:
        config = released_config(pretrained)
    family = family_of(config, pretrained)
    return AutoModelForImageTextToText.from_config(config, attn_implementation=attn_implementation), family


def load_model(
    folder: Path, pretrained: str, *, dtype: str, attn_implementation: str, quantize: str | None
) -> tuple[Any, MLLMFamily]:
    """The model with its weights, and its family.

    Args:
        folder: in the Hugging Face format.
        pretrained: as the config names it, for errors.
        dtype: of the weights, 'auto' as they are stored.
        attn_implementation: of transformers.
        quantize: '4bit': the language model's projections in 4 bits (NF4, as in QLoRA, Dettmers et al. 2023).

    Raises:
        DataError: a file is damaged, or weights are missing, which transformers would draw at random.
    """
    from transformers import AutoModelForImageTextToText

    check_packages(attn_implementation, quantize)
    family = family_of(read_config(folder, pretrained), pretrained)
    settings: dict[str, Any] = {}
    if quantize is not None:
        settings['quantization_config'] = _quantization(family, dtype)
    with folder_errors(pretrained, folder):
        model, found = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, attn_implementation=attn_implementation, output_loading_info=True, **settings
        )
    missing = sorted(found['missing_keys'])
    if missing:
        raise DataError(
            f"MLLMBackbone.pretrained='{pretrained}': {folder} lacks {len(missing)} weights that its config.json "
            f'asks for, the first is {missing[0]}'
        )
    return model, family


def _quantization(family: MLLMFamily, dtype: str) -> Any:
    from transformers import BitsAndBytesConfig

    compute = torch.bfloat16 if dtype == 'auto' else getattr(torch, dtype)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type='nf4',
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        llm_int8_skip_modules=['lm_head', *family.vision_tower],
    )


def load_processor(folder: Path, pretrained: str) -> Any:
    """Tokenizer, image and video processor of a model.

    Raises:
        ImportError: a package is missing that this family's processor needs.
        DataError: a file is missing or damaged.
    """
    from transformers import AutoImageProcessor, AutoProcessor

    try:
        with folder_errors(pretrained, folder):
            processor = AutoProcessor.from_pretrained(folder)
    except ImportError as error:
        if 'num2words' in str(error):
            raise ImportError(f'{folder}: SmolVLM writes numbers as words: pip install lavida_mm[smolvlm]') from error
        raise
    # PIL would fetch every image from the device.
    if getattr(processor.image_processor, 'backend', 'torchvision') != 'torchvision':
        processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend='torchvision')
    return processor


def fingerprint(folder: Path) -> Tensor:
    """What tells the weights of one folder from another's, whatever precision they are stored in: uint8 (32,).

    A hash over names, shapes and the first values of each weight.

    Args:
        folder: in the Hugging Face format, with safetensors or torch files.
    """
    digest = hashlib.sha256()
    for name, shape, values in sorted(_probe(folder), key=lambda part: part[0]):
        digest.update(f'{name}{shape}'.encode())
        digest.update(values.flatten()[:PROBED].to(torch.bfloat16).float().numpy().tobytes())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8).clone()


def _probe(folder: Path) -> Iterator[tuple[str, tuple[int, ...], Tensor]]:
    """Name, shape and first values of each weight in a folder."""
    from safetensors import safe_open

    for path in sorted(folder.glob('*.safetensors')):
        with safe_open(path, framework='pt') as file:
            for name in file.keys():  # noqa: SIM118
                part = file.get_slice(name)
                shape = tuple(part.get_shape())
                yield name, shape, part[:1] if shape else file.get_tensor(name)
    if not any(folder.glob('*.safetensors')):
        for path in sorted(folder.glob('pytorch_model*.bin')):
            for name, value in torch.load(path, map_location='cpu', weights_only=True, mmap=True).items():
                yield name, tuple(value.shape), value[:1] if value.ndim else value
