"""Make the pictures of README from what demo/video_demo.py wrote.

    python tools/analysis_tools/make_readme_pictures.py work_dirs/demo/b000_scores.json \
        --manifest data/synthetic_world/benchmark/manifest.json

writes <out-dir>/annotated_frame.png (the frame of the highest score, as it was and as the demo shows it) and
<out-dir>/score_plot.png (the score curve; with --manifest the ground truth is shaded). The annotated video is expected
beside the JSON, the video where the JSON says.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from lavida_mm.apis import open_any_video
from lavida_mm.utils import DataError, UsageError, atomic_path, run_tool
from lavida_mm.visualization import display_size, draw_score_timeline
from lavida_mm.visualization.palette import MUTED, PANEL, load_font

GAP = 12  # pixels between the two pictures
PAGE = (255, 255, 255)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('scores', type=Path, help='<name>_scores.json of the demo')
    parser.add_argument('--manifest', type=Path, help='manifest of a benchmark that lists the video, for ground truth')
    parser.add_argument('--frame', type=int, help='frame to show; that of the highest score if not given')
    parser.add_argument('--out-dir', type=Path, default=Path('docs/assets'), help='folder of pictures (%(default)s)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    report = read_json(args.scores)
    try:
        video, scores, events = Path(report['video']), np.array(report['frame_scores']), report['events']
        fps, threshold, categories = report['fps'], report['threshold'], report['categories']
    except (KeyError, TypeError) as error:
        raise DataError(f'{args.scores}: must be what the demo writes, it lacks {error}') from error
    truth = find_ground_truth(args.manifest, video) if args.manifest else None
    frame_ind = choose_frame(scores, truth) if args.frame is None else args.frame
    if not 0 <= frame_ind < len(scores):
        raise UsageError(f'--frame must be in [0, {len(scores) - 1}], got {frame_ind}')

    with open_any_video(video) as reader:
        raw = reader.read([frame_ind])[0]
    annotated_path = args.scores.with_name(args.scores.name.replace('_scores.json', '_annotated.mp4'))
    with open_any_video(annotated_path) as reader:
        annotated = reader.read([frame_ind])[0]

    with atomic_path(args.out_dir / 'annotated_frame.png') as path:
        picture = compose(raw, annotated, f'input, frame {frame_ind}')
        Image.fromarray(picture).save(path, format='PNG', optimize=True)
    with atomic_path(args.out_dir / 'score_plot.png') as path:
        draw_score_timeline(
            path,
            scores,
            threshold=threshold,
            fps=fps,
            events=[(event['start_frame'], event['end_frame']) for event in events],
            ground_truth=truth,
            title=', '.join(categories),
        )
    print(args.out_dir / 'annotated_frame.png', args.out_dir / 'score_plot.png', sep='\n')


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise DataError(f'{path}: must be JSON: {error}') from error


def find_ground_truth(manifest: Path, video: Path) -> list[tuple[int, int]]:
    """The anomalous intervals of a video, as a benchmark's manifest lists them."""
    for record in read_json(manifest).get('videos', []):
        if (manifest.parent / record['path']).resolve() == video.resolve():
            return [(anomaly['start'], anomaly['end']) for anomaly in record['anomalies']]
    raise DataError(f'{manifest}: videos must list {video}, it does not')


def choose_frame(scores: np.ndarray, truth: list[tuple[int, int]] | None) -> int:
    """The frame of the highest score; where the truth is known, of those that are anomalous."""
    wanted = np.zeros(len(scores), bool)
    for start, end in truth or [(0, len(scores))]:
        wanted[start:end] = True
    return int(np.argmax(np.where(wanted, scores, -1)))


def compose(raw: np.ndarray, annotated: np.ndarray, caption: str) -> np.ndarray:
    """A frame as it was, over a panel with its caption, beside the same frame annotated: uint8 (H, W, 3)."""
    height, width = display_size(*raw.shape[:2])
    page = np.full((len(annotated), width + GAP + annotated.shape[1], 3), PAGE, np.uint8)
    page[:, :width] = PANEL
    page[:height, :width] = cv2.resize(raw, (width, height), interpolation=cv2.INTER_CUBIC)
    page[:, width + GAP :] = annotated
    picture = Image.fromarray(page)
    middle = (height + len(annotated)) / 2
    ImageDraw.Draw(picture).text((GAP, middle), caption, fill=MUTED, font=load_font(15), anchor='lm')
    return np.asarray(picture)


if __name__ == '__main__':
    run_tool(main)
