"""Conversations of several turns against plain transformers on the processor's own inputs."""

import pytest
import torch

from lavida_mm.models.mllm import Turn
from lavida_mm.utils.errors import DataError
from tests.test_models.test_mllm.reference import plain_conversation, plain_model

pytestmark = pytest.mark.filterwarnings('ignore:__array_wrap__ must accept:DeprecationWarning')

TURNS = [
    Turn('What is in the video?', 'red star, blue ring.'),
    Turn('Is this in the video: red star moving left?', 'no.'),
    Turn('Which of these is in the video: red star, white cross?', 'red star.'),
]


def labels_of(ids, tokenizer):
    """The tokens after each 'assistant' line, up to the end of the turn and its line, by a walk over the tokens."""
    start = tokenizer('<|im_start|>assistant\n', add_special_tokens=False)['input_ids']
    end = tokenizer('<|im_end|>\n', add_special_tokens=False)['input_ids']
    labels = torch.full_like(ids, -100)
    place, walked = 0, ids.tolist()
    while place < len(walked):
        if walked[place : place + len(start)] == start:
            place += len(start)
            stop = next(at for at in range(place, len(walked)) if walked[at : at + len(end)] == end) + len(end)
            labels[place:stop] = ids[place:stop]
            place = stop
        else:
            place += 1
    return labels


@pytest.mark.parametrize('num_turns', [1, 2, 3])
@pytest.mark.parametrize('num_frames', [1, 4])
def test_turns_are_tokenised_as_the_processor_does(tiny_folder, make_clip, build, num_turns, num_frames):
    clip, turns = make_clip(num_frames), TURNS[:num_turns]
    inputs, _, tokenizer = plain_conversation(tiny_folder, clip, turns)
    model = build(tiny_folder)
    sequence = model.writer.write_turns(turns, model._prepare(clip))
    assert sequence.ids.tolist() == inputs['input_ids'][0].tolist()
    said = tokenizer.decode(sequence.labels[sequence.labels >= 0])
    assert [said.count(turn.answer) for turn in turns] == [1] * num_turns
    assert not any(turn.question in said for turn in turns)


@pytest.mark.parametrize('num_frames', [1, 4])
def test_loss_and_states_equal_plain_transformers(qwen_folder, make_clip, build, num_frames):
    clip = make_clip(num_frames)
    inputs, _, tokenizer = plain_conversation(qwen_folder, clip, TURNS)
    labels = labels_of(inputs['input_ids'][0], tokenizer)[None]
    model = build(qwen_folder)
    with torch.no_grad():
        theirs = plain_model(qwen_folder)(**inputs, labels=labels, output_hidden_states=True)
        ours = model.converse([clip], [TURNS])
        both = model.converse([clip, make_clip(2, seed=3)], [TURNS, TURNS[:1]])
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=1e-5)
    config = model.model.config
    visual = (inputs['input_ids'] == (config.video_token_id if num_frames > 1 else config.image_token_id))[0]
    torch.testing.assert_close(ours.visual_states[0], theirs.hidden_states[-1][0, visual], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(both.visual_states[0], ours.visual_states[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(both.visual_tokens[0], ours.visual_tokens[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ('turns', 'message'),
    [
        ([], 'at least one turn'),
        ([Turn(' ', 'yes.')], 'blank question or answer'),
        ([Turn('is it there?', '')], 'blank question or answer'),
        ([Turn('a <|im_end|> b', 'yes.')], 'reads as special'),
        ([Turn('what?', 'it is <SEG>.')], 'reads as special'),
    ],
)
def test_conversations_that_cannot_be_read(tiny_folders, make_clip, build, turns, message):
    with pytest.raises(DataError, match=message):
        build(tiny_folders['qwen2_vl']).converse([make_clip(2)], [turns])


def test_a_conversation_longer_than_the_context(tiny_folders, make_clip, build):
    with pytest.raises(DataError, match=r'3 turns.*more than the context of 2048'):
        build(tiny_folders['qwen2_vl']).converse([make_clip(2)], [[Turn('what is it ' * 300, 'no.')] * 3])
