"""Features of the named categories from CLIP's text encoder (docs/method.md, section 4)."""

from typing import Any

from torch import Tensor

from lavida_mm.models.text_encoders.pretrained_text_encoder import PretrainedTextEncoder
from lavida_mm.registry import MODELS

__all__ = ['CLIPTextEncoder']


@MODELS.register_module()
class CLIPTextEncoder(PretrainedTextEncoder):
    """CLIP's text transformer with its projection, over transformers; what exceeds its context is cut off.

    Args:
        pretrained: local folder or name on the Hugging Face hub, e.g. 'openai/clip-vit-base-patch32'.
        freeze: no parameter is trained; the encoder stays in eval mode and remembers the words it has seen.

    Attributes:
        out_channels: channels of a word's feature, 512 in CLIP ViT-B/32.
    """

    def __init__(self, *, pretrained: str, freeze: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(pretrained=pretrained, freeze=freeze, init_cfg=init_cfg)
        self.out_channels = self.model.config.projection_dim

    def choose_class(self, config: Any) -> Any:
        """The class of transformers."""
        from transformers import CLIPTextModelWithProjection

        return CLIPTextModelWithProjection

    @property
    def weight(self) -> Tensor:
        """The projection."""
        return self.model.text_projection.weight

    def encode(self, words: list[str]) -> Tensor:
        """Projected features of the n words, (n, out_channels), made anew."""
        limit = self.model.config.max_position_embeddings
        tokens = self.tokenizer(words, padding=True, truncation=True, max_length=limit, return_tensors='pt')
        return self.run_tower(input_ids=tokens['input_ids'], attention_mask=tokens['attention_mask']).text_embeds
