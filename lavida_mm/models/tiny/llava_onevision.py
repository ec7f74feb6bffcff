"""A tiny LLaVA-OneVision."""

from collections.abc import Sequence

from lavida_mm.models.tiny.sizes import IMAGE_SIDE, PATCH, VISION_HIDDEN, TinyParts, text_sizes
from lavida_mm.models.tiny.tokenizers import train_byte_tokenizer

__all__ = ['build_llava_onevision']

NUM_PATCHES = (IMAGE_SIDE // PATCH) ** 2  # of one tile; a clip's frames are pooled to a quarter of them
PINPOINTS = [[IMAGE_SIDE * rows, IMAGE_SIDE * columns] for rows in (1, 2) for columns in (1, 2)]  # single images only
HALF = {'image_mean': [0.5] * 3, 'image_std': [0.5] * 3}  # of SigLIP
SPECIAL = ('<|im_start|>', '<|im_end|>', '<image>', '<video>')
CHAT_TEMPLATE = """\
{% for message in messages %}<|im_start|>{{ message['role'] + ' ' }}\
{% if message['content'] is string %}{{ '\\n' + message['content'] }}\
{% else %}{% for part in message['content'] %}\
{% if part['type'] != 'text' %}{{ '<' + part['type'] + '>' }}{% endif %}{% endfor %}\
{% for part in message['content'] %}\
{% if part['type'] == 'text' %}{{ '\\n' + part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def build_llava_onevision(corpus: Sequence[str]) -> TinyParts:
    """Config and processor.

    Args:
        corpus: what the tokenizer learns its words from.
    """
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    tokenizer = train_byte_tokenizer(corpus, kind='Qwen2Tokenizer', special=SPECIAL, chat_template=CHAT_TEMPLATE)
    config = LlavaOnevisionConfig(
        text_config={'model_type': 'qwen2', **text_sizes(tokenizer), 'max_window_layers': 2},
        vision_config={
            'model_type': 'siglip_vision_model',
            'hidden_size': VISION_HIDDEN,
            'intermediate_size': 4 * VISION_HIDDEN,
            'num_hidden_layers': 2,
            'num_attention_heads': 4,
            'image_size': IMAGE_SIDE,
            'patch_size': PATCH,
            'vision_use_head': False,
        },
        image_token_index=tokenizer.convert_tokens_to_ids('<image>'),
        video_token_index=tokenizer.convert_tokens_to_ids('<video>'),
        image_grid_pinpoints=PINPOINTS,
        tie_word_embeddings=False,
    )
    size = {'height': IMAGE_SIDE, 'width': IMAGE_SIDE}
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=dict(size), image_grid_pinpoints=PINPOINTS, **HALF),
        video_processor=LlavaOnevisionVideoProcessor(size=dict(size), do_sample_frames=False, **HALF),
        tokenizer=tokenizer,
        num_image_tokens=NUM_PATCHES,
        vision_feature_select_strategy='full',
        chat_template=CHAT_TEMPLATE,
    )
    return TinyParts(config, processor)
