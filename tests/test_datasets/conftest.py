"""Fixtures of the data rooms' tests."""

import logging
import types

import pytest
from mmengine.dataset import base_dataset
from mmengine.logging import MMLogger


@pytest.fixture(autouse=True)
def no_full_collections(monkeypatch):
    """mmengine collects garbage for every dataset it makes; beside mmdet that takes a second, for a dozen of tests."""
    monkeypatch.setattr(base_dataset, 'gc', types.SimpleNamespace(collect=lambda: 0))


@pytest.fixture
def warned(caplog):
    """Warnings of mmengine's current logger, which has no parent that would hand them on."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    logger.removeHandler(caplog.handler)
