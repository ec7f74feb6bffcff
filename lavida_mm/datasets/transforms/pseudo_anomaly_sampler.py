"""Declares an annotated object the anomaly of its scene, and writes the list of words that names it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.datasets.words import clean_word, word_key
from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.errors import DataError

__all__ = ['ExposurePlan', 'PseudoAnomalySampler', 'draw_exposure']


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
) -> ExposurePlan | None:
    """Draw targets and distractors (docs/method.md, section 1).

    Each target is one word of an object that is visible and that no target drawn before names. Distractors are
    words of the vocabulary that name nothing in the clip; authors leave out the targets' words only, so that their
    negatives can name a present object.

    Args:
        object_words: words of each visible object, list[N].
        vocabulary: words of the source.
        present_words: further words that may not serve as distractors.
        anomaly_ratio: probability of a positive, where there is a target.
        max_categories: most words of a prompt.
        num_targets: least and most targets of a positive.
        num_templates: number of prompt templates.
        rng: source of all randomness.

    Returns:
        the plan, or None where no word of the vocabulary can be a distractor.
    """
    present = {word_key(word) for words in (*object_words, present_words) for word in words}
    absent = list({word_key(word): clean_word(word) for word in vocabulary if word_key(word) not in present}.values())
    if not absent:
        return None
    positive = bool(rng.random() < anomaly_ratio)
    wanted = int(rng.integers(num_targets[0], num_targets[1] + 1))
    targets = _draw_targets(object_words, wanted, rng) if positive else []
    most = min(max_categories - len(targets), len(absent))
    number = int(rng.integers(1, most + 1))
    distractors = [absent[index] for index in rng.choice(len(absent), number, replace=False)]
    words = [*targets, *distractors]
    order = rng.permutation(len(words))
    return ExposurePlan(tuple(words[index] for index in order), tuple(targets), int(rng.integers(num_templates)))


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
    ):
        if not 0 <= anomaly_ratio <= 1:
            raise ValueError(f'anomaly_ratio must be in [0, 1], got {anomaly_ratio}')
        if len(num_targets) != 2 or not 1 <= num_targets[0] <= num_targets[1]:
            raise ValueError(f'num_targets must be the least and the most, at least 1, got {num_targets!r}')
        if max_categories <= num_targets[1]:
            raise ValueError(
                f'max_categories must leave room for a distractor beside {num_targets[1]} targets, got {max_categories}'
            )
        if num_templates < 1:
            raise ValueError(f'num_templates must be at least 1, got {num_templates}')
        self.anomaly_ratio = anomaly_ratio
        self.max_categories = max_categories
        self.num_targets = (int(num_targets[0]), int(num_targets[1]))
        self.num_templates = num_templates

    def transform(self, results: dict) -> dict:
        rng = np.random.default_rng(np.random.randint(2**31))
        return self._apply(results, self._draw(results, rng))

    def _draw(self, results: dict, rng: np.random.Generator) -> ExposurePlan:
        visible = results['object_masks'].any(axis=(1, 2, 3))
        plan = draw_exposure(
            [words for words, seen in zip(results['object_words'], visible, strict=True) if seen],
            results['vocabulary'],
            results.get('present_words', ()),
            anomaly_ratio=self.anomaly_ratio,
            max_categories=self.max_categories,
            num_targets=self.num_targets,
            num_templates=self.num_templates,
            rng=rng,
        )
        if plan is None:
            raise DataError(
                f'source {results["source"]!r}, {results.get("video_id")!r}: every one of the '
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
