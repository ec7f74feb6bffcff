"""Prints those of the given pins (name==version) that are not installed, or not whole, in this environment.

An installation that was interrupted can leave a package that has its metadata but not all of its files: every file in
its record must be there, and not be shorter than recorded. With --repair, what is not whole loses its metadata, so
that pip installs it again.
"""

import re
import shutil
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path


def normalise(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()


def is_whole(dist: Distribution) -> bool:
    if dist.read_text('RECORD') is None or dist.files is None:
        return False
    for file in dist.files:
        if file.suffix == '.pyc':  # compiled again when it is missing
            continue
        try:
            size = Path(str(file.locate())).stat().st_size
        except OSError:
            return False
        in_metadata = any(part.endswith('.dist-info') for part in file.parts)  # some wheels record wrong sizes here
        if file.size is not None and size < file.size and not in_metadata:
            return False
    return True


def main(arguments: list[str]) -> None:
    repair = '--repair' in arguments
    installed: dict[str, list[Distribution]] = {}
    broken: list[Distribution] = []
    for dist in distributions():
        if dist.metadata['Name']:
            installed.setdefault(normalise(dist.metadata['Name']), []).append(dist)
        else:  # metadata without a name: the rest of an interrupted installation
            broken.append(dist)
    for pin in arguments:
        if pin == '--repair':
            continue
        name, _, version = pin.partition('==')
        found = installed.get(normalise(name), [])
        if len(found) == 1 and found[0].version == version and is_whole(found[0]):
            continue
        broken += [dist for dist in found if len(found) > 1 or not is_whole(dist)]
        print(pin)
    if repair:
        for dist in broken:
            shutil.rmtree(dist._path, ignore_errors=True)  # type: ignore[attr-defined]


if __name__ == '__main__':
    main(sys.argv[1:])
