"""Counts of what a training is fed, against samples counted by hand."""

import pytest
import torch

from lavida_mm.datasets.exposure_stats import ExposureStats
from lavida_mm.structures import VADDataSample


def sample(source, categories, targets, covered):
    """``covered`` pixels of 100 are in the mask of each frame."""
    found = VADDataSample(metainfo=dict(source=source, categories=categories))
    masks = torch.zeros(len(covered), 100, dtype=torch.bool)
    for frame, number in enumerate(covered):
        masks[frame, :number] = True
    found.gt_masks = masks.view(-1, 10, 10)
    found.gt_frame_labels = (torch.tensor(covered) > 0).long()
    found.gt_category_labels = torch.tensor(targets)
    return found


@pytest.fixture
def stats():
    stats = ExposureStats({'a': 0.75, 'b': 0.15, 'never': 0.1})
    stats.add(sample('a', ['dog', 'cat'], [1, 0], [20, 0]))
    stats.add(sample('a', ['cat'], [0], [0, 0]))
    stats.add(sample('a', ['dog', 'cow', 'cat'], [1, 0, 0], [10, 40]))
    stats.add(sample('b', ['sky', 'sea'], [0, 1], [5]))
    return stats


def test_counts_are_those_of_the_samples(stats):
    found = stats.to_dict()
    assert stats.num_samples == 4
    assert found['a'] == {
        'configured_share': 0.75,
        'sampled_share': 0.75,
        'samples': 3,
        'positives': 2,
        'frames': 6,
        'anomalous_frames': 3,
        'mask_area': pytest.approx({'min': 0.1, 'median': 0.2, 'max': 0.4}),
        'words_per_prompt': {'min': 1, 'median': 2, 'max': 3},
        'num_target_words': 1,
        'targets': {'dog': 2},
        'num_distractor_words': 2,
        'distractors': {'cat': 3, 'cow': 1},
    }
    assert found['b']['targets'] == {'sea': 1} and found['b']['sampled_share'] == 0.25
    assert found['never']['samples'] == 0 and found['never']['mask_area'] is None


def test_only_the_most_frequent_words_are_listed(stats):
    assert stats.to_dict(most=1)['a']['distractors'] == {'cat': 3}
    assert stats.to_dict(most=1)['a']['num_distractor_words'] == 2


def test_a_source_without_a_configured_share_is_counted_too():
    stats = ExposureStats({})
    stats.add(sample('x', ['dog'], [0], [0]))
    assert stats.to_dict()['x']['configured_share'] is None
    assert '| x | 1 | 100.0 % | – | 0.0 % | 0.0 % | – | 1 to 1 | 0 |' in stats.to_markdown()


def test_the_table_has_one_row_per_source(stats):
    rows = stats.to_markdown().splitlines()
    assert len(rows) == 5
    assert rows[2] == '| a | 3 | 75.0 % | 75.0 % | 66.7 % | 50.0 % | 20.0 % | 1 to 3 | 1 |'
    assert rows[4] == '| never | 0 | 0.0 % | 10.0 % | – | – | – | – | – |'
    assert len({row.count('|') for row in rows}) == 1
