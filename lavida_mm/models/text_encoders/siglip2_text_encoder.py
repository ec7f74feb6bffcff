"""Features of the named categories from SigLIP 2's text encoder (Tschannen et al. 2025)."""

from typing import Any

import torch
from torch import Tensor

from lavida_mm.models.text_encoders.pretrained_text_encoder import PretrainedTextEncoder
from lavida_mm.registry import MODELS

__all__ = ['SigLIP2TextEncoder']

# The checkpoints of a fixed image size are stored as SigLIP, those of any aspect ratio (NaFlex) as SigLIP 2.
TEXT_CLASSES = {
    'siglip': 'SiglipTextModel',
    'siglip_text_model': 'SiglipTextModel',
    'siglip2': 'Siglip2TextModel',
    'siglip2_text_model': 'Siglip2TextModel',
}


@MODELS.register_module()
class SigLIP2TextEncoder(PretrainedTextEncoder):
    """SigLIP 2's text transformer with its head, over transformers.

    It was trained on text in lower case that ends with ``<eos>`` and is filled up to 64 tokens, without an attention
    mask; the feature is read at the last place. The released tokenizers do not see to all of that, so this class does.
    What exceeds the 64 tokens is cut off.

    Args:
        pretrained: local folder or name on the Hugging Face hub, e.g. 'google/siglip2-base-patch16-224'.
        freeze: no parameter is trained; the encoder stays in eval mode and remembers the words it has seen.

    Attributes:
        out_channels: channels of a word's feature, 768 in the base model.
    """

    def __init__(self, *, pretrained: str, freeze: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(pretrained=pretrained, freeze=freeze, init_cfg=init_cfg)
        self.out_channels = self.model.config.projection_size

    def choose_class(self, config: Any) -> Any:
        """The class of transformers.

        Raises:
            ValueError: the model is of another family.
        """
        import transformers

        if config.model_type not in TEXT_CLASSES:
            raise ValueError(
                f"SigLIP2TextEncoder.pretrained='{self.pretrained}': model_type must be one of "
                f'{", ".join(TEXT_CLASSES)}, got {config.model_type!r}'
            )
        return getattr(transformers, TEXT_CLASSES[config.model_type])

    @property
    def weight(self) -> Tensor:
        """The head's."""
        return self.model.head.weight

    def encode(self, words: list[str]) -> Tensor:
        """Pooled features of the n words, (n, out_channels), made anew."""
        return self.run_tower(input_ids=self._tokenise(words)).pooler_output

    def _tokenise(self, words: list[str]) -> Tensor:
        """Ids (n, 64): the word, ``<eos>``, padding."""
        tokenizer, length = self.tokenizer, self.model.config.max_position_embeddings
        lower = [word.lower() for word in words]
        rows = tokenizer(lower, add_special_tokens=False, truncation=True, max_length=length - 1)['input_ids']
        ids = torch.full((len(words), length), tokenizer.pad_token_id)
        for row, word_ids in zip(ids, rows, strict=True):
            row[: len(word_ids) + 1] = torch.tensor([*word_ids, tokenizer.eos_token_id])
        return ids
