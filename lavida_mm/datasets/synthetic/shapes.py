"""From a scene to pixels: frames, and the mask of what is truly visible of each object."""

import cv2
import numpy as np

from lavida_mm.datasets.synthetic.scene import Appearance, Background, Scene, SceneObject

__all__ = ['draw_background', 'draw_nameless_outline', 'draw_outline', 'render_frame', 'render_masks', 'render_scene']

SUPERSAMPLE = 4
SUBPIXEL_BITS = 6


def render_scene(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 (T, H, W, 3) RGB and visible masks bool (N, T, H, W)."""
    background = draw_background(scene.background, scene.size)
    rendered = [render_frame(scene, frame, background) for frame in range(scene.num_frames)]
    frames = np.stack([frame for frame, _ in rendered])
    masks = np.stack([masks for _, masks in rendered], axis=1)  # (N, T, H, W)
    return frames, masks


def render_masks(scene: Scene) -> np.ndarray:
    """Visible masks alone, bool (N, T, H, W): the same as those of ``render_scene``."""
    owners = np.full((scene.num_frames, scene.size, scene.size), -1, np.int16)
    for thing in _in_order(scene):
        for frame in range(*thing.interval):
            placed = _place(thing, frame, scene.size)
            if placed is not None:
                rows, columns, cover = placed
                owners[frame, rows, columns][cover >= 0.5] = thing.object_id
    numbers = np.array([thing.object_id for thing in scene.objects], np.int16)
    return owners[None] == numbers[:, None, None, None]


def render_frame(scene: Scene, frame: int, background: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One frame, uint8 (H, W, 3) RGB, and the visible masks, bool (N, H, W).

    Background, lighting and noise don't depend on the objects: the scene without objects renders to the same
    pixels wherever no object is.

    Args:
        scene: what to show.
        frame: which of its frames.
        background: as ``draw_background`` gives it, to be drawn once per scene.
    """
    if background is None:
        background = draw_background(scene.background, scene.size)
    canvas = background.copy()
    owner = np.full((scene.size, scene.size), -1, np.int16)
    for thing in _in_order(scene):
        placed = _place(thing, frame, scene.size)
        if placed is None:
            continue
        rows, columns, cover = placed
        x, y = _object_coordinates(thing, frame, rows, columns)
        colour = _texture(thing.appearance, x, y) * np.array(thing.appearance.rgb, np.float32)  # (h, w, 3)
        patch = canvas[rows, columns]
        patch += cover[..., None] * (colour - patch)
        owner[rows, columns][cover >= 0.5] = thing.object_id
    noise = np.random.default_rng([scene.seed, frame]).standard_normal(canvas.shape, dtype=np.float32)
    canvas = canvas * np.array(scene.lighting[frame], np.float32) + scene.noise * noise
    masks = np.zeros((len(scene.objects), scene.size, scene.size), bool)
    for index, thing in enumerate(scene.objects):
        masks[index] = owner == thing.object_id
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8), masks


