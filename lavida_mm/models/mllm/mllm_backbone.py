"""The multimodal LLM that reads frames and a prompt (docs/method.md, section 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from lavida_mm.models.compressors import StaticTokenFilter, TokenCompressor
from lavida_mm.models.mllm.adapters import DEFAULT_LORA, SegRows, add_lora, check_lora
from lavida_mm.models.mllm.families import VisualInput, VisualTokens
from lavida_mm.models.mllm.loading import (
    build_shapes,
    check_settings,
    fingerprint,
    folder_errors,
    load_model,
    load_processor,
)
from lavida_mm.models.mllm.prompt_writer import PromptWriter, Turn
from lavida_mm.models.mllm.prompts import ANSWERS
from lavida_mm.models.mllm.saved_state import check_saved_state, drop_frozen, expect_trained
from lavida_mm.models.mllm.sequences import (
    IGNORE,
    TokenSequence,
    keep_visual_tokens,
    mask_blocks,
    pack_sequences,
    pad_batch,
)
from lavida_mm.models.mllm.visual_tokens import Grid, check_pixel_budget
from lavida_mm.models.mllm.word_answers import read_words
from lavida_mm.models.pretrained import builds_on_meta, find_pretrained
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError

__all__ = ['MLLMBackbone', 'MLLMOutput']

TRAINED_EMBEDDINGS = ('seg', 'all', 'none')


@dataclass
class MLLMOutput:
    """What the multimodal LLM hands on.

    Attributes:
        seg_states: last hidden state at ``<SEG>``, (B, D); with a ``<SEG>`` behind each word, the mean of theirs,
            weighted by the softmax of the answers.
        loss: cross entropy of the answers' tokens, ().
        num_tokens_before: visual tokens of each sample before any is dropped or merged.
        num_tokens_after: and after it.
        visual_tokens: at the language model's input, (L_i, C) of each sample.
        visual_states: last hidden states at the same places, (L_i, D).
        grids: numbers of patches in time, height and width; None in families without.
        answers: logits of each word being true, float32 (B, n), very low where a sample has fewer; None where there is
            one ``<SEG>`` for all.
        maps: where each word is true: logits at the visual tokens, float32 (n_i, L_i) of each sample; or None.
        word_states: last hidden states at the words' ``<SEG>``, (n_i, D) of each sample; or None.
    """

    seg_states: Tensor
    loss: Tensor
    num_tokens_before: list[int]
    num_tokens_after: list[int]
    visual_tokens: list[Tensor]
    visual_states: list[Tensor]
    grids: list[Grid | None]
    answers: Tensor | None = None
    maps: list[Tensor] | None = None
    word_states: list[Tensor] | None = None


class _Reading(NamedTuple):
    """One pass of the language model over a batch."""

    hidden: Tensor  # (B, L, D)
    ids: Tensor  # (B, L)
    labels: Tensor  # (B, L)
    is_visual: Tensor  # (B, L)
    visual: list[VisualTokens]


@MODELS.register_module()
class MLLMBackbone(BaseModule):
    """A multimodal LLM of transformers; ``pretrained`` is all one edits to swap it.

    Under ``torch.device('meta')`` the architecture is built without weights and without a tokenizer. Its state dict
    holds what is trained and a fingerprint of the model behind ``pretrained``, which brings the rest.

    Args:
        pretrained: local folder or name on the Hugging Face hub, of a family in ``MLLM_FAMILIES``.
        answer: ``'joint'``, one ``<SEG>`` for all words, as in the paper; ``'each'``: each word is asked for by itself,
            in a conversation of its own with a ``<SEG>``, whose state is compared with those of the visual tokens. All
            read the same visual tokens, which are computed once; what is said of a word does not depend on the others.
        lora: rank ``r``, ``alpha``, ``dropout`` and ``targets`` of the adapters in the language model; None: none.
        freeze_vision: the vision tower and what connects it to the language model are not trained.
        freeze_language: the language model's own weights are not trained; LoRA and the embeddings may still be.
        train_embeddings: of the token embeddings and the head, 'seg' trains the rows of ``<SEG>``, 'all' the
            matrices, as the authors do, 'none' nothing.
        frame_pixels: least and most size of a frame in training, in units of one token's square of pixels (28 x 28
            in Qwen2-VL). Families that bring every frame to one size do without.
        test_frame_pixels: the same at test; None: as in training.
        image_pixels: the same for single images, in training and at test; None: as for frames.
        llm_sample_frames: how many of a clip's frames are shown, evenly spaced; None: all.
        attn_implementation: of transformers: 'sdpa', 'eager' or 'flash_attention_2'.
        dtype: of the loaded weights, 'auto' as they are stored. Trained parameters are kept in float32.
        quantize: '4bit' loads the language model's projections in 4 bits (QLoRA, Dettmers et al. 2023); None: not.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.

    Attributes:
        hidden_size: D of the state at ``<SEG>``.
        family: what is special about this model's family.
    """

    base_fingerprint: Tensor
    lora_alpha: Tensor | None

    def __init__(
        self,
        *,
        pretrained: str,
        answer: str = 'joint',
        lora: Mapping[str, Any] | None = DEFAULT_LORA,
        freeze_vision: bool = True,
        freeze_language: bool = True,
        train_embeddings: str = 'seg',
        frame_pixels: tuple[int, int] = (256, 512),
        test_frame_pixels: tuple[int, int] | None = None,
        image_pixels: tuple[int, int] | None = None,
        llm_sample_frames: int | None = None,
        attn_implementation: str = 'sdpa',
        dtype: str = 'auto',
        quantize: str | None = None,
        gradient_checkpointing: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_settings(dtype, attn_implementation, quantize)
        if not isinstance(pretrained, str) or not pretrained:
            raise ValueError(f'pretrained must be a folder or a name on the hub, got {pretrained!r}')
        if answer not in ANSWERS:
            raise ValueError(f'answer must be one of {", ".join(ANSWERS)}, got {answer!r}')
        if llm_sample_frames is not None and (type(llm_sample_frames) is not int or llm_sample_frames < 1):
            raise ValueError(f'llm_sample_frames must be an integer, at least 1, or None, got {llm_sample_frames!r}')
        for name, value in (
            ('freeze_vision', freeze_vision),
            ('freeze_language', freeze_language),
            ('gradient_checkpointing', gradient_checkpointing),
        ):
            if not isinstance(value, bool):
                raise ValueError(f'{name} must be True or False, got {value!r}')
        if train_embeddings not in TRAINED_EMBEDDINGS:
            raise ValueError(
                f'train_embeddings must be one of {", ".join(TRAINED_EMBEDDINGS)}, got {train_embeddings!r}'
            )
        if answer == 'each' and attn_implementation == 'flash_attention_2':
            raise ValueError(
                "answer='each' needs attn_implementation='sdpa' or 'eager', got 'flash_attention_2', which cannot keep "
                'the words apart'
            )
        if quantize is not None and not freeze_language:
            raise ValueError(f'quantize={quantize!r} needs freeze_language=True: weights in 4 bits cannot be trained')
        lora = check_lora(lora)
        self.pretrained = pretrained
        self.answer = answer
        self.frame_pixels = check_pixel_budget('frame_pixels', frame_pixels)
        self.test_frame_pixels = (
            self.frame_pixels
            if test_frame_pixels is None
            else check_pixel_budget('test_frame_pixels', test_frame_pixels)
        )
        self.image_pixels = None if image_pixels is None else check_pixel_budget('image_pixels', image_pixels)
        self.llm_sample_frames = llm_sample_frames
        self.freeze_vision = freeze_vision
        # flash-attention takes a mask of ones for none, and gaps in the positions for the seams of packed samples.
        self.least_padding = 1 if attn_implementation == 'flash_attention_2' else 0
        self.writer: PromptWriter | None = None
        self.model: Any
        if builds_on_meta():
            self.model, self.family = build_shapes(pretrained, attn_implementation)
            base = torch.empty(32, dtype=torch.uint8)
        else:
            folder = find_pretrained(pretrained, owner='MLLMBackbone', needed=('config.json', 'tokenizer_config.json'))
            self.model, self.family = load_model(
                folder, pretrained, dtype=dtype, attn_implementation=attn_implementation, quantize=quantize
            )
            with folder_errors(pretrained, folder):
                self.writer = PromptWriter(load_processor(folder, pretrained), answer)
            make_room(self.model, self.writer.seg_id)
            base = fingerprint(folder)
            self._log_unused_budgets()
        self.register_buffer('base_fingerprint', base)
        self.model.is_init = True  # keeps mmengine from drawing the loaded weights anew
        self.hidden_size = self.model.config.get_text_config().hidden_size
        self.model.requires_grad_(False)
        self.register_buffer('lora_alpha', torch.tensor(float(lora['alpha'])) if lora else None)
        if lora:
            add_lora(self.model, self.family.language_model, **lora)
        self.seg_rows = None
        if train_embeddings == 'seg':
            seg_id = self.writer.seg_id if self.writer else -1
            self.seg_rows = SegRows(self.model.get_input_embeddings(), self.model.get_output_embeddings(), seg_id)
        self._set_trained(freeze_vision, freeze_language, train_embeddings == 'all')
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=dict(use_reentrant=False))
        self.register_state_dict_post_hook(drop_frozen)
        self.register_load_state_dict_pre_hook(check_saved_state)
        self.register_load_state_dict_post_hook(expect_trained)
        self.train(self.training)

    def _log_unused_budgets(self) -> None:
        reason = self.family.describe_frames()
        if reason is not None:
            print_log(f'MLLMBackbone: frame_pixels have no effect on {self.pretrained}: {reason}', logger='current')

    def _set_trained(self, freeze_vision: bool, freeze_language: bool, train_embeddings: bool) -> None:
        """Say which parameters are trained, and keep those in float32."""
        ends = (self.model.get_input_embeddings(), self.model.get_output_embeddings())
        embeddings = {id(parameter) for module in ends for parameter in module.parameters()}
        language = {id(parameter) for parameter in self.language_model.parameters()}
        for name, parameter in self.model.named_parameters():
            if 'lora_' in name:
                parameter.requires_grad_(True)
            elif id(parameter) in embeddings:
                parameter.requires_grad_(train_embeddings)
            elif parameter.is_floating_point():  # those in 4 bits are not
                parameter.requires_grad_(not (freeze_language if id(parameter) in language else freeze_vision))
            if parameter.requires_grad:
                parameter.data = parameter.data.float()

    @property
    def language_model(self) -> Any:
        """The language model, without its head."""
        return self.model.get_submodule(self.family.language_model)

    @property
    def vision_parts(self) -> list[nn.Module]:
        """The vision tower and what connects it to the language model."""
        return self.family.tower_parts(self.model)

    def train(self, mode: bool = True) -> 'MLLMBackbone':
        """Set the mode; a frozen vision tower stays in eval mode."""
        super().train(mode)
        if self.freeze_vision:
            for part in self.vision_parts:
                part.eval()
        return self

    def pixel_budget(self, is_video: bool, training: bool) -> tuple[int, int]:
        """Least and most units of one frame or image."""
        if not is_video and self.image_pixels:
            return self.image_pixels
        return self.frame_pixels if training else self.test_frame_pixels

    def count_visual_tokens(self, num_frames: int, height: int, width: int, *, training: bool) -> int:
        """How many visual tokens a clip of this size has before compression."""
        shown = min(num_frames, self.llm_sample_frames or num_frames)
        return self.family.count_tokens(shown, height, width, self.pixel_budget(num_frames > 1, training))

    def choose_frames(self, frames: Tensor) -> Tensor:
        """Those of a clip's T frames, or of what belongs to them, that are shown: evenly spaced, first to last."""
        if self.llm_sample_frames is None or len(frames) <= self.llm_sample_frames:
            return frames
        return frames[torch.linspace(0, len(frames) - 1, self.llm_sample_frames).round().long()]

    def forward(
        self,
        clips: Sequence[Tensor],
        categories: Sequence[Sequence[str]],
        templates: Sequence[int],
        compressor: TokenCompressor | None = None,
        token_filter: StaticTokenFilter | None = None,
        turns: Sequence[Sequence[Turn]] | None = None,
    ) -> MLLMOutput:
        """Read B samples.

        Args:
            clips: frames of each sample, RGB uint8 (T, 3, H, W); T = 1 is shown as an image, T > 1 as a video.
            categories: the words of each sample's prompt.
            templates: number of each sample's prompt template, 0 at test.
            compressor: says how visual tokens (L, C) become (R, C); None keeps all.
            token_filter: says which visual tokens are computed at all; None: all.
            turns: what else each sample is asked, each by itself, with the answers, whose tokens count in the loss;
                None: nothing.

        Raises:
            DataError: no words, or a conversation that exceeds the model's context.
            ValueError: a filter for a vision tower that cannot leave patches out.
        """
        samples = [self._prepare(clip) for clip in clips]
        turns = [()] * len(samples) if turns is None else turns
        conversations = [
            self._write(words, int(template), asked, sample)
            for words, template, asked, sample in zip(categories, templates, turns, samples, strict=True)
        ]
        reading = self._run(samples, conversations, compressor, token_filter)
        states = reading.hidden[reading.ids == self.prompt_writer.seg_id]  # (B, D), or (all words, D)
        seen = reading.hidden[reading.is_visual].split([len(row.tokens) for row in reading.visual])  # B x (L_i, D)
        words = read_words(states, [len(own) for own in categories], seen) if self.answer == 'each' else None
        return MLLMOutput(
            seg_states=states if words is None else words.joint,
            loss=self._answer_loss(reading.hidden, reading.labels),
            num_tokens_before=[sample.num_tokens for sample in samples],
            num_tokens_after=[len(row.tokens) for row in reading.visual],
            visual_tokens=[row.tokens for row in reading.visual],
            visual_states=list(seen),
            grids=[sample.grid for sample in samples],
            answers=None if words is None else words.logits,
            maps=None if words is None else words.maps,
            word_states=None if words is None else words.states,
        )

    def _write(
        self, words: Sequence[str], template: int, turns: Sequence[Turn], sample: VisualInput
    ) -> list[TokenSequence]:
        """The conversations about one sample."""
        prompts = self.prompt_writer.write_prompt(words, template, sample)
        asked = '1 word' if len(prompts) > 1 else f'{len(words)} words'
        questions = [self.prompt_writer.write_turn(turn, sample) for turn in turns]
        for content, sequences in ((asked, prompts), ('1 turn', questions)):
            self._check_length(content, sequences, sample)
        return prompts + questions

    @property
    def prompt_writer(self) -> PromptWriter:
        """What writes the prompts.

        Raises:
            RuntimeError: the backbone was built on the meta device.
        """
        if self.writer is None:
            raise RuntimeError('MLLMBackbone was built on the meta device: it has shapes but no weights')
        return self.writer

    def _run(
        self,
        samples: list[VisualInput],
        conversations: list[list[TokenSequence]],
        compressor: TokenCompressor | None,
        token_filter: StaticTokenFilter | None,
    ) -> _Reading:
        """Look at the samples, lay their conversations side by side, shorten these, and read them."""
        kept = self._filter(samples, token_filter)  # B x (L'_i,), or None
        visual = self._look(samples, kept)
        located = self._locate([max(rows, key=lambda row: len(row.ids)) for rows in conversations], samples)
        packed = [pack_sequences(rows, places) for rows, places in zip(conversations, located, strict=True)]
        sequences, positions = [row for row, _ in packed], [places for _, places in packed]  # B x (L_i,), (P, L_i)
        if compressor is not None:
            merges = compressor([row.tokens for row in visual])
            visual = [
                VisualTokens(merge.apply(row.tokens), tuple(merge.apply(layer) for layer in row.deepstack))
                for merge, row in zip(merges, visual, strict=True)
            ]
            kept = [merge.indices if kept is None else kept[row][merge.indices] for row, merge in enumerate(merges)]
        if kept is not None:
            for row, indices in enumerate(kept):
                sequences[row], positions[row] = keep_visual_tokens(sequences[row], positions[row], indices.cpu())
        return self._read(sequences, visual, positions)

    def _prepare(self, clip: Tensor) -> VisualInput:
        if clip.ndim != 4 or clip.shape[1] != 3 or 0 in clip.shape or clip.dtype != torch.uint8:
            raise DataError(
                f'a clip must be uint8 frames (T, 3, H, W), at least one, got {clip.dtype} {tuple(clip.shape)}'
            )
        budget = self.pixel_budget(len(clip) > 1, self.training)
        return self.family.prepare(self.prompt_writer.processor, self.choose_frames(clip.to(self.model.device)), budget)

    def _filter(self, samples: list[VisualInput], token_filter: StaticTokenFilter | None) -> list[Tensor] | None:
        """Which visual tokens of each sample are computed, sorted indices (L'_i,)."""
        if token_filter is None:
            return None
        patch_grid = self.family.patch_grid
        if patch_grid is None:
            raise ValueError(
                f'token_filter={type(token_filter).__name__} leaves patches out before the vision tower, which '
                f'{self.pretrained} ({self.model.config.model_type}) cannot do: its tower takes whole frames. '
                'Take a Qwen model, or none'
            )
        grids = [sample.grid for sample in samples if sample.grid is not None]
        return token_filter([sample.pixels for sample in samples], grids, patch_grid.merge)

    def _look(self, samples: list[VisualInput], kept: list[Tensor] | None) -> list[VisualTokens]:
        """Visual tokens of each sample at the language model's input."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze_vision):
            return self.family.embed(self.model, samples, kept)

    def _check_length(self, content: str, sequences: list[TokenSequence], sample: VisualInput) -> None:
        """Raise DataError where a sequence of this content is longer than the context."""
        limit = self.model.config.get_text_config().max_position_embeddings
        for sequence in sequences:
            if len(sequence.ids) > limit:
                raise DataError(
                    f'the prompt of {content} and {sample.num_tokens} visual tokens has {len(sequence.ids)} '
                    f'tokens, more than the context of {limit} of {self.pretrained}'
                )

    def _locate(self, sequences: list[TokenSequence], samples: list[VisualInput]) -> list[Tensor]:
        """Rotary positions (P, L_i) of the full sequences."""
        ids = pad_batch([sequence.ids for sequence in sequences], 0)  # (B, L)
        mask = pad_batch([torch.ones_like(sequence.ids) for sequence in sequences], 0)
        positions = self.family.positions(self.model, ids, mask, samples)  # (P, B, L)
        return [positions[:, row, -len(sequence.ids) :] for row, sequence in enumerate(sequences)]

    def _read(self, sequences: list[TokenSequence], visual: list[VisualTokens], positions: list[Tensor]) -> _Reading:
        """One pass over the batch, padded on the left. The sequences come from the processor, and move all at once."""
        language_model, device = self.language_model, self.model.device
        dtype = language_model.norm.weight.dtype
        length = max(len(sequence.ids) for sequence in sequences) + self.least_padding
        is_packed = any(bool(sequence.block.any()) for sequence in sequences)
        columns = zip(zip(*sequences, strict=True), (IGNORE, IGNORE, False, 0), strict=True)  # as in TokenSequence
        ids, labels, is_visual, blocks = (pad_batch(rows, fill, length).to(device) for rows, fill in columns)  # (B, L)
        real = ids != IGNORE
        known = ids.masked_fill(~real, 0)
        embeddings = self.family.embed_text(self.model, known, is_visual)  # (B, L, C)
        if self.seg_rows is not None:
            embeddings = self.seg_rows.embed(known, embeddings)
        tokens = torch.cat([row.tokens for row in visual]).to(embeddings.dtype)
        embeddings = embeddings.masked_scatter(is_visual[..., None], tokens).to(dtype)
        hidden = self.family.read(
            language_model,
            embeddings.masked_fill(~real[..., None], 0),
            mask_blocks(blocks, real, dtype) if is_packed else real.long(),
            pad_batch([place.T for place in positions], 0, length).permute(2, 0, 1).to(device),  # (P, B, L)
            is_visual,
            tuple(torch.cat(layers) for layers in zip(*(row.deepstack for row in visual), strict=True)),
        )
        return _Reading(hidden, ids, labels, is_visual, visual)

    def _answer_loss(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of the next token, over the tokens that carry a label.

        The head runs only there: a vocabulary of 152,064 rows at every visual token costs more than a layer of the
        language model.

        Args:
            hidden: last hidden states, (B, L, D).
            labels: ids, IGNORE where nothing is to be learnt, (B, L).
        """
        head = self.model.get_output_embeddings()
        targets = labels[:, 1:]  # (B, L - 1)
        wanted = targets != IGNORE
        states = hidden[:, :-1][wanted]  # (answer tokens, D)
        logits = head(states.to(head.weight.dtype))  # (answer tokens, vocabulary)
        if self.seg_rows is not None:
            logits = self.seg_rows.logits(states, logits)
        return F.cross_entropy(logits.float(), targets[wanted])


def make_room(model: Any, seg_id: int) -> None:
    """Give ``<SEG>`` a row where the released matrices have none to spare: the mean of the others, to begin with."""
    rows = model.get_input_embeddings().num_embeddings
    if seg_id < rows:
        return
    model.resize_token_embeddings(seg_id + 1, mean_resizing=False)
    with torch.no_grad():
        for module in (model.get_input_embeddings(), model.get_output_embeddings()):
            module.weight[rows:] = module.weight[:rows].float().mean(dim=0).to(module.weight.dtype)
