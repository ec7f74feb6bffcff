"""What is trained beside frozen weights: LoRA in the language model, and the two rows of ``<SEG>``."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['DEFAULT_LORA', 'SegRows', 'add_lora', 'check_lora', 'merge_lora']

DEFAULT_LORA = {'r': 8, 'alpha': 16, 'dropout': 0.05, 'targets': ('q_proj', 'v_proj')}


def is_number(value: Any) -> bool:
    """Whether a config's value is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_lora(lora: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The settings of LoRA with their defaults filled in, or a ValueError that names what is wrong."""
    if lora is None:
        return None
    if not isinstance(lora, Mapping):
        raise ValueError(f'lora must be a dict or None, got {lora!r}')
    unknown = set(lora) - set(DEFAULT_LORA)
    if unknown:
        raise ValueError(f'lora: unknown keys {sorted(unknown)}, known: {sorted(DEFAULT_LORA)}')
    settings = {**DEFAULT_LORA, **lora}
    if isinstance(settings['r'], bool) or not isinstance(settings['r'], int) or settings['r'] < 1:
        raise ValueError(f'lora.r must be an integer >= 1, got {settings["r"]!r}')
    if not is_number(settings['alpha']) or not settings['alpha'] > 0:
        raise ValueError(f'lora.alpha must be a number above 0, got {settings["alpha"]!r}')
    if not is_number(settings['dropout']) or not 0 <= settings['dropout'] < 1:
        raise ValueError(f'lora.dropout must be a number in [0, 1), got {settings["dropout"]!r}')
    targets = settings['targets']
    if not isinstance(targets, list | tuple) or not targets or not all(isinstance(name, str) for name in targets):
        raise ValueError(f'lora.targets must be a list of projection names, got {targets!r}')
    return settings


def add_lora(model: nn.Module, prefix: str, *, r: int, alpha: float, dropout: float, targets: Sequence[str]) -> None:
    """Put LoRA adapters beside the named projections of the language model's layers, and of no other part.

    The same names stand in vision towers as well, which is why they are matched with the language model's own.

    Args:
        model: the model with its head; it is changed in place, and every other parameter is frozen.
        prefix: dotted name of the language model in it.
        r: rank.
        alpha: scale, divided by the rank.
        dropout: on the adapters' input.
        targets: names of the projections.

    Raises:
        ValueError: no layer has a projection of that name.
    """
    from peft import LoraConfig, inject_adapter_in_model

    layers = rf'{re.escape(prefix)}\.layers\.\d+\..*'
    for target in targets:
        pattern = re.compile(rf'{layers}\.{re.escape(target)}')
        if not any(pattern.fullmatch(name) for name, _ in model.named_modules()):
            raise ValueError(f"lora.targets: no layer of the language model has a projection '{target}'")
    names = '|'.join(re.escape(name) for name in targets)
    config = LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=rf'{layers}\.({names})')
    inject_adapter_in_model(config, model)


def merge_lora(model: nn.Module) -> None:
    """Add the adapters to the weights beside which they stand, and take them out: the model is plain again."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge(safe_merge=True)
            parent, _, leaf = name.rpartition('.')
            setattr(model.get_submodule(parent), leaf, module.get_base_layer())


class SegRows(nn.Module):
    """The rows of ``<SEG>`` in the token embeddings and in the head, trained while both matrices stay frozen.

    Two rows of D instead of two matrices of V x D. peft's trainable tokens give the same figures, but write the rows
    into a copy of the whole matrix in each forward pass and take a dense gradient of it (docs/backbones.md).

    Args:
        embeddings: the token embeddings, V x D.
        head: D to the vocabulary.
        seg_id: number of ``<SEG>``.
    """

    def __init__(self, embeddings: nn.Embedding, head: nn.Linear, seg_id: int) -> None:
        super().__init__()
        self.seg_id = seg_id
        self.input_row = nn.Parameter(embeddings.weight[seg_id].detach().float().clone())
        tied = head.weight is embeddings.weight
        self.output_row = None if tied else nn.Parameter(head.weight[seg_id].detach().float().clone())

    def embed(self, ids: Tensor, embeddings: Tensor) -> Tensor:
        """Embeddings (..., D) of ids (...), with the trained row where ``<SEG>`` stands."""
        return torch.where((ids == self.seg_id)[..., None], self.input_row.to(embeddings.dtype), embeddings)

    def logits(self, hidden: Tensor, logits: Tensor) -> Tensor:
        """Logits (N, V) of states (N, D), with the trained row's where ``<SEG>`` is predicted."""
        row = self.input_row if self.output_row is None else self.output_row
        own = F.linear(hidden.to(logits.dtype), row.to(logits.dtype)[None])  # (N, 1)
        is_seg = torch.arange(logits.shape[1], device=logits.device) == self.seg_id
        return torch.where(is_seg, own, logits)

    def write_back(self, embeddings: nn.Embedding, head: nn.Linear) -> None:
        """Put the trained rows into the matrices."""
        with torch.no_grad():
            embeddings.weight[self.seg_id] = self.input_row.to(embeddings.weight.dtype)
            if self.output_row is not None:
                head.weight[self.seg_id] = self.output_row.to(head.weight.dtype)

    def extra_repr(self) -> str:
        """The number, for the printed model."""
        return f'seg_id={self.seg_id}'
