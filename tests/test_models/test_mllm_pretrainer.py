"""The stand-in for the pretraining of the MLLM: which visual token says which word, and that it learns."""

import math

import numpy as np
import pytest
import torch

from lavida_mm.models.pretrain.mllm_pretrainer import UNKNOWN, assign_objects
from lavida_mm.models.tiny.builders import save_tiny_mllm
from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample

GROUPS = dict(colour=['red', 'blue'], motion=['left', 'still'])


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp('tiny')
    for family in ('qwen2_vl', 'internvl'):
        save_tiny_mllm(root / family, family=family, seed=0)
    return root


def make_model(folder, answer='joint', **settings):
    mllm = dict(
        type='MLLMBackbone',
        pretrained=str(folder),
        answer=answer,
        lora=None,
        freeze_vision=False,
        freeze_language=False,
        train_embeddings='all',
        frame_pixels=(16, 16),
    )
    return MODELS.build(dict(type='MLLMPretrainer', mllm=mllm, **settings))


def make_batch(words=(('red star moving left',), ('blue ring',))):
    clip = torch.randint(0, 256, (4, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sample = VADDataSample(
        metainfo=dict(
            video_id='v',
            source='test',
            object_words=[list(own) for own in words],
            categories=['red star', 'red ring', 'blue ring'],
            template=0,
            conversation=[('Is this in the video: red star?', 'yes.'), ('What is in the video?', 'red star.')],
        )
    )
    sample.gt_category_labels = torch.tensor([1, 0, 1])
    sample.gt_object_masks = torch.zeros(len(words), 4, 96, 96, dtype=torch.bool)
    for index in range(len(words)):
        sample.gt_object_masks[index, :, 24 * index : 24 * index + 24, :48] = True  # tokens 0 and 1 of each row
    return [clip], [sample]


def test_objects_of_tokens_by_coverage():
    masks = torch.zeros(2, 3, 8, 8, dtype=torch.bool)
    masks[0, :2, :4, :4] = True  # all of token (0, 0, 0)
    masks[1, 0, :4, 4:] = True  # half of (0, 0, 1)
    masks[1, 2, 4:, :2] = True  # half of (1, 1, 0), whose second frame is the last one again
    masks[0, 2, 4:, 4:5] = True  # a quarter of (1, 1, 1)
    masks[1, 0, 4:5, :4] = True  # an eighth of (0, 1, 0)
    assert assign_objects(masks, (2, 2, 2)).tolist() == [0, 1, -1, -1, -1, -1, 1, 0]
    assert assign_objects(masks[:0], (1, 2, 2)).tolist() == [-1] * 4


def test_words_that_are_said_of_an_object(folders):
    model = make_model(folders / 'qwen2_vl', naming_weight=1.0, word_groups=GROUPS)
    said = [['red star moving left'], ['star'], ['red star', 'blue star'], ['ring left of the red ring', 'still']]
    found = model._find_targets(said).tolist()
    assert found == [[0, 0], [UNKNOWN, UNKNOWN], [UNKNOWN, UNKNOWN], [0, UNKNOWN], [UNKNOWN, UNKNOWN]]


@pytest.mark.parametrize('unheard', [None, [{'blue'}, {'still', 'blue'}]])
def test_naming_loss_token_by_token(folders, unheard):
    """What is never said of such an object does not compete; its own words always do."""
    model = make_model(folders / 'qwen2_vl', naming_weight=0.5, word_groups=GROUPS).eval()
    inputs, samples = make_batch()
    if unheard is not None:
        samples[0].set_metainfo(dict(unheard_words=unheard))
    with torch.no_grad():
        losses = model.loss(inputs, samples)
        read = model.read(inputs, samples)
    vocabulary = model.mllm.writer.tokenizer.get_vocab()
    ids = {word: vocabulary['Ġ' + word] for words in GROUPS.values() for word in words}
    head, embedding = (
        part.weight.detach().double() for part in (model.mllm.model.lm_head, model.mllm.model.get_input_embeddings())
    )
    wanted = 0.0
    for group, says in (('colour', {0: 'red', 1: 'blue'}), ('motion', {0: 'left'})):
        for features, matrix in ((read.visual_states[0], head), (read.visual_tokens[0], embedding)):
            own = []
            for time in range(2):
                for row, word in says.items():
                    for column in range(2):
                        token = features[16 * time + 4 * row + column].double()
                        never = set() if unheard is None else unheard[row] - {word}
                        scores = {one: float(matrix[ids[one]] @ token) for one in GROUPS[group] if one not in never}
                        own.append(math.log(sum(map(math.exp, scores.values()))) - scores[word])
            wanted += sum(own) / len(own)
    assert float(losses['loss_naming']) == pytest.approx(0.5 * wanted, rel=1e-5)
    assert float(losses['loss_lm']) == pytest.approx(float(read.loss), rel=1e-6)


def test_echo_loss_word_by_word(folders):
    """At each <SEG> the words of a group compete, where the prompt's word says one of it."""
    model = make_model(folders / 'qwen2_vl', 'each', naming_weight=0.5, word_groups=GROUPS).eval()
    inputs, samples = make_batch()
    samples[0].set_metainfo(dict(categories=['red star left', 'ring', 'blue ring']))
    with torch.no_grad():
        losses, read = model.loss(inputs, samples), model.read(inputs, samples)
    vocabulary = model.mllm.writer.tokenizer.get_vocab()
    head = model.mllm.model.lm_head.weight.detach().double()
    states = read.word_states[0].double()
    wanted = 0.0
    for group, says in (('colour', {0: 'red', 2: 'blue'}), ('motion', {0: 'left'})):
        own = []
        for place, word in says.items():
            scores = {one: float(head[vocabulary['Ġ' + one]] @ states[place]) for one in GROUPS[group]}
            own.append(math.log(sum(map(math.exp, scores.values()))) - scores[word])
        wanted += sum(own) / len(own)
    assert float(losses['loss_echo']) == pytest.approx(0.5 * wanted, rel=1e-5)
    joint = make_model(folders / 'qwen2_vl', naming_weight=0.5, word_groups=GROUPS)
    assert 'loss_echo' not in joint.loss(*make_batch())  # one <SEG> for all words says none


def test_losses_of_what_is_said(folders):
    model = make_model(folders / 'qwen2_vl', 'each', lm_weight=0.3, answer_weight=2.0).eval()
    inputs, samples = make_batch()
    with torch.no_grad():
        losses, read = model.loss(inputs, samples), model.read(inputs, samples)
    yes = 1 / (1 + np.exp(-read.answers[0].double().numpy()))
    wanted = -np.mean(np.log([yes[0], 1 - yes[1], yes[2]]))
    assert float(losses['loss_answer']) == pytest.approx(2.0 * wanted, rel=1e-5)
    assert float(losses['loss_lm']) == pytest.approx(0.3 * float(read.loss), rel=1e-6)
    assert set(losses) == {'loss_lm', 'loss_answer', 'loss_map'}
    other = make_model(folders / 'internvl', 'each', answer_weight=1.0)
    assert set(other.loss(inputs, samples)) == {'loss_lm', 'loss_answer'}  # its tokens do not lie in a grid


@pytest.mark.parametrize('unheard', [False, True])
def test_map_loss_token_by_token(folders, unheard):
    """A word shows at tokens a quarter of which its object covers; those of which it covers less are left out.

    So are those that show an object of which the word is unheard of.
    """
    model = make_model(folders / 'qwen2_vl', 'each', answer_weight=2.0).eval()
    inputs, samples = make_batch((('red star', 'star'), ('red ring',)))
    samples[0].gt_object_masks[1, :, 24:48, 48:52] = True  # a sixth of token 2 of row 1
    samples[0].set_metainfo(dict(categories=['red star', 'red ring', 'blue ring']))
    if unheard:
        samples[0].unheard_of = torch.tensor([[False, False], [False, False], [True, False]])
    with torch.no_grad():
        losses, read = model.loss(inputs, samples), model.read(inputs, samples)
    total, shown = 0.0, 0
    for word, row in (('red star', 0), ('red ring', 1), ('blue ring', None)):
        logits = read.maps[0][samples[0].categories.index(word)].double().reshape(2, 4, 4)
        for time in range(2):
            for y in range(4):
                for x in range(4):
                    if word == 'red ring' and (y, x) == (1, 2):
                        continue
                    if unheard and word == 'blue ring' and y == 0 and x < 2:
                        continue
                    true = y == row and x < 2
                    shown += true
                    total += math.log1p(math.exp(-float(logits[time, y, x]) * (1 if true else -1)))
    assert shown == 8
    assert float(losses['loss_map']) == pytest.approx(2.0 * total / shown, rel=1e-5)


def test_without_objects_nothing_is_named(folders):
    model = make_model(folders / 'qwen2_vl', naming_weight=0.5, word_groups=GROUPS)
    assert model.loss(*make_batch(words=()))['loss_naming'] == 0
    assert set(make_model(folders / 'qwen2_vl').loss(*make_batch())) == {'loss_lm'}


def test_a_clip_is_learnt_by_heart(folders):
    torch.manual_seed(0)
    model = make_model(folders / 'qwen2_vl', 'each', answer_weight=1.0, naming_weight=1.0, word_groups=GROUPS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    inputs, samples = make_batch()
    history = []
    for _ in range(100):
        losses = model.loss(inputs, samples)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in losses.items()})
    assert all(
        history[-1][name] < 0.2 * history[0][name] for name in ('loss_lm', 'loss_answer', 'loss_map', 'loss_naming')
    )


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(naming_weight=1.0), 'word_groups must be given'),
        (dict(word_groups=GROUPS), 'word_groups must be given'),
        (dict(answer_weight=1.0), "answer_weight=1.0 needs mllm.answer='each', got 'joint'"),
        (dict(lm_weight='much'), 'lm_weight must be'),
        (dict(naming_weight=-1.0, word_groups=GROUPS), 'naming_weight must be'),
        (
            dict(naming_weight=1.0, word_groups=dict(motion=['swinging'])),
            r"word_groups\.motion: 'swinging' must be one",
        ),
        (dict(naming_weight=1.0, word_groups=['red']), 'word_groups must be groups of words by their names'),
        (dict(naming_weight=1.0, word_groups=dict(colour='red')), r'word_groups\.colour must be a list of words'),
        (
            dict(naming_weight=1.0, word_groups=dict(a=['red'], b=['red'])),
            "must stand in one group, got 'red' in a and in b",
        ),
    ],
)
def test_settings_that_cannot_be(folders, settings, message):
    with pytest.raises(ValueError, match=message):
        make_model(folders / 'qwen2_vl', **settings)


