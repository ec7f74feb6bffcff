"""How figures are called in a report."""

import re

__all__ = ['describe_figure']

NAMES = {
    'frame_auc': ('Frame AUC', 'area under the ROC curve, frames of all videos pooled (micro)'),
    'frame_ap': ('Frame AP', 'average precision, frames of all videos pooled'),
    'frame_auc_macro': ('Frame AUC, macro', "mean of the videos' own AUCs; videos of one class have none"),
    'frame_auc_padded': ('Frame AUC, padded', 'with one normal frame at the bottom and one anomalous at the top added'),
    'frame_auc_macro_padded': (
        'Frame AUC, macro, padded',
        "mean of the videos' own AUCs, each with a normal frame at the bottom and an anomalous one at the top added",
    ),
    'frame_pr_auc_trapz': ('Frame PR area, trapezoid', 'trapezoid area under the precision-recall curve; not the AP'),
    'frame_eer': ('Frame EER', 'equal error rate: where as many normal frames alarm as anomalous ones are missed'),
    'far_at_0.5': ('False alarm rate at 0.5', 'share of the frames of normal videos that score 0.5 or more'),
    'category_top1': (
        'Word accuracy',
        'share of the detected anomalous frames in which a true word of the prompt scores highest',
    ),
    'pixel_auc': ('Pixel AUC', 'pixels of all frames pooled'),
    'pixel_ap': ('Pixel AP', 'average precision, pixels of all frames pooled'),
    'pixel_auc_error_bound': ('Pixel AUC, error bound', 'largest distance to the AUC of scores that were not rounded'),
    'pixel_auc_per_frame': ('Pixel AUC, per frame', 'mean over the frames with ground truth'),
    'pixel_aupro': ('AUPRO', 'area under the per-region overlap up to a false positive rate of 0.3'),
    'rbdc': ('RBDC', 'region-based detection criterion'),
    'tbdc': ('TBDC', 'track-based detection criterion'),
    'event_precision_touch': ('Event precision, touch', 'share of the alarms that touch a true event'),
    'event_recall_touch': ('Event recall, touch', 'share of the true events that an alarm touches'),
    'event_f1_touch': ('Event F1, touch', 'harmonic mean of event precision and recall'),
    'event_precision_iou': ('Event precision, IoU', 'share of the alarms that overlap a true event far enough'),
    'event_recall_iou': ('Event recall, IoU', 'share of the true events that an alarm overlaps far enough'),
    'event_f1_iou': ('Event F1, IoU', 'harmonic mean of event precision and recall'),
    'event_mean_delay_seconds': ('Mean delay (seconds)', 'from the beginning of a found event to its alarm'),
    'event_median_delay_seconds': ('Median delay (seconds)', 'from the beginning of a found event to its alarm'),
    'event_false_alarms_per_hour': ('False alarms per hour', 'alarms that touch no true event, per camera-hour'),
}  # fmt: skip


def describe_figure(name: str) -> tuple[str, str]:
    """Title and one-line definition of a figure.

    A variant such as ``pixel_auc@stride4`` is named after its figure, with what differs in brackets.

    >>> describe_figure('frame_auc')[0]
    'Frame AUC'
    >>> describe_figure('pixel_auc@stride4')[0]
    'Pixel AUC (stride4)'
    >>> describe_figure('of_ones_own')[0]
    'Of ones own'
    """
    base, _, variant = name.partition('@')
    if base in NAMES:
        title, definition = NAMES[base]
    else:
        title, definition = re.sub('_', ' ', base).strip().capitalize(), ''
    return (f'{title} ({variant})' if variant else title), definition
