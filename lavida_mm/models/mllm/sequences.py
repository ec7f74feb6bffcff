"""Token sequences of the multimodal LLM: written from a prompt, shortened by compression, padded to a batch."""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lavida_mm.models.mllm.families import VisualInput
from lavida_mm.models.mllm.prompts import SEG_TOKEN, build_answer, build_question
from lavida_mm.utils.errors import DataError

__all__ = ['IGNORE', 'PromptWriter', 'TokenSequence', 'Turn', 'keep_visual_tokens', 'pad_batch']

IGNORE = -100  # label of tokens that the language-model loss leaves out
QUESTION_MARK, ANSWER_MARK = 'QUESTION-HERE', 'ANSWER-HERE'


class Turn(NamedTuple):
    """One question about what is shown, and its answer."""

    question: str
    answer: str


class TokenSequence(NamedTuple):
    """One sample's tokens.

    Attributes:
        ids: (L,).
        labels: the ids of the answers, IGNORE elsewhere, (L,).
        is_visual: where visual tokens stand, bool (L,).
    """

    ids: Tensor
    labels: Tensor
    is_visual: Tensor


class PromptWriter:
    """Writes conversations of questions and answers in the model's own chat format.

    Args:
        processor: of transformers, with tokenizer and chat template. ``<SEG>`` is added to the tokenizer if it
            has none.
        answer: ``'joint'`` or ``'each'``, see :func:`build_answer`.

    Raises:
        DataError: the tokenizer cannot take ``<SEG>``, or the processor has no chat template.
    """

    def __init__(self, processor: Any, answer: str = 'joint') -> None:
        from tokenizers import AddedToken

        self.processor = processor
        self.answer = answer
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
        self._frames: dict[tuple[bool, int], list[str]] = {}
        for is_video in (False, True):
            self._frame(is_video, 1)  # a template that does not fit is an error from the start

    def write(
        self, categories: Sequence[str], template: int, sample: VisualInput, turns: Sequence[Turn] = ()
    ) -> TokenSequence:
        """Tokenise the conversation about one sample.

        Args:
            categories: the n words of the prompt.
            template: number of the prompt template.
            sample: what is shown, before the first question.
            turns: what is asked after the prompt, and the answers; later turns see earlier ones.

        Raises:
            DataError: no word, a blank text, a text that the tokenizer reads as a special token, or a chat template
                that does not show each question and each answer once.
        """
        question = build_question(categories, template, self.reserved)
        self._check_turns(turns)
        sequence = self._write([Turn(question, build_answer(categories, template, self.answer)), *turns], sample)
        wanted = len(categories) if self.answer == 'each' else 1
        if (count := int((sequence.ids == self.seg_id).sum())) != wanted:
            number = 'one' if wanted == 1 else wanted
            raise DataError(
                f'{self.tokenizer.name_or_path}: a conversation must hold exactly {number} {SEG_TOKEN}, got {count}'
            )
        return sequence

    def _check_turns(self, turns: Sequence[Turn]) -> None:
        for text in (text for turn in turns for text in turn):
            if not text.strip():
                raise DataError(f'a conversation must not hold a blank question or answer, got {text!r}')
            for token in self.reserved:
                if token in text:
                    raise DataError(f'conversation: {text!r} contains {token!r}, which the model reads as special')

    def _write(self, turns: Sequence[Turn], sample: VisualInput) -> TokenSequence:
        head, *between, tail = self._frame(sample.is_video, len(turns))
        shown = [sample.text]
        images, videos = ([], shown) if sample.is_video else (shown, [])
        (head,), _ = self.processor.get_text_with_replacements([head], images, videos)
        runs = [(head, False)]  # texts, and whether the model has to say them
        for number, turn in enumerate(turns):
            after = tail if number == len(turns) - 1 else between[2 * number + 1]
            alike = takewhile(lambda pair: pair[0] == pair[1], zip(after, tail, strict=False))
            said = sum(1 for _ in alike)  # what ends an answer is part of it
            runs += [(turn.question + between[2 * number], False), (turn.answer + after[:said], True)]
            runs.append((after[said:], False))
        ids, is_answer = self._tokenise_runs(runs, sample.placeholder)
        is_visual = ids == sample.placeholder
        is_visual &= is_visual.cumsum(0) <= sample.num_tokens
        assert int(is_visual.sum()) == sample.num_tokens, 'the processor wrote fewer placeholders than tokens'
        return TokenSequence(ids, torch.where(is_answer, ids, IGNORE), is_visual)

    def _tokenise(self, text: str, **settings: Any) -> Any:
        return self.tokenizer(text, add_special_tokens=False, **settings)

    def _tokenise_runs(self, runs: Sequence[tuple[str, bool]], placeholder: int) -> tuple[Tensor, Tensor]:
        """Ids (L,) of texts in a row, and which of them belong to texts that are marked as answers.

        Runs of placeholders, thousands of tokens long, pass the tokenizer as one token each.
        """
        token = self.tokenizer.convert_ids_to_tokens(placeholder)
        run = re.compile(f'(?:{re.escape(token)})+')
        lengths = [len(found) // len(token) for text, said in runs if not said for found in run.findall(text)]
        short = [text if said else run.sub(token, text) for text, said in runs]
        # In one go, since a blank before the answer can belong to its first word.
        encoded = self._tokenise(''.join(short), return_offsets_mapping=True)
        ids = torch.tensor(encoded['input_ids'])
        letters = torch.tensor([said for text, (_, said) in zip(short, runs, strict=True) for _ in text])
        ends = torch.tensor([end for _, end in encoded['offset_mapping']])
        is_answer = letters[(ends - 1).clamp(min=0)]  # by its last letter
        repeats = torch.ones_like(ids)
        repeats[(ids == placeholder) & ~is_answer] = torch.tensor(lengths)
        return ids.repeat_interleave(repeats), is_answer.repeat_interleave(repeats)

    def _frame(self, is_video: bool, num_turns: int) -> list[str]:
        """What the chat template writes before, between and after the questions and answers, 2 x turns + 1 texts."""
        if (is_video, num_turns) not in self._frames:
            shown = [{'type': 'video' if is_video else 'image'}]
            messages = []
            for _ in range(num_turns):
                messages += [
                    {'role': 'user', 'content': [*shown, {'type': 'text', 'text': QUESTION_MARK}]},
                    {'role': 'assistant', 'content': [{'type': 'text', 'text': ANSWER_MARK}]},
                ]
                shown = []
            # SmolVLM's processor adds settings of its own and warns of them, unless there are some already.
            text = self.processor.apply_chat_template(messages, tokenize=False, processor_kwargs={'padding': False})
            if text.count(QUESTION_MARK) != num_turns or text.count(ANSWER_MARK) != num_turns:
                raise DataError(f'{self.tokenizer.name_or_path}: chat_template: must show question and answer once')
            self._frames[is_video, num_turns] = re.split(f'{QUESTION_MARK}|{ANSWER_MARK}', text)
        return self._frames[is_video, num_turns]


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
