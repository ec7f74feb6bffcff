"""Losses, each one value per mask or frame: the mask head decides which of them count."""

from lavida_mm.models.losses.answer_loss import answer_loss, find_answers
from lavida_mm.models.losses.best_of_masks import best_of_masks
from lavida_mm.models.losses.category_loss import CategoryLoss, category_loss
from lavida_mm.models.losses.dice_loss import DiceLoss, dice_loss
from lavida_mm.models.losses.focal_loss import FocalLoss, focal_loss
from lavida_mm.models.losses.mask_iou_loss import MaskIoULoss, mask_iou
from lavida_mm.models.losses.object_score_loss import ObjectScoreLoss, object_score_loss

__all__ = [
    'CategoryLoss',
    'DiceLoss',
    'FocalLoss',
    'MaskIoULoss',
    'ObjectScoreLoss',
    'answer_loss',
    'best_of_masks',
    'category_loss',
    'dice_loss',
    'find_answers',
    'focal_loss',
    'mask_iou',
    'object_score_loss',
]
