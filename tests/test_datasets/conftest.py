"""Fixtures of the data rooms' tests."""

import types

import pytest
from mmengine.dataset import base_dataset


@pytest.fixture(autouse=True)
def no_full_collections(monkeypatch):
    """mmengine collects garbage for every dataset it makes; beside mmdet that takes a second, for a dozen of tests."""
    monkeypatch.setattr(base_dataset, 'gc', types.SimpleNamespace(collect=lambda: 0))