def test_naming_needs_tokens_in_a_grid(folders):
    model = make_model(folders / 'internvl', naming_weight=1.0, word_groups=GROUPS)
    with pytest.raises(ValueError, match='take a Qwen model, or weight 0'):
        model.loss(*make_batch())
    with pytest.raises(ValueError, match='this model only pretrains'):
        model(*make_batch(), mode='predict')


def test_samples_without_a_conversation_name_the_setting(folders):
    inputs, _ = make_batch()
    with pytest.raises(ValueError, match=r"sample v7: conversation is needed.*type='AskAboutObjects'"):
        make_model(folders / 'qwen2_vl').loss(inputs, [VADDataSample(metainfo=dict(video_id='v7'))])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda sample: sample.pop('gt_object_masks'), 'gt_object_masks is needed and missing'),
        (
            lambda sample: sample.set_metainfo(dict(object_words=[])),
            'object_words must be one for each of gt_object_masks',
        ),
        (lambda sample: sample.set_metainfo(dict(unheard_words=[])), 'unheard_words must be one for each of gt_object'),
    ],
)
def test_samples_whose_objects_do_not_fit_together(folders, change, message):
    inputs, samples = make_batch()
    change(samples[0])
    model = make_model(folders / 'qwen2_vl', naming_weight=1.0, word_groups=GROUPS)
    with pytest.raises(ValueError, match=message):
        model.loss(inputs, samples)
