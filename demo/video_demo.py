"""Look for named anomalies in one video.

    python demo/video_demo.py VIDEO --categories "red star, blue ring"

writes three files into --out-dir, all of them or none:

<name>_annotated.mp4   the video with masks, frame score and time
<name>_scores.png      the score curve with its events
<name>_scores.json     the same as figures:
    version            1, the version of this form
    video              path of the video as given
    fps                frames per second, 0 where the video does not say
    num_frames         number of frames, the length of frame_scores
    categories         the words looked for
    threshold          score from which a frame counts as anomalous: it opens an event
    hysteresis         how scores become events: "on" opens, below "off" closes; "merge_gap_frames" is the longest gap
                       that is bridged, "min_length_frames" the shortest event
    window, stride     number of frames the model saw at once, and the interval between them
    config, checkpoint paths as given
    frame_scores       one score per frame, in [0, 1]
    events             list of {"start_frame", "end_frame" (exclusive), "start_seconds", "end_seconds", "peak_score",
                       "peak_frame"}; seconds are null where fps is 0

Exit code: 0 done, 1 something is wrong with a file, 2 something is wrong with an option.
"""

import argparse
import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

if not sys.stderr.isatty():  # a log wants one line per error, and no bars of libraries
    os.environ.setdefault('HF_HUB_DISABLE_PROGRESS_BARS', '1')

import numpy as np
from tqdm import tqdm

from lavida_mm.apis import VADInferencer, choose_device, open_any_video, split_categories
from lavida_mm.evaluation.functional.events import Event, find_events
from lavida_mm.utils import UsageError, atomic_path, run_tool
from lavida_mm.visualization import FrameAnnotator, draw_score_timeline, format_time
from lavida_mm.visualization.video_writer import VideoWriter

