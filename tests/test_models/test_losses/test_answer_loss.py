"""Which words are true of a clip, and the loss of saying so."""

import pytest
import torch
from sklearn.metrics import log_loss

from lavida_mm.models.losses import answer_loss, find_answers
from lavida_mm.structures import VADDataSample


def make_sample(words, labels, shown=None):
    sample = VADDataSample(metainfo=dict(video_id='v3', categories=words))
    sample.gt_category_labels = torch.tensor(labels)
    if shown is not None:
        sample.gt_frame_labels = torch.tensor(shown)
    return sample


def test_a_target_counts_where_it_shows_in_most_frames():
    samples = [
        make_sample(['a', 'b'], [1, 0], [1, 1, 1, 0]),
        make_sample(['a', 'b', 'c'], [0, 1, 0], [1, 1, 0, 0]),  # b comes or goes: neither there nor absent
        make_sample(['a'], [0], [0, 0, 0, 0]),
        make_sample(['a', 'b'], [1, 1]),
    ]
    found = find_answers(samples, torch.device('cpu'))
    assert found.tolist() == [[1, 0, -1], [0, -1, 0], [0, -1, -1], [1, 1, -1]]


def test_the_loss_is_the_mean_over_what_is_known():
    logits = torch.tensor([[2.0, -1.0, 9.0], [0.5, -1e4, 3.0]], dtype=torch.float64)
    answers = torch.tensor([[1, 0, -1], [0, -1, 1]])
    known = [(2.0, 1), (-1.0, 0), (0.5, 0), (3.0, 1)]
    wanted = log_loss([truth for _, truth in known], torch.tensor([z for z, _ in known]).double().sigmoid().numpy())
    assert float(answer_loss(logits, answers)) == pytest.approx(wanted, rel=1e-6)
    logits.requires_grad_()
    answer_loss(logits, answers).backward()
    assert (logits.grad == 0).tolist() == (answers == -1).tolist()


def test_nothing_known_is_no_loss_and_still_in_the_graph():
    logits = torch.zeros(2, 1, requires_grad=True)
    loss = answer_loss(logits, torch.full((2, 1), -1))
    loss.backward()
    assert loss == 0
    assert logits.grad.tolist() == [[0], [0]]


@pytest.mark.parametrize('labels', [None, [1]])
def test_labels_that_are_missing_are_named(labels):
    sample = make_sample(['a', 'b'], [0, 0])
    del sample.gt_category_labels
    if labels is not None:
        sample = make_sample(['a', 'b'], labels)
    with pytest.raises(
        ValueError,
        match=r'sample v3: loss_answer needs gt_category_labels with one entry for each of the 2 named words',
    ):
        find_answers([sample], torch.device('cpu'))
