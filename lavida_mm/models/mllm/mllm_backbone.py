"""The multimodal LLM that reads frames and a prompt (docs/method.md, section 2)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from lavida_mm.models.mllm.families import family_of
from lavida_mm.models.mllm.released_architectures import released_config
from lavida_mm.models.mllm.sequences import IGNORE, PromptWriter, TokenSequence, keep_visual_tokens, pad_batch
from lavida_mm.models.mllm.visual_tokens import (
    check_pixel_budget,
    count_visual_tokens,
    fit_frame_size,
    normalize_frames,
    patchify,
)
from lavida_mm.models.pretrained import builds_on_meta, find_pretrained, is_local
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError

__all__ = ['MLLMBackbone', 'MLLMOutput']

DTYPES = ('auto', 'float32', 'bfloat16', 'float16')
LORA_KEYS = {'r', 'alpha', 'dropout', 'targets'}
DEFAULT_LORA = {'r': 8, 'alpha': 16, 'dropout': 0.05, 'targets': ('q_proj', 'v_proj')}


@dataclass
class MLLMOutput:
    """What the multimodal LLM hands on.

    Attributes:
        seg_states: last hidden state at ``<SEG>``, (B, D).
        loss: cross entropy of the answers' tokens, ().
        num_tokens_before: visual tokens of each sample before compression.
        num_tokens_after: and after it.
    """

    seg_states: Tensor
    loss: Tensor
    num_tokens_before: list[int]
    num_tokens_after: list[int]


def answer_loss(hidden: Tensor, labels: Tensor, head: nn.Linear) -> Tensor:
    """Mean cross entropy of the next token, over the tokens that carry a label.

    The head runs only where there is a label: a vocabulary of 152,064 rows at every visual token costs more than
    a layer of the language model.

    Args:
        hidden: last hidden states, (B, L, D).
        labels: ids, IGNORE where nothing is to be learnt, (B, L).
        head: D to the vocabulary.
    """
    targets = labels[:, 1:]  # (B, L - 1)
    wanted = targets != IGNORE
    logits = head(hidden[:, :-1][wanted].to(head.weight.dtype))  # (answer tokens, vocabulary)
    return F.cross_entropy(logits.float(), targets[wanted])


def add_lora(model: nn.Module, prefix: str, *, r: int, alpha: int, dropout: float, targets: Sequence[str]) -> None:
    """Put LoRA adapters beside the named projections of the language model's layers, and of no other part.

    Args:
        model: the model with its head; it is changed in place, and every other parameter is frozen.
        prefix: dotted name of the language model in it.
        r: rank.
        alpha: scale, divided by the rank.
        dropout: on the adapters' input.
        targets: names of the projections.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = '|'.join(re.escape(name) for name in targets)
    pattern = rf'{re.escape(prefix)}\.layers\.\d+\..*\.({names})'
    config = LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=pattern)
    inject_adapter_in_model(config, model)


