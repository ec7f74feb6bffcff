"""The texts that the tiny tokenizers learn their words from."""

from collections.abc import Sequence

from lavida_mm.models.mllm.prompts import ANSWER_TEMPLATES, QUESTION_TEMPLATES, SEG_TOKEN

__all__ = ['COMMON_WORDS', 'PHRASE_WORDS', 'build_corpus']

# Colours, shapes, motion and order, and a few things a real clip shows; any other text is spelt out in bytes.
COMMON_WORDS = (
    'red', 'orange', 'yellow', 'green', 'cyan', 'blue', 'magenta', 'white', 'black', 'gray', 'purple', 'pink',
    'brown',
    'square', 'triangle', 'star', 'ring', 'cross', 'circle', 'diamond', 'heart', 'hexagon',
    'moving', 'moves', 'left', 'right', 'up', 'down', 'fast', 'slow', 'still', 'stops', 'turns', 'enters',
    'leaves', 'first', 'last', 'before', 'after',
    'the', 'a', 'an', 'of', 'in', 'on', 'and', 'or', 'with', 'that', 'is', 'not', 'it', 'to', 'from', 'near',
    'behind', 'above', 'below', 'against', 'others', 'object',
    'small', 'large', 'striped', 'dotted', 'plain', 'colour', 'shape', 'scene', 'frame', 'frames', 'image',
    'video', 'clip',
    'person', 'car', 'bicycle', 'dog', 'cat', 'fire', 'smoke', 'fall', 'fight', 'what', 'which', 'where', 'yes',
    'no', 'user', 'assistant',
)  # fmt: skip
# Further words of phrases about behaviour and relation, and of questions about them.
PHRASE_WORDS = (
    'standing', 'does', 'move', 'goes', 'again', 'back', 'forth', 'keeps', 'swinging', 'rest', 'leads', 'front',
    'comes', 'higher', 'than', 'lower', 'next', 'close', 'this', 'these', 'none',
)  # fmt: skip
REPEATS = 4


def build_corpus(words: Sequence[str] = ()) -> list[str]:
    """Texts that hold every word of the prompts, with and without a space before it.

    Args:
        words: further words that shall be one token each.
    """
    templates = [*QUESTION_TEMPLATES, *ANSWER_TEMPLATES]
    texts = [text.replace(SEG_TOKEN, '').replace('{categories}', '') for text in templates]
    listed = sorted({*COMMON_WORDS, *words})
    texts += listed
    texts += [f' {word}' for word in listed]
    return texts * REPEATS
