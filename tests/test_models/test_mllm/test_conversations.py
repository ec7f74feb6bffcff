"""Prompts that are followed by further turns, or answered word by word, against plain transformers."""

import pytest
import torch

from lavida_mm.models.mllm import Turn
from lavida_mm.models.mllm.prompts import ANSWER_TEMPLATES, QUESTION_TEMPLATES
from lavida_mm.models.mllm.word_answers import PADDED_ANSWER
from lavida_mm.utils.errors import DataError
from tests.test_models.test_mllm.reference import WORDS, plain_conversation, plain_model

pytestmark = pytest.mark.filterwarnings('ignore:__array_wrap__ must accept:DeprecationWarning')

TURNS = [
    Turn('What is in the video?', 'red star, blue ring.'),
    Turn('Is this in the video: red star moving left?', 'no.'),
    Turn('Which of these is in the video: red star, white cross?', 'red star.'),
]


def prompt(words=WORDS, template=0, answer='joint'):
    """The first turn, written out."""
    said = {
        'joint': ANSWER_TEMPLATES[template],
        'each': ''.join(f'{word} <SEG>, ' for word in words).removesuffix(', ') + '.',
    }
    return Turn(QUESTION_TEMPLATES[template].format(categories=', '.join(words)), said[answer])


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


@pytest.mark.parametrize('answer', ['joint', 'each'])
@pytest.mark.parametrize('num_turns', [0, 1, 3])
@pytest.mark.parametrize('num_frames', [1, 4])
def test_turns_are_tokenised_as_the_processor_does(tiny_folder, make_clip, build, answer, num_turns, num_frames):
    clip, turns = make_clip(num_frames), TURNS[:num_turns]
    first = prompt(answer=answer)
    inputs, _, tokenizer = plain_conversation(tiny_folder, clip, [first, *turns])
    model = build(tiny_folder, answer=answer)
    sequence = model.writer.write(WORDS, 0, model._prepare(clip), turns)
    assert sequence.ids.tolist() == inputs['input_ids'][0].tolist()
    said = tokenizer.decode(sequence.labels[sequence.labels >= 0])
    assert [said.count(turn.answer) for turn in (first, *turns)] == [1] * (1 + num_turns)
    assert not any(turn.question in said for turn in (first, *turns))


@pytest.mark.parametrize('answer', ['joint', 'each'])
@pytest.mark.parametrize('num_frames', [1, 4])
def test_loss_and_states_equal_plain_transformers(qwen_folder, make_clip, build, answer, num_frames):
    clip = make_clip(num_frames)
    inputs, _, tokenizer = plain_conversation(qwen_folder, clip, [prompt(template=2, answer=answer), *TURNS])
    labels = labels_of(inputs['input_ids'][0], tokenizer)[None]
    model = build(qwen_folder, answer=answer)
    with torch.no_grad():
        theirs = plain_model(qwen_folder)(**inputs, labels=labels, output_hidden_states=True)
        ours = model([clip], [WORDS], [2], turns=[TURNS])
        both = model([clip, make_clip(2, seed=3)], [WORDS, ['star']], [2, 0], turns=[TURNS, TURNS[:1]])
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=1e-5)
    config = model.model.config
    visual = (inputs['input_ids'] == (config.video_token_id if num_frames > 1 else config.image_token_id))[0]
    torch.testing.assert_close(ours.visual_states[0], theirs.hidden_states[-1][0, visual], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(both.visual_states[0], ours.visual_states[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(both.visual_tokens[0], ours.visual_tokens[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(both.seg_states[:1], ours.seg_states, rtol=1e-5, atol=1e-5)


def test_each_word_is_answered_as_plain_transformers_goes_on(tiny_folder, make_clip, build):
    """Behind each word's <SEG>: the head's logit of ' yes' less that of ' no'; and the mean state by their softmax."""
    clip = make_clip(4)
    inputs, _, tokenizer = plain_conversation(tiny_folder, clip, [prompt(answer='each')])
    is_seg = inputs['input_ids'][0] == tokenizer.convert_tokens_to_ids('<SEG>')
    vocabulary = tokenizer.get_vocab()
    model = build(tiny_folder, answer='each')
    with torch.no_grad():
        theirs = plain_model(tiny_folder)(**inputs, output_hidden_states=True)
        ours = model([clip], [WORDS], [0])
        both = model([clip, clip], [WORDS, WORDS[:1]], [0, 0])
    logits = theirs.logits[0, is_seg]
    expected = logits[:, vocabulary['Ġyes']] - logits[:, vocabulary['Ġno']]
    assert len(expected) == len(WORDS)
    torch.testing.assert_close(ours.answers[0], expected, rtol=1e-4, atol=1e-5)
    weights = expected.double().exp() / expected.double().exp().sum()
    mean = (weights[:, None] * theirs.hidden_states[-1][0, is_seg].double()).sum(0)
    torch.testing.assert_close(ours.seg_states[0].double(), mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.answers[0], ours.answers[0], rtol=1e-4, atol=1e-5)
    assert both.answers[1, 1:].tolist() == [PADDED_ANSWER] * (len(WORDS) - 1)
    assert build(tiny_folder)([clip], [WORDS], [0]).answers is None


def test_a_word_is_answered_before_later_ones_are_said(tiny_folders, make_clip, build):
    model = build(tiny_folders['qwen2_vl'], answer='each')
    with torch.no_grad():
        read = model([make_clip(4)] * 2, [['red star', 'ring'], ['red star', 'ring']], [0, 0])
        other = model([make_clip(4)], [['red star', 'blue cross']], [0])
    torch.testing.assert_close(read.answers[0], read.answers[1])
    assert read.answers[0, 1] != other.answers[0, 1]


def test_yes_and_no_must_be_one_token(tiny_folders, build, monkeypatch):
    monkeypatch.setattr('lavida_mm.models.mllm.word_answers.YES_AND_NO', (' yes', ' nay nay'))
    with pytest.raises(ValueError, match=r"answer='each' needs 'nay nay' to be one token"):
        build(tiny_folders['qwen2_vl'], answer='each')
    build(tiny_folders['qwen2_vl'])


def test_answers_that_there_are_not(tiny_folders, build):
    with pytest.raises(ValueError, match="answer must be one of joint, each, got 'all'"):
        build(tiny_folders['qwen2_vl'], answer='all')


@pytest.mark.parametrize(
    ('turns', 'message'),
    [
        ([Turn(' ', 'yes.')], 'blank question or answer'),
        ([Turn('is it there?', '')], 'blank question or answer'),
        ([Turn('a <|im_end|> b', 'yes.')], 'reads as special'),
        ([Turn('what?', 'it is <SEG>.')], 'reads as special'),
    ],
)
def test_conversations_that_cannot_be_read(tiny_folders, make_clip, build, turns, message):
    with pytest.raises(DataError, match=message):
        build(tiny_folders['qwen2_vl'])([make_clip(2)], [WORDS], [0], turns=[turns])


def test_a_conversation_longer_than_the_context(tiny_folders, make_clip, build):
    with pytest.raises(DataError, match=r'3 words and 3 turns.*more than the context of 2048'):
        build(tiny_folders['qwen2_vl'])([make_clip(2)], [WORDS], [0], turns=[[Turn('what is it ' * 300, 'no.')] * 3])
