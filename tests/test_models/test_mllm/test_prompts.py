"""Templates, and words that the tiny tokenizers read whole."""

import pytest
from transformers import AutoTokenizer

from lavida_mm.datasets.synthetic.vocabulary import COLOURS, SHAPES
from lavida_mm.models.mllm.prompts import (
    ANSWER_TEMPLATES,
    NUM_TEMPLATES,
    QUESTION_TEMPLATES,
    build_answer,
    build_question,
)


def test_templates_come_in_pairs_and_hold_what_they_must():
    assert len(ANSWER_TEMPLATES) == len(QUESTION_TEMPLATES) == NUM_TEMPLATES == len(set(QUESTION_TEMPLATES))
    for template in range(NUM_TEMPLATES):
        assert build_answer(template).count('<SEG>') == 1
        question = build_question(['red star', 'blue ring'], template)
        assert question.count('red star, blue ring') == 1 and '{' not in question


def test_braces_in_words_are_only_text():
    assert '{x}, {0}' in build_question(['{x}', '{0}'])


@pytest.mark.parametrize('template', [-1, NUM_TEMPLATES])
def test_template_out_of_range(template):
    for build in (lambda: build_question(['star'], template), lambda: build_answer(template)):
        with pytest.raises(ValueError, match=f'got {template}'):
            build()


def test_each_word_of_the_synthetic_world_is_one_token(tiny_folders):
    tokenizer = AutoTokenizer.from_pretrained(tiny_folders['qwen2_vl'])
    for word in (*COLOURS, *SHAPES):
        assert len(tokenizer.tokenize(f' {word}')) == 1
    text = build_question(['Überfall 火事', 'red ring'])
    assert tokenizer.decode(tokenizer(text)['input_ids']) == text
