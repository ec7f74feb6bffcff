"""What text encoders over a text tower of transformers share: loading, freezing, and the meta device."""

from typing import Any

import torch
from torch import Tensor

from lavida_mm.models.mllm.released_architectures import released_config
from lavida_mm.models.pretrained import builds_on_meta, find_pretrained, is_local
from lavida_mm.models.text_encoders.text_encoder import TextEncoder
from lavida_mm.utils.errors import DataError

__all__ = ['PretrainedTextEncoder']


class PretrainedTextEncoder(TextEncoder):
    """A text tower of transformers with weights of its own.

    An encoder implements :meth:`choose_class`, :meth:`encode`, :attr:`weight` and sets ``out_channels``.

    Args:
        pretrained: local folder or name on the Hugging Face hub.
        freeze: no parameter is trained; the encoder stays in eval mode and remembers the words it has seen.

    Attributes:
        model: the text tower.

    Raises:
        DataError: the folder or weights of the tower are missing.
    """

    def __init__(self, *, pretrained: str, freeze: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        from transformers import AutoConfig, AutoTokenizer

        name = type(self).__name__
        self.pretrained = pretrained
        self.freeze = freeze
        self.model: Any
        self._tokenizer: Any = None
        if builds_on_meta():
            config = AutoConfig.from_pretrained(pretrained) if is_local(pretrained) else released_config(pretrained)
            self.model = self.choose_class(config)(config.get_text_config())
        else:
            folder = find_pretrained(pretrained, owner=name)
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            model_class = self.choose_class(AutoConfig.from_pretrained(folder))
            self.model, found = model_class.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
            if found['missing_keys']:  # transformers draws them at random
                missing = sorted(found['missing_keys'])
                raise DataError(
                    f"{name}.pretrained='{pretrained}': the weights in {folder} lack {len(missing)} parts of the text "
                    f'tower, such as {missing[0]}'
                )
        self.model.is_init = True  # keeps mmengine from drawing the loaded weights anew
        self.model.requires_grad_(not freeze)
        self.train(self.training)

    def choose_class(self, config: Any) -> Any:
        """The class of transformers for a config of the whole model or of its text tower."""
        raise NotImplementedError

    @property
    def is_frozen(self) -> bool:
        """Whether training leaves the features as they are."""
        return self.freeze

    @property
    def tokenizer(self) -> Any:
        """The tokenizer; there is none on the meta device."""
        if self._tokenizer is None:
            raise RuntimeError(f'{type(self).__name__} was built on the meta device: it has shapes but no weights')
        return self._tokenizer

    def train(self, mode: bool = True) -> 'PretrainedTextEncoder':
        """Set the mode. A frozen encoder itself stays in eval mode."""
        super().train(mode)
        if self.freeze:
            self.model.eval()
        return self

    def run_tower(self, **inputs: Tensor) -> Any:
        """The tower's output in full precision, whatever autocast says."""
        device = self.weight.device
        with torch.autocast(device.type, enabled=False):
            return self.model(**{name: value.to(device) for name, value in inputs.items()})
