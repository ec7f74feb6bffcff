"""The 7B model with two layers in place of 28, at its real widths and vocabulary, through the whole of LAVIDA."""

import pytest
import torch
from mmengine.config import Config

from lavida_mm.models.mllm.released_architectures import released_config
from lavida_mm.models.tiny.builders import save_tiny_clip_text, save_tiny_mllm
from lavida_mm.registry import MODELS
from tests.conftest import ROOT
from tests.test_models.test_lavida import make_sample

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
LAYERS = 2


@pytest.fixture(scope='module')
def cut(tmp_path_factory):
    """Folders of the cut MLLM and of a full-size CLIP text encoder, randomly initialised, in bfloat16."""
    from transformers import AutoModelForImageTextToText, AutoTokenizer, CLIPTextModelWithProjection

    root = tmp_path_factory.mktemp('cut')
    for folder, save in ((root / 'mllm', save_tiny_mllm), (root / 'clip', save_tiny_clip_text)):
        save(folder, seed=0)  # for tokenizer and processor; the weights are replaced
    sizes = released_config('Qwen/Qwen2-VL-7B-Instruct')
    sizes.text_config.num_hidden_layers = LAYERS
    sizes.text_config.layer_types = sizes.text_config.layer_types[:LAYERS]
    sizes.vision_config.depth = LAYERS
    tokens = AutoTokens(root / 'mllm')
    for name, number in tokens.ids.items():
        setattr(sizes, name, number)
    torch.manual_seed(0)
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        AutoModelForImageTextToText.from_config(sizes).save_pretrained(root / 'mllm')
        clip = released_config('openai/clip-vit-base-patch32')
        clip.eos_token_id = AutoTokenizer.from_pretrained(root / 'clip').eos_token_id  # a text's features stand there
        CLIPTextModelWithProjection(clip).save_pretrained(root / 'clip')
    finally:
        torch.set_default_dtype(previous)
    tokens.set_patch(root / 'mllm', patch_size=14)
    return root


class AutoTokens:
    """What the tiny tokenizer and processor bring along and the full sizes have to agree with."""

    def __init__(self, folder):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        names = ('image_pad', 'video_pad', 'vision_start', 'vision_end')
        image, video, start, end = (tokenizer.convert_tokens_to_ids(f'<|{name}|>') for name in names)
        self.ids = dict(image_token_id=image, video_token_id=video, vision_start_token_id=start)
        self.ids['vision_end_token_id'] = end

    @staticmethod
    def set_patch(folder, patch_size):
        """Patches of the released size, in the processor's files."""
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(folder)
        processor.image_processor.patch_size = processor.video_processor.patch_size = patch_size
        processor.save_pretrained(folder)


def test_a_gradient_reaches_each_trained_parameter_and_nothing_else(cut):
    config = Config.fromfile(ROOT / 'configs/lavida_7b.py')
    settings = config.model
    settings.mllm.update(
        pretrained=str(cut / 'mllm'), frame_pixels=(16, 32), image_pixels=(16, 32), lora=dict(dropout=0.0)
    )
    settings.text_encoder.pretrained = str(cut / 'clip')
    settings.mask_head.segmenter.checkpoint = None
    torch.manual_seed(0)
    model = MODELS.build(settings).train()
    mllm = model.mllm
    assert mllm.hidden_size == 3584 and mllm.model.lm_head.weight.shape == (152064, 3584)
    assert mllm.language_model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    rows, adapters = 2 * 3584, LAYERS * 8 * ((3584 + 3584) + (3584 + 512))
    assert sum(p.numel() for p in mllm.parameters() if p.requires_grad) == rows + adapters
    for name, parameter in model.named_parameters():
        if 'lora_B' in name:  # zero to begin with, which hides the gradient of A
            torch.nn.init.normal_(parameter, std=0.02)
    batch = [make_sample(['red star', 'blue ring'], 2, 0, True), make_sample(['green square'], 1, 1, True)]
    clips, samples = [clip for clip, _ in batch], [sample for _, sample in batch]
    read = mllm(clips, [sample.categories for sample in samples], [0, 0], model.compressor)
    assert read.num_tokens_after == [number // 2 for number in read.num_tokens_before]
    with torch.autocast('cpu', torch.bfloat16):  # as BF16OptimWrapper runs it
        losses = model(clips, samples, mode='loss')
    sum(losses.values()).backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert set(gradients) == trained, sorted(set(gradients) ^ trained)
    waiting = 'mask_head.segmenter.mask_decoder.'  # of its three masks the best one learns
    still = [name for name, gradient in gradients.items() if gradient.abs().sum() == 0]
    assert not [name for name in still if not name.startswith(waiting)]
    assert {'mllm.seg_rows.input_row', 'mllm.seg_rows.output_row'} <= set(gradients)
