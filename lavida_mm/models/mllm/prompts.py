"""What the multimodal LLM is asked and what it answers (docs/method.md, section 1)."""

from collections.abc import Sequence

from lavida_mm.utils.errors import DataError

__all__ = [
    'ANSWERS', 'ANSWER_TEMPLATES', 'NUM_TEMPLATES', 'QUESTION_TEMPLATES', 'SEG_TOKEN', 'build_answer', 'build_question'
]  # fmt: skip

SEG_TOKEN = '<SEG>'
ANSWERS = ('joint', 'each')

# Number 0 is the fixed pair of the test; the sampler draws among all of them in training.
QUESTION_TEMPLATES = (
    'Find what is unusual here: {categories}.',
    'Which of these can be seen: {categories}?',
    'Look for any of the following: {categories}.',
    'Is one of these in the scene: {categories}?',
    'Mark each of these that appears: {categories}.',
    'Search the frames for: {categories}.',
)
ANSWER_TEMPLATES = (
    'The result is <SEG>.',
    'What was found is <SEG>.',
    'My finding: <SEG>.',
    'It is <SEG>.',
    'Here is the mark: <SEG>.',
    '<SEG>.',
)
NUM_TEMPLATES = len(QUESTION_TEMPLATES)


def check_template(template: int) -> None:
    """Raise ValueError unless ``template`` numbers one of the templates."""
    if not 0 <= template < NUM_TEMPLATES:
        raise ValueError(f'template must be in 0..{NUM_TEMPLATES - 1}, got {template}')


def build_question(categories: Sequence[str], template: int = 0, reserved: Sequence[str] = (SEG_TOKEN,)) -> str:
    """The question that names the categories.

    Args:
        categories: the n words of the prompt, n >= 1.
        template: number of the template; 0, the fixed one, at test time.
        reserved: texts that the tokenizer reads as special tokens; no word may contain one.

    Raises:
        DataError: no word, a blank word, or one that contains a reserved text.
    """
    check_template(template)
    if isinstance(categories, str):
        raise DataError(f'categories must be a list of words, got the text {categories!r}')
    if not categories:
        raise DataError('categories must name at least one word, got none')
    for word in categories:
        if not isinstance(word, str) or not word.strip():
            raise DataError(f'categories must not be blank, got {word!r} among {len(categories)} words')
        for text in reserved:
            if text in word:
                raise DataError(f'categories: {word!r} contains {text!r}, which the model reads as a special token')
    return QUESTION_TEMPLATES[template].format(categories=', '.join(categories))


def build_answer(template: int = 0) -> str:
    """The answer, which holds ``<SEG>`` once; it is teacher-forced in training and at test."""
    check_template(template)
    return ANSWER_TEMPLATES[template]
