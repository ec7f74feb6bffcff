"""Write the synthetic world to disk: part by part, each whole or absent."""

import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lavida_mm.datasets.synthetic.catalogue import BENCHMARKS, DEFAULT_PARTS, PARTS
from lavida_mm.datasets.synthetic.scene import FRAME_SIZE
from lavida_mm.datasets.synthetic.vocabulary import COLOURS, HELD_OUT_PAIRS, SHAPES, TRAINED_PAIRS
from lavida_mm.utils.atomic import write_json
from lavida_mm.utils.errors import DataError, UsageError

__all__ = ['WORLD_VERSION', 'build_world', 'derive_benchmark_seed']

WORLD_VERSION = 1
UNFINISHED = '.part-'
RECORD = 'part.json'
MAX_SEED = 2**63 - 1
CHUNK = 8  # items handed to a worker at a time


def derive_benchmark_seed(seed: int) -> int:
    """The benchmark's seed where none is given: another one than that of the training parts."""
    return seed + 1_000_003


def build_world(
    out: str | os.PathLike,
    *,
    seed: int = 0,
    benchmark_seed: int | None = None,
    counts: Mapping[str, int] | None = None,
    parts: Sequence[str] = DEFAULT_PARTS,
    overwrite: bool = False,
    workers: int = 1,
    progress: bool = True,
) -> list[str]:
    """Write the parts of the world that are not there yet.

    The files depend on version, seeds and counts only. A part is written in a temporary folder beside its place
    and then moved there, so that an interrupted run leaves whole parts and the next run goes on.

    Args:
        out: root folder of the world.
        seed: of all parts but the benchmarks.
        benchmark_seed: of the benchmarks; by default derived from ``seed``.
        counts: number of items by part, where it differs from the default.
        parts: which parts to write.
        overwrite: replace parts that were made with another version, seed or count.
        workers: processes that render.
        progress: show a bar per part.

    Returns:
        names of the parts that were written; those that were there already are left out.

    Raises:
        UsageError: an argument breaks a rule.
        DataError: a part is there, but made with another version, seed or count, and ``overwrite`` is off.
    """
    out = Path(out)
    counts = {name: part.count for name, part in PARTS.items()} | dict(counts or {})
    benchmark_seed = derive_benchmark_seed(seed) if benchmark_seed is None else benchmark_seed
    _check(seed, benchmark_seed, counts, parts, workers)
    if out.exists() and not out.is_dir():
        raise DataError(f'{out}: the root of the world must be a folder')
    wanted = {
        name: {'version': PARTS[name].version, 'part': name, 'seed': benchmark_seed if name in BENCHMARKS else seed,
               'count': counts[name]}
        for name in PARTS if name in parts
    }  # fmt: skip
    missing = [name for name, record in wanted.items() if not _is_there(out, name, record, overwrite)]
    out.mkdir(parents=True, exist_ok=True)
    if missing:
        _remove_unfinished(out)
    with _mapper(workers if missing else 1) as run:
        for name in missing:
            _write_part(out, name, wanted[name], run, progress)
            write_json(out / 'world.json', _describe_world(out))
    if not (out / 'world.json').exists():
        write_json(out / 'world.json', _describe_world(out))
    return missing


def _check(seed: int, benchmark_seed: int, counts: Mapping[str, int], parts: Sequence[str], workers: int) -> None:
    for name, value in (('seed', seed), ('benchmark_seed', benchmark_seed)):
        if not 0 <= value <= MAX_SEED:
            raise UsageError(f'{name} must be in [0, {MAX_SEED}], got {value}')
    for name in (*parts, *counts):
        if name not in PARTS:
            raise UsageError(f'parts must be among {", ".join(PARTS)}, got {name!r}')
    if not parts:
        raise UsageError('parts must name at least one part, got none')
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f'count of {name} must be at least 1, got {count}')
    if workers < 1:
        raise UsageError(f'workers must be at least 1, got {workers}')


def _is_there(out: Path, name: str, record: Mapping[str, Any], overwrite: bool) -> bool:
    """Whether a part is there as wanted; one that differs is an error or, with ``overwrite``, to be replaced."""
    folder = out / name
    if not folder.exists():
        return False
    found = _read_record(folder)
    if found == record:
        return True
    if overwrite:
        return False
    differs = 'has no readable part.json'
    if found is not None:
        keys = [key for key in record if found.get(key) != record[key]]
        differs = 'was made with ' + ', '.join(f'{key} {found.get(key)} instead of {record[key]}' for key in keys)
    raise DataError(f'{folder}: {differs}; choose another folder, or replace the part with --overwrite')


def _read_record(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / RECORD).read_text(encoding='utf-8'))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _remove_unfinished(out: Path) -> None:
    """Remove what an interrupted run left behind."""
    for folder in sorted(out.glob(f'{UNFINISHED}*')):
        shutil.rmtree(folder)


def _write_part(out: Path, name: str, record: Mapping[str, Any], run: Any, progress: bool) -> None:
    part = PARTS[name]
    folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, suffix=f'-{name}', dir=out))
    try:
        for sub in part.folders:
            (folder / sub).mkdir()
        make = partial(_call, name, record['seed'], folder)
        made = run(make, range(record['count']))
        bar = tqdm(made, total=record['count'], desc=f'{name:>9}', unit='item', disable=not progress)
        part.finish(list(bar), folder)
        (folder / RECORD).write_text(json.dumps(record) + '\n', encoding='utf-8')
        folder.chmod(0o777 & ~_umask())
        _replace(folder, out / name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _call(name: str, seed: int, folder: Path, index: int) -> Any:
    return PARTS[name].make(seed, index, folder)


def _replace(folder: Path, place: Path) -> None:
    """Move a folder to its place; what was there before goes once the new one stands."""
    if not place.exists():
        folder.rename(place)
        return
    old = Path(tempfile.mkdtemp(prefix=UNFINISHED, suffix='-old', dir=place.parent))
    place.rename(old / place.name)
    folder.rename(place)
    shutil.rmtree(old)


@contextmanager
def _mapper(workers: int) -> Iterator[Any]:
    """An ordered, lazy map, in this process or over a pool of others."""
    if workers == 1:
        yield map
        return
    with multiprocessing.get_context('fork').Pool(workers) as pool:
        yield partial(pool.imap, chunksize=CHUNK)


def _describe_world(out: Path) -> dict[str, Any]:
    """What stands in world.json: the words, and how each part that is there was made."""
    records = {name: _read_record(out / name) for name in PARTS}
    there = {name: record for name, record in records.items() if record is not None}
    seeds = {record['seed'] for name, record in there.items() if name not in BENCHMARKS}
    benchmark_seeds = {record['seed'] for name, record in there.items() if name in BENCHMARKS}
    return {
        'version': WORLD_VERSION,
        'seed': seeds.pop() if len(seeds) == 1 else None,
        'benchmark_seed': benchmark_seeds.pop() if len(benchmark_seeds) == 1 else None,
        'size': FRAME_SIZE,
        'colours': list(COLOURS),
        'shapes': list(SHAPES),
        'trained_pairs': [str(pair) for pair in TRAINED_PAIRS],
        'held_out_pairs': [str(pair) for pair in HELD_OUT_PAIRS],
        'counts': {name: record['count'] for name, record in there.items()},
        'parts': there,
    }


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
