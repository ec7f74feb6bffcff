"""Masks as COCO writes them."""

from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from lavida_mm.datasets.synthetic.vocabulary import COLOURS, SHAPES, TRAINED_PAIRS

__all__ = ['describe_mask', 'encode_polygons', 'encode_rle', 'list_categories']

UPSAMPLE = 5  # polygons run along pixel edges to a tenth of a pixel


def list_categories(halves_too: bool = False) -> list[dict[str, Any]]:
    """COCO categories: the trained pairs, and colours and shapes alone for objects whose other half has no name."""
    categories = [
        {'name': str(pair), 'supercategory': pair.shape, 'words': [str(pair), pair.colour, pair.shape]}
        for pair in TRAINED_PAIRS
    ]
    if halves_too:
        categories += [{'name': shape, 'supercategory': shape, 'words': [shape]} for shape in SHAPES]
        categories += [{'name': colour, 'supercategory': 'any', 'words': [colour]} for colour in COLOURS]
    return [{'id': index + 1, **category} for index, category in enumerate(categories)]


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run-length code of a mask (H, W)."""
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': [int(side) for side in code['size']], 'counts': code['counts'].decode('ascii')}


def encode_polygons(mask: np.ndarray) -> list[list[float]] | None:
    """Outlines of a mask (H, W), each [x, y, x, y, ...]; None where it has holes, which polygons cannot say."""
    fine = mask.astype(np.uint8).repeat(UPSAMPLE, axis=0).repeat(UPSAMPLE, axis=1)
    contours, hierarchy = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if hierarchy is None or np.any(hierarchy[0, :, 3] >= 0):
        return None
    return [[round(float(value), 1) for value in ((contour + 0.5) / UPSAMPLE).ravel()] for contour in contours]


def describe_mask(mask: np.ndarray, polygon: bool) -> dict[str, Any]:
    """Segmentation, box and area of a visible mask (H, W); polygons on request and where they can say it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    outlines = encode_polygons(mask) if polygon else None
    return {
        'segmentation': outlines if outlines is not None else encode_rle(mask),
        'bbox': [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        'area': int(mask.sum()),
        'iscrowd': 0,
    }
