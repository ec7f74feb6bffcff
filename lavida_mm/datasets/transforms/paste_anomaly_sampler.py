"""Pastes objects of one source into plain clips, and writes the list of words that names one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.datasets.pasting.blending import BLENDINGS
from lavida_mm.datasets.pasting.compose import Paste, paste_objects, place_objects, visible_masks
from lavida_mm.datasets.pasting.cutout import Cutout
from lavida_mm.datasets.pasting.object_picker import ObjectPicker
from lavida_mm.datasets.pasting.track import TrackOptions, draw_track
from lavida_mm.datasets.transforms.pseudo_anomaly_sampler import draw_exposure
from lavida_mm.registry import DATASETS, TRANSFORMS
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import word_key

__all__ = ['PasteAnomalySampler', 'PastePlan']

LEAST_SHOWN = 0.25  # of the target's pixels, in one frame at least; else it is brought to the front


@dataclass(frozen=True, eq=False)
class PastePlan:
    """What was drawn for one clip.

    Attributes:
        pastes: the objects, from back to front.
        target: number of the one that the prompt names; None for a negative.
        categories: the n words of the prompt.
        target_word: the one that names the target; None for a negative.
        template: number of the prompt template.
    """

    pastes: tuple[Paste, ...]
    target: int | None
    categories: tuple[str, ...]
    target_word: str | None
    template: int


@TRANSFORMS.register_module()
class PasteAnomalySampler(BaseTransform):
    """Makes pseudo-anomalies of normal footage: a pasted object that the prompt names.

    Some objects are pasted and not named (decoys), in positives and in negatives, so that what was pasted and what is
    named are two things. A word that the clip is known to have (``present_words``, the words of its own objects, those
    of its decoys) is never named as absent, and an object of such a word is never the target.

    The source of the objects is built in the constructor. Its pipeline ends with frames, object_masks and
    object_words; a video gives the frame that shows most of the object.

    Required keys: frames, uint8 (T, H, W, 3); source. Optional: frame_inds (T,), object_masks, bool (N, T, H, W), which
    may hide what is pasted, object_words, present_words.

    Modified keys: frames.

    Removed keys: object_masks, object_words, vocabulary, present_words.

    Added keys: as ``PseudoAnomalySampler``: categories, list[str] (n); gt_masks, bool (T, H, W), the target's pixels
    that show; gt_frame_labels, int64 (T,), 1 where the mask has a pixel; gt_category_labels, int64 (n,); template, int.

    Args:
        objects: config of a source with masks and words, or the source. Its vocabulary gives the prompt's words.
        paste_words: paste objects that have one of these words; None: all, which in a file that segments whole images
            are the sky and the grass as well. Other words of the vocabulary are still named as absent.
        anomaly_ratio: probability of a positive.
        decoy_ratio: probability of a decoy, in positives and in negatives.
        max_categories: most words of a prompt.
        num_templates: number of prompt templates to draw from.
        scale: least and most of an object's longer side, relative to the frame's shorter side, at most 1.
        horizon: share of the frame's height, from above, at which things have no size; their size grows linearly to
            the lower edge, and they stand below the horizon. None: no perspective.
        speed: least and most way per frame of the video, relative to the frame's shorter side.
        turn: most change of direction per frame of the video, in degrees.
        cut_ratio: probability that an object is there in a part of the clip only.
        flip_ratio: probability that an object is mirrored.
        behind_ratio: probability that one of the clip's own objects hides a pasted one where they meet.
        min_pixels: least pixels of an object where it comes from.
        blending: ``'feather'`` keeps the object's colours, ``'seamless'`` fits them to the frame.
        blend_margin: how far an edge reaches beyond the mask, in pixels; all pixels further out stay as they are.

    Raises:
        ValueError: an argument is out of range.
        DataError: the objects' source gives no masks or no object that fits, or its vocabulary has no word that is
            absent from the clip.
    """

    def __init__(
        self,
        *,
        objects: dict,
        paste_words: Sequence[str] | None = None,
        anomaly_ratio: float = 0.5,
        decoy_ratio: float = 0.5,
        max_categories: int = 30,
        num_templates: int = 1,
        scale: Sequence[float] = (0.15, 0.4),
        horizon: float | None = None,
        speed: Sequence[float] = (0.0, 0.03),
        turn: float = 5.0,
        cut_ratio: float = 0.3,
        flip_ratio: float = 0.5,
        behind_ratio: float = 0.5,
        min_pixels: int = 64,
        blending: str = 'feather',
        blend_margin: int = 1,
    ):
        ratios = dict(
            anomaly_ratio=anomaly_ratio,
            decoy_ratio=decoy_ratio,
            cut_ratio=cut_ratio,
            flip_ratio=flip_ratio,
            behind_ratio=behind_ratio,
        )
        for name, ratio in ratios.items():
            if not 0 <= ratio <= 1:
                raise ValueError(f'{name} must be in [0, 1], got {ratio}')
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(
                'scale must be the least and the most, above 0 and at most 1, since a larger object would not fit into '
                f'the frame, got {scale!r}'
            )
        if horizon is not None and not 0 < horizon < 1:
            raise ValueError(f'horizon must be None or in (0, 1), got {horizon}')
        if len(speed) != 2 or not 0 <= speed[0] <= speed[1] < float('inf'):
            raise ValueError(f'speed must be the least and the most, at least 0, got {speed!r}')
        if not 0 <= turn <= 180:
            raise ValueError(f'turn must be in [0, 180] degrees, got {turn}')
        if blending not in BLENDINGS:
            raise ValueError(f'blending must be one of {BLENDINGS}, got {blending!r}')
        least = dict(max_categories=(max_categories, 2), num_templates=(num_templates, 1))
        least |= dict(min_pixels=(min_pixels, 1), blend_margin=(blend_margin, 0))
        for name, (value, low) in least.items():
            if value < low:
                raise ValueError(f'{name} must be at least {low}, got {value}')
        source = DATASETS.build(objects) if isinstance(objects, dict) else objects
        if not source.vocabulary:
            raise ValueError(f'objects must be a source with a vocabulary, got {source.name!r} without a word')
        if max_categories > len(source.vocabulary):
            raise ValueError(
                f'max_categories must be at most the {len(source.vocabulary)} words of objects, got {max_categories}: '
                'lower it, or give objects extra_words'
            )
        self.picker = ObjectPicker(source, min_pixels, paste_words)
        self.vocabulary = source.vocabulary
        self.ratios = ratios
        self.max_categories = max_categories
        self.num_templates = num_templates
        self.track = TrackOptions(
            scale=(float(scale[0]), float(scale[1])),
            horizon=horizon,
            speed=(float(speed[0]), float(speed[1])),
            turn=float(turn),
            cut_ratio=cut_ratio,
        )
        self.blending = blending
        self.blend_margin = blend_margin

    def transform(self, results: dict) -> dict:
        rng = np.random.default_rng(np.random.randint(2**31))
        return self._apply(results, self._draw(results, rng))

    def _draw(self, results: dict, rng: np.random.Generator) -> PastePlan:
        own_words = [word for words in results.get('object_words', ()) for word in words]
        present = [*results.get('present_words', ()), *own_words]
        has_target = rng.random() < self.ratios['anomaly_ratio']
        has_decoy = rng.random() < self.ratios['decoy_ratio']
        cutouts: list[Cutout] = []
        target_word = None
        if has_target:
            cutout = self.picker.pick({word_key(word) for word in present}, rng)
            target_word = cutout.words[int(rng.integers(len(cutout.words)))]
            cutouts.append(cutout)
        if has_decoy:
            cutouts.append(self.picker.pick({word_key(target_word)} if target_word is not None else (), rng))
        prompt = draw_exposure(
            [] if target_word is None else [[target_word]],
            self.vocabulary,
            [*present, *(word for cutout in cutouts for word in cutout.words)],
            anomaly_ratio=float(has_target),
            max_categories=self.max_categories,
            num_targets=(1, 1),
            num_templates=self.num_templates,
            rng=rng,
        )
        if prompt is None:
            raise DataError(
                f'source {results["source"]!r}, {results.get("video_id")!r}: every one of the {len(self.vocabulary)} '
                f'words of the objects from {self.picker.source.name!r} is present, none can be a distractor: give '
                'that source extra_words'
            )
        pastes = [self._draw_paste(cutout, results, rng) for cutout in cutouts]
        order = [int(number) for number in rng.permutation(len(pastes))]
        plan = PastePlan(
            pastes=tuple(pastes[number] for number in order),
            target=order.index(0) if has_target else None,
            categories=prompt.categories,
            target_word=prompt.targets[0] if has_target else None,
            template=prompt.template,
        )
        return _bring_forward(plan, results)

    def _draw_paste(self, cutout: Cutout, results: dict, rng: np.random.Generator) -> Paste:
        frames = results['frames']
        times = np.asarray(results.get('frame_inds', range(len(frames))), dtype=np.int64)
        aspect = cutout.mask.shape[0] / max(cutout.mask.shape)
        track = draw_track(times, frames.shape[1:3], aspect, self.track, rng)
        hides = rng.random(len(results.get('object_masks', ()))) < self.ratios['behind_ratio']
        flip = bool(rng.random() < self.ratios['flip_ratio'])
        return Paste(cutout, track, flip, tuple(int(number) for number in np.flatnonzero(hides)))

    def _apply(self, results: dict, plan: PastePlan) -> dict:
        frames, foreground = results['frames'], _foreground(results)
        placed = place_objects(plan.pastes, foreground)
        masks = visible_masks(placed, frames.shape[:3])  # (K, T, H, W)
        mask = np.zeros(frames.shape[:3], dtype=bool) if plan.target is None else masks[plan.target]
        for key in ('object_masks', 'object_words', 'vocabulary', 'present_words'):
            results.pop(key, None)
        results['frames'] = paste_objects(
            frames, plan.pastes, placed, foreground, margin=self.blend_margin, blending=self.blending
        )
        results['categories'] = list(plan.categories)
        results['gt_masks'] = mask
        results['gt_frame_labels'] = mask.any(axis=(1, 2)).astype(np.int64)
        shown = mask.any()  # a thin object can vanish when it is scaled down: then its word names nothing
        results['gt_category_labels'] = np.asarray(
            [bool(shown) and word == plan.target_word for word in plan.categories], np.int64
        )
        results['template'] = plan.template
        return results


def _foreground(results: dict) -> np.ndarray:
    """Masks of the clip's own objects, bool (N, T, H, W)."""
    shape = results['frames'].shape[:3]
    return results.get('object_masks', np.zeros((0, *shape), dtype=bool))


def _bring_forward(plan: PastePlan, results: dict) -> PastePlan:
    """The plan, with its target in front of everything where too little of it would show."""
    if plan.target is None:
        return plan
    target = plan.pastes[plan.target]
    if len(plan.pastes) == 1 and not target.behind:
        return plan
    freed = replace(target, behind=())
    foreground, shape = _foreground(results), results['frames'].shape[:3]
    seen = visible_masks(place_objects(plan.pastes, foreground), shape)[plan.target].sum(axis=(1, 2))  # (T,)
    alone = visible_masks(place_objects([freed], foreground), shape)[0].sum(axis=(1, 2))
    if (seen >= np.maximum(LEAST_SHOWN * alone, 1)).any():
        return plan
    others = tuple(paste for number, paste in enumerate(plan.pastes) if number != plan.target)
    return replace(plan, pastes=(*others, freed), target=len(others))
