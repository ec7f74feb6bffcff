"""Losses, each one value per mask or frame: the mask head decides which of them count."""

from lavida_mm.models.losses.dice_loss import DiceLoss, dice_loss
from lavida_mm.models.losses.focal_loss import FocalLoss, focal_loss
from lavida_mm.models.losses.mask_iou_loss import MaskIoULoss, mask_iou
from lavida_mm.models.losses.object_score_loss import ObjectScoreLoss

__all__ = ['DiceLoss', 'FocalLoss', 'MaskIoULoss', 'ObjectScoreLoss', 'dice_loss', 'focal_loss', 'mask_iou']
