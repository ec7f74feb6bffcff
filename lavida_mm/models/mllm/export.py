"""A trained backbone as a plain folder in the Hugging Face format."""

from pathlib import Path

from lavida_mm.models.mllm.adapters import merge_lora
from lavida_mm.models.mllm.mllm_backbone import MLLMBackbone

__all__ = ['export_merged']


def export_merged(backbone: MLLMBackbone, folder: str | Path) -> None:
    """Merge adapters and trained rows into the weights, and save model, tokenizer and processor.

    Plain transformers loads the folder and computes the same; so does ``MLLMBackbone``. The backbone itself is merged
    as well, and has nothing left to train.

    Args:
        backbone: with its weights, not in 4 bits.
        folder: an existing folder, or where to make one.

    Raises:
        ValueError: the backbone has no weights, or has them in 4 bits.
    """
    if backbone.writer is None:
        raise ValueError('the backbone was built on the meta device: it has no weights to export')
    model = backbone.model
    if getattr(model, 'is_quantized', False):
        raise ValueError('a backbone in 4 bits cannot be merged: build it with quantize=None')
    merge_lora(model)
    if backbone.seg_rows is not None:
        backbone.seg_rows.write_back(model.get_input_embeddings(), model.get_output_embeddings())
        backbone.seg_rows = None
    kinds = {parameter.dtype for parameter in backbone.vision_parts[0].parameters()}
    model.requires_grad_(False).to(kinds.pop())  # what was trained is float32, whatever the rest is
    model.save_pretrained(folder)
    backbone.writer.processor.save_pretrained(folder)
