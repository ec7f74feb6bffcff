"""Token sequences of the multimodal LLM: written from a prompt, shortened by compression, padded to a batch."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lavida_mm.models.mllm.families import VisualInput
from lavida_mm.models.mllm.prompts import SEG_TOKEN, build_answer, build_question
from lavida_mm.utils.errors import DataError

__all__ = ['IGNORE', 'PromptWriter', 'TokenSequence', 'keep_visual_tokens', 'pad_batch']

IGNORE = -100  # label of tokens that the language-model loss leaves out
QUESTION_MARK, ANSWER_MARK = 'QUESTION-HERE', 'ANSWER-HERE'


class TokenSequence(NamedTuple):
    """One sample's tokens.

    Attributes:
        ids: (L,).
        labels: the ids of the answer, IGNORE elsewhere, (L,).
        is_visual: where visual tokens stand, bool (L,).
    """

    ids: Tensor
    labels: Tensor
    is_visual: Tensor


class PromptWriter:
    """Writes the conversation of one question and its answer in the model's own chat format.

    Args:
        processor: of transformers, with tokenizer and chat template. ``<SEG>`` is added to the tokenizer if it
            has none.

    Raises:
        DataError: the tokenizer cannot take ``<SEG>``, or the processor has no chat template.
    """

    def __init__(self, processor: Any) -> None:
        from tokenizers import AddedToken

        self.processor = processor
        self.tokenizer = processor.tokenizer
        if not self._tokenise('text')['input_ids']:
            raise DataError(f'{self.tokenizer.name_or_path}: tokenizer.json: must be there, with tokens for any text')
        if SEG_TOKEN not in self.tokenizer.get_vocab():
            self.tokenizer.add_tokens([AddedToken(SEG_TOKEN, special=True, normalized=False)], special_tokens=True)
        self.seg_id = self.tokenizer.convert_tokens_to_ids(SEG_TOKEN)
        if self._tokenise(SEG_TOKEN)['input_ids'] != [self.seg_id]:
            raise DataError(f'{self.tokenizer.name_or_path}: tokenizer: {SEG_TOKEN} must be one token, and is not')
        if not (processor.chat_template or self.tokenizer.chat_template):
            raise DataError(f'{self.tokenizer.name_or_path}: chat_template: must be there to write a prompt')
        self.reserved = sorted({*self.tokenizer.all_special_tokens, *self.tokenizer.get_added_vocab()})
        self._frames = {is_video: self._frame(is_video) for is_video in (False, True)}

    def write(self, categories: Sequence[str], template: int, sample: VisualInput) -> TokenSequence:
        """Tokenise one sample.

        Args:
            categories: the n words of the prompt.
            template: number of the prompt template.
            sample: what is shown.

        Raises:
            DataError: no word, a word that the tokenizer reads as a special token, or a chat template that does not
                show the question once and the answer with its ``<SEG>`` once.
        """
        head, middle, tail = self._frames[sample.is_video]
        shown = [sample.text]
        images, videos = ([], shown) if sample.is_video else (shown, [])
        (head,), _ = self.processor.get_text_with_replacements([head], images, videos)
        prompt = head + build_question(categories, template, self.reserved) + middle
        answer = build_answer(template) + tail
        ids, is_answer = self._tokenise_runs(prompt, answer, sample.placeholder)
        if (count := int((ids == self.seg_id).sum())) != 1:
            raise DataError(
                f'{self.tokenizer.name_or_path}: a conversation must hold exactly one {SEG_TOKEN}, got {count}'
            )
        labels = torch.where(is_answer, ids, IGNORE)
        is_visual = ids == sample.placeholder
        is_visual &= is_visual.cumsum(0) <= sample.num_tokens
        assert int(is_visual.sum()) == sample.num_tokens, 'the processor wrote fewer placeholders than tokens'
        return TokenSequence(ids, labels, is_visual)

    def _tokenise(self, text: str, **settings: Any) -> Any:
        return self.tokenizer(text, add_special_tokens=False, **settings)

    def _tokenise_runs(self, prompt: str, answer: str, placeholder: int) -> tuple[Tensor, Tensor]:
        """Ids (L,) of prompt and answer, and which of them belong to the answer.

        Runs of placeholders, thousands of tokens long, pass the tokenizer as one token each.
        """
        token = self.tokenizer.convert_ids_to_tokens(placeholder)
        run = re.compile(f'(?:{re.escape(token)})+')
        lengths = torch.tensor([len(found) // len(token) for found in run.findall(prompt)])
        short = run.sub(token, prompt)
        # In one go, since a blank before the answer can belong to its first word.
        encoded = self._tokenise(short + answer, return_offsets_mapping=True)
        ids = torch.tensor(encoded['input_ids'])
        is_answer = torch.tensor([end > len(short) for _, end in encoded['offset_mapping']])
        repeats = torch.ones_like(ids)
        repeats[(ids == placeholder) & ~is_answer] = lengths
        return ids.repeat_interleave(repeats), is_answer.repeat_interleave(repeats)

    def _frame(self, is_video: bool) -> tuple[str, str, str]:
        """What the chat template writes before the question, between question and answer, and after."""
        shown = {'type': 'video' if is_video else 'image'}
        messages = [
            {'role': 'user', 'content': [shown, {'type': 'text', 'text': QUESTION_MARK}]},
            {'role': 'assistant', 'content': [{'type': 'text', 'text': ANSWER_MARK}]},
        ]
        # SmolVLM's processor adds settings of its own and warns of them, unless there are some already.
        text = self.processor.apply_chat_template(messages, tokenize=False, processor_kwargs={'padding': False})
        if text.count(QUESTION_MARK) != 1 or text.count(ANSWER_MARK) != 1:
            raise DataError(f'{self.tokenizer.name_or_path}: chat_template: must show question and answer once')
        head, rest = text.split(QUESTION_MARK)
        middle, tail = rest.split(ANSWER_MARK)
        return head, middle, tail


def keep_visual_tokens(sequence: TokenSequence, positions: Tensor, indices: Tensor) -> tuple[TokenSequence, Tensor]:
    """Take the visual tokens that were dropped or merged away out of a sequence.

    Args:
        sequence: of L tokens, L' of them visual.
        positions: rotary positions, (P, L).
        indices: sorted places of the kept ones among the L' visual tokens, (R,).

    Returns:
        the shorter sequence, of L - L' + R tokens, and its positions: each token keeps its own.
    """
    kept = ~sequence.is_visual
    kept[sequence.is_visual.nonzero().flatten()[indices]] = True
    return TokenSequence(*(row[kept] for row in sequence)), positions[:, kept]


def pad_batch(rows: Sequence[Tensor], value: float, length: int = 0) -> Tensor:
    """Stack rows (L_i, ...) of different length, filled up on the left to ``length`` at least: (B, L, ...)."""
    padded = pad_sequence(list(rows), batch_first=True, padding_value=value, padding_side='left')
    batch, longest, *rest = padded.shape
    if longest >= length:
        return padded
    return torch.cat([padded.new_full((batch, length - longest, *rest), value), padded], dim=1)
