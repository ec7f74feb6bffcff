"""What travels between the rooms of lavida_mm: one sample of frames, words, labels and predictions."""

import torch
from mmengine.structures import BaseDataElement

__all__ = ['VADDataSample']


class VADDataSample(BaseDataElement):
    """One clip (or image: T = 1) with its words, its ground truth and the model's predictions.

    Meta information (``metainfo``):
        video_id (str): name of the video, unique in its data set.
        frame_inds (np.ndarray): frame numbers of the T frames in their video, counted from 0, (T,).
        num_frames (int): number of frames of the whole video.
        fps (float): frames per second of the video, 0 where time has no meaning (images).
        ori_shape (tuple[int, int]): height and width of the frames as stored.
        img_shape (tuple[int, int]): height and width of the frames handed to the model.
        categories (list[str]): the n words the prompt names.
        source (str): name of the training source or benchmark.
        template (int): number of the prompt template; 0, the fixed one, at test time.

    Data:
        gt_frame_labels (torch.Tensor): 1 where the frame is anomalous, else 0; int64 (T,).
        gt_masks (torch.Tensor): pixels of the anomaly; bool (T, H, W) with (H, W) = ori_shape at test time and
            img_shape at training time.
        gt_category_labels (torch.Tensor): 1 for each named word that is a target of the clip; int64 (n,).
        pred_frame_scores (torch.Tensor): anomaly score of each frame, in [0, 1]; float (T,).
        pred_masks (torch.Tensor): anomaly probability of each pixel, in [0, 1]; float (T, H, W) at ori_shape.
        pred_category_scores (torch.Tensor): score of each named word in each frame, in [0, 1]; float (T, n).
    """

    _ranks = {
        'gt_frame_labels': 1,
        'gt_masks': 3,
        'gt_category_labels': 1,
        'pred_frame_scores': 1,
        'pred_masks': 3,
        'pred_category_scores': 2,
    }

    def __setattr__(self, name, value):
        rank = self._ranks.get(name)
        if rank is not None and (not isinstance(value, torch.Tensor) or value.ndim != rank):
            found = (
                f'a tensor of shape {tuple(value.shape)}' if isinstance(value, torch.Tensor) else type(value).__name__
            )
            raise ValueError(f'VADDataSample.{name} must be a tensor of {rank} dimensions, got {found}')
        super().__setattr__(name, value)
