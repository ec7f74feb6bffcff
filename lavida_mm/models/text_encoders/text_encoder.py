"""The contract of all text encoders, and what they share: the check of the words and the memory of their features."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from lavida_mm.utils.errors import DataError

__all__ = ['TextEncoder']

CACHE_SIZE = 4096  # words; 8 MiB at 512 channels


class TextEncoder(BaseModule):
    """Words in, one feature per word out; features that no training changes are remembered.

    An encoder implements :meth:`encode`, :attr:`weight` and :attr:`is_frozen`.

    Attributes:
        out_channels: channels Ct of a word's feature.
    """

    out_channels: int

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self._cache: OrderedDict[str, Tensor] = OrderedDict()

    @property
    def weight(self) -> Tensor:
        """One of the weights that features are made with: where it is, features are."""
        raise NotImplementedError

    @property
    def is_frozen(self) -> bool:
        """Whether training leaves the features as they are."""
        raise NotImplementedError

    def encode(self, words: list[str]) -> Tensor:
        """Features of the n words, (n, out_channels), made anew."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> 'TextEncoder':
        """Set the mode; a change forgets the words."""
        if mode != self.training:
            self._cache.clear()
        super().train(mode)
        return self

    def forward(self, words: Sequence[str]) -> Tensor:
        """Encode words.

        Args:
            words: the n words or phrases, n >= 1.

        Returns:
            features, not normalised, (n, out_channels).

        Raises:
            DataError: no word, or a blank one.
        """
        if not len(words):
            raise DataError('words must hold at least one word, got none')
        for word in words:
            if not isinstance(word, str) or not word.strip():
                raise DataError(f'words must be texts that are not blank, got {word!r}')
        if self.is_frozen or not (self.training or torch.is_grad_enabled()):
            return self._recall(words)
        return self.encode(list(words))

    def _recall(self, words: Sequence[str]) -> Tensor:
        """Features (n, out_channels) from memory; words not seen yet are encoded first.

        At test they are encoded one by one: the last digits of a feature must not depend on the words beside it.
        """
        unseen = [word for word in dict.fromkeys(words) if word not in self._cache]
        batches = [unseen] if self.training else [[word] for word in unseen]
        features: dict[str, Tensor] = {}
        with torch.no_grad():
            for batch in filter(None, batches):
                features.update(zip(batch, self.encode(batch), strict=True))
        features.update({word: self._cache[word] for word in words if word in self._cache})
        for word, feature in features.items():
            self._cache[word] = feature
            self._cache.move_to_end(word)
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        device = self.weight.device
        return torch.stack([features[word].to(device) for word in words])

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        self._cache.clear()  # new weights, new features
        super()._load_from_state_dict(*args, **kwargs)
