"""Says whether the sources of a training are on disk and what their publishers gave out, before a training begins."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavida_mm.datasets.masks import find_mask_fault, find_run_fault
from lavida_mm.datasets.palette import read_mask
from lavida_mm.datasets.sources.base_source import PseudoAnomalySource
from lavida_mm.datasets.video_reader import IMAGE_SUFFIXES, open_video, read_image
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError, describe_error

__all__ = ['SourceReport', 'check_source', 'check_sources', 'list_sources']

NOT_OF_A_SOURCE = ('anomaly_sampler',)  # what the mixture takes from a source's config
MOST_FAULTS = 20  # that are listed

Progress = Callable[[int, int], None]


@dataclass
class SourceReport:
    """What was found of one source.

    Attributes:
        name: of the source in the mixture.
        kind: its type.
        state: ``'found'``, ``'missing'`` or ``'broken'``.
        paths: what the index is made from -> whether it is there.
        counts: what is counted -> how many were found, and how many were published (None: not known).
        faults: what is wrong, the first ones.
        num_faults: of how many in all.
        num_opened: files that were opened, 0 without ``deep``.
    """

    name: str
    kind: str
    state: str = 'found'
    paths: dict[str, bool] = field(default_factory=dict)
    counts: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    num_faults: int = 0
    num_opened: int = 0

    @property
    def ok(self) -> bool:
        """Whether one can train on it."""
        return self.state == 'found'

    @property
    def differences(self) -> list[str]:
        """Counts that are not the published ones, in words."""
        return [
            f'{found:,} {what}, published: {published:,}'
            for what, (found, published) in self.counts.items()
            if published is not None and found != published
        ]

    def add_fault(self, fault: str, state: str = 'broken') -> None:
        """Note a fault; only the first ones are kept."""
        self.state = state
        self.num_faults += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            'name': self.name,
            'type': self.kind,
            'state': self.state,
            'paths': self.paths,
            'counts': {what: {'found': found, 'published': known} for what, (found, known) in self.counts.items()},
            'num_opened': self.num_opened,
            'num_faults': self.num_faults,
            'faults': self.faults,
        }

    def to_text(self) -> str:
        """The report for people."""
        lines = [f'{self.state.upper():<8} {self.name} ({self.kind})']
        lines += [f'         {"found  " if there else "missing"}  {path}' for path, there in self.paths.items()]
        for what, (found, known) in self.counts.items():
            verdict = '' if known is None else ', as published' if known == found else f', published: {known:,}'
            lines.append(f'         {found:,} {what}{verdict}')
        if self.num_opened:
            lines.append(f'         {self.num_opened:,} files opened')
        lines += [f'         ! {fault}' for fault in self.faults]
        if self.num_faults > len(self.faults):
            lines.append(f'         ! and {self.num_faults - len(self.faults):,} more')
        return '\n'.join(lines)


def list_sources(mixture: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The sources of a mixture's config by name, with those that its samplers take objects from.

    >>> list(list_sources(dict(sources=dict(a={}), anomaly_sampler=dict(objects=dict(type='X')))))
    ['a', 'anomaly_sampler.objects']
    """
    found = dict(mixture.get('sources') or {})
    found.update(_find_objects(mixture.get('anomaly_sampler'), 'anomaly_sampler'))
    for name, config in (mixture.get('sources') or {}).items():
        found.update(_find_objects(config.get('anomaly_sampler'), f'{name}.anomaly_sampler'))
    return found


def _find_objects(sampler: Any, name: str) -> dict[str, Mapping[str, Any]]:
    """Configs of sources under the key ``objects``, however deep, by their place."""
    found: dict[str, Mapping[str, Any]] = {}
    if isinstance(sampler, Mapping):
        for key, value in sampler.items():
            if key == 'objects' and isinstance(value, Mapping):
                found[f'{name}.objects'] = value
            else:
                found.update(_find_objects(value, f'{name}.{key}'))
    elif isinstance(sampler, list | tuple):
        for place, value in enumerate(sampler):
            found.update(_find_objects(value, f'{name}[{place}]'))
    return found


