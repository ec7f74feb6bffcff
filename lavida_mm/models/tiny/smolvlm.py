"""A tiny SmolVLM 2."""

from collections.abc import Sequence

from lavida_mm.models.tiny.sizes import IMAGE_SIDE, PATCH, VISION_HIDDEN, TinyParts, text_sizes
from lavida_mm.models.tiny.tokenizers import train_byte_tokenizer

__all__ = ['build_smolvlm']

SCALE = 2
TOKENS_PER_FRAME = (IMAGE_SIDE // PATCH // SCALE) ** 2
MAX_TILES = 6  # rows and columns that a large image may be cut into
SPECIAL = (
    '<|im_start|>',
    '<|im_end|>',
    *(f'<row_{row}_col_{column}>' for row in range(1, MAX_TILES + 1) for column in range(1, MAX_TILES + 1)),
)
NAMED = {
    'fake_image_token': '<fake_token_around_image>',
    'global_image_token': '<global-img>',
    'image_token': '<image>',  # a clip's <video> is no token: the processor writes frames of <image> for it
    'end_of_utterance_token': '<end_of_utterance>',
}
# What the processor writes around the frames of a clip, and the roles.
PROCESSOR_TEXTS = (
    'You are provided the following series of four frames from a 0:00:00 [H:MM:SS] video.\n',
    '\nFrame from 00:00:',
    'User: ',
    'Assistant: ',
    '\n\n',
)
CHAT_TEMPLATE = """\
<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:\
{% if message['content'] is string %}{{ ' ' + message['content'] }}\
{% else %}{% if message['content'][0]['type'] != 'image' %}{{ ' ' }}{% endif %}\
{% for part in message['content'] %}\
{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<' + part['type'] + '>' }}{% endif %}\
{% endfor %}{% endif %}<end_of_utterance>
{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""


def build_smolvlm(corpus: Sequence[str]) -> TinyParts:
    """Config and processor.

    Args:
        corpus: what the tokenizer learns its words from.

    Raises:
        ImportError: the package num2words is missing, with which the processor writes the number of frames.
    """
    from transformers import SmolVLMConfig, SmolVLMImageProcessor, SmolVLMProcessor, SmolVLMVideoProcessor

    texts = [*corpus, *PROCESSOR_TEXTS]
    tokenizer = train_byte_tokenizer(
        texts, kind='GPT2Tokenizer', special=SPECIAL, named=NAMED, chat_template=CHAT_TEMPLATE
    )
    tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token = '<|im_start|>', '<end_of_utterance>', '<|im_end|>'
    config = SmolVLMConfig(
        text_config={
            'model_type': 'llama',
            **text_sizes(tokenizer),
            'pad_token_id': tokenizer.pad_token_id,
        },
        vision_config={
            'hidden_size': VISION_HIDDEN,
            'intermediate_size': 4 * VISION_HIDDEN,
            'num_hidden_layers': 2,
            'num_attention_heads': 4,
            'image_size': IMAGE_SIDE,
            'patch_size': PATCH,
        },
        scale_factor=SCALE,
        image_token_id=tokenizer.image_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    size = {'longest_edge': IMAGE_SIDE}  # one tile; the released ones enlarge single images to four tiles a side
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=dict(size), max_image_size=dict(size)),
        video_processor=SmolVLMVideoProcessor(size=dict(size), max_image_size=dict(size), do_sample_frames=False),
        tokenizer=tokenizer,
        image_seq_len=TOKENS_PER_FRAME,
        chat_template=CHAT_TEMPLATE,
    )
    return TinyParts(config, processor)
