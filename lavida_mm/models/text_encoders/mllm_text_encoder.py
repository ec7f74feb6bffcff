"""Features of the named categories from the MLLM's own token embeddings: no second model."""

from typing import Any

import torch
from torch import Tensor

from lavida_mm.models.text_encoders.text_encoder import TextEncoder
from lavida_mm.registry import MODELS

__all__ = ['MLLMTextEncoder']


@MODELS.register_module()
class MLLMTextEncoder(TextEncoder):
    """The mean of the input embeddings of a word's tokens, as they stand in a prompt: with a blank before.

    It has no parameters of its own: ``LAVIDA`` binds it to its MLLM. Where that trains its token embeddings, these
    features train them too, and are not remembered.
    """

    def __init__(self, *, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self._bound: tuple[Any, ...] = ()  # in a tuple, so that the MLLM is not registered a second time

    def bind(self, mllm: Any) -> None:
        """Take the token embeddings of a multimodal LLM from now on.

        Args:
            mllm: an ``MLLMBackbone``.
        """
        self._bound = (mllm,)
        self._cache.clear()

    @property
    def mllm(self) -> Any:
        """The multimodal LLM that this encoder is bound to."""
        if not self._bound:
            raise RuntimeError('MLLMTextEncoder has no MLLM yet: call bind(mllm), as LAVIDA does')
        return self._bound[0]

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        """Channels of a word's feature: those of the MLLM."""
        return self.mllm.hidden_size

    @property
    def weight(self) -> Tensor:
        """The embeddings, one row per token."""
        return self.mllm.model.get_input_embeddings().weight

    @property
    def is_frozen(self) -> bool:
        """Whether training leaves the embeddings as they are."""
        return not self.weight.requires_grad

    def encode(self, words: list[str]) -> Tensor:
        """Mean embeddings of the n words, float32 (n, out_channels), made anew."""
        writer = self.mllm.writer
        if writer is None:
            raise RuntimeError('MLLMTextEncoder is bound to an MLLM on the meta device: it has shapes but no weights')
        rows = writer.tokenizer([f' {word.strip()}' for word in words], add_special_tokens=False)['input_ids']
        embed = self.mllm.model.get_input_embeddings()
        device = self.weight.device
        return torch.stack([embed(torch.tensor(row, device=device)).float().mean(dim=0) for row in rows])
