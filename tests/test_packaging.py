"""Metadata, lock and documents agree with each other and with the repository."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lavida_mm

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md'))]


def lock_pins() -> dict[str, str]:
    lines = (ROOT / 'requirements' / 'lock.txt').read_text().splitlines()
    pairs = [line.split('==') for line in lines if line and not line.startswith('#')]
    assert all(len(pair) == 2 for pair in pairs)  # exact versions only, no paths, no URLs
    return {canonicalize_name(name): version for name, version in pairs}


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```', page.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_one_version_everywhere():
    citation = re.search(r'^version: (.+)$', (ROOT / 'CITATION.cff').read_text(), flags=re.MULTILINE)
    assert lavida_mm.__version__ == PROJECT['version'] == citation.group(1)


def test_a_plain_install_does_not_build_mmcv():
    assert not any(name.startswith(('mmcv', 'mmdet')) for name in PROJECT['dependencies'])
    assert {Requirement(line).name for line in PROJECT['optional-dependencies']['mm']} == {'mmcv', 'mmdet'}


def test_the_lock_meets_every_requirement():
    pins = lock_pins()
    wanted = [*PROJECT['dependencies']]
    for extra, lines in PROJECT['optional-dependencies'].items():
        wanted += lines if extra != 'qlora' else []
    for requirement in map(Requirement, wanted):
        if canonicalize_name(requirement.name) != 'lavida-mm':
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_what_is_tested_beside_the_lock_meets_its_requirement():
    (requirement,) = map(Requirement, PROJECT['optional-dependencies']['qlora'])
    version = re.search(rf'{requirement.name}==(\S+)', (ROOT / 'Makefile').read_text()).group(1)
    assert requirement.specifier.contains(version)
    assert requirement.name not in lock_pins()


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_to_files(page):
    targets = re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', page.read_text())
    missing = [target for target in targets if '://' not in target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_commands_name_files_that_exist(page):
    blocks = '\n'.join(code_blocks(page, 'bash'))
    named = re.findall(r'(?:tools|configs|demo)/[\w/.-]+\.(?:py|sh)', blocks)
    written = re.findall(r'^`(configs/[\w/]+\.py)` ', page.read_text(), flags=re.MULTILINE)  # by the reader
    assert not [name for name in named if name not in written and not (ROOT / name).is_file()]
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), flags=re.MULTILINE))
    assert set(re.findall(r'(?:^|&& )make ([a-z-]+)', blocks, flags=re.MULTILINE)) <= targets


def test_the_leaf_configs_of_the_guide_are_those_of_the_repository():
    text = (ROOT / 'docs' / 'configs.md').read_text()
    shown = re.findall(r'`(configs/examples/\w+\.py)`:\n\n```python\n(.*?)^```', text, flags=re.MULTILINE | re.DOTALL)
    assert len(shown) == 3
    for name, block in shown:
        assert ast.dump(ast.parse(block)) == ast.dump(ast.parse((ROOT / name).read_text())), name
        assert len(block.strip().splitlines()) <= 5


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_python_in_the_guide_parses(page):
    for block in code_blocks(page, 'python'):
        ast.parse(block)
