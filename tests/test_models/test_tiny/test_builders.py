"""Tiny models of every family: small, repeatable, and read by the same code as the released ones."""

import re

import pytest
import torch

from lavida_mm.models.tiny.builders import MLLM_FAMILIES, save_tiny_mllm

PROCESSORS = {
    'qwen2_vl': 'Qwen2VLProcessor',
    'qwen2_5_vl': 'Qwen2_5_VLProcessor',
    'qwen3_vl': 'Qwen3VLProcessor',
    'internvl': 'InternVLProcessor',
    'llava_onevision': 'LlavaOnevisionProcessor',
    'smolvlm': 'SmolVLMProcessor',
}
QWEN_TOKENS = ('<|vision_start|>', '<|vision_end|>', '<|image_pad|>', '<|video_pad|>')
SPECIAL = {
    'qwen2_vl': QWEN_TOKENS,
    'qwen2_5_vl': QWEN_TOKENS,
    'qwen3_vl': QWEN_TOKENS,
    'internvl': ('<img>', '</img>', '<IMG_CONTEXT>', '<video>'),
    'llava_onevision': ('<image>', '<video>'),
    'smolvlm': (
        '<fake_token_around_image>', '<global-img>', '<image>', '<end_of_utterance>', '<row_1_col_1>', '<row_6_col_6>',
    ),
}  # fmt: skip
# Visual tokens of a clip of four frames and of an image, of 96 x 96 pixels.
COUNTS = {
    'qwen2_vl': (2 * 16, 16),  # two frames share a grid of tokens
    'qwen2_5_vl': (2 * 16, 16),
    'qwen3_vl': (2 * 16, 16),
    'internvl': (4 * 16, 16),
    'llava_onevision': (4 * 16 + 1, 64 + 8 * (8 + 1)),  # image_newline after a clip and after each row of a tile
    'smolvlm': (4 * 16, 16),
}
# transformers 5.17: InternVL's processor takes the cumulative sum of a torch tensor by numpy.
NUMPY_ON_TORCH = pytest.mark.filterwarnings('ignore:__array_wrap__ must accept context:DeprecationWarning')


def shorten(text):
    """The text with runs of one token written as ``token x number``."""
    return re.sub(r'(<[^<>]+>)\1+', lambda run: f'{run[1]} x {len(run[0]) // len(run[1])}', text)


def count_features(tiny, inputs):
    """How many visual tokens the model itself makes of the pixels."""
    inner, kind = tiny.model.model, 'video' if 'pixel_values_videos' in inputs else 'image'
    if tiny.family.startswith('qwen'):
        method = inner.get_video_features if kind == 'video' else inner.get_image_features
        pixels = inputs['pixel_values_videos' if kind == 'video' else 'pixel_values']
        features = method(pixels, inputs[f'{kind}_grid_thw'])
    elif tiny.family == 'llava_onevision' and kind == 'video':
        features = inner.get_video_features(inputs['pixel_values_videos'])  # image_newline joins them in forward
        return features.pooler_output.flatten(0, 1).shape[0] + 1
    elif tiny.family == 'llava_onevision':
        features = inner.get_image_features(inputs['pixel_values'], inputs['image_sizes'])
    elif tiny.family == 'internvl':
        features = inner.get_image_features(inputs['pixel_values'])
    else:
        features = inner.get_image_features(inputs['pixel_values'], inputs['pixel_attention_mask'])
    return sum(len(one) for one in features.pooler_output)


def count_placeholders(tiny, inputs, kind):
    config = tiny.model.config
    is_apart = kind == 'video' and hasattr(config, 'video_token_id')  # the others show a clip as many images
    placeholder = config.video_token_id if is_apart else config.image_token_id
    return int((inputs['input_ids'] == placeholder).sum())


