"""Features of the named categories from CLIP's text encoder (docs/method.md, section 4)."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor

from lavida_mm.models.mllm.released_architectures import released_config
from lavida_mm.models.pretrained import builds_on_meta, find_pretrained, is_local
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError

__all__ = ['CLIPTextEncoder']

CACHE_SIZE = 4096  # words; 8 MiB at 512 channels


@MODELS.register_module()
class CLIPTextEncoder(BaseModule):
    """CLIP's text transformer with its projection, over transformers.

    Args:
        pretrained: local folder or name on the Hugging Face hub, e.g. 'openai/clip-vit-base-patch32'.
        freeze: no parameter is trained; the encoder stays in eval mode and remembers the words it has seen.

    Attributes:
        out_channels: channels of a word's feature, 512 in CLIP ViT-B/32.
    """

    def __init__(self, *, pretrained: str, freeze: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        from transformers import AutoConfig, AutoTokenizer, CLIPTextModelWithProjection

        self.pretrained = pretrained
        self.freeze = freeze
        self.model: Any
        if builds_on_meta():
            config = AutoConfig.from_pretrained(pretrained) if is_local(pretrained) else released_config(pretrained)
            self.tokenizer = None
            self.model = CLIPTextModelWithProjection(config)
        else:
            folder = find_pretrained(pretrained, owner='CLIPTextEncoder')
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.model = CLIPTextModelWithProjection.from_pretrained(folder, dtype=torch.float32)
        self.model.is_init = True  # keeps mmengine from drawing the loaded weights anew
        self.model.requires_grad_(not freeze)
        self.out_channels = self.model.config.projection_dim
        self._cache: OrderedDict[str, Tensor] = OrderedDict()
        self.train(self.training)

    def train(self, mode: bool = True) -> 'CLIPTextEncoder':
        """Set the mode. A frozen encoder itself stays in eval mode; a change forgets the words."""
        if mode != self.training:
            self._cache.clear()
        super().train(mode)
        if self.freeze:
            self.model.eval()
        return self

    def forward(self, words: Sequence[str]) -> Tensor:
        """Encode words.

        Args:
            words: the n words or phrases, n >= 1. What exceeds CLIP's context (77 tokens) is cut off.

        Returns:
            projected features, not normalised, (n, out_channels).

        Raises:
            DataError: no word, or a blank one.
        """
        if not len(words):
            raise DataError('words must hold at least one word, got none')
        for word in words:
            if not isinstance(word, str) or not word.strip():
                raise DataError(f'words must be texts that are not blank, got {word!r}')
        if self.freeze or not (self.training or torch.is_grad_enabled()):
            return self._recall(words)
        return self._encode(list(words))

    def _recall(self, words: Sequence[str]) -> Tensor:
        """Features (n, out_channels) from memory; words not seen yet are encoded first.

        At test they are encoded one by one: the last digits of a feature must not depend on the words beside it.
        """
        device = self.model.text_projection.weight.device
        unseen = [word for word in dict.fromkeys(words) if word not in self._cache]
        batches = [unseen] if self.training else [[word] for word in unseen]
        features: dict[str, Tensor] = {}
        with torch.no_grad():
            for batch in filter(None, batches):
                features.update(zip(batch, self._encode(batch), strict=True))
        features.update({word: self._cache[word] for word in words if word in self._cache})
        for word, feature in features.items():
            self._cache[word] = feature
            self._cache.move_to_end(word)
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return torch.stack([features[word] for word in words]).to(device)

    def _encode(self, words: list[str]) -> Tensor:
        if self.tokenizer is None:
            raise RuntimeError('CLIPTextEncoder was built on the meta device: it has shapes but no weights')
        limit = self.model.config.max_position_embeddings
        tokens = self.tokenizer(words, padding=True, truncation=True, max_length=limit, return_tensors='pt')
        device = self.model.text_projection.weight.device
        with torch.autocast(device.type, enabled=False):
            return self.model(
                input_ids=tokens['input_ids'].to(device), attention_mask=tokens['attention_mask'].to(device)
            ).text_embeds

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        self._cache.clear()  # new weights, new features
        super()._load_from_state_dict(*args, **kwargs)
