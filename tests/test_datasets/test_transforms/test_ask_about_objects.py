"""Questions about clips: every answer is true, nothing is asked for in vain that is there."""

from collections import Counter

import numpy as np
import pytest

from lavida_mm.datasets.transforms import AskAboutObjects
from lavida_mm.utils.errors import DataError

COLOURS, DOES = ('red', 'blue', 'green'), ('moving left', 'standing still', 'that stops and goes')
VOCABULARY = [f'{colour} {shape} {does}' for colour in COLOURS for shape in ('star', 'ring') for does in DOES]
WORDS = [
    ['red star moving left'],
    ['blue ring standing still', 'blue ring that stops and goes'],
    ['green star moving left'],
]


def make_results(words=WORDS, num_frames=4, vocabulary=VOCABULARY, frames_of_last=1):
    masks = np.zeros((len(words), num_frames, 8, 8), dtype=bool)
    for index in range(len(words)):
        last = index == len(words) - 1
        masks[index, : frames_of_last if last else num_frames, index] = True
    return dict(
        frames=np.zeros((num_frames, 8, 8, 3), np.uint8), object_masks=masks, object_words=words,
        vocabulary=vocabulary, video_id='v1', source='clips',
    )  # fmt: skip


def ask(transform, seed, **settings):
    np.random.seed(seed)
    return transform(make_results(**settings))['data_samples']


def read(question):
    """Kind of a question and the words that it names."""
    kind, _, rest = question.rstrip('?').partition(': ')
    return kind, rest.split(', ') if rest else []


def test_every_answer_is_true():
    """The last object shows in one frame of four: it is neither said to be there nor asked for in vain."""
    transform = AskAboutObjects(num_questions=8)
    true = {'red star moving left', *WORDS[1]}
    kinds, yes = Counter(), Counter()
    for seed in range(300):
        for question, answer in ask(transform, seed).conversation:
            kind, named = read(question)
            kinds[kind] += 1
            assert 'green star moving left' not in named
            assert len(set(named)) == len(named)
            there = [word for word in named if word in true]
            said = answer.removesuffix('.')
            if kind == 'What is in the video':
                told = set(said.split(', '))
                assert told <= true
                assert len(told) == 2
                continue
            yes[kind] += bool(there)
            assert len(there) <= 1
            if kind == 'Which of these is in the video':
                assert said == (there[0] if there else 'none')
                assert 2 <= len(named) <= 5
            else:
                assert said == ('yes' if there else 'no')
                assert len(named) == 1
    total = kinds.total()
    for kind, share in (('What is in the video', 0.15), ('Which of these is in the video', 0.35)):
        assert abs(kinds[kind] / total - share) < 3.3 * np.sqrt(share * (1 - share) / total)  # 99.9 %
    for kind, count in yes.items():
        assert abs(count / kinds[kind] - 0.5) < 3.3 * np.sqrt(0.25 / kinds[kind])


def test_what_is_asked_in_vain_is_near_to_what_is_there():
    """Near: each word of it is said of an object, though of none together. No object here is green."""
    parts = {part for own in WORDS[:2] for word in own for part in word.split()}
    near = {}
    for ratio in (0.0, 1.0):
        transform = AskAboutObjects(num_questions=8, caption_ratio=0, which_ratio=0, near_ratio=ratio)
        samples = [ask(transform, seed, words=WORDS[:2], frames_of_last=4) for seed in range(60)]
        vain = [read(question)[1][0] for one in samples for question, answer in one.conversation if answer == 'no.']
        vain += [
            word
            for one in samples
            for word, label in zip(one.categories, one.gt_category_labels.tolist(), strict=True)
            if not label
        ]
        near[ratio] = np.mean([parts.issuperset(word.split()) for word in vain])
    assert near[1.0] == 1.0
    assert 0.4 < near[0.0] < 0.7  # 9 of the 15 phrases that are absent


def test_what_is_near_names_the_looks_of_one_object():
    """A red star and a blue ring: "blue star moving left" is said in parts, too, but it is false at a first glance."""
    looks = dict(colour=list(COLOURS), shape=['star', 'ring'])
    strange = {}
    for given in (None, looks):
        transform = AskAboutObjects(num_words=1, num_questions=0, near_ratio=1.0, looks=given)
        samples = [ask(transform, seed, words=WORDS[:2], frames_of_last=4) for seed in range(150)]
        vain = [
            word
            for one in samples
            for word, label in zip(one.categories, one.gt_category_labels.tolist(), strict=True)
            if not label
        ]
        strange[given is not None] = np.mean([word.startswith(('red ring', 'blue star')) for word in vain])
    assert strange[True] == 0
    assert strange[False] > 0.4  # 6 of the 9 phrases that are near are about a red ring or a blue star


def test_length_does_not_tell_what_is_asked_in_vain():
    """Of two objects one is called by a word and one by a phrase; the vocabulary is nearly all of phrases."""
    vocabulary = [*VOCABULARY, 'star', 'ring', 'cross', 'square']
    transform = AskAboutObjects(num_words=1, num_questions=0)
    lengths = {0: [], 1: []}
    for seed in range(400):
        sample = ask(
            transform, seed, words=[['star'], ['red ring moving left']], frames_of_last=4, vocabulary=vocabulary
        )
        lengths[int(sample.gt_category_labels[0])].append(len(sample.categories[0].split()) == 1)
    assert abs(np.mean(lengths[0]) - np.mean(lengths[1])) < 0.17  # 99.9 %
    assert 0.4 < np.mean(lengths[0]) < 0.6


