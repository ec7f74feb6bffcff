"""Declares an annotated object the anomaly of its scene, and writes the list of words that names it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.datasets.distractors import draw_absent, draw_nearest
from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.datasets.word_embeddings import align_embeddings
from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.checks import check_count, check_number
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import clean_word, word_key

__all__ = ['ExposurePlan', 'HardWords', 'PseudoAnomalySampler', 'draw_exposure']

DISTRACTORS = ('vocabulary', 'phrases', 'hard')


@dataclass(frozen=True)
class ExposurePlan:
    """What was drawn for one clip.

    Attributes:
        categories: the n words of the prompt, in the order of the prompt.
        targets: which of them are targets; empty for a negative.
        template: number of the prompt template.
    """

    categories: tuple[str, ...]
    targets: tuple[str, ...]
    template: int


@dataclass(frozen=True)
class HardWords:
    """What distractors that are near to the targets are drawn from.

    Attributes:
        embeddings: of the vocabulary's words, float32 (V, D), of length 1.
        pool: how many of the nearest absent words to draw among.
    """

    embeddings: np.ndarray
    pool: int


def draw_exposure(
    object_words: Sequence[Sequence[str]],
    vocabulary: Sequence[str],
    present_words: Sequence[str],
    *,
    anomaly_ratio: float,
    max_categories: int,
    num_targets: tuple[int, int],
    num_templates: int,
    rng: np.random.Generator,
    phrases_only: bool = False,
    hard: HardWords | None = None,
) -> ExposurePlan | None:
    """Draw targets and distractors (docs/method.md, section 1).

    Each target is one word of an object that may be one and that no target drawn before names. Distractors are
    words of the vocabulary that name nothing in the clip; authors leave out the targets' words only, so that their
    negatives can name a present object.

    Args:
        object_words: words of each object that may be a target, list[N].
        vocabulary: words of the source; as a ``Vocabulary`` its size costs no time.
        present_words: further words that may not serve as distractors.
        anomaly_ratio: probability of a positive, where there is a target.
        max_categories: most words of a prompt.
        num_targets: least and most targets of a positive.
        num_templates: number of prompt templates.
        rng: source of all randomness.
        phrases_only: distractors consist of more than one word.
        hard: distractors are near to the targets, in a negative to one present word; where the clip has none that the
            vocabulary knows, they are any words.

    Returns:
        the plan, or None where no word of the vocabulary can be a distractor.
    """
    words = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
    present = words.find(word for own in (*object_words, present_words) for word in own)
    pool = words.phrases if phrases_only else None  # None: all words
    size = len(words) if pool is None else len(pool)
    taken = present if pool is None else np.flatnonzero(np.isin(pool, present))
    if size == len(taken):
        return None
    positive = bool(rng.random() < anomaly_ratio)
    wanted = int(rng.integers(num_targets[0], num_targets[1] + 1))
    targets = _draw_targets(object_words, wanted, rng) if positive else []
    most = min(max_categories - len(targets), size - len(taken))
    number = int(rng.integers(1, most + 1))
    anchors = words.find(targets) if targets else present
    if hard is not None and len(anchors):
        if not targets:
            anchors = anchors[[int(rng.integers(len(anchors)))]]
        similarity = (hard.embeddings @ hard.embeddings[anchors].T).max(axis=1)  # (V,)
        places = draw_nearest(similarity, present, number, hard.pool, rng)
    else:
        places = draw_absent(size, taken, number, rng)
        if pool is not None:
            places = pool[places]
    prompt = [*targets, *(words[int(place)] for place in places)]
    order = rng.permutation(len(prompt))
    return ExposurePlan(tuple(prompt[index] for index in order), tuple(targets), int(rng.integers(num_templates)))


def _draw_targets(object_words: Sequence[Sequence[str]], wanted: int, rng: np.random.Generator) -> list[str]:
    targets: list[str] = []
    open_objects = [words for words in object_words if words]
    while open_objects and len(targets) < wanted:
        words = open_objects[int(rng.integers(len(open_objects)))]
        target = clean_word(words[int(rng.integers(len(words)))])
        targets.append(target)
        open_objects = [words for words in open_objects if word_key(target) not in map(word_key, words)]
    return targets


@TRANSFORMS.register_module()
class PseudoAnomalySampler(BaseTransform):
    """The paper's anomaly exposure sampler: the target of a positive is what the prompt names and the clip shows.

    Every object that carries the target's word is in the mask: of two red stars, both. The prompt of a negative
    names only what is absent, its mask is empty and its frames are normal.

    Required keys: object_masks, bool (N, T, H, W); object_words, list[N] of list[str]; vocabulary; source.
    Optional: present_words, words known to be present though no mask shows it.

    Removed keys: object_masks, object_words, vocabulary, present_words.

    Added keys: categories, list[str] (n); gt_masks, bool (T, H, W); gt_frame_labels, int64 (T,), 1 where the mask
    has a pixel; gt_category_labels, int64 (n,); template, int.

    Args:
        anomaly_ratio: probability of a positive.
        max_categories: most words of a prompt; the authors' 30, Mapillary 20, Cityscapes 6.
        num_targets: least and most targets of a positive; fewer where the clip has not as many.
        num_templates: number of prompt templates to draw from.
        distractors: ``'vocabulary'``, any absent words, as the paper has it; ``'phrases'``, those of more than one
            word, for sources of referring phrases that also have category words; ``'hard'``, those whose text
            embeddings are the nearest to the targets', in a negative to a present word's.
        embeddings: file of these, for ``'hard'``; tools/dataset_tools/embed_vocabulary.py writes it.
        hard_pool: how many of the nearest words to draw among.
        min_area: share of a frame that an object must cover in one frame at least to be a target; smaller ones are
            present all the same, and in the mask where they bear the target's word.

    Raises:
        ValueError: an argument is out of range.
        DataError: the source's vocabulary has no word that is absent from the clip.
    """

    def __init__(
        self,
        *,
        anomaly_ratio: float = 0.5,
        max_categories: int = 30,
        num_targets: Sequence[int] = (1, 1),
        num_templates: int = 1,
        distractors: str = 'vocabulary',
        embeddings: str | None = None,
        hard_pool: int = 50,
        min_area: float = 0.0,
    ):
        check_number('anomaly_ratio', anomaly_ratio)
        if not 0 <= anomaly_ratio <= 1:
            raise ValueError(f'anomaly_ratio must be in [0, 1], got {anomaly_ratio}')
        if isinstance(num_targets, int) or len(num_targets) != 2 or not num_targets[0] <= num_targets[1]:
            raise ValueError(f'num_targets must be the least and the most, at least 1, got {num_targets!r}')
        check_count('num_targets', num_targets[0])
        check_count('num_targets', num_targets[1])
        check_count('max_categories', max_categories)
        if max_categories <= num_targets[1]:
            raise ValueError(
                f'max_categories must leave room for a distractor beside {num_targets[1]} targets, got {max_categories}'
            )
        check_count('num_templates', num_templates)
        if distractors not in DISTRACTORS:
            raise ValueError(f'distractors must be one of {DISTRACTORS}, got {distractors!r}')
        if (distractors == 'hard') != (embeddings is not None):
            raise ValueError(
                f"embeddings must be given with distractors='hard' and without it not, got {embeddings!r}; "
                'tools/dataset_tools/embed_vocabulary.py writes them'
            )
        check_count('hard_pool', hard_pool)
        if not 0 <= min_area < 1:
            raise ValueError(f'min_area must be in [0, 1), got {min_area}')
        self.anomaly_ratio = anomaly_ratio
        self.max_categories = max_categories
        self.num_targets = (int(num_targets[0]), int(num_targets[1]))
        self.num_templates = num_templates
        self.distractors = distractors
        self.embeddings = None if embeddings is None else Path(embeddings)
        self.hard_pool = hard_pool
        self.min_area = min_area
        self._hard: tuple[Sequence[str], HardWords] | None = None  # for this vocabulary

    def check_vocabulary(self, source: str, vocabulary: Vocabulary) -> None:
        """See that the words of a source suffice, and load what belongs to them; a mixture does so when it is built.

        Args:
            source: its name, for the error.
            vocabulary: its words.

        Raises:
            ValueError: prompts of ``max_categories`` words cannot be made of them.
            DataError: the file of embeddings lacks some.
        """
        phrases = self.distractors == 'phrases'
        most, has = len(vocabulary), f'{len(vocabulary)} words'
        if phrases:
            most = len(vocabulary.phrases) + self.num_targets[1]
            has = f'{len(vocabulary.phrases)} phrases, and a prompt {self.num_targets[1]} targets'
        if self.max_categories > most:
            raise ValueError(
                f'source {source!r}: max_categories must be at most {most}, since its vocabulary has {has}, '
                f'got {self.max_categories}: lower it, or give the source extra_words'
            )
        self._find_hard(source, vocabulary)

    def _find_hard(self, source: str, vocabulary: Sequence[str]) -> HardWords | None:
        if self.embeddings is None:
            return None
        if self._hard is None or self._hard[0] is not vocabulary:
            words = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
            self._hard = vocabulary, HardWords(align_embeddings(self.embeddings, words, source), self.hard_pool)
        return self._hard[1]

    def transform(self, results: dict) -> dict:
        rng = np.random.default_rng(np.random.randint(2**31))
        return self._apply(results, self._draw(results, rng))

    def _draw(self, results: dict, rng: np.random.Generator) -> ExposurePlan:
        masks, words = results['object_masks'], results['object_words']
        visible = masks.any(axis=(1, 2, 3))
        large = visible
        if self.min_area:
            large = visible & (masks.mean(axis=(2, 3)).max(axis=1, initial=0) >= self.min_area)
        small = [word for own, seen, big in zip(words, visible, large, strict=True) if seen and not big for word in own]
        plan = draw_exposure(
            [own for own, big in zip(words, large, strict=True) if big],
            results['vocabulary'],
            [*results.get('present_words', ()), *small],
            anomaly_ratio=self.anomaly_ratio,
            max_categories=self.max_categories,
            num_targets=self.num_targets,
            num_templates=self.num_templates,
            rng=rng,
            phrases_only=self.distractors == 'phrases',
            hard=self._find_hard(results['source'], results['vocabulary']),
        )
        if plan is None:
            kind = 'phrases among the ' if self.distractors == 'phrases' else ''
            raise DataError(
                f'source {results["source"]!r}, {results.get("video_id")!r}: every one of the {kind}'
                f'{len(results["vocabulary"])} words of the vocabulary is present, none can be a distractor: '
                'give the source extra_words'
            )
        return plan

    def _apply(self, results: dict, plan: ExposurePlan) -> dict:
        masks, words = results.pop('object_masks'), results.pop('object_words')
        targets = {word_key(word) for word in plan.targets}
        chosen = [not targets.isdisjoint(map(word_key, own)) for own in words]
        union = masks[np.asarray(chosen, dtype=bool)].any(axis=0)  # (T, H, W)
        results.pop('vocabulary', None)
        results.pop('present_words', None)
        results['categories'] = list(plan.categories)
        results['gt_masks'] = union
        results['gt_frame_labels'] = union.any(axis=(1, 2)).astype(np.int64)
        results['gt_category_labels'] = np.asarray([word_key(word) in targets for word in plan.categories], np.int64)
        results['template'] = plan.template
        return results
