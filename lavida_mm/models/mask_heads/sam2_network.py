"""The network of SAM 2, random or with its weights."""

from collections.abc import Mapping
from typing import Any

import torch

from lavida_mm.models.mask_heads.sam2_architectures import SAM2_RELEASES, build_config
from lavida_mm.models.pretrained import builds_on_meta, find_pretrained, is_local
from lavida_mm.utils.errors import DataError

__all__ = ['build_network', 'find_config']

OWNER = 'SAM2'
MODEL_TYPE = 'sam2_video'


def find_config(pretrained: str | None, arch: str | Mapping[str, Any] | None) -> Any:
    """transformers' config of the network, at the image size it was made for.

    Args:
        pretrained: local folder or name on the Hugging Face hub; on the ``meta`` device a released name is enough.
        arch: sizes of a random network, where ``pretrained`` is None.

    Raises:
        ValueError: both or none of ``pretrained`` and ``arch`` are given, or ``arch`` breaks a rule.
        DataError: the folder is missing or of another model.
    """
    if pretrained is None and arch is not None:
        return build_config(arch)
    if pretrained is None or arch is not None:
        raise ValueError(f'one of pretrained and arch must be set, got {pretrained!r} and {arch!r}')
    if not builds_on_meta() or is_local(pretrained):
        return _read_config(pretrained)
    if pretrained not in SAM2_RELEASES:
        raise ValueError(
            f"pretrained='{pretrained}' cannot be built on the meta device: it is no local folder, and the table "
            f'lavida_mm/models/mask_heads/sam2_architectures.py holds only: {", ".join(sorted(SAM2_RELEASES))}'
        )
    return build_config(SAM2_RELEASES[pretrained])


def _read_config(pretrained: str) -> Any:
    from transformers import AutoConfig, Sam2VideoMaskDecoderConfig

    folder = find_pretrained(pretrained, owner=OWNER)
    config = AutoConfig.from_pretrained(folder)
    if config.model_type != MODEL_TYPE:
        raise DataError(
            f"{OWNER}.pretrained='{pretrained}': {folder / 'config.json'} must be of model_type '{MODEL_TYPE}', got "
            f"'{config.model_type}'"
        )
    # transformers 5.17 reads this part as a config of the prompt encoder, which lacks the decoder's own defaults.
    config.mask_decoder_config = Sam2VideoMaskDecoderConfig(**config.mask_decoder_config.to_dict())
    return config


def build_network(config: Any, pretrained: str | None) -> Any:
    """transformers' ``Sam2VideoModel``: it has the weights of ``Sam2Model`` and those of the memory.

    Args:
        config: from :func:`find_config`, at the image size that is wanted.
        pretrained: where the weights are; None and on the ``meta`` device, random ones.

    Raises:
        DataError: weights are missing, damaged or of another network than the config says.
    """
    from transformers import Sam2VideoModel

    if pretrained is None or builds_on_meta():
        return Sam2VideoModel(config)
    folder = find_pretrained(pretrained, owner=OWNER)
    try:
        network, found = Sam2VideoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # damaged bytes make the readers of weights fail in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{OWNER}.pretrained='{pretrained}': {folder} cannot be loaded: {reason}") from error
    faults = {kind: sorted(map(str, found[f'{kind}_keys'])) for kind in ('missing', 'unexpected', 'mismatched')}
    if any(faults.values()):
        listed = ', '.join(f'{len(names)} {kind} ({names[0]})' for kind, names in faults.items() if names)
        raise DataError(f"{OWNER}.pretrained='{pretrained}': {folder} must hold the weights of SAM 2, got {listed}")
    return network