def draw_background(background: Background, size: int) -> np.ndarray:
    """The picture behind the objects, float32 (H, W, 3) RGB, of low saturation."""
    rng = np.random.default_rng(background.seed)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    if background.kind == 'gradient':
        pattern = 2.5 * (along - along.mean())
    elif background.kind == 'stripes':
        pattern = np.sin(2 * np.pi * rng.uniform(2, 7) * along + rng.uniform(0, 6))
    elif background.kind == 'noise':
        coarse = rng.standard_normal((24, 24)).astype(np.float32)
        pattern = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
    else:
        coarse = rng.standard_normal((6, 6)).astype(np.float32)
        pattern = 1.3 * cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    tint = rng.uniform(-9, 9, 3)
    second = cv2.resize(rng.standard_normal((4, 4, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    picture = background.brightness + background.contrast * pattern[..., None] + tint + 4 * second
    return np.clip(picture, 15, 165).astype(np.float32)


def draw_outline(shape: str) -> list[np.ndarray]:
    """Outlines of a shape in the unit circle, each (points, 2); a second one is a hole."""
    if shape == 'square':
        return [_polygon(4, 45.0, 1.0)]
    if shape == 'triangle':
        return [_polygon(3, -90.0, 1.08) + np.array([0, 0.14])]
    if shape == 'star':
        outer, inner = _polygon(5, -90.0, 1.1), _polygon(5, -54.0, 0.46)
        return [np.stack([outer, inner], axis=1).reshape(-1, 2)]
    if shape == 'ring':
        return [_polygon(40, 0.0, 0.98), _polygon(40, 0.0, 0.5)]
    if shape == 'cross':
        a, b = 0.3, 0.98
        quarter_turn = np.array([[0, -1], [1, 0]])
        corners = [np.array([[a, -b], [a, -a], [b, -a]])]
        for _ in range(3):
            corners.append(corners[-1] @ quarter_turn.T)
        return [np.concatenate(corners)]
    raise ValueError(f'shape must be one that the vocabulary names, got {shape!r}')


def draw_nameless_outline(seed: int) -> list[np.ndarray]:
    """Outline of a shape without a name, in the unit circle: a lopsided polygon of four to eight corners."""
    rng = np.random.default_rng(seed)
    corners = int(rng.integers(4, 9))
    angles = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) / corners + rng.uniform(0, 2 * np.pi)
    radii = rng.uniform(0.45, 1.1, corners)
    return [radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)]


def _polygon(points: int, first: float, radius: float) -> np.ndarray:
    angles = np.deg2rad(first + 360 / points * np.arange(points))
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


OUTLINES = {shape: draw_outline(shape) for shape in ('square', 'triangle', 'star', 'ring', 'cross')}


def _in_order(scene: Scene) -> list[SceneObject]:
    return sorted(scene.objects, key=lambda thing: thing.depth)


def _place(thing: SceneObject, frame: int, size: int) -> tuple[slice, slice, np.ndarray] | None:
    """Rows, columns and coverage in [0, 1] of the patch that shows an object in a frame; None where it's outside."""
    centre = thing.centre(frame)
    if centre is None:
        return None
    reach = int(np.ceil(1.25 * thing.radius)) + 1
    left, top = int(np.floor(centre[0])) - reach, int(np.floor(centre[1])) - reach
    side = 2 * reach + 1
    columns, rows = slice(max(left, 0), min(left + side, size)), slice(max(top, 0), min(top + side, size))
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return None
    angle = np.deg2rad(thing.appearance.tilt + thing.appearance.wobble * np.sin(0.4 * frame))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    patch = np.zeros((side * SUPERSAMPLE, side * SUPERSAMPLE), np.uint8)
    offset = np.array([centre[0] - left, centre[1] - top])
    outlines = draw_nameless_outline(thing.appearance.outline) if thing.shape is None else OUTLINES[thing.shape]
    for hole, outline in enumerate(outlines):
        points = (thing.radius * outline @ turn.T + offset) * SUPERSAMPLE - 0.5
        fixed = np.rint(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(patch, [fixed], 0 if hole else 255, lineType=cv2.LINE_8, shift=SUBPIXEL_BITS)
    cover = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    inside = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    return rows, columns, cover[inside]


def _object_coordinates(thing: SceneObject, frame: int, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of a patch in units of the object's radius from its centre: x and y, (h, w) each."""
    centre = thing.centre(frame)
    assert centre is not None
    y, x = np.mgrid[rows, columns].astype(np.float32)
    return (x - centre[0]) / thing.radius, (y - centre[1]) / thing.radius


def _texture(look: Appearance, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Brightness of a texture around 1, (h, w, 1)."""
    along = x * np.cos(look.direction) + y * np.sin(look.direction)
    if look.texture == 'flat':
        return np.ones((*x.shape, 1), np.float32)
    if look.texture == 'gradient':
        field = along
    elif look.texture == 'stripes':
        field = np.sin(look.frequency * along + look.phase)
    else:
        across = y * np.cos(look.direction) - x * np.sin(look.direction)
        field = np.sign(np.sin(look.frequency * along + look.phase) * np.sin(look.frequency * across))
    return (1 + look.strength * field[..., None] - 0.5 * look.strength).astype(np.float32)
