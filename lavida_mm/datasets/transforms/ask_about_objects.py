"""A prompt about a clip, questions about it and their answers, from its objects and their words."""

from collections.abc import Container, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from lavida_mm.datasets.distractors import draw_absent
from lavida_mm.datasets.said_together import SaidTogether
from lavida_mm.datasets.transforms.pack_vad_inputs import split_channels
from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.registry import TRANSFORMS
from lavida_mm.structures import VADDataSample
from lavida_mm.utils.checks import check_count, check_number
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import split_phrase, split_phrases, unique_words, word_key

__all__ = ['AskAboutObjects']

CAPTION = 'What is in the {scene}?'
PRESENT = 'Is this in the {scene}: {word}?'
WHICH = 'Which of these is in the {scene}: {words}?'
NONE = 'none'


@TRANSFORMS.register_module()
class AskAboutObjects(BaseTransform):
    """Write a prompt and a conversation about a clip, and pack them for ``MLLMPretrainer``.

    The prompt names words of which, for each by itself, half of the time one is true that it does not name yet. The
    conversation after it has three kinds of questions: what is there (a caption: one word or phrase of each object, in
    any order); whether a word is true, half of the time it is; and which one of several is true, or none.

    What is asked for in vain is drawn from the source's vocabulary. It is as long as something that is said of the
    objects, so that its length does not tell, and mostly says the same words, but of none of them together: a red star
    that rests and a ring that moves left make "red star moving left". A word is true of an object that shows in more
    than half of the clip's frames, and absent where no object bears it.

    Required keys: frames, uint8 (T, H, W, 3); object_masks, bool (N, T, H, W); object_words, list[N] of list[str];
    vocabulary; video_id; source.

    Returns:
        dict with ``inputs``, uint8 (T, 3, H, W), and ``data_samples`` with ``gt_object_masks``, bool (N, T, H, W), and
        ``gt_category_labels``, int64 (n,), and the meta information ``categories``, ``template``, ``conversation``,
        list of (question, answer), and ``object_words``. With ``looks`` also ``unheard_words``, list[N] of the single
        words that are never said of what looks like the object, and ``unheard_of``, bool (n, N): which words of the
        prompt are false of which object by such words alone.

    Args:
        num_words: most words of the prompt; fewer where the vocabulary has not as many.
        num_questions: of the conversation after it.
        caption_ratio: probability that a question is for a caption.
        which_ratio: probability that it is which one of several is true; else it is whether one is.
        max_words: most words of such a list, at least 2.
        near_ratio: probability that what is asked for in vain is near to what is there: of several candidates, that of
            which the largest share of words is said of the objects; with ``looks``, among those that name the looks of
            one object, if any does.
        candidates: how many absent words to choose among; the more, the nearer they come.
        looks: groups of single words that tell how things look, e.g. colours and shapes, which exclude each other.

    Raises:
        ValueError: a number out of range, or looks that are no groups.
    """

    def __init__(
        self,
        *,
        num_words: int = 5,
        num_questions: int = 2,
        caption_ratio: float = 0.15,
        which_ratio: float = 0.35,
        max_words: int = 5,
        near_ratio: float = 0.7,
        candidates: int = 32,
        looks: dict[str, list[str]] | None = None,
    ):
        check_count('num_words', num_words)
        check_count('num_questions', num_questions, least=0)
        check_count('max_words', max_words, least=2)
        check_count('candidates', candidates)
        for name, ratio in (('caption_ratio', caption_ratio), ('which_ratio', which_ratio), ('near_ratio', near_ratio)):
            check_number(name, ratio, least=0)
            if ratio > 1:
                raise ValueError(f'{name} must be in [0, 1], got {ratio}')
        if caption_ratio + which_ratio > 1:
            raise ValueError(
                f'caption_ratio and which_ratio must sum to 1 at most, got {caption_ratio} and {which_ratio}'
            )
        self.num_words = num_words
        self.num_questions = num_questions
        self.caption_ratio = caption_ratio
        self.which_ratio = which_ratio
        self.max_words = max_words
        self.near_ratio = near_ratio
        self.candidates = candidates
        if looks is not None:
            SaidTogether((), looks)  # bad groups are an error before anything is drawn
        self.looks = looks
        self._together: tuple[Sequence[str], SaidTogether] | None = None  # of the vocabulary seen last

    def transform(self, results: dict) -> dict:
        rng = np.random.default_rng(np.random.randint(2**31))
        masks = results['object_masks']
        object_words = _spell_alike(results['object_words'])
        if len(object_words) != len(masks):
            raise DataError(
                f'source {results["source"]!r}, {results["video_id"]!r}: object_words must be one list for each of '
                f'object_masks, got {len(object_words)} for {len(masks)}'
            )
        scene = 'image' if len(results['frames']) == 1 else 'video'
        shown = masks.any(axis=(2, 3)).mean(axis=1) > 0.5  # (N,)
        true = [words for words, seen in zip(object_words, shown, strict=True) if seen and words]
        together = self._find_together(results['vocabulary'])
        most = max(self.candidates, self.num_words, self.max_words)
        draw = _WordDraw({**results, 'object_words': object_words}, self.near_ratio, most, together, rng)
        categories, labels = self._name(true, draw, rng)
        conversation = [self._ask(scene, true, draw, rng) for _ in range(self.num_questions)]
        sample = VADDataSample(
            metainfo=dict(
                video_id=results['video_id'],
                source=results['source'],
                object_words=object_words,
                categories=categories,
                template=0,
                conversation=conversation,
            )
        )
        if together is not None:
            sample.set_metainfo(dict(unheard_words=[together.list_unheard(bearer.looks) for bearer in draw.bearers]))
            unheard = [[bearer.is_unheard(word, together) for bearer in draw.bearers] for word in categories]
            sample.unheard_of = torch.tensor(unheard, dtype=torch.bool).reshape(len(categories), len(draw.bearers))
        sample.gt_category_labels = torch.tensor(labels)
        sample.gt_object_masks = torch.from_numpy(np.ascontiguousarray(masks))
        return dict(inputs=torch.from_numpy(split_channels(results['frames'])), data_samples=sample)

    def _find_together(self, vocabulary: Sequence[str]) -> SaidTogether | None:
        if self.looks is None:
            return None
        if self._together is None or self._together[0] is not vocabulary:
            self._together = (vocabulary, SaidTogether(vocabulary, self.looks))
        return self._together[1]

    def _name(self, true: list[list[str]], draw: '_WordDraw', rng: np.random.Generator) -> tuple[list[str], list[int]]:
        """The words of the prompt in any order, and 1 for each that is true."""
        there = [unique_words(words) for words in true]
        named: dict[str, int] = {}
        for _ in range(self.num_words):
            positive = bool(rng.random() < 0.5)
            options = [left for words in there if (left := [word for word in words if word not in named])]
            if positive and options:
                named[pick(pick(options, rng), rng)] = 1
            else:
                named.update((word, 0) for word in draw(1, but=named))
        words = [list(named)[int(place)] for place in rng.permutation(len(named))]
        return words, [named[word] for word in words]

    def _ask(self, scene: str, true: list[list[str]], draw: '_WordDraw', rng: np.random.Generator) -> tuple[str, str]:
        kind = rng.random()
        if kind < self.caption_ratio:
            said = unique_words(pick(true[int(place)], rng) for place in rng.permutation(len(true)))
            return CAPTION.format(scene=scene), f'{", ".join(said) or NONE}.'
        positive = bool(rng.random() < 0.5) and len(true) > 0
        target = [pick(pick(true, rng), rng)] if positive else []
        if kind < self.caption_ratio + self.which_ratio:
            number = int(rng.integers(2, self.max_words + 1))
            named = target + draw(number - len(target))
            words = ', '.join(named[int(place)] for place in rng.permutation(len(named)))
            return WHICH.format(scene=scene, words=words), f'{target[0] if positive else NONE}.'
        return PRESENT.format(scene=scene, word=(target or draw(1))[0]), 'yes.' if positive else 'no.'


