"""Conversations of one question and one answer, as the model's own chat format writes them."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lavida_mm.models.mllm.families import VisualInput
from lavida_mm.models.mllm.prompts import SEG_TOKEN, build_answer, build_question
from lavida_mm.models.mllm.sequences import IGNORE, TokenSequence
from lavida_mm.utils.errors import DataError

__all__ = ['PromptWriter', 'Turn']

QUESTION_MARK, ANSWER_MARK = 'QUESTION-HERE', 'ANSWER-HERE'


class Turn(NamedTuple):
    """One question about what is shown, and its answer."""

    question: str
    answer: str


class PromptWriter:
    """Writes conversations of questions and answers in the model's own chat format.

    Args:
        processor: of transformers, with tokenizer and chat template. ``<SEG>`` is added to the tokenizer if it
            has none.
        answer: ``'joint'``, one conversation for all words of a prompt, or ``'each'``, one for each.

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
        self._frames = {is_video: self._split_template(is_video) for is_video in (False, True)}

    def write_prompt(self, categories: Sequence[str], template: int, sample: VisualInput) -> list[TokenSequence]:
        """Tokenise the prompt about one sample: one conversation for all words, or one for each.

        Args:
            categories: the n words of the prompt.
            template: number of the prompt template.
            sample: what is shown.

        Raises:
            DataError: no word, a word that the tokenizer reads as a special token, or a chat template that does not
                show the question once and the answer with its ``<SEG>`` once.
        """
        build_question(categories, template, self.reserved)  # a bad list is an error as a whole
        asked = [[word] for word in categories] if self.answer == 'each' else [categories]
        found = [
            self._write(Turn(build_question(words, template, self.reserved), build_answer(template)), sample)
            for words in asked
        ]
        for sequence in found:
            if (count := int((sequence.ids == self.seg_id).sum())) != 1:
                raise DataError(
                    f'{self.tokenizer.name_or_path}: a conversation must hold exactly one {SEG_TOKEN}, got {count}'
                )
        return found

    def write_turn(self, turn: Turn, sample: VisualInput) -> TokenSequence:
        """Tokenise a question about one sample and its answer.

        Raises:
            DataError: a blank text, or one that the tokenizer reads as a special token.
        """
        for text in turn:
            if not text.strip():
                raise DataError(f'a turn must not hold a blank question or answer, got {text!r}')
            for token in self.reserved:
                if token in text:
                    raise DataError(f'turn: {text!r} contains {token!r}, which the model reads as special')
        return self._write(turn, sample)

    def _write(self, turn: Turn, sample: VisualInput) -> TokenSequence:
        head, middle, tail = self._frames[sample.is_video]
        shown = [sample.text]
        images, videos = ([], shown) if sample.is_video else (shown, [])
        (head,), _ = self.processor.get_text_with_replacements([head], images, videos)
        ids, is_answer = self._tokenise_runs(
            [(head + turn.question + middle, False), (turn.answer + tail, True)], sample.placeholder
        )
        is_visual = ids == sample.placeholder
        is_visual &= is_visual.cumsum(0) <= sample.num_tokens
        assert int(is_visual.sum()) == sample.num_tokens, 'the processor wrote fewer placeholders than tokens'
        return TokenSequence(ids, torch.where(is_answer, ids, IGNORE), is_visual, torch.zeros_like(ids))

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

    def _split_template(self, is_video: bool) -> list[str]:
        """What the chat template writes before the question, between it and the answer, and after."""
        messages = [
            {
                'role': 'user',
                'content': [{'type': 'video' if is_video else 'image'}, {'type': 'text', 'text': QUESTION_MARK}],
            },
            {'role': 'assistant', 'content': [{'type': 'text', 'text': ANSWER_MARK}]},
        ]
        # SmolVLM's processor adds settings of its own and warns of them, unless there are some already.
        text = self.processor.apply_chat_template(messages, tokenize=False, processor_kwargs={'padding': False})
        if text.count(QUESTION_MARK) != 1 or text.count(ANSWER_MARK) != 1:
            raise DataError(f'{self.tokenizer.name_or_path}: chat_template: must show question and answer once')
        return re.split(f'{QUESTION_MARK}|{ANSWER_MARK}', text)
