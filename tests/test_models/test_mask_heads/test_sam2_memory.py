"""SAM 2's memory: transformers' propagation, what a frame may see, and streams."""

import pytest
import torch

from lavida_mm.models.mask_heads import SAM2, AnomalyMaskHead, MemoryBank
from lavida_mm.models.mask_heads.segmenter import Shortcut
from lavida_mm.models.projectors import ProjectorOutput
from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample
from tests.test_models.test_mask_heads.conftest import SIDE, SIZES

DIM, GRID = SIZES['channels'], SIDE // 8
POINT = dict(point_coords=torch.tensor([[[[30.0, 40.0]]]]), point_labels=torch.ones(1, 1, 1, dtype=torch.int))
NO_OBJECT = -1024.0


def _sam2(folder, memory=7) -> SAM2:
    return MODELS.build(dict(type='SAM2', pretrained=str(folder), image_size=SIDE, memory=memory)).eval()


def _clip(frames, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def _sparse(frames, seed=3):
    return torch.randn(frames, 1, DIM, generator=torch.Generator().manual_seed(seed))


def _assert_same(found, expected, frames=slice(None)):
    for name in ('masks', 'ious', 'object_logits'):
        torch.testing.assert_close(getattr(found, name)[frames], getattr(expected, name), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('bias', [None, -0.55, -5.0], ids=['present', 'sometimes', 'absent'])
@pytest.mark.parametrize('streaming', [False, True])
def test_a_clip_is_transformers_propagation(sam2_folder, streaming, bias):
    """A point in the first frame, none in the five that follow."""
    from transformers import Sam2VideoModel
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    sam2, reference = _sam2(sam2_folder), Sam2VideoModel.from_pretrained(sam2_folder).eval()
    if bias is not None:
        for network in (sam2.network, reference):
            network.mask_decoder.pred_obj_score_head.proj_out.bias.data += bias
    pixels = sam2.canvas.fit([_clip(6)])
    session = Sam2VideoInferenceSession(
        video=None if streaming else pixels, video_height=SIDE, video_width=SIDE, dtype=torch.float32
    )
    index = session.obj_id_to_idx(1)
    session.add_point_inputs(index, 0, POINT)
    session.obj_with_new_inputs = [1]
    if streaming:
        expected = [reference(session, frame=frame) for frame in pixels]
    else:
        expected = list(reference.propagate_in_video_iterator(session, start_frame_idx=0))

    encoder = reference.prompt_encoder
    with torch.no_grad():
        point, dense = encoder(POINT['point_coords'], POINT['point_labels'], None, None)
        nowhere, _ = encoder(torch.zeros(1, 1, 1, 2), -torch.ones(1, 1, 1, dtype=torch.int), None, None)
        sparse = torch.cat([point[:, 0], nowhere[:, 0].expand(5, -1, -1)])
        features = sam2.encode([_clip(6)])
        output = sam2.decode(features, sparse, dense, [sam2.new_memory()] if streaming else None)
        alone = _sam2(sam2_folder, memory=0).decode(features, sparse, dense)
    logits = torch.stack([one.object_score_logits.flatten()[0] for one in expected])
    assert bias != -5.0 or (logits < 0).all()
    assert bias is not None or (logits > 0).all()
    torch.testing.assert_close(output.object_logits, logits, atol=1e-4, rtol=0)
    best = output.ious[:, 1:].argmax(dim=1) + 1
    masks = output.masks[torch.arange(6), best].where((output.object_logits > 0)[:, None, None], NO_OBJECT)
    torch.testing.assert_close(masks, torch.stack([one.pred_masks[0, 0] for one in expected]), atol=1e-4, rtol=0)
    assert (alone.masks - output.masks)[1:].abs().amax(dim=(1, 2, 3)).min() > 1e-2  # the memory matters


def test_clips_do_not_see_each_other(sam2_folder):
    sam2 = _sam2(sam2_folder, memory=2)
    clips, sparse = [_clip(4), _clip(1, seed=5), _clip(3, seed=6)], _sparse(8)
    with torch.no_grad():
        together = sam2.decode(sam2.encode(clips), sparse)
        for clip, frames in zip(clips, (slice(0, 4), slice(4, 5), slice(5, 8)), strict=True):
            _assert_same(together, sam2.decode(sam2.encode([clip]), sparse[frames]), frames)
    assert [bank.num_seen for bank in together.memory] == [4, 1, 3]
    assert [len(bank.frames) for bank in together.memory] == [2, 1, 2]


def test_a_frame_sees_the_frames_before_it_and_no_more_than_memory(sam2_folder):
    sam2, sparse = _sam2(sam2_folder, memory=2), _sparse(6)
    clip = _clip(6)
    with torch.no_grad():
        plain = sam2.decode(sam2.encode([clip]), sparse).masks
        changed = clip.clone()
        changed[5] = 0
        found = sam2.decode(sam2.encode([changed]), sparse).masks
    torch.testing.assert_close(found[:5], plain[:5], atol=1e-5, rtol=1e-4)
    bank = MemoryBank(2)
    for frame in range(5):
        bank = bank.add(torch.zeros(1, 64), torch.zeros(DIM))
        assert bank.ages == tuple(range(min(frame + 1, 2), 0, -1))
        assert [one.frame for one in bank.frames] == list(range(max(0, frame - 1), frame + 1))


def test_a_stream_in_pieces_is_the_stream_in_one(sam2_folder):
    sam2, clip, sparse = _sam2(sam2_folder, memory=3), _clip(7), _sparse(7)
    with torch.no_grad():
        features = sam2.encode([clip])
        whole = sam2.decode(features, sparse, memory=[sam2.new_memory()])
        memory, start = [sam2.new_memory()], 0
        for length in (3, 1, 3):
            piece = slice(start, start + length)
            output = sam2.decode(sam2.encode([clip[piece]]), sparse[piece], memory=memory)
            for name in ('masks', 'ious', 'object_logits'):
                expected = getattr(whole, name)[piece]
                torch.testing.assert_close(getattr(output, name), expected, atol=1e-4, rtol=1e-4)
            memory, start = output.memory, start + length
            assert len(memory[0].frames) <= 3 and memory[0].num_seen == start
    assert memory[0].frames[0].tokens.dtype == torch.bfloat16


def test_streams_of_different_age_in_one_batch(sam2_folder):
    sam2, sparse = _sam2(sam2_folder, memory=3), _sparse(4)
    with torch.no_grad():
        older = sam2.decode(sam2.encode([_clip(2, seed=8)]), sparse[:2], memory=[sam2.new_memory()]).memory
        clips = [_clip(2), _clip(2, seed=9)]
        features = sam2.encode(clips)
        together = sam2.decode(features, sparse, memory=[*older, sam2.new_memory()])
        _assert_same(together, sam2.decode(features.select([0]), sparse[:1], memory=older), slice(0, 1))
        new = sam2.decode(sam2.encode(clips[1:]), sparse[2:], memory=[sam2.new_memory()])
        _assert_same(together, new, slice(2, 4))
    assert [bank.num_seen for bank in together.memory] == [4, 2]


def test_what_is_handed_back_holds_no_graph(sam2_folder):
    sam2 = _sam2(sam2_folder, memory=2)
    output = sam2.decode(sam2.encode([_clip(2)]), _sparse(2))
    assert output.masks.requires_grad
    assert not any(one.tokens.requires_grad or one.pointer.requires_grad for one in output.memory[0].frames)


def test_the_head_hands_memory_through(sam2_folder):
    torch.manual_seed(0)
    segmenter = dict(type='SAM2', pretrained=str(sam2_folder), image_size=SIDE, memory=2)
    head: AnomalyMaskHead = MODELS.build(dict(type='AnomalyMaskHead', segmenter=segmenter, similarity_skip=True)).eval()
    similarity = torch.randn(2, 1, GRID, GRID)
    projected = ProjectorOutput(sparse=_sparse(2), dense=None, categories=torch.zeros(2, 1, DIM), similarity=similarity)
    with torch.no_grad():
        features = head.encode([_clip(2)])
        first = head(features, projected, [head.segmenter.new_memory()])
        second = head(features, projected, first.memory)
    assert second.memory[0].num_seen == 4
    assert (second.masks - first.masks).abs().max() > 1e-3


@pytest.mark.parametrize('added', [-1000.0, 1000.0])
def test_what_is_remembered_is_what_was_decided(sam2_folder, added):
    """A shortcut that says "absent" in the first frame is, to the frames after it, an absent object."""
    sparse, clip = _sparse(4), _clip(4)
    sam2, biased = _sam2(sam2_folder, memory=3), _sam2(sam2_folder, memory=3)
    biased.network.mask_decoder.pred_obj_score_head.proj_out.bias.data += added
    shortcut = Shortcut(torch.zeros(4, 1, GRID, GRID), torch.full((4,), added))
    with torch.no_grad():
        found = sam2.decode(sam2.encode([clip]), sparse, shortcut=shortcut)
        expected = biased.decode(biased.encode([clip]), sparse)
        plain = sam2.decode(sam2.encode([clip]), sparse)
        masked = sam2.decode(sam2.encode([clip]), sparse, shortcut=Shortcut(shortcut.masks - 50, shortcut.objects))
    for name in ('masks', 'ious', 'object_logits'):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-3, rtol=1e-4)
    present = plain.object_logits[0] > 0
    assert torch.equal(found.masks[0], plain.masks[0])
    assert ((found.masks - plain.masks)[1:].abs().max() > 1e-3) == bool(present != (added > 0))
    assert added < 0 or (masked.ious - found.ious)[1:].abs().max() > 1e-4  # an emptied mask is remembered as empty


def test_a_shortcut_is_added_where_there_is_no_memory(sam2_folder):
    sam2, clip, sparse = _sam2(sam2_folder, memory=0), _clip(2), _sparse(2)
    shortcut = Shortcut(torch.full((2, 1, GRID, GRID), 3.0), torch.tensor([1.0, -2.0]))
    with torch.no_grad():
        features = sam2.encode([clip])
        plain, found = sam2.decode(features, sparse), sam2.decode(features, sparse, shortcut=shortcut)
    torch.testing.assert_close(found.masks, plain.masks + 3)
    torch.testing.assert_close(found.object_logits, plain.object_logits + shortcut.objects)


def _head(sam2_folder, **options) -> AnomalyMaskHead:
    torch.manual_seed(0)
    segmenter = dict(type='SAM2', pretrained=str(sam2_folder), image_size=SIDE, memory=3)
    return MODELS.build(dict(type='AnomalyMaskHead', segmenter=segmenter, gate='none', **options)).eval()


def _window(frames, video='v'):
    meta = dict(frame_inds=frames, video_id=video, source='s', categories=['car'], ori_shape=(SIDE, SIDE))
    return VADDataSample(metainfo=meta)


def _prompts(frames):
    return ProjectorOutput(sparse=_sparse(8)[frames], dense=None, categories=None, similarity=None)


def _predict(head, clip, windows):
    """Scores and masks by frame, of the last window that holds it; windows are lists of frames, batched."""
    found = {}
    with torch.no_grad():
        for batch in windows:
            frames = [frame for window in batch for frame in window]
            samples = [_window(window) for window in batch]
            features = head.encode([clip[window] for window in batch], samples)
            for sample in head.predict(features, _prompts(frames), samples):
                for place, frame in enumerate(sample.frame_inds):
                    found[frame] = (sample.pred_frame_scores[place], sample.pred_masks[place])
    return [torch.stack(part) for part in zip(*(found[frame] for frame in sorted(found)), strict=True)]


WINDOWS = {
    'side by side': [[[0, 1, 2, 3]], [[4, 5, 6, 7]]],
    'overlapping': [[[0, 1, 2, 3]], [[2, 3, 4, 5]], [[4, 5, 6, 7]]],
    'one frame further': [[[0, 1, 2]], [[1, 2, 3]], [[2, 3, 4]], [[3, 4, 5]], [[4, 5, 6]], [[5, 6, 7]]],
    'two in a batch': [[[0, 1, 2, 3], [2, 3, 4, 5]], [[4, 5, 6, 7]]],
    'the last frame repeated': [[[0, 1, 2]], [[3, 4, 5]], [[6, 7, 7]]],
}


@pytest.mark.parametrize('windows', WINDOWS.values(), ids=WINDOWS)
def test_a_video_in_windows_is_the_video_in_one_stream(sam2_folder, windows):
    head, clip = _head(sam2_folder, stream_memory=True), _clip(8)
    with torch.no_grad():
        whole = head(head.encode([clip]), _prompts(range(8)), [head.segmenter.new_memory()])
    scores, _ = _predict(head, clip, windows)
    padded = windows[-1][-1][-2:] == [7, 7]  # the second 7 has the first in its memory
    frames = slice(0, 7 if padded else 8)
    torch.testing.assert_close(scores[frames], whole.object_logits.sigmoid()[frames], atol=1e-5, rtol=1e-4)
    assert len(head.stream) <= len(windows[-1][-1]) + 1
    anew, _ = _predict(_head(sam2_folder), clip, windows)
    assert (anew - scores).abs()[4:].max() > 1e-3


def test_another_video_and_an_earlier_window_find_nothing_remembered(sam2_folder):
    head, clip = _head(sam2_folder, stream_memory=True), _clip(8)
    first = _predict(head, clip, [[[0, 1, 2]]])
    for again in ([[[3, 4]], [[0, 1, 2]]], [[[0, 1, 2]], [[3, 4]], [[0, 1, 2]]]):
        torch.testing.assert_close(_predict(head, clip, again)[1][:3], first[1])
    with torch.no_grad():
        features = head.encode([clip[3:5]])
        other = head.predict(features, _prompts([3, 4]), [_window([3, 4], video='w')])[0].pred_frame_scores
        alone = head(features, _prompts([3, 4]), [head.segmenter.new_memory()]).object_logits.sigmoid()
    torch.testing.assert_close(other, alone, atol=1e-6, rtol=1e-5)
    head.train()
    assert not len(head.stream)


def test_stream_memory_needs_a_memory(sam2_folder):
    segmenter = dict(type='SAM2', pretrained=str(sam2_folder), image_size=SIDE)
    with pytest.raises(ValueError, match=r'stream_memory=True needs a segmenter with memory.*got SAM2 without'):
        MODELS.build(dict(type='AnomalyMaskHead', segmenter=segmenter, stream_memory=True))


def test_memory_that_does_not_fit_is_refused(sam2_folder):
    sam2 = _sam2(sam2_folder, memory=0)
    features = sam2.encode([_clip(1)])
    with pytest.raises(ValueError, match='memory=0: every frame is decoded alone'):
        sam2.decode(features, _sparse(1), memory=[MemoryBank(1)])
    with pytest.raises(ValueError, match='one bank per clip: 1 clips, 2 banks'):
        _sam2(sam2_folder, memory=1).decode(features, _sparse(1), memory=[MemoryBank(1)] * 2)
