"""Writes requirements/lock.txt from the packages that are installed in the environment it runs in (`make lock`).

To change a version: install it into .venv with pip, run the tests, then `make lock`.
"""

import sys
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEADER = """\
# Every package of .venv with its exact version, for Python 3.11 on Linux x86-64. Written by `make lock`.
# `make env` installs the sections one after the other; each pin is exact, so pip has nothing to resolve.
"""
BUILD = ['pip', 'setuptools', 'wheel', 'ninja', 'psutil']
OURSELVES = 'lavida-mm'


def with_dependencies(names: list[str], installed: dict) -> set[str]:
    """The packages and, as far as they are installed, everything they need."""
    found: set[str] = set()
    todo = [(name, frozenset[str]()) for name in names]
    seen = set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen or name not in installed:
            continue
        seen.add((name, extras))
        found.add(name)
        for line in installed[name].requires or []:
            requirement = Requirement(line)
            environments = [{'extra': extra} for extra in extras] or [{'extra': ''}]
            if requirement.marker is None or any(requirement.marker.evaluate(env) for env in environments):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def main() -> int:
    installed = {canonicalize_name(dist.name): dist for dist in distributions()}
    installed.pop(OURSELVES, None)
    sections = {'build': set(BUILD)}
    sections['torch'] = with_dependencies(['torch', 'torchvision'], installed) - sections['build']
    sections['mmcv'] = {'mmcv'}
    sections['rest'] = set(installed) - set().union(*sections.values())
    absent = set().union(*sections.values()) - set(installed)
    if absent:
        print(f'error: not installed: {", ".join(sorted(absent))}; run `make env` first', file=sys.stderr)
        return 1
    text = HEADER
    for name, members in sections.items():
        pins = sorted(f'{member}=={installed[member].version}' for member in members)
        text += f'\n# [{name}]\n' + '\n'.join(pins) + '\n'
    path = Path(__file__).resolve().parents[2] / 'requirements' / 'lock.txt'
    path.write_text(text)
    print(f'{path.name}: {sum(map(len, sections.values()))} packages')
    return 0


if __name__ == '__main__':
    sys.exit(main())