class _Candidate(NamedTuple):
    """What may be asked for in vain.

    Attributes:
        word: word or phrase.
        length: number of its single words.
        share: of its different single words, how many are said of any object.
        is_strange: whether no object looks as it says.
    """

    word: str
    length: int
    share: float
    is_strange: bool


class _WordDraw:
    """Draws words of the vocabulary that no object of the clip bears."""

    def __init__(
        self,
        results: dict,
        near_ratio: float,
        candidates: int,
        together: SaidTogether | None,
        rng: np.random.Generator,
    ) -> None:
        words = results['vocabulary']
        words = words if isinstance(words, Vocabulary) else Vocabulary(words)
        borne = [word for own in results['object_words'] for word in own]
        present = words.find([*borne, *results.get('present_words', ())])
        absent = len(words) - len(present)
        if not absent:
            raise DataError(
                f'source {results["source"]!r}, {results["video_id"]!r}: every one of the {len(words)} words of '
                'the vocabulary is present, none can be asked for in vain: give the source extra_words'
            )
        self.lengths = [len(word.split()) for word in borne]
        self.near_ratio = near_ratio
        self.together = together
        self.rng = rng
        self.bearers: list[_Bearer] = []
        if together is not None:
            self.bearers = [
                _Bearer(together.find_looks(own), frozenset(own), split_phrases(own)) for own in results['object_words']
            ]
        places = draw_absent(len(words), present, min(candidates, absent), rng)
        said = split_phrases(borne)
        self.candidates = []
        for place in places:
            word = words[int(place)]
            parts = split_phrase(word)
            if not parts:
                raise DataError(f'source {results["source"]!r}: vocabulary must not hold a blank word, got {word!r}')
            share = len(parts & said) / len(parts)
            named = together.find_looks([word]) if together is not None else frozenset()
            is_strange = together is not None and not any(named <= bearer.looks for bearer in self.bearers)
            self.candidates.append(_Candidate(word, len(word.split()), share, is_strange))

    def __call__(self, number: int, but: Container[str] = ()) -> list[str]:
        """At most ``number`` words, each once and none of ``but``; fewer where there are not as many."""
        near = self.rng.random() < self.near_ratio
        length = pick(self.lengths, self.rng) if self.lengths else None

        def rank(candidate: _Candidate) -> tuple[bool, bool, float]:
            wrong_length = length is not None and candidate.length != length
            return wrong_length, near and candidate.is_strange, -candidate.share if near else 0.0

        shuffled = [self.candidates[int(place)] for place in self.rng.permutation(len(self.candidates))]
        found = [each.word for each in sorted(shuffled, key=rank) if each.word not in but]
        if self.together is not None:
            heard = (word for word in found if not self._is_unheard(word))
            found = list(islice(heard, number)) or found
        return found[:number]

    def _is_unheard(self, word: str) -> bool:
        assert self.together is not None
        return any(bearer.is_unheard(word, self.together) for bearer in self.bearers)


class _Bearer(NamedTuple):
    """An object: what it looks like, its words and phrases, and all single words of these."""

    looks: frozenset[str]
    words: frozenset[str]
    parts: frozenset[str]

    def is_unheard(self, word: str, together: SaidTogether) -> bool:
        """Whether a word is false of it only by what is never said of its looks."""
        return word not in self.words and together.is_unheard(word, self.looks, self.parts)


def _spell_alike(object_words: Sequence[Sequence[str]]) -> list[list[str]]:
    """Each object's words, cleaned and each once; what is one word but for case or blanks has one spelling."""
    spelling = {word_key(word): word for word in reversed(unique_words(word for own in object_words for word in own))}
    return [[spelling[word_key(word)] for word in unique_words(own)] for own in object_words]


def pick(options: list, rng: np.random.Generator):
    """One of several, each as likely."""
    return options[int(rng.integers(len(options)))]
