"""The parts of the synthetic world whose words are about behaviour and relation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.datasets.synthetic.annotations import describe_mask, encode_rle
from lavida_mm.datasets.synthetic.media import FPS, write_jpeg, write_mp4
from lavida_mm.datasets.synthetic.parts import (
    NORMAL_EVERY,
    PART_CODES,
    VIDEO_FRAMES,
    Part,
    finish_benchmark,
    finish_clips,
    make_generator,
    track_objects,
)
from lavida_mm.datasets.synthetic.phrase_storyboard import (
    PhraseBoard,
    draw_behaviour_board,
    draw_behaviour_clip,
    draw_looks,
    draw_relation_board,
    draw_relation_clip,
)
from lavida_mm.datasets.synthetic.phrases import BEHAVIOURS, RELATIONS, embed_phrases, list_held_out
from lavida_mm.datasets.synthetic.scene import Scene
from lavida_mm.datasets.synthetic.shapes import render_scene
from lavida_mm.datasets.synthetic.storyboard import MIN_VISIBLE
from lavida_mm.datasets.synthetic.vocabulary import TRAINED_PAIRS, Pair
from lavida_mm.datasets.word_embeddings import save_embeddings

__all__ = ['EMBEDDINGS', 'PHRASE_CLIP_FRAMES', 'PHRASE_PARTS', 'describe_phrase_benchmark', 'plan_phrase_video']

PHRASE_CLIP_FRAMES = 16
EMBEDDINGS = 'phrase_embeddings.npz'
VIDEO_NAMES = {'behaviour': 'v', 'relation': 'r'}
GROUP_KEY = 1_000_000  # looks of a group are drawn apart from its videos, whose numbers are lower

DrawClip = Callable[[np.random.Generator, int], tuple[Scene, list[list[tuple[str, ...]]]]]


def plan_phrase_video(part: str, seed: int, index: int) -> PhraseBoard:
    """The storyboard of a video of ``behaviour`` or ``relation``.

    Three videos in a row make a group of the same looks; the last of them is normal.
    """
    group, member = divmod(index, NORMAL_EVERY)
    order = np.random.default_rng([seed, PART_CODES[part]]).permutation(len(TRAINED_PAIRS))
    words = BEHAVIOURS if part == 'behaviour' else RELATIONS
    pairs = [TRAINED_PAIRS[place] for place in order]
    pair = pairs[group % len(pairs)]
    held = list_held_out(pair, words)
    word = held[(group // 3 + member) % len(held)]
    looks = draw_looks(make_generator(part, seed, GROUP_KEY + group), pair, related=part == 'relation')
    rng = make_generator(part, seed, index)
    anomalous = member != NORMAL_EVERY - 1
    if part == 'behaviour':
        return draw_behaviour_board(rng, looks=looks, behaviour=word, anomalous=anomalous, num_frames=VIDEO_FRAMES)
    return draw_relation_board(rng, looks=looks, relation=word, anomalous=anomalous, num_frames=VIDEO_FRAMES)


def describe_phrase_benchmark(part: str, seed: int, count: int) -> list[dict[str, Any]]:
    """Records of ``behaviour`` or ``relation`` without their videos: what the oracles need."""
    return [_describe(plan_phrase_video(part, seed, index), _name(part, index)) for index in range(count)]


def _describe(board: PhraseBoard, name: str) -> dict[str, Any]:
    anomalies = [
        {'category': board.phrase, 'start': start, 'end': end,
         'masks': {str(frame): encode_rle(board.masks[0, frame]) for frame in range(start, end)}}
        for start, end in board.visits
    ]  # fmt: skip
    entry = {
        'video_id': name, 'path': f'videos/{name}.mp4', 'num_frames': board.scene.num_frames, 'fps': float(FPS),
        'height': board.scene.size, 'width': board.scene.size, 'categories': list(board.words),
        'absent_categories': list(board.absent), 'anomalies': anomalies,
    }  # fmt: skip
    design = {'target': board.phrase, 'pair': list(board.pair), 'word': board.word, 'anomalous': board.anomalous}
    return {'entry': entry, 'objects': track_objects(board.scene, board.masks), 'design': design}


def _name(part: str, index: int) -> str:
    return f'{VIDEO_NAMES[part]}{index:03d}'


@dataclass(frozen=True)
class _PhraseVideoItem:
    part: str

    def __call__(self, seed: int, index: int, folder: Path) -> Any:
        board = plan_phrase_video(self.part, seed, index)
        name = _name(self.part, index)
        write_mp4(folder / 'videos' / f'{name}.mp4', render_scene(board.scene)[0])
        return _describe(board, name)


@dataclass(frozen=True)
class _PhraseClipItem:
    part: str
    draw: DrawClip

    def __call__(self, seed: int, index: int, folder: Path) -> Any:
        scene, said = self.draw(make_generator(self.part, seed, index), PHRASE_CLIP_FRAMES)
        frames, masks = render_scene(scene)
        name = f'{self.part[0]}{index:04d}'
        (folder / name).mkdir()
        for number, frame in enumerate(frames):
            write_jpeg(folder / name / f'{number:05d}.jpg', frame)
        things = []
        for thing, mask, phrases in zip(scene.objects, masks, said, strict=True):
            seen = mask.sum((1, 2)) >= MIN_VISIBLE
            for start, end in _find_runs(phrases):
                things.append({
                    'category': str(Pair(str(thing.colour), str(thing.shape))),
                    'phrases': phrases[start],
                    'frames': {
                        frame: describe_mask(mask[frame], polygon=False) for frame in range(start, end) if seen[frame]
                    },
                })  # fmt: skip
        return {'name': name, 'objects': [thing for thing in things if thing['frames']]}


def _find_runs(values: Sequence[Any]) -> list[tuple[int, int]]:
    """Runs of equal values, [start, end) each."""
    edges = [0, *(place for place in range(1, len(values)) if values[place] != values[place - 1]), len(values)]
    return list(pairwise(edges))


def _finish_phrase_clips(records: Sequence[Any], folder: Path) -> None:
    """CocoVID annotations, phrases, and embeddings by which phrases about the same objects are near to each other."""
    finish_clips(PHRASE_CLIP_FRAMES, as_video=False)(records, folder)
    phrases = sorted({phrase for record in records for thing in record['objects'] for phrase in thing['phrases']})
    save_embeddings(folder / EMBEDDINGS, phrases, embed_phrases(phrases))


PHRASE_PARTS: dict[str, Part] = {
    'behaviour_clips': Part(
        4000, (), _PhraseClipItem('behaviour_clips', draw_behaviour_clip), _finish_phrase_clips, version=3
    ),
    'relation_clips': Part(300, (), _PhraseClipItem('relation_clips', draw_relation_clip), _finish_phrase_clips),
    'behaviour': Part(42, ('videos',), _PhraseVideoItem('behaviour'), finish_benchmark('synthetic_behaviour')),
    'relation': Part(42, ('videos',), _PhraseVideoItem('relation'), finish_benchmark('synthetic_relation')),
}
