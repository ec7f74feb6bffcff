"""How many parameters each part of a model has, and how many of them are trained."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

__all__ = ['OPTIMIZER_BYTES', 'Parts', 'collect_parts', 'count', 'format_bytes', 'format_parts', 'format_table']

Parts = dict[str, list[nn.Parameter]]  # name of a part -> its parameters

OPTIMIZER_BYTES = 12  # per trained parameter, in float32: AdamW's two moments, 8, and the gradient, 4


def mllm_parts(mllm: Any) -> Parts:
    """The parameters of a multimodal LLM by what they are for; what connects tower and language to the tower's."""
    language = {id(parameter) for parameter in mllm.language_model.parameters()}
    ends = (mllm.model.get_input_embeddings(), mllm.model.get_output_embeddings())
    embeddings = {id(parameter) for module in ends for parameter in module.parameters()}
    rows = set() if mllm.seg_rows is None else {id(parameter) for parameter in mllm.seg_rows.parameters()}
    names = ('vision tower', 'language model', 'adapters', 'embeddings and head', 'rows of <SEG>')
    parts: Parts = {name: [] for name in names}
    for name, parameter in mllm.named_parameters():
        if 'lora_' in name:
            parts['adapters'].append(parameter)
        elif id(parameter) in rows:
            parts['rows of <SEG>'].append(parameter)
        elif id(parameter) in embeddings:
            parts['embeddings and head'].append(parameter)
        else:
            parts['language model' if id(parameter) in language else 'vision tower'].append(parameter)
    return parts


def mask_head_parts(head: Any) -> Parts:
    """The parameters of a mask head: the segmenter's image encoder, and all that decodes."""
    encoder = {id(parameter) for parameter in head.segmenter.image_encoder.parameters()}
    parts: Parts = {'image encoder': [], 'decoder': []}
    for parameter in head.parameters():
        parts['image encoder' if id(parameter) in encoder else 'decoder'].append(parameter)
    return parts


SPLITS: dict[str, Callable[[Any], Parts]] = {'mllm': mllm_parts, 'mask_head': mask_head_parts}


def collect_parts(model: nn.Module) -> Parts:
    """Parameters of each part of a model, and of the parts of LAVIDA's two largest, named ``'part.inner part'``.

    A model of another make has the modules that it holds as its parts. A part that is built otherwise than ours is not
    split.

    Args:
        model: any model.
    """
    parts: Parts = {}
    for name, child in model.named_children():
        if name == 'data_preprocessor':
            continue
        parts[name] = list(child.parameters())
        if name in SPLITS:
            try:
                inner = SPLITS[name](child)
            except AttributeError:
                continue
            parts.update({f'{name}.{part}': found for part, found in inner.items()})
    return parts


def count(parameters: Iterable[nn.Parameter]) -> dict[str, Any]:
    """Number of parameters, of trained ones, their share, and the bytes that training them takes."""
    parameters = list(parameters)
    total = sum(parameter.numel() for parameter in parameters)
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    return {
        'parameters': total,
        'trainable': trained,
        'trainable_share': trained / total if total else 0.0,
        'optimizer_bytes': OPTIMIZER_BYTES * trained,
    }


def format_parts(parts: Mapping[str, Mapping[str, Any]], total: Mapping[str, Any]) -> str:
    """What :func:`count` says of each part and of the whole model, as a table."""
    rows = [('part', 'parameters', 'trainable', 'share', 'optimizer')]
    for name, figures in [*parts.items(), ('total', total)]:
        label = f'  {name.split(".", 1)[1]}' if '.' in name else name
        share = f'{figures["trainable_share"]:.2%}'
        memory = format_bytes(figures['optimizer_bytes'])
        rows.append((label, f'{figures["parameters"]:,}', f'{figures["trainable"]:,}', share, memory))
    origin = (
        f"optimizer: AdamW's two moments and the gradient in float32, {OPTIMIZER_BYTES} bytes per trained parameter"
    )
    return f'{format_table(rows)}\n\n{origin}'


def format_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as aligned columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f'{text:>{width}}' for text, width in zip(others, widths[1:], strict=True)]
        lines.append('  '.join([f'{first:<{widths[0]}}', *cells]))
    return '\n'.join(lines)


def format_bytes(number: int) -> str:
    """Bytes in GiB, or in MiB where there are few.

    >>> format_bytes(3 * 2**30), format_bytes(2**19)
    ('3.00 GiB', '0.50 MiB')
    """
    return f'{number / 2**30:.2f} GiB' if number >= 2**30 else f'{number / 2**20:.2f} MiB'
