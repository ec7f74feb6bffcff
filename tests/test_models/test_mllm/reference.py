"""The plain way of transformers: the processor's own inputs, and one forward pass of the whole model."""

import torch
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor
from transformers.video_utils import VideoMetadata

from lavida_mm.models.mllm.prompts import ANSWER_TEMPLATES, QUESTION_TEMPLATES

WORDS = ['red star', 'blue ring', 'cross with stripes']
ONE_TILE = {'internvl': dict(crop_to_patches=False), 'smolvlm': dict(do_image_splitting=False)}


def plain_conversation(folder, clip, turns):
    """The processor's inputs for questions and answers about one clip, their text, and the tokenizer."""
    family = folder.name
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend='torchvision')
    tokenizer = processor.tokenizer
    tokenizer.add_tokens(['<SEG>'], special_tokens=True)
    kind = 'video' if len(clip) > 1 or family == 'llava_onevision' else 'image'
    messages = []
    for number, (question, answer) in enumerate(turns):
        shown = [] if number else [{'type': kind}]
        messages += [
            {'role': 'user', 'content': [*shown, {'type': 'text', 'text': question}]},
            {'role': 'assistant', 'content': [{'type': 'text', 'text': answer}]},
        ]
    text = processor.apply_chat_template(messages, tokenize=False, processor_kwargs={'padding': False})
    if kind == 'video':
        count = len(clip)
        times = VideoMetadata(total_num_frames=count, fps=2.0, frames_indices=list(range(count)), duration=count / 2)
        visual = dict(videos=[[clip]], video_metadata=[[times]], do_sample_frames=False)
    else:
        visual = dict(images=[[clip[0]]], **ONE_TILE.get(family, {}))
    inputs = dict(processor(text=[text], return_tensors='pt', **visual))
    inputs.pop('second_per_grid_ts', None)  # ours: one second per grid of two frames, as at two frames per second
    return inputs, text, tokenizer


def plain_inputs(folder, clip, words=WORDS, template=0):
    """The processor's inputs for one sample with the labels of the answer, and the number of ``<SEG>``."""
    turns = [(QUESTION_TEMPLATES[template].format(categories=', '.join(words)), ANSWER_TEMPLATES[template])]
    inputs, text, tokenizer = plain_conversation(folder, clip, turns)
    ids = inputs['input_ids'][0]
    answer = text[text.rindex(ANSWER_TEMPLATES[template]) :]
    begin = max(place for place in range(len(ids)) if answer in tokenizer.decode(ids[place:]))
    labels = inputs['input_ids'].clone()
    labels[:, :begin] = -100
    return {**inputs, 'labels': labels}, tokenizer.convert_tokens_to_ids('<SEG>')


def plain_model(folder):
    """The model as transformers loads it; the tiny ones have a spare row for ``<SEG>``."""
    return AutoModelForImageTextToText.from_pretrained(folder).eval()


def plain_forward(folder, clip, **prompt):
    """Hidden state at ``<SEG>`` (1, D), and the language model's loss."""
    inputs, seg_id = plain_inputs(folder, clip, **prompt)
    with torch.no_grad():
        out = plain_model(folder)(**inputs, output_hidden_states=True)
    return out.hidden_states[-1][inputs['input_ids'] == seg_id], out.loss