def check_lora(lora: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The settings of LoRA with their defaults filled in, or a ValueError that names what is wrong."""
    if lora is None:
        return None
    unknown = set(lora) - LORA_KEYS
    if unknown:
        raise ValueError(f'lora: unknown keys {sorted(unknown)}, known: {sorted(LORA_KEYS)}')
    settings = {**DEFAULT_LORA, **lora}
    if not isinstance(settings['r'], int) or settings['r'] < 1:
        raise ValueError(f'lora.r must be an integer >= 1, got {settings["r"]!r}')
    if not 0 <= settings['dropout'] < 1:
        raise ValueError(f'lora.dropout must be in [0, 1), got {settings["dropout"]!r}')
    if isinstance(settings['targets'], str) or not settings['targets']:
        raise ValueError(f'lora.targets must be a list of projection names, got {settings["targets"]!r}')
    return settings


@MODELS.register_module()
class MLLMBackbone(BaseModule):
    """A multimodal LLM of transformers; ``pretrained`` is all one edits to swap it.

    Under ``torch.device('meta')`` the architecture is built without weights and without a tokenizer.

    Args:
        pretrained: local folder or name on the Hugging Face hub.
        lora: rank ``r``, ``alpha``, ``dropout`` and ``targets`` of the adapters in the language model; None: none.
        freeze_vision: the vision tower is not trained.
        freeze_language: the language model's own weights are not trained; LoRA and the embeddings may still be.
        train_embeddings: token embeddings and language-model head are trained in full; they hold ``<SEG>``.
        frame_pixels: least and most size of a frame in training, in units of one token's square of pixels (28 x 28
            in Qwen2-VL).
        test_frame_pixels: the same at test; None: as in training.
        image_pixels: the same for single images, in training and at test; None: as for frames.
        llm_sample_frames: how many of a clip's frames are shown, evenly spaced; None: all.
        attn_implementation: of transformers: 'sdpa', 'eager' or 'flash_attention_2'.
        dtype: of the loaded weights, 'auto' as they are stored. Trained parameters are kept in float32.

    Attributes:
        hidden_size: D of the state at ``<SEG>``.
        patch_grid: how the vision tower cuts a clip.
    """

    def __init__(
        self,
        *,
        pretrained: str,
        lora: Mapping[str, Any] | None = DEFAULT_LORA,
        freeze_vision: bool = True,
        freeze_language: bool = True,
        train_embeddings: bool = True,
        frame_pixels: tuple[int, int] = (256, 512),
        test_frame_pixels: tuple[int, int] | None = None,
        image_pixels: tuple[int, int] | None = None,
        llm_sample_frames: int | None = None,
        attn_implementation: str = 'sdpa',
        dtype: str = 'auto',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if dtype not in DTYPES:
            raise ValueError(f'dtype must be one of {", ".join(DTYPES)}, got {dtype!r}')
        if llm_sample_frames is not None and llm_sample_frames < 1:
            raise ValueError(f'llm_sample_frames must be at least 1, got {llm_sample_frames}')
        lora = check_lora(lora)
        self.pretrained = pretrained
        self.frame_pixels = check_pixel_budget('frame_pixels', frame_pixels)
        self.test_frame_pixels = check_pixel_budget('test_frame_pixels', test_frame_pixels or frame_pixels)
        self.image_pixels = check_pixel_budget('image_pixels', image_pixels) if image_pixels else None
        self.llm_sample_frames = llm_sample_frames
        self.freeze_vision = freeze_vision
        self.model: Any
        self.writer: PromptWriter | None
        if builds_on_meta():
            self.model, self.writer = self._build_shapes(attn_implementation), None
        else:
            self.model, self.writer = self._load(attn_implementation, dtype)
        self.model.is_init = True  # keeps mmengine from drawing the loaded weights anew
        self.hidden_size = self.model.config.text_config.hidden_size
        self.patch_grid = self.family.patch_grid(self.model.config)
        if lora:
            add_lora(self.model, self.family.language_model, **lora)
        self._set_trained(freeze_vision, freeze_language, train_embeddings)
        self.train(self.training)

    def _build_shapes(self, attn_implementation: str) -> Any:
        from transformers import AutoConfig, AutoModelForImageTextToText

        if is_local(self.pretrained):
            config = AutoConfig.from_pretrained(find_pretrained(self.pretrained, owner='MLLMBackbone'))
        else:
            config = released_config(self.pretrained)
        self.family = family_of(config.model_type, self.pretrained)
        return AutoModelForImageTextToText.from_config(config, attn_implementation=attn_implementation)

    def _load(self, attn_implementation: str, dtype: str) -> tuple[Any, PromptWriter]:
        from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

        needed = ('config.json', 'tokenizer_config.json')
        folder = find_pretrained(self.pretrained, owner='MLLMBackbone', needed=needed)
        self.family = family_of(AutoConfig.from_pretrained(folder).model_type, self.pretrained)
        processor = AutoProcessor.from_pretrained(folder)
        model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, attn_implementation=attn_implementation
        )
        writer = PromptWriter(processor)
        if writer.seg_id >= model.get_input_embeddings().num_embeddings:  # released matrices have spare rows
            model.resize_token_embeddings(writer.seg_id + 1, mean_resizing=False)
        colours = processor.video_processor
        self.register_buffer('pixel_mean', torch.tensor(colours.image_mean), persistent=False)
        self.register_buffer('pixel_std', torch.tensor(colours.image_std), persistent=False)
        return model, writer

    def _set_trained(self, freeze_vision: bool, freeze_language: bool, train_embeddings: bool) -> None:
        """Say which parameters are trained, and keep those in float32."""
        adapters = [parameter for name, parameter in self.model.named_parameters() if 'lora_' in name]
        self.vision_tower.requires_grad_(not freeze_vision)
        self.language_model.requires_grad_(not freeze_language)
        self.model.get_input_embeddings().requires_grad_(train_embeddings)
        self.model.get_output_embeddings().requires_grad_(train_embeddings)
        for parameter in adapters:
            parameter.requires_grad_(True)
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()

    @property
    def language_model(self) -> Any:
        """The language model, without its head."""
        return self.model.get_submodule(self.family.language_model)

    @property
    def vision_tower(self) -> nn.Module:
        """The vision tower with its merger."""
        return self.model.get_submodule(self.family.vision_tower)

    def train(self, mode: bool = True) -> 'MLLMBackbone':
        """Set the mode; a frozen vision tower stays in eval mode."""
        super().train(mode)
        if self.freeze_vision:
            self.vision_tower.eval()
        return self

    def pixel_budget(self, is_video: bool, training: bool) -> tuple[int, int]:
        """Least and most units of one frame or image."""
        if not is_video and self.image_pixels:
            return self.image_pixels
        return self.frame_pixels if training else self.test_frame_pixels

    def count_visual_tokens(self, num_frames: int, height: int, width: int, *, training: bool) -> int:
        """How many visual tokens a clip of this size has before compression."""
        shown = min(num_frames, self.llm_sample_frames or num_frames)
        budget = self.pixel_budget(num_frames > 1, training)
        return count_visual_tokens(shown, height, width, budget, self.patch_grid)

    def forward(
        self,
        clips: Sequence[Tensor],
        categories: Sequence[Sequence[str]],
        templates: Sequence[int],
        compressor: nn.Module | None = None,
    ) -> MLLMOutput:
        """Read B samples.

        Args:
            clips: frames of each sample, RGB uint8 (T, 3, H, W); T = 1 is shown as an image, T > 1 as a video.
            categories: the words of each sample's prompt.
            templates: number of each sample's prompt template, 0 at test.
            compressor: takes visual tokens (L, C) to merged ones (R, C) and their places (R,); None keeps all.

        Raises:
            DataError: no words, or a prompt that exceeds the model's context.
        """
        if self.writer is None:
            raise RuntimeError('MLLMBackbone was built on the meta device: it has shapes but no weights')
        is_video = [len(clip) > 1 for clip in clips]
        patches, grids = self._cut(clips, is_video)
        visual = self._look(patches, grids)  # B x (L_i, C)
        sequences = [
            self._write(words, template, tokens, moving)
            for words, template, tokens, moving in zip(categories, templates, visual, is_video, strict=True)
        ]
        positions = self._locate(sequences, grids, is_video)  # B x (3, L_i)
        before = [len(tokens) for tokens in visual]
        if compressor is not None:
            merged = [compressor(tokens) for tokens in visual]  # B x ((R_i, C), (R_i,))
            visual = [tokens for tokens, _ in merged]
            kept = [
                keep_visual_tokens(sequence, place, indices)
                for sequence, place, (_, indices) in zip(sequences, positions, merged, strict=True)
            ]
            sequences, positions = [row for row, _ in kept], [place for _, place in kept]
        hidden = self._read(sequences, visual, positions)  # (B, L, D)
        ids = pad_batch([sequence.ids for sequence in sequences], IGNORE)  # (B, L)
        labels = pad_batch([sequence.labels for sequence in sequences], IGNORE)
        seg_states = hidden[ids == self.writer.seg_id]  # (B, D)
        loss = answer_loss(hidden, labels, self.model.get_output_embeddings())
        return MLLMOutput(seg_states, loss, before, [len(tokens) for tokens in visual])

    def _cut(self, clips: Sequence[Tensor], is_video: list[bool]) -> tuple[Tensor, list[tuple[int, int, int]]]:
        """Patches of all samples one after the other, and their numbers in time, height and width."""
        parts, grids = [], []
        for clip, moving in zip(clips, is_video, strict=True):
            frames = self._sample_frames(clip)
            budget = self.pixel_budget(moving, self.training)
            size = fit_frame_size(frames.shape[-2], frames.shape[-1], budget, self.patch_grid)
            pixels = normalize_frames(frames.to(self.pixel_mean.device), size, self.pixel_mean, self.pixel_std)
            patches, grid = patchify(pixels, self.patch_grid)
            parts.append(patches)
            grids.append(grid)
        return torch.cat(parts), grids

    def _sample_frames(self, clip: Tensor) -> Tensor:
        """The frames that are shown, evenly spaced from the first to the last: (T', 3, H, W)."""
        if self.llm_sample_frames is None or len(clip) <= self.llm_sample_frames:
            return clip
        return clip[torch.linspace(0, len(clip) - 1, self.llm_sample_frames).round().long()]

    def _look(self, patches: Tensor, grids: list[tuple[int, int, int]]) -> list[Tensor]:
        """Visual tokens (L_i, C) of each sample at the language model's input."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze_vision):
            return self.family.visual_embeddings(self.model, patches, grids)

    def _write(self, words: Sequence[str], template: int, tokens: Tensor, is_video: bool) -> TokenSequence:
        placeholder = self.family.placeholder(self.model.config, is_video)
        assert self.writer is not None  # forward has seen to it
        sequence = self.writer.write(words, int(template), placeholder, len(tokens), is_video)
        limit = self.model.config.text_config.max_position_embeddings
        if len(sequence.ids) > limit:
            raise DataError(
                f'the prompt of {len(words)} words and {len(tokens)} visual tokens has {len(sequence.ids)} tokens, '
                f'more than the context of {limit} of {self.pretrained}'
            )
        device = tokens.device
        return sequence._replace(ids=sequence.ids.to(device), labels=sequence.labels.to(device))

    def _locate(
        self, sequences: list[TokenSequence], grids: list[tuple[int, int, int]], is_video: list[bool]
    ) -> list[Tensor]:
        """Rotary positions (3, L_i) of the full sequences."""
        ids = pad_batch([sequence.ids for sequence in sequences], 0)  # (B, L)
        mask = pad_batch([torch.ones_like(sequence.ids) for sequence in sequences], 0)
        positions = self.family.positions(self.model, ids, mask, grids, is_video)  # (3, B, L)
        return [positions[:, row, : len(sequence.ids)] for row, sequence in enumerate(sequences)]

    def _read(self, sequences: list[TokenSequence], visual: list[Tensor], positions: list[Tensor]) -> Tensor:
        """Last hidden states (B, L, D) of one pass over the padded batch."""
        embed = self.model.get_input_embeddings()
        rows = []
        for sequence, tokens in zip(sequences, visual, strict=True):
            text = embed(sequence.ids)  # (L_i, C)
            end = sequence.start + sequence.num_visual
            rows.append(torch.cat([text[: sequence.start], tokens.to(text.dtype), text[end:]]))
        language_model = self.language_model
        embeddings = pad_batch(rows, 0.0).to(language_model.norm.weight.dtype)  # (B, L, C)
        mask = pad_batch([torch.ones_like(sequence.ids) for sequence in sequences], 0)  # (B, L)
        places = pad_batch([place.T for place in positions], 0).permute(2, 0, 1)  # (3, B, L)
        return language_model(
            inputs_embeds=embeddings, attention_mask=mask, position_ids=places, use_cache=False
        ).last_hidden_state