@pytest.mark.parametrize('family', MLLM_FAMILIES)
class TestEveryFamily:
    def test_small_and_the_same_for_the_same_seed(self, family, tiny_models, tmp_path):
        save_tiny_mllm(tmp_path / 'again', family=family, words=('zebra',))
        save_tiny_mllm(tmp_path / 'other', family=family, words=('zebra',), seed=1)
        files = {path.name: path.read_bytes() for path in (tiny_models / family).iterdir()}
        again = {path.name: path.read_bytes() for path in (tmp_path / 'again').iterdir()}
        assert again == files
        assert sum(map(len, files.values())) < 5e6
        assert (tmp_path / 'other' / 'model.safetensors').read_bytes() != files['model.safetensors']

    def test_tokens(self, family, load_tiny):
        tokenizer = load_tiny(family).processor.tokenizer
        assert type(load_tiny(family).processor).__name__ == PROCESSORS[family]
        for token in ('<|im_start|>', '<|im_end|>', *SPECIAL[family]):
            assert tokenizer(token)['input_ids'] == [tokenizer.convert_tokens_to_ids(token)]
        assert tokenizer(' zebra')['input_ids'] != tokenizer('zebra')['input_ids']
        assert all(len(tokenizer(word)['input_ids']) == 1 for word in ('zebra', ' zebra', 'star', ' star'))
        text = 'Wörter, 火 {x}'
        assert tokenizer.decode(tokenizer(text)['input_ids']) == text  # no byte is unknown

    def test_sizes(self, family, load_tiny):
        tiny = load_tiny(family)
        text = tiny.model.config.text_config
        assert (text.hidden_size, text.num_hidden_layers, text.max_position_embeddings) == (96, 2, 2048)
        rows = tiny.model.get_input_embeddings().num_embeddings
        assert rows > len(tiny.processor.tokenizer) and rows % 64 == 0  # room for <SEG>
        embeddings, head = tiny.model.get_input_embeddings(), tiny.model.get_output_embeddings()
        assert embeddings.weight is not head.weight

    @NUMPY_ON_TORCH
    @pytest.mark.parametrize('kind', ['video', 'image'])
    def test_placeholders_are_as_many_as_features(self, family, kind, load_tiny, clip):
        tiny = load_tiny(family)
        inputs = tiny.read(kind, clip if kind == 'video' else clip[0])
        expected = COUNTS[family][kind == 'image']
        with torch.no_grad():
            assert count_placeholders(tiny, inputs, kind) == count_features(tiny, inputs) == expected
            logits = tiny.model(**inputs).logits
        assert logits.shape[:2] == inputs['input_ids'].shape
        assert logits.isfinite().all() and logits.std() > 0.1

    def test_clips_are_neither_resized_nor_sampled(self, family, load_tiny, clip):
        tiny = load_tiny(family)
        inputs = tiny.read('video', clip)
        colours = tiny.processor.video_processor
        mean, std = (torch.tensor(values)[:, None, None] for values in (colours.image_mean, colours.image_std))
        expected = (clip / 255 - mean) / std
        pixels = inputs['pixel_values_videos' if 'pixel_values_videos' in inputs else 'pixel_values']
        if family.startswith('qwen'):
            assert inputs['video_grid_thw'].tolist() == [[2, 8, 8]]
            expected = expected.reshape(2, 2, 3, 4, 2, 12, 4, 2, 12).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
        assert torch.allclose(pixels.flatten(), expected.flatten(), atol=1e-5)


