"""Masks in COCO's forms: polygons and run lengths, checked before they are decoded."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from lavida_mm.utils.errors import DataError

__all__ = ['decode_mask', 'find_mask_fault', 'find_run_fault']

MIN_POLYGON_NUMBERS = 6  # three points
MAX_REACH = 100  # sides of the frame; pycocotools walks along every edge, and its numbers have 32 bits
RLE_BASE = 48  # COCO writes six bits per character, from '0' on
RLE_MORE = 0x20  # this bit says that the number goes on in the next character
RLE_SIGN = 0x10
RLE_BITS = 5


def decode_mask(segmentation: Any, height: int, width: int, where: str) -> np.ndarray:
    """Decode polygons or run lengths to pixels.

    Args:
        segmentation: list of polygons ``[x, y, x, y, ...]``, or ``{'size': [H, W], 'counts': str | list}``.
        height: H of the frame.
        width: W of the frame.
        where: file and annotation, for the error.

    Returns:
        bool (H, W).

    Raises:
        DataError: the form, the size or the run lengths break a rule.
    """
    fault = find_mask_fault(segmentation, height, width) or find_run_fault(segmentation, height, width)
    if fault:
        raise DataError(f'{where}: {fault}')
    if isinstance(segmentation, dict) and isinstance(segmentation['counts'], str | bytes):
        rle = segmentation
    else:
        rle = coco_mask.frPyObjects(segmentation, height, width)
        rle = coco_mask.merge(rle) if isinstance(rle, list) else rle
    return coco_mask.decode(rle).astype(bool)


def find_mask_fault(segmentation: Any, height: int, width: int) -> str | None:
    """What is wrong with the form of a mask, by a look that stays cheap for millions of them; None if nothing is."""
    if isinstance(segmentation, dict):
        return _find_rle_fault(segmentation, height, width)
    if not isinstance(segmentation, list):
        return f'segmentation must be polygons or run lengths, got {segmentation!r:.80}'
    if not segmentation:
        return 'segmentation must hold at least one polygon, got []'
    for polygon in segmentation:
        fault = _find_polygon_fault(polygon, height, width)
        if fault:
            return fault
    return None


def find_run_fault(segmentation: Any, height: int, width: int) -> str | None:
    """What is wrong with the run lengths of a mask of sound form; None if nothing is, or for polygons.

    The C code behind pycocotools trusts them: runs beyond the frame would write beyond its memory.
    """
    if not isinstance(segmentation, dict):
        return None
    counts = segmentation['counts']
    try:
        runs = counts if isinstance(counts, list) else _read_runs(counts)
    except ValueError as error:
        return f'segmentation.counts {error}, got {counts!r:.80}'
    if any(run < 0 for run in runs):
        return f'segmentation.counts must hold no negative run, got {min(runs)}'
    if sum(runs) != height * width:
        return f'segmentation.counts must sum to {height} x {width} = {height * width} pixels, got {sum(runs)}'
    return None


def _find_rle_fault(rle: dict, height: int, width: int) -> str | None:
    counts = rle.get('counts')
    if isinstance(counts, list):
        if not all(isinstance(run, int) for run in counts):
            return f'segmentation.counts must hold whole numbers, got {counts!r:.80}'
    elif not isinstance(counts, str | bytes) or not counts:
        return f'segmentation.counts must be a string or a list of run lengths, got {counts!r:.80}'
    if rle.get('size') != [height, width]:
        return f"segmentation.size must be the frame's {[height, width]}, got {rle.get('size')!r}"
    return None


def _find_polygon_fault(polygon: Any, height: int, width: int) -> str | None:
    if not isinstance(polygon, list) or len(polygon) < MIN_POLYGON_NUMBERS or len(polygon) % 2:
        return f'a polygon must be an even number of at least {MIN_POLYGON_NUMBERS} coordinates, got {polygon!r:.80}'
    try:
        points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        return f'a polygon must hold numbers, got {polygon!r:.80}'
    if not np.isfinite(points).all():
        return f'a polygon must hold finite numbers, got {polygon!r:.80}'
    low, high = points.min(axis=0), points.max(axis=0)
    reach = MAX_REACH * max(height, width)
    if max(-low.min(), high.max()) > reach:
        return f'a polygon must stay within {reach} pixels of its frame of {width} x {height}, got {polygon!r:.80}'
    if low[0] >= width or low[1] >= height or high[0] <= 0 or high[1] <= 0:
        return f'a polygon must touch the frame of {width} x {height} pixels, got {polygon!r:.80}'
    return None


def _read_runs(counts: str | bytes) -> list[int]:
    """Run lengths of COCO's compressed string: from the third on, a run is written as the difference to two before."""
    data = counts.encode('utf-8') if isinstance(counts, str) else counts  # beyond ASCII, bytes are out of range below
    runs: list[int] = []
    value = shift = 0
    for byte in data:
        bits = byte - RLE_BASE
        if not 0 <= bits < 2 * RLE_MORE:
            raise ValueError('must be written in the characters of COCO run lengths')
        value |= (bits & (RLE_MORE - 1)) << shift
        shift += RLE_BITS
        if bits & RLE_MORE:
            continue
        if bits & RLE_SIGN:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError('must not end within a number')
    return runs