def test_the_prompt_names_words_that_are_true_half_of_the_time():
    """Each once; the last object, which shows in one frame of four, is neither true nor named in vain."""
    transform = AskAboutObjects(num_words=3)
    true = {'red star moving left', *WORDS[1]}
    labels, orders = [], Counter()
    for seed in range(400):
        sample = ask(transform, seed)
        assert len(set(sample.categories)) == len(sample.categories) <= 3
        assert sample.gt_category_labels.tolist() == [int(word in true) for word in sample.categories]
        assert 'green star moving left' not in sample.categories
        assert sample.template == 0
        labels += sample.gt_category_labels.tolist()
        orders[int(sample.gt_category_labels[0])] += 1
    share = np.mean(labels)
    assert abs(share - 0.5) < 3.3 * np.sqrt(0.25 / len(labels))  # 99.9 %
    assert abs(orders[1] / 400 - share) < 3.3 * np.sqrt(0.25 / 400)  # what is true stands anywhere


def test_the_same_seed_asks_the_same():
    transform = AskAboutObjects()
    assert ask(transform, 3).conversation == ask(transform, 3).conversation
    assert ask(transform, 3).conversation != ask(transform, 4).conversation


def test_an_image_without_objects():
    transform = AskAboutObjects(num_questions=20)
    conversation = ask(transform, 0, words=[], num_frames=1).conversation
    assert {answer for _, answer in conversation} == {'none.', 'no.'}
    assert all('image' in question for question, _ in conversation)


def test_packs_frames_and_objects():
    np.random.seed(0)
    packed = AskAboutObjects()(make_results())
    assert packed['inputs'].shape == (4, 3, 8, 8)
    assert packed['data_samples'].gt_object_masks.shape == (3, 4, 8, 8)
    assert packed['data_samples'].object_words == WORDS


def test_a_vocabulary_that_is_all_there():
    with pytest.raises(DataError, match=r"source 'clips', 'v1': every one of the 2 words.*extra_words"):
        ask(AskAboutObjects(), 0, words=[['a'], ['b']], vocabulary=['a', 'b'])


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(num_words=0), 'num_words'),
        (dict(num_questions=-1), 'num_questions'),
        (dict(max_words=1), 'max_words'),
        (dict(near_ratio=1.5), 'near_ratio'),
        (dict(caption_ratio='half'), 'caption_ratio'),
        (dict(caption_ratio=0.6, which_ratio=0.6), 'must sum to 1 at most'),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        AskAboutObjects(**settings)


def test_what_is_never_said_of_such_looks_is_no_evidence():
    """No red star is ever said to stand still: nothing asked for in vain is false of one by that alone."""
    vocabulary = [word for word in VOCABULARY if word != 'red star standing still']
    vocabulary += ['object standing still', 'object moving left', 'star standing still']
    words = [['red star moving left', 'object moving left'], ['blue ring standing still', 'object standing still']]
    looks = dict(colour=list(COLOURS), shape=['star', 'ring'])
    settings = dict(words=words, vocabulary=vocabulary, frames_of_last=4)
    asked = Counter()
    for seed in range(200):
        sample = ask(AskAboutObjects(num_words=6, num_questions=0, looks=looks), seed, **settings)
        asked.update(sample.categories)
        labels = dict(zip(sample.categories, sample.gt_category_labels.tolist(), strict=True))
        assert 'star standing still' not in labels
        assert labels.get('object standing still', 1) == 1
        for word, row in zip(sample.categories, sample.unheard_of.tolist(), strict=True):
            assert row == [word == 'object standing still', False]
        assert sample.unheard_words[0] >= {'standing', 'still'} and not {'moving', 'left'} & sample.unheard_words[0]
    assert asked['object standing still'] > 50
    plain = Counter()
    for seed in range(200):
        sample = ask(AskAboutObjects(num_words=6, num_questions=0), seed, **settings)
        assert 'unheard_of' not in sample and 'unheard_words' not in sample
        plain.update(sample.categories)
    assert plain['star standing still'] > 10


def test_where_all_is_unheard_of_something_is_asked_all_the_same():
    vocabulary = ['red star moving left', 'star standing still']
    words = [['red star moving left']]
    asking = AskAboutObjects(num_words=2, looks=dict(colour=['red'], shape=['star']), caption_ratio=0, which_ratio=0)
    for seed in range(20):
        sample = ask(asking, seed, words=words, vocabulary=vocabulary, frames_of_last=4)
        assert set(sample.categories) <= set(vocabulary) and sample.categories
        assert all(answer in ('yes.', 'no.') for _, answer in sample.conversation)


def test_one_word_has_one_spelling():
    """A word that differs by case or blanks alone is named once, spelt as the first object's is."""
    words = [['Red star moving left'], ['red  star  moving LEFT', 'blue ring standing still']]
    for seed in range(40):
        sample = ask(AskAboutObjects(num_words=6, num_questions=0), seed, words=words, frames_of_last=4)
        assert sample.object_words == [words[0], ['Red star moving left', 'blue ring standing still']]
        keys = [word.casefold() for word in sample.categories]
        assert len(set(keys)) == len(keys)
        true = {'Red star moving left', 'blue ring standing still'}
        assert sample.gt_category_labels.tolist() == [int(word in true) for word in sample.categories]


def test_samples_that_cannot_be():
    with pytest.raises(DataError, match="source 'clips': vocabulary must not hold a blank word, got ''"):
        ask(AskAboutObjects(), 0, vocabulary=[*VOCABULARY, '  '])
    results = make_results()
    results['object_words'] = WORDS[:2]
    with pytest.raises(
        DataError, match="'clips', 'v1': object_words must be one list for each of object_masks, got 2 for 3"
    ):
        AskAboutObjects().transform(results)
