"""A small report with everything that can go wrong in a page: hostile names, gaps, unknown lengths, no ground truth."""

import cv2
import numpy as np

from lavida_mm.visualization.evaluation_report import Coverage, ReportData, ReportVideo, Thumbnail

__all__ = ['HOSTILE', 'make_report', 'make_video']

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">&amp; '#1' \u2028"


def make_video(name, num_frames, truth=((10, 20),), *, peak=0.5, fps=25.0, thumbnails=0) -> ReportVideo:
    """A ramp that falls from ``peak`` over the normal frames, and 0.9 where the truth is."""
    labels = np.zeros(num_frames, dtype=np.int64)
    for start, end in truth:
        labels[start:end] = 1
    scores = np.where(labels > 0, 0.9, np.linspace(peak, 0, num_frames))
    picture = cv2.imencode('.jpg', np.full((12, 20, 3), 90, np.uint8))[1].tobytes()
    pictures = [Thumbnail(frame, 'highest false alarm', picture) for frame in range(thumbnails)]
    return ReportVideo(name, scores, labels, fps=fps, auc=0.75 if labels.any() else None, thumbnails=pictures)


def make_report(videos=None, **changes) -> ReportData:
    if videos is None:
        videos = [
            make_video('quiet', 100, peak=0.2),
            make_video(HOSTILE, 3000, peak=0.8, thumbnails=2),
            make_video('normal', 40, truth=(), peak=0.4, fps=0.0),
        ]
        videos[0].scores[50:60] = np.nan
    fields = dict(
        benchmark=HOSTILE,
        scores='scores/<b>',
        protocol='default',
        protocol_version=1,
        protocol_description='Every frame counts.',
        protocol_settings={'tail': 'pad', 'window': None, 'words': ('a', 'b')},
        coverage=Coverage(3, 3, 3130, 3140),
        figures={'frame_eer': 0.25, 'frame_auc': 0.8765, 'num_videos': 3},
        headline=('frame_auc', 'pixel_auc'),
        intervals={'frame_auc': (0.8, 0.9)},
        undefined={'pixel_auc': 'no masks <i>'},
        notes=['a note'],
        options={'frames_per_score': 16},
        roc=(np.array([0, 0.2, 1]), np.array([0, 0.9, 1])),
        pr=(np.array([0, 0.5, 1]), np.array([1, 0.8, 0.3])),
        videos=videos,
    )
    return ReportData(**{**fields, **changes})