OFF_SHARE = 0.8  # an event closes below this share of the threshold, so that a flicker does not split it
MERGE_SECONDS = 0.5
UNKNOWN_FPS = 8.0  # for MERGE_SECONDS where the video does not say


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong option as one line, without the usage text."""

    def error(self, message: str) -> None:
        raise UsageError(f'{message} (see --help)')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('video', help='a video file or a folder of images')
    parser.add_argument('--categories', required=True, help='words to look for, separated by commas')
    parser.add_argument('--config', default='configs/lavida_tiny.py', help='config of the model (%(default)s)')
    parser.add_argument(
        '--checkpoint', default='checkpoints/lavida_tiny.safetensors', help='weights of the model (%(default)s)'
    )
    parser.add_argument('--device', help='cpu, cuda or cuda:<number>; a GPU is taken where there is one')
    parser.add_argument('--out-dir', default='work_dirs/demo', help='folder of the three files (%(default)s)')
    parser.add_argument('--threshold', type=float, default=0.5, help='score that opens an event (%(default)s)')
    parser.add_argument('--window', type=int, help="number of frames the model sees at once (the config's)")
    parser.add_argument('--stride', type=int, help="interval between two frames the model sees (the config's)")
    return parser.parse_args(argv)


def check_args(args: argparse.Namespace) -> list[str]:
    """Check what needs neither files nor weights; returns the words to look for."""
    try:
        categories = split_categories(args.categories)
        choose_device(args.device)
        if not 0 <= args.threshold <= 1:
            raise ValueError(f'threshold must be in [0, 1], got {args.threshold}')
        for name in ('window', 'stride'):
            value = getattr(args, name)
            if value is not None and value < 1:
                raise ValueError(f'{name} must be a whole number of at least 1, got {value}')
    except ValueError as error:  # its message begins with the name of the option
        raise UsageError(f'--{error}') from error
    return categories


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    categories = check_args(args)
    with open_any_video(args.video) as video:
        height, width, fps, num_frames = video.height, video.width, video.fps, video.num_frames
    inferencer = VADInferencer(args.config, args.checkpoint, device=args.device)
    window, stride = args.window or inferencer.window, args.stride or inferencer.stride
    annotator = FrameAnnotator(height=height, width=width, categories=categories, threshold=args.threshold, fps=fps)

    name = Path(args.video).resolve().stem
    outputs = [Path(args.out_dir) / f'{name}_{end}' for end in ('annotated.mp4', 'scores.png', 'scores.json')]
    with ExitStack() as stack:
        video_path, plot_path, json_path = [stack.enter_context(atomic_path(path)) for path in outputs]
        started = time.perf_counter()
        scores = annotate(
            inferencer.stream(args.video, categories, window=window, stride=stride),
            annotator,
            video_path,
            num_frames,
        )
        seconds = time.perf_counter() - started

        off, merge_gap = OFF_SHARE * args.threshold, round(MERGE_SECONDS * (fps or UNKNOWN_FPS))
        events = find_events(scores, on=args.threshold, off=off, merge_gap=merge_gap)
        draw_score_timeline(
            plot_path,
            scores,
            threshold=args.threshold,
            fps=fps,
            events=[(event.start, event.end) for event in events],
            title=Path(args.video).name,
        )
        report = dict(
            version=1,
            video=args.video,
            fps=fps,
            num_frames=len(scores),
            categories=categories,
            threshold=args.threshold,
            hysteresis=dict(on=args.threshold, off=off, merge_gap_frames=merge_gap, min_length_frames=1),
            window=window,
            stride=stride,
            config=args.config,
            checkpoint=args.checkpoint,
            frame_scores=[round(float(score), 6) for score in scores],
            events=[describe_event(event, fps) for event in events],
        )
        json_path.write_text(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + '\n', encoding='utf-8')
        for path in (video_path, plot_path, json_path):
            sync(path)  # a disk that turns out to be full does so before the first file is moved into place
    print_summary(report, seconds, inferencer.device, outputs)


def annotate(results, annotator: FrameAnnotator, path: Path, num_frames: int) -> np.ndarray:
    """Write the annotated video while the results come in; returns the scores of all frames, (T,)."""
    scores: list[np.ndarray] = []
    height, width = annotator.size
    patient = not sys.stderr.isatty()  # a log file wants fewer lines, and none for a short run
    bar = tqdm(
        total=num_frames, unit='frame', desc='detect', mininterval=10 if patient else 0.2, delay=5 if patient else 0
    )
    with bar, VideoWriter(path, height=height, width=width, fps=annotator.fps) as writer:
        for result in results:
            for frame_ind, frame, mask, score in zip(
                result.frame_inds, result.frames, result.masks, result.frame_scores, strict=True
            ):
                writer.write(annotator.draw(frame, mask, float(score), int(frame_ind)))
            scores.append(result.frame_scores)
            bar.update(len(result.frame_scores))
    return np.concatenate(scores)


def describe_event(event: Event, fps: float) -> dict:
    """An event as it stands in the JSON."""
    return dict(
        start_frame=event.start,
        end_frame=event.end,
        start_seconds=round(event.start / fps, 3) if fps else None,
        end_seconds=round(event.end / fps, 3) if fps else None,
        peak_score=round(event.peak_score, 6),
        peak_frame=event.peak_frame,
    )


def sync(path: Path) -> None:
    """Have the system write a file to its disk."""
    with path.open('rb') as file:
        os.fsync(file.fileno())


def print_summary(report: dict, seconds: float, device: object, outputs: list[Path]) -> None:
    """Print what was found and where it was written."""
    fps, num_frames, events = report['fps'], report['num_frames'], report['events']
    length = f' ({num_frames / fps:.1f} s at {fps:g} frames per second)' if fps else ''
    best = max(report['frame_scores'])
    rows = [
        ('video', report['video']),
        ('categories', ', '.join(report['categories'])),
        ('frames', f'{num_frames}{length}'),
        ('speed', f'{num_frames / seconds:.1f} frames per second on {device}, reading and writing included'),
        ('max score', f'{best:.3f} at frame {report["frame_scores"].index(best)}'),
        ('events', f'{len(events)} (score >= {report["threshold"]:g})'),
    ]
    for label, text in rows:
        print(f'{label:<12}{text}')
    if events:
        print(f'\n{"event":<7}{"from":>10}{"to":>10}{"frames":>14}{"peak":>8}')
    for number, event in enumerate(events, start=1):
        start, end = event['start_frame'], event['end_frame']
        times = [format_time(frame / fps) if fps else '-' for frame in (start, end)]
        print(f'{number:<7}{times[0]:>10}{times[1]:>10}{f"{start}-{end - 1}":>14}{event["peak_score"]:>8.3f}')
    print()
    for label, path in zip(('video', 'plot', 'scores'), outputs, strict=True):
        print(f'{label:<12}{path}')


def run(argv: list[str] | None = None) -> None:
    """:func:`main` for the command line: an interrupted run cleans up and leaves with the usual exit code."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        main(argv)
    except KeyboardInterrupt:
        sys.stderr.write('interrupted: nothing was written\n')
        sys.exit(128 + signal.SIGINT)


if __name__ == '__main__':
    run_tool(run)
