"""Token sequences of the multimodal LLM: written from a prompt, shortened by compression, padded to a batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lavida_mm.models.mllm.prompts import SEG_TOKEN, build_answer, build_question

__all__ = ['IGNORE', 'PromptWriter', 'TokenSequence', 'keep_visual_tokens', 'pad_batch']

IGNORE = -100  # label of tokens that the language-model loss leaves out
QUESTION_MARK, ANSWER_MARK = 'QUESTION-HERE', 'ANSWER-HERE'


class TokenSequence(NamedTuple):
    """One sample's tokens.

    Attributes:
        ids: (L,).
        labels: the ids of the answer, IGNORE elsewhere, (L,).
        start: place of the first visual placeholder.
        num_visual: number of visual placeholders; they stand side by side.
    """

    ids: Tensor
    labels: Tensor
    start: int
    num_visual: int


class PromptWriter:
    """Writes the conversation of one question and its answer in the model's own chat format.

    Args:
        processor: of transformers, with tokenizer and chat template. ``<SEG>`` is added to the tokenizer if it
            has none.
    """

    def __init__(self, processor: Any) -> None:
        from tokenizers import AddedToken

        self.tokenizer = processor.tokenizer
        self.chat_template = processor.chat_template or self.tokenizer.chat_template
        if SEG_TOKEN not in self.tokenizer.get_vocab():
            self.tokenizer.add_tokens([AddedToken(SEG_TOKEN, special=True, normalized=False)], special_tokens=True)
        self.seg_id = self.tokenizer.convert_tokens_to_ids(SEG_TOKEN)
        self.reserved = sorted({*self.tokenizer.all_special_tokens, *self.tokenizer.get_added_vocab()})
        self._frames: dict[bool, tuple[str, str, str]] = {}

    def write(
        self, categories: Sequence[str], template: int, placeholder: int, num_visual: int, is_video: bool
    ) -> TokenSequence:
        """Tokenise one sample.

        Args:
            categories: the n words of the prompt.
            template: number of the prompt template.
            placeholder: id of the token that stands for one visual token.
            num_visual: how many of them the sample needs.
            is_video: whether a clip or an image is shown.
        """
        head, middle, tail = self._frame(is_video)
        prompt = self._tokenise(head + build_question(categories, template, self.reserved) + middle)
        answer = self._tokenise(build_answer(template) + tail)
        start = prompt.index(placeholder)
        prompt[start : start + 1] = [placeholder] * num_visual
        ids = torch.tensor(prompt + answer)
        labels = ids.clone()
        labels[: len(prompt)] = IGNORE
        return TokenSequence(ids, labels, start, num_visual)

    def _tokenise(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)['input_ids']

    def _frame(self, is_video: bool) -> tuple[str, str, str]:
        """What the chat template writes before the question, between question and answer, and after."""
        if is_video not in self._frames:
            shown = {'type': 'video' if is_video else 'image'}
            messages = [
                {'role': 'user', 'content': [shown, {'type': 'text', 'text': QUESTION_MARK}]},
                {'role': 'assistant', 'content': [{'type': 'text', 'text': ANSWER_MARK}]},
            ]
            text = self.tokenizer.apply_chat_template(messages, chat_template=self.chat_template, tokenize=False)
            head, rest = text.split(QUESTION_MARK)
            middle, tail = rest.split(ANSWER_MARK)
            self._frames[is_video] = (head, middle, tail)
        return self._frames[is_video]


def keep_visual_tokens(sequence: TokenSequence, positions: Tensor, indices: Tensor) -> tuple[TokenSequence, Tensor]:
    """Take the visual placeholders that compression dropped out of a sequence.

    Args:
        sequence: of L tokens, L' of them visual.
        positions: rotary positions, (..., L).
        indices: sorted places of the kept ones among the L' visual tokens, (R,).

    Returns:
        the shorter sequence, of L - L' + R tokens, and its positions: each token keeps its own.
    """
    end = sequence.start + sequence.num_visual
    kept = torch.cat(
        [
            torch.arange(sequence.start, device=indices.device),
            sequence.start + indices,
            torch.arange(end, len(sequence.ids), device=indices.device),
        ]
    )
    shorter = TokenSequence(sequence.ids[kept], sequence.labels[kept], sequence.start, len(indices))
    return shorter, positions[..., kept]


def pad_batch(rows: Sequence[Tensor], value: float) -> Tensor:
    """Stack rows (L_i, ...) of different length, filled up on the right: (B, max L_i, ...)."""
    return pad_sequence(list(rows), batch_first=True, padding_value=value)