def test_the_text_around_a_clip(load_tiny, clip):
    metadata = {'fps': 2.0, 'total_num_frames': 4, 'duration': 2.0, 'frames_indices': [0, 1, 2, 3]}
    written = {}
    for family in MLLM_FAMILIES:
        settings = {'video_metadata': [metadata]} if family in ('qwen3_vl', 'smolvlm') else {}
        inputs = load_tiny(family).read('video', clip, **settings)
        written[family] = shorten(load_tiny(family).processor.tokenizer.decode(inputs['input_ids'][0]))
    question = 'is there a red star?'
    frame = '<fake_token_around_image><global-img><image> x 16<fake_token_around_image>'
    assert (
        written['qwen2_vl']
        == written['qwen2_5_vl']
        == (f'<|im_start|>user\n<|vision_start|><|video_pad|> x 32<|vision_end|>{question}<|im_end|>\n')
    )
    # One pair of marks per grid of tokens inside the pair of the template, and the middle of the grid's frames.
    assert written['qwen3_vl'] == (
        '<|im_start|>user\n<|vision_start|>'
        '<0.2 seconds><|vision_start|><|video_pad|> x 16<|vision_end|>'
        '<1.2 seconds><|vision_start|><|video_pad|> x 16<|vision_end|> x 2'
        f'{question}<|im_end|>\n'
    )
    frames = '\n'.join(f'Frame{number}: <img><IMG_CONTEXT> x 16</img>' for number in (1, 2, 3, 4))
    assert written['internvl'] == f'<|im_start|>user\n{frames}\n{question}<|im_end|>\n'
    assert written['llava_onevision'] == f'<|im_start|>user <video> x 65\n{question}<|im_end|>'
    assert written['smolvlm'] == (
        '<|im_start|>User: You are provided the following series of four frames from a 0:00:02 [H:MM:SS] video.\n'
        f'\nFrame from 00:00:{frame}\nFrame from 00:00:{frame}\nFrame from 00:01:{frame}\nFrame from 00:01:{frame}'
        f'\n\n{question}<end_of_utterance>\n'
    )


@NUMPY_ON_TORCH
def test_a_large_image_in_tiles(load_tiny, clip):
    tiny = load_tiny('smolvlm')
    inputs = tiny.read('image', clip[0], size={'longest_edge': 192})
    text = shorten(tiny.processor.tokenizer.decode(inputs['input_ids'][0]))
    assert '<fake_token_around_image><row_2_col_1><image> x 16' in text
    assert count_placeholders(tiny, inputs, 'image') == count_features(tiny, inputs) == (2 * 2 + 1) * 16
    tall = torch.cat([clip[0], clip[1]], dim=1)  # (3, 192, 96)
    inputs = load_tiny('internvl').read('image', tall)
    assert count_placeholders(load_tiny('internvl'), inputs, 'image') == (2 + 1) * 16  # two tiles and the whole
    inputs = load_tiny('llava_onevision').read('image', tall)
    with torch.no_grad():
        features = count_features(load_tiny('llava_onevision'), inputs)
    assert count_placeholders(load_tiny('llava_onevision'), inputs, 'image') == features == 64 + 16 * (8 + 1)


def test_qwen3_vl_hands_on_one_more_layer_per_layer_of_the_language_model(load_tiny, clip):
    tiny = load_tiny('qwen3_vl')
    inputs = tiny.read('video', clip)
    with torch.no_grad():
        features = tiny.model.model.get_video_features(inputs['pixel_values_videos'], inputs['video_grid_thw'])
    assert [layer.shape for layer in features.deepstack_features] == [(32, 96), (32, 96)]
    assert not torch.allclose(*features.deepstack_features)


def test_an_unknown_family(tmp_path):
    with pytest.raises(ValueError, match='family must be one of qwen2_vl, qwen2_5_vl, qwen3_vl, internvl'):
        save_tiny_mllm(tmp_path, family='llava')


def test_the_wide_model_follows_motion_in_fine_patches(tmp_path):
    """Its size, its one matrix, and each word of a phrase as one token."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from lavida_mm.datasets.synthetic.phrases import BEHAVIOURS, RELATIONS

    save_tiny_mllm(tmp_path, wide=True, seed=0)
    model, processor = AutoModelForImageTextToText.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert 1_000_000 < sum(parameter.numel() for parameter in model.parameters()) < 2_000_000
    clip = torch.randint(0, 256, (4, 3, 96, 96), dtype=torch.uint8)
    grid = processor.video_processor(videos=[clip], return_tensors='pt')['video_grid_thw']
    assert grid.tolist() == [[2, 12, 12]]
    for wordings in (*BEHAVIOURS.values(), *RELATIONS.values()):
        for phrase in wordings:
            phrase = phrase.format(pair='red star', anchor='blue ring')
            assert len(processor.tokenizer(f' {phrase}')['input_ids']) == len(phrase.split())


def test_other_families_have_no_wide_size(tmp_path):
    with pytest.raises(ValueError, match="family must be 'qwen2_vl' for the wide size, got 'smolvlm'"):
        save_tiny_mllm(tmp_path, family='smolvlm', wide=True)
