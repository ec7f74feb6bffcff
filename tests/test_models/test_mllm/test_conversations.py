"""Questions about one sample that are each asked by itself, against separate passes of plain transformers."""

import pytest
import torch

from lavida_mm.models.compressors import ReverseAttnCompressor
from lavida_mm.models.mllm import Turn
from lavida_mm.models.mllm.word_answers import PADDED_ANSWER
from lavida_mm.utils.errors import DataError
from tests.test_models.test_mllm.reference import WORDS, plain_conversation, plain_inputs, plain_model

pytestmark = pytest.mark.filterwarnings('ignore:__array_wrap__ must accept:DeprecationWarning')

TURNS = [
    Turn('What is in the video?', 'red star, blue ring.'),
    Turn('Is this in the video: red star moving left?', 'no.'),
    Turn('What is in the video?', 'red star, white cross.'),
]


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)


def pass_turn(folder, clip, turn):
    """Loss of each token of the answer, by a pass of its own; and the visual states of the pass."""
    inputs, text, tokenizer = plain_conversation(folder, clip, [turn])
    ids = inputs['input_ids'][0]
    answer = text[text.rindex(turn.answer) :]
    begin = max(place for place in range(len(ids)) if answer in tokenizer.decode(ids[place:]))
    with torch.no_grad():
        out = plain_model(folder)(**inputs, output_hidden_states=True)
    logs = out.logits[0].log_softmax(-1)
    return -logs[torch.arange(begin - 1, len(ids) - 1), ids[begin:]], out.hidden_states[-1][0], ids


def pass_words(folder, clip, words, template=0):
    """The same for a prompt of one word after the other, with the state at <SEG> and that of every token."""
    losses, states, hidden = [], [], []
    for word in words:
        inputs, seg_id = plain_inputs(folder, clip, [word], template)
        ids, labels = inputs['input_ids'][0], inputs.pop('labels')[0]
        with torch.no_grad():
            out = plain_model(folder)(**inputs, output_hidden_states=True)
        said = (labels[1:] != -100).nonzero().flatten()
        losses.append(-out.logits[0].log_softmax(-1)[said, labels[1:][said]])
        states.append(out.hidden_states[-1][0][ids == seg_id][0])
        hidden.append(out.hidden_states[-1][0])
    return torch.cat(losses), torch.stack(states), hidden


@pytest.mark.parametrize('num_frames', [1, 4])
def test_each_word_is_answered_as_if_it_were_asked_alone(tiny_folder, make_clip, build, num_frames):
    """The largest scaled dot product of the state at <SEG> with a visual one; and the mean state, by their softmax."""
    clip = make_clip(num_frames)
    losses, states, hidden = pass_words(tiny_folder, clip, WORDS, template=1)
    model = build(tiny_folder, answer='each')
    (sequence, *_) = model.writer.write_prompt(WORDS, 1, model._prepare(clip))
    with torch.no_grad():
        ours = model([clip], [WORDS], [1])
        both = model([clip, make_clip(2, seed=3)], [WORDS, WORDS[:1]], [1, 0])
    maps = []
    for state, tokens in zip(states.double(), hidden, strict=True):
        seen = [token.double() for token, visual in zip(tokens, sequence.is_visual.tolist(), strict=False) if visual]
        maps.append([float(state @ token) / len(state) ** 0.5 for token in seen])
    close(ours.maps[0].double(), torch.tensor(maps, dtype=torch.float64))
    expected = torch.tensor([max(row) for row in maps])
    close(ours.answers[0], expected)
    close(ours.loss, losses.mean())
    weights = expected.double().exp() / expected.double().exp().sum()
    close(ours.seg_states[0].double(), (weights[:, None] * states.double()).sum(0))
    close(both.answers[0], ours.answers[0])
    close(both.seg_states[0], ours.seg_states[0])
    assert both.answers[1, 1:].tolist() == [PADDED_ANSWER] * (len(WORDS) - 1)
    joint = build(tiny_folder)([clip], [WORDS], [0])
    assert joint.answers is None
    assert joint.maps is None


