"""The parts of the synthetic world: how one item of each is made, and the annotation files around them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.datasets.synthetic.annotations import describe_mask, encode_rle, list_categories
from lavida_mm.datasets.synthetic.media import FPS, write_jpeg, write_mp4
from lavida_mm.datasets.synthetic.scene import FRAME_SIZE, Casting, Scene, draw_scene
from lavida_mm.datasets.synthetic.shapes import render_scene
from lavida_mm.datasets.synthetic.storyboard import (
    MIN_VISIBLE,
    Storyboard,
    cast_clip,
    cast_halves,
    cast_image,
    cast_normal,
    draw_storyboard,
)
from lavida_mm.datasets.synthetic.vocabulary import HELD_OUT_PAIRS, TRAINED_PAIRS, Pair, paraphrases

__all__ = [
    'CLIP_FRAMES', 'NORMAL_EVERY', 'PART_CODES', 'PLAIN_PARTS', 'VIDEO_FRAMES', 'Part', 'finish_benchmark',
    'finish_clips', 'make_generator', 'plan_video', 'track_objects',
]  # fmt: skip

CLIP_FRAMES = 12
MP4_CLIP_FRAMES = 24
VIDEO_FRAMES = 48
NORMAL_EVERY = 3  # one video in three is normal
BENCHMARK_WORDS = 4  # with as many absent ones, two held-out pairs are left over as decoys
VAL_WORDS = (4, 6)
PART_CODES = {name: code for code, name in enumerate(
    ('stage0', 'images', 'clips', 'mp4_clips', 'normal', 'val', 'benchmark',
     'behaviour_clips', 'relation_clips', 'behaviour', 'relation')
)}  # fmt: skip

Item = Callable[[int, int, Path], Any]
Finish = Callable[[Sequence[Any], Path], None]


@dataclass(frozen=True)
class Part:
    """A folder of the world.

    Attributes:
        count: how many items it has by default.
        folders: that its items write to.
        make: writes item ``index`` of ``seed`` below a folder and returns its record, which can be pickled.
        finish: writes the annotation files from all records.
        version: rises when its items come out otherwise than before.
    """

    count: int
    folders: tuple[str, ...]
    make: Item
    finish: Finish
    version: int = 1


def plan_video(part: str, seed: int, index: int) -> Storyboard:
    """The storyboard of a video of ``val`` or ``benchmark``: all there is to know before rendering."""
    rng = make_generator(part, seed, index)
    held_out = part == 'benchmark'
    candidates = HELD_OUT_PAIRS if held_out else TRAINED_PAIRS
    order = np.random.default_rng([seed, PART_CODES[part]]).permutation(len(candidates))
    anomalous = index % NORMAL_EVERY != NORMAL_EVERY - 1
    kin = index // NORMAL_EVERY if not anomalous else index - index // NORMAL_EVERY
    return draw_storyboard(
        rng,
        target=candidates[order[kin % len(candidates)]],
        anomalous=anomalous,
        candidates=candidates,
        num_words=BENCHMARK_WORDS if held_out else int(rng.integers(VAL_WORDS[0], VAL_WORDS[1] + 1)),
        num_frames=VIDEO_FRAMES,
    )


def track_objects(scene: Scene, masks: np.ndarray) -> list[dict[str, Any]]:
    """Ground truth of every object of a scene, for the oracles; masks bool (N, T, H, W)."""
    tracks = []
    for thing, mask in zip(scene.objects, masks, strict=True):
        track = {}
        for frame in np.flatnonzero(mask.any((1, 2))):
            found = describe_mask(mask[frame], polygon=False)
            centre = thing.centre(int(frame))
            track[str(frame)] = {'bbox': found['bbox'], 'area': found['area'], 'centre': centre}
        tracks.append(
            {'colour': thing.colour, 'shape': thing.shape, 'size': round(thing.radius, 2), 'motion': thing.motion,
             'track': track}
        )  # fmt: skip
    return tracks


def make_generator(part: str, seed: int, index: int) -> np.random.Generator:
    """Source of all that is random in one item of a part."""
    return np.random.default_rng([seed, PART_CODES[part], index])


@dataclass(frozen=True)
class _ImageItem:
    part: str
    cast: Callable[[np.random.Generator], list[Casting]]

    def __call__(self, seed: int, index: int, folder: Path) -> Any:
        rng = make_generator(self.part, seed, index)
        scene = draw_scene(rng, self.cast(rng), 1)
        frames, masks = render_scene(scene)
        name = f'{index:06d}.jpg'
        write_jpeg(folder / 'images' / name, frames[0])
        found = [
            {'category': _name(thing.colour, thing.shape), **describe_mask(mask[0], bool((index + place) % 2))}
            for place, (thing, mask) in enumerate(zip(scene.objects, masks, strict=True))
            if mask.sum() >= MIN_VISIBLE
        ]
        return {'file_name': name, 'annotations': found}


def _finish_images(halves_too: bool) -> Finish:
    def finish(records: Sequence[Any], folder: Path) -> None:
        categories = list_categories(halves_too)
        numbers = {category['name']: category['id'] for category in categories}
        images: list[dict] = []
        annotations: list[dict] = []
        for number, record in enumerate(records, start=1):
            images.append({'id': number, 'file_name': record['file_name'], 'width': FRAME_SIZE, 'height': FRAME_SIZE})
            for found in record['annotations']:
                rest = {key: value for key, value in found.items() if key != 'category'}
                annotations.append(
                    {'id': len(annotations) + 1, 'image_id': number, 'category_id': numbers[found['category']], **rest}
                )
        _write(folder / 'instances.json', {'images': images, 'annotations': annotations, 'categories': categories})

    return finish


@dataclass(frozen=True)
class _ClipItem:
    part: str
    num_frames: int
    as_video: bool

    def __call__(self, seed: int, index: int, folder: Path) -> Any:
        rng = make_generator(self.part, seed, index)
        scene = draw_scene(rng, cast_clip(rng, self.num_frames), self.num_frames)
        frames, masks = render_scene(scene)
        name = f'm{index:04d}' if self.as_video else f'c{index:04d}'
        if self.as_video:
            write_mp4(folder / 'videos' / f'{name}.mp4', frames)
        else:
            (folder / name).mkdir()
            for number, frame in enumerate(frames):
                write_jpeg(folder / name / f'{number:05d}.jpg', frame)
        things = []
        for place, (thing, mask) in enumerate(zip(scene.objects, masks, strict=True)):
            found = {
                int(frame): describe_mask(mask[frame], bool((index + place) % 2))
                for frame in np.flatnonzero(mask.sum((1, 2)) >= MIN_VISIBLE)
            }
            pair = Pair(str(thing.colour), str(thing.shape))
            things.append({'category': str(pair), 'phrases': paraphrases(pair, rng), 'frames': found})
        return {'name': name, 'objects': things}


def finish_clips(num_frames: int, as_video: bool) -> Finish:
    """Writes CocoVID annotations of clips, and their phrases where frames are images."""

    def finish(records: Sequence[Any], folder: Path) -> None:
        categories = list_categories()
        numbers = {category['name']: category['id'] for category in categories}
        videos: list[dict] = []
        images: list[dict] = []
        annotations: list[dict] = []
        expressions = {}
        instances = 0
        for video_id, record in enumerate(records, start=1):
            name = record['name']
            video = {'id': video_id, 'name': name, 'width': FRAME_SIZE, 'height': FRAME_SIZE, 'length': num_frames,
                     'fps': FPS}  # fmt: skip
            videos.append({**video, 'file_name': f'videos/{name}.mp4'} if as_video else video)
            first = len(images) + 1
            for frame in range(num_frames):
                image = {'id': first + frame, 'video_id': video_id, 'frame_id': frame, 'width': FRAME_SIZE,
                         'height': FRAME_SIZE}  # fmt: skip
                images.append(image if as_video else {**image, 'file_name': f'{name}/{frame:05d}.jpg'})
            phrases = []
            for thing in record['objects']:
                instances += 1
                phrases += [{'exp': phrase, 'obj_id': str(instances)} for phrase in thing['phrases']]
                for frame, found in thing['frames'].items():
                    annotations.append(
                        {'id': len(annotations) + 1, 'image_id': first + frame, 'video_id': video_id,
                         'instance_id': instances, 'category_id': numbers[thing['category']], **found}
                    )  # fmt: skip
            expressions[name] = {
                'expressions': {str(number): phrase for number, phrase in enumerate(phrases)},
                'frames': [f'{frame:05d}' for frame in range(num_frames)],
            }
        _write(
            folder / 'clips.json',
            {'videos': videos, 'images': images, 'annotations': annotations, 'categories': categories},
        )
        if not as_video:
            _write(folder / 'meta_expressions.json', {'videos': expressions})

    return finish


def _make_normal(seed: int, index: int, folder: Path) -> Any:
    rng = make_generator('normal', seed, index)
    frames, _ = render_scene(draw_scene(rng, cast_normal(rng, VIDEO_FRAMES), VIDEO_FRAMES))
    write_mp4(folder / f'n{index:03d}.mp4', frames)


def _finish_normal(records: Sequence[Any], folder: Path) -> None:
    """Plain videos have no annotation file."""


@dataclass(frozen=True)
class _BenchmarkItem:
    part: str

    def __call__(self, seed: int, index: int, folder: Path) -> Any:
        board = plan_video(self.part, seed, index)
        frames, _ = render_scene(board.scene)
        name = f'{self.part[0]}{index:03d}'
        write_mp4(folder / 'videos' / f'{name}.mp4', frames)
        return describe_video(board, name)


def describe_video(board: Storyboard, name: str) -> dict[str, Any]:
    """What the files of a benchmark say about one video.

    Args:
        board: its storyboard.
        name: the video's id.

    Returns:
        the entry of the manifest, the tracks of the objects, and the design: target or phantom.
    """
    anomalies = [
        {'category': str(board.target), 'start': start, 'end': end,
         'masks': {str(frame): encode_rle(board.masks[visit, frame]) for frame in range(start, end)}}
        for visit, (start, end) in enumerate(board.visits)
    ]  # fmt: skip
    entry = {
        'video_id': name, 'path': f'videos/{name}.mp4', 'num_frames': board.scene.num_frames, 'fps': float(FPS),
        'height': board.scene.size, 'width': board.scene.size, 'categories': [str(word) for word in board.words],
        'absent_categories': [str(word) for word in board.absent], 'anomalies': anomalies,
    }  # fmt: skip
    return {
        'entry': entry,
        'objects': track_objects(board.scene, board.masks),
        'design': {'target': str(board.target), 'anomalous': board.anomalous},
    }


def describe_benchmark(part: str, seed: int, count: int) -> list[dict[str, Any]]:
    """Records of a benchmark without its videos: what the oracles need, in a second or two."""
    return [describe_video(plan_video(part, seed, index), f'{part[0]}{index:03d}') for index in range(count)]


def finish_benchmark(name: str) -> Finish:
    """Writes manifest, tracks and design of a benchmark of this name."""

    def finish(records: Sequence[Any], folder: Path) -> None:
        names = [record['entry']['video_id'] for record in records]
        videos = [record['entry'] for record in records]
        _write(folder / 'manifest.json', {'version': 1, 'name': name, 'videos': videos})
        for file, key in (('objects.json', 'objects'), ('design.json', 'design')):
            _write(folder / file, dict(zip(names, (record[key] for record in records), strict=True)))

    return finish


def _name(colour: str | None, shape: str | None) -> str:
    return ' '.join(word for word in (colour, shape) if word is not None)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(',', ':'), allow_nan=False) + '\n', encoding='utf-8')


PLAIN_PARTS: dict[str, Part] = {
    'stage0': Part(3000, ('images',), _ImageItem('stage0', cast_halves), _finish_images(halves_too=True)),
    'images': Part(1500, ('images',), _ImageItem('images', cast_image), _finish_images(halves_too=False)),
    'clips': Part(240, (), _ClipItem('clips', CLIP_FRAMES, as_video=False), finish_clips(CLIP_FRAMES, as_video=False)),
    'mp4_clips': Part(
        40, ('videos',), _ClipItem('mp4_clips', MP4_CLIP_FRAMES, as_video=True),
        finish_clips(MP4_CLIP_FRAMES, as_video=True),
    ),
    'normal': Part(10, (), _make_normal, _finish_normal),
    'val': Part(40, ('videos',), _BenchmarkItem('val'), finish_benchmark('synthetic_val')),
    'benchmark': Part(60, ('videos',), _BenchmarkItem('benchmark'), finish_benchmark('synthetic')),
}  # fmt: skip
