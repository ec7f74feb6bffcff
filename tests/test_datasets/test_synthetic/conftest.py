"""Small worlds, written once for all tests of this folder."""

import pytest

from lavida_mm.datasets.synthetic import build_world

SMALL = {'stage0': 16, 'images': 12, 'clips': 4, 'mp4_clips': 2, 'normal': 1, 'val': 3, 'benchmark': 3}
PHRASES = {'behaviour_clips': 6, 'relation_clips': 6, 'behaviour': 3, 'relation': 3}


@pytest.fixture(scope='session')
def small_world(tmp_path_factory):
    root = tmp_path_factory.mktemp('world') / 'world'
    build_world(root, seed=3, counts=SMALL, progress=False)
    return root


@pytest.fixture(scope='session')
def phrase_world(tmp_path_factory):
    root = tmp_path_factory.mktemp('phrases') / 'world'
    build_world(root, seed=3, counts=PHRASES, parts=list(PHRASES), progress=False)
    return root