@pytest.mark.parametrize('answer', ['joint', 'each'])
def test_turns_are_read_as_if_they_were_asked_alone(tiny_folder, make_clip, build, answer):
    """Two of the questions are the same, so that their conversations part in the answer only."""
    clip, model = make_clip(4), build(tiny_folder, answer=answer)
    with torch.no_grad():
        bare = model([clip], [WORDS[:1]], [0])
        ours = model([clip], [WORDS[:1]], [0], turns=[TURNS])
        both = model([make_clip(2, seed=3), clip], [WORDS, WORDS[:1]], [2, 0], turns=[[], TURNS])
    losses = [pass_turn(tiny_folder, clip, turn)[0] for turn in TURNS]
    close(ours.loss, torch.cat([pass_words(tiny_folder, clip, WORDS[:1])[0], *losses]).mean())
    close(ours.seg_states, bare.seg_states)
    close(both.seg_states[1:], bare.seg_states)
    close(both.visual_states[1], bare.visual_states[0])


@pytest.mark.parametrize('num_frames', [1, 4])
def test_visual_states_are_those_of_the_language_model(qwen_folder, make_clip, build, num_frames):
    clip = make_clip(num_frames)
    _, hidden, ids = pass_turn(qwen_folder, clip, TURNS[0])
    model = build(qwen_folder, answer='each')
    with torch.no_grad():
        ours = model([clip], [WORDS], [0], turns=[TURNS])
    config = model.model.config
    visual = ids == (config.video_token_id if num_frames > 1 else config.image_token_id)
    close(ours.visual_states[0], hidden[visual])
    assert len(ours.visual_tokens[0]) == int(visual.sum()) == ours.num_tokens_after[0]


@pytest.mark.parametrize('attn', ['sdpa', 'eager'])
def test_words_stay_apart_where_visual_tokens_are_compressed(tiny_folder, make_clip, build, attn):
    clip, compressor = make_clip(4), ReverseAttnCompressor(keep_ratio=0.5)
    model = build(tiny_folder, answer='each', attn_implementation=attn)
    with torch.no_grad():
        ours = model([clip], [WORDS], [0], compressor)
        alone = [model([clip], [[word]], [0], compressor) for word in WORDS]
    close(ours.answers[0], torch.cat([one.answers[0] for one in alone]))
    assert ours.num_tokens_after == alone[0].num_tokens_after


def test_gradients_are_those_of_separate_passes(tiny_folders, make_clip, build):
    clip, model = make_clip(4), build(tiny_folders['qwen2_vl'], answer='each', freeze_language=False)
    weight = model.language_model.layers[0].mlp.up_proj.weight
    ours = torch.autograd.grad(model([clip], [WORDS], [0]).answers.sum(), weight)[0]
    alone = sum(torch.autograd.grad(model([clip], [[word]], [0]).answers.sum(), weight)[0] for word in WORDS)
    torch.testing.assert_close(ours, alone, rtol=1e-3, atol=1e-5)


def test_settings_that_cannot_be(tiny_folders, build, monkeypatch):
    with pytest.raises(ValueError, match="answer must be one of joint, each, got 'all'"):
        build(tiny_folders['qwen2_vl'], answer='all')
    monkeypatch.setattr('lavida_mm.models.mllm.mllm_backbone.check_settings', lambda *_: None)
    with pytest.raises(ValueError, match="answer='each' needs attn_implementation='sdpa' or 'eager'"):
        build(tiny_folders['qwen2_vl'], answer='each', attn_implementation='flash_attention_2')


@pytest.mark.parametrize(
    ('turn', 'message'),
    [
        (Turn(' ', 'yes.'), 'blank question or answer'),
        (Turn('is it there?', ''), 'blank question or answer'),
        (Turn('a <|im_end|> b', 'yes.'), 'reads as special'),
        (Turn('what?', 'it is <SEG>.'), 'reads as special'),
    ],
)
def test_turns_that_cannot_be_read(tiny_folders, make_clip, build, turn, message):
    with pytest.raises(DataError, match=message):
        build(tiny_folders['qwen2_vl'])([make_clip(2)], [WORDS], [0], turns=[[turn]])


def test_a_turn_longer_than_the_context(tiny_folders, make_clip, build):
    with pytest.raises(DataError, match=r'1 turn .*more than the context of 2048'):
        build(tiny_folders['qwen2_vl'])([make_clip(2)], [WORDS], [0], turns=[[Turn('what is it ' * 900, 'no.')]])
