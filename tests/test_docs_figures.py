"""The page of figures explains every figure that an evaluation can give."""

import re

import numpy as np
import pytest

from lavida_mm.evaluation.category_figures import CATEGORY_FIGURES
from lavida_mm.evaluation.evaluation import Figures
from lavida_mm.evaluation.event_figures import EVENT_FIGURES
from lavida_mm.evaluation.frame_figures import add_frame_figures
from lavida_mm.evaluation.protocols import PROTOCOLS
from lavida_mm.evaluation.region_figures import REGION_FIGURES
from lavida_mm.evaluation.scoreboard import PIXEL_FIGURES, Scoreboard
from lavida_mm.structures import VideoRecord
from tests.conftest import ROOT


def frame_figures():
    """Where there is nothing to count, all are undefined, and named."""
    figures = Figures()
    add_frame_figures(figures, [], PROTOCOLS['default'])
    return set(figures.undefined)


def figures_of_a_video():
    """What comes with every evaluation, coverage among it."""
    board = Scoreboard([VideoRecord('a', num_frames=4, intervals=[(1, 2)], has_ground_truth=True)], events={'on': 0.5})
    board.set_curve('a', np.array([0.0, 1.0, 0.0, 0.0]))
    evaluation = board.evaluate()
    return {*evaluation.figures, *evaluation.undefined}


def page_names():
    page = (ROOT / 'docs' / 'figures.md').read_text(encoding='utf-8')
    return re.findall(r'^\| `([\w.]+)` \|', page, flags=re.MULTILINE)


def test_each_figure_has_one_row_and_each_row_a_figure():
    names = page_names()
    known = {
        *frame_figures(),
        *PIXEL_FIGURES,
        *REGION_FIGURES,
        *EVENT_FIGURES,
        *CATEGORY_FIGURES,
        *figures_of_a_video(),
    }
    assert len(names) == len(set(names))
    assert set(names) == known


@pytest.mark.parametrize('name', sorted(PROTOCOLS))
def test_the_figures_that_reports_show_first_are_explained(name):
    assert set(PROTOCOLS[name].headline) <= set(page_names())