def check_sources(
    sources: Mapping[str, Mapping[str, Any]], *, deep: bool = False, progress: Callable[[str], Progress] | None = None
) -> list[SourceReport]:
    """Check the sources of a ``SourceMixture`` (:func:`list_sources`), those of share 0 too.

    Args:
        sources: name -> config.
        deep: open every file as well.
        progress: called with a source's name, gives what is told how many of how many items were opened.
    """
    return [
        check_source(name, config, deep=deep, progress=None if progress is None else progress(name))
        for name, config in sources.items()
    ]


def check_source(
    name: str, config: Mapping[str, Any], *, deep: bool = False, progress: Progress | None = None
) -> SourceReport:
    """Check one source: its files, its index, its counts and, if asked for, every file that it names.

    Args:
        name: what the mixture calls it.
        config: of the source.
        deep: open every file as well.
        progress: told how many of how many items were opened.

    Raises:
        TypeError: the config has an argument that the source does not know, or lacks one.
        ValueError: a value breaks its rule.
    """
    report = SourceReport(name, str(config.get('type')))
    own = {key: value for key, value in config.items() if key not in NOT_OF_A_SOURCE}
    source: PseudoAnomalySource = DATASETS.build({'name': name, **own, 'lazy_init': True})
    report.paths = {str(path): path.exists() for path in source.index_files()}
    for path, there in report.paths.items():
        if not there:
            report.add_fault(f'{path}: not found', 'missing')
    if not report.ok:
        return report
    source.cache_index = False  # what is on disk now
    try:
        source.full_init()
    except (DataError, OSError) as error:
        report.add_fault(describe_error(error))
        return report
    published = type(source).PUBLISHED.get(getattr(source, 'split', ''), {})
    report.counts = {what: (found, published.get(what)) for what, found in source.counts().items()}
    if deep:
        _open_all(source, report, progress)
    return report


def _open_all(source: PseudoAnomalySource, report: SourceReport, progress: Progress | None) -> None:
    """Read every item once as a training would, and every frame and mask that it names."""
    opened: set[str] = set()
    for number in range(len(source)):
        fault = _find_fault(lambda number=number: source[number])  # type: ignore[misc]
        if fault:
            report.add_fault(f'item {number}: {fault}')
        info = source.get_data_info(number)
        for mask_fault in _find_mask_faults(info):
            report.add_fault(f'{source.name}, {info.get("video_id", number)}: {mask_fault}')
        for path, read in _files(info):
            if path in opened:
                continue
            opened.add(path)
            fault = _find_fault(lambda path=path, read=read: read(path))  # type: ignore[misc]
            if fault:
                report.add_fault(fault)
        if progress is not None:
            progress(number + 1, len(source))
    report.num_opened = len(opened)


def _files(info: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """The files that an item names, and what opens each."""
    for file in (info.get('frame_files') or {}).values():
        yield file, read_image
    for file in (info.get('mask_files') or {}).values():
        yield file, read_mask
    if info.get('mask_folder'):
        for path in sorted(Path(info['mask_folder']).iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                yield str(path), read_mask
    if info.get('img_path'):
        yield info['img_path'], read_image
    if info.get('path'):
        yield info['path'], _read_video


def _find_mask_faults(info: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the run lengths and polygons of a video's objects."""
    height, width = info.get('height'), info.get('width')
    for target in info.get('objects') or ():
        for frame, mask in target.get('masks', {}).items():
            if height and width:
                fault = find_mask_fault(mask, height, width) or find_run_fault(mask, height, width)
                if fault:
                    yield f'frame {frame}: {fault}'


def _read_video(path: str) -> None:
    with open_video(path) as reader:
        for frame in range(reader.num_frames):
            reader.read([frame])


def _find_fault(read: Callable[[], Any]) -> str | None:
    try:
        read()
    except (DataError, OSError) as error:
        return describe_error(error)
    return None
