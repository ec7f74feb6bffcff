"""What path_ablation.py does to a model and its test set, one setting at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lavida_mm.utils.errors import UsageError

KEEP_RATIOS = (1.0, 0.5, 0.25, 0.1)
COMPRESSION = 'compression'


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes:
        key: name of its folder, and by which it is asked for.
        name: what the table calls it.
        path: what it acts on.
        act: what it does, as a sentence about the path begins.
        words: ``prompt_words`` of the test set; None for those of the config.
        zeroed: part of the model whose output is zeroed: ``'mllm'`` (the ``<SEG>`` states) or ``'text_encoder'``.
        swapped: whether each window gets the ``<SEG>`` state of a window of another video.
        frames: ``'shuffled'``, the frames of each window come in another order; ``'repeated'``, each frame is judged in
            a window that holds nothing else.
        keep_ratio: of the compressor, None for that of the config.
    """

    key: str
    name: str
    path: str = ''
    act: str = ''
    words: str | tuple[str, ...] | None = None
    zeroed: str | None = None
    swapped: bool = False
    frames: str | None = None
    keep_ratio: float | None = None

    def describe(self) -> dict[str, Any]:
        """What tells its scores from those of another setting, as JSON takes it."""
        fields = asdict(self)
        for label in ('name', 'path', 'act'):
            del fields[label]
        return fields


BASELINE = Setting('right_words', 'right words')


def make_settings(
    keep_ratios: Iterable[float] = KEEP_RATIOS, wrong_words: Sequence[str] | None = None, only: Iterable[str] = ()
) -> list[Setting]:
    """The settings to compare, the baseline first.

    Args:
        keep_ratios: of the compressor.
        wrong_words: words that no video shows; None takes those that the benchmark says are absent.
        only: keys of the settings that are wanted beside the baseline; none for all.

    Raises:
        UsageError: a ratio is outside (0, 1], or there is no such key.
    """
    for ratio in keep_ratios:
        if not 0 < ratio <= 1:
            raise UsageError(f'--keep-ratios must be in (0, 1], got {ratio:g}')
    absent = 'absent' if wrong_words is None else tuple(wrong_words)
    seg, text, time = '`<SEG>`', 'category text', 'time'
    settings = [
        BASELINE,
        Setting('wrong_words', 'words of absent objects', 'words', 'naming what is absent', words=absent),
        Setting('shuffled_words', 'words of another video', 'words', 'naming those of another video', words='shuffled'),
        Setting('seg_zeroed', '`<SEG>` state zeroed', seg, 'zeroing it', zeroed='mllm'),
        Setting('seg_shuffled', '`<SEG>` state of another video', seg, 'taking that of another video', swapped=True),
        Setting('text_zeroed', 'category text zeroed', text, 'zeroing it', zeroed='text_encoder'),
        Setting('frames_shuffled', 'frames shuffled', time, 'shuffling the frames of a window', frames='shuffled'),
        Setting('frame_repeated', 'one frame repeated', time, 'showing each frame by itself', frames='repeated'),
        *[
            Setting(
                f'keep_{ratio:g}',
                f'keep ratio {ratio:g}',
                COMPRESSION,
                f'keeping {"all" if ratio == 1 else f"{ratio:g} of the"} visual tokens',
                keep_ratio=ratio,
            )
            for ratio in dict.fromkeys(keep_ratios)
        ],
    ]
    wanted = list(only)
    known = [setting.key for setting in settings]
    for key in wanted:
        if key not in known:
            raise UsageError(f'--settings must be among {", ".join(known)}, got {key}')
    return [setting for setting in settings if not wanted or setting.key in wanted or setting is BASELINE]


def why_not(model: Any, setting: Setting, window: int | None) -> str | None:
    """Why a setting means nothing to a model; None where it does.

    Args:
        model: a detector of any kind.
        setting: what to do.
        window: frames of a window; None where that is not known.
    """
    from lavida_mm.models.compressors import NoCompressor

    part = 'mllm' if setting.swapped else setting.zeroed
    if part is not None and getattr(model, part, None) is None:
        return f'the model has no {part}'
    if setting.frames is not None and window == 1:
        return 'a window holds one frame'
    if setting.keep_ratio is not None:
        compressor = getattr(model, 'compressor', None)
        if compressor is None or isinstance(compressor, NoCompressor):
            return 'the model keeps all visual tokens'
        if compressor.keep_ratio == setting.keep_ratio:
            return "that is the model's own: see the first row"
    return None
