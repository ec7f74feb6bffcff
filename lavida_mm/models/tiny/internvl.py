"""A tiny InternVL 3, in the format that transformers reads without foreign code ("-hf")."""

from collections.abc import Sequence

from lavida_mm.models.tiny.sizes import IMAGE_SIDE, PATCH, VISION_HIDDEN, TinyParts, text_sizes
from lavida_mm.models.tiny.tokenizers import train_byte_tokenizer

__all__ = ['build_internvl']

DOWNSAMPLE = 0.5
TOKENS_PER_FRAME = round((IMAGE_SIDE // PATCH * DOWNSAMPLE) ** 2)
IMAGENET = {'image_mean': [0.485, 0.456, 0.406], 'image_std': [0.229, 0.224, 0.225]}
SPECIAL = ('<|im_start|>', '<|im_end|>')
NAMED = {
    'start_image_token': '<img>',
    'end_image_token': '</img>',
    'context_image_token': '<IMG_CONTEXT>',
    'video_token': '<video>',  # stands for a clip in the text; the processor writes frames of <IMG_CONTEXT> for it
}
FRAME_NAMES = ('Frame', 'Frame1: ')  # before each frame of a clip
CHAT_TEMPLATE = """\
{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}\
{% else %}{% for part in message['content'] %}\
{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}\
{% elif part['type'] == 'video' %}{{ '<video>\\n' }}\
{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def build_internvl(corpus: Sequence[str]) -> TinyParts:
    """Config and processor.

    Args:
        corpus: what the tokenizer learns its words from.
    """
    from transformers import GotOcr2ImageProcessor, InternVLConfig, InternVLProcessor, InternVLVideoProcessor

    texts = [*corpus, *FRAME_NAMES]
    tokenizer = train_byte_tokenizer(
        texts, kind='Qwen2Tokenizer', special=SPECIAL, named=NAMED, chat_template=CHAT_TEMPLATE
    )
    config = InternVLConfig(
        text_config={'model_type': 'qwen2', **text_sizes(tokenizer), 'max_window_layers': 2},
        vision_config={
            'hidden_size': VISION_HIDDEN,
            'intermediate_size': 4 * VISION_HIDDEN,
            'num_hidden_layers': 2,
            'num_attention_heads': 4,
            'attention_bias': True,
            'image_size': [IMAGE_SIDE, IMAGE_SIDE],
            'patch_size': [PATCH, PATCH],
        },
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=TOKENS_PER_FRAME,
        downsample_ratio=DOWNSAMPLE,
        tie_word_embeddings=False,
    )
    size = {'height': IMAGE_SIDE, 'width': IMAGE_SIDE}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=dict(size), **IMAGENET),
        video_processor=InternVLVideoProcessor(size=dict(size), do_sample_frames=False, **IMAGENET),
        tokenizer=tokenizer,
        image_seq_length=TOKENS_PER_FRAME,
        chat_template=CHAT_TEMPLATE,
    )
    return TinyParts(config, processor)
