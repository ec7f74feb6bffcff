"""Visual tokens that are never computed: against the whole tower with the dropped patches masked out by hand."""

import pytest
import torch
from transformers import AutoModelForImageTextToText

from lavida_mm.models.compressors import ReverseAttnCompressor, StaticTokenFilter
from tests.test_models.test_mllm.reference import WORDS


def still_clip(make_clip, changed):
    """Frames that repeat the first two but for a square in the last ones."""
    clip = make_clip(2).repeat(3, 1, 1, 1)  # three grids of two frames
    if changed:
        clip[4:, :, 24:48, 48:72] = 255 - clip[4:, :, 24:48, 48:72]  # unit 1 * 4 + 2 of the last grid
    return clip


@pytest.mark.parametrize('changed', [False, True])
def test_only_the_first_grid_and_what_changes_is_computed(qwen_folder, make_clip, build, changed):
    model = build(qwen_folder)
    with torch.no_grad():
        out = model([still_clip(make_clip, changed)], [WORDS], [0], None, StaticTokenFilter(threshold=0.01))
    assert out.num_tokens_before == [48]
    assert out.num_tokens_after == [17 if changed else 16]


def test_a_threshold_of_zero_changes_nothing(qwen_folder, make_clip, build):
    model, clips = build(qwen_folder), [make_clip(4), make_clip(1)]
    with torch.no_grad():
        plain = model(clips, [WORDS] * 2, [0, 0])
        kept = model(clips, [WORDS] * 2, [0, 0], None, StaticTokenFilter(threshold=0.0))
    torch.testing.assert_close(kept.seg_states, plain.seg_states, rtol=1e-5, atol=1e-5)
    assert kept.num_tokens_after == plain.num_tokens_after


def test_filtered_batch_equals_one_by_one_and_compresses(qwen_folder, make_clip, build):
    model, keep = build(qwen_folder), StaticTokenFilter(threshold=0.01)
    clips = [still_clip(make_clip, True), make_clip(1, 72, 120, seed=4), make_clip(4, seed=5)]
    compressor = ReverseAttnCompressor()
    with torch.no_grad():
        batch = model(clips, [WORDS] * 3, [0] * 3, compressor, keep)
        single = [model([clip], [WORDS], [0], compressor, keep) for clip in clips]
    torch.testing.assert_close(batch.seg_states, torch.cat([one.seg_states for one in single]), rtol=1e-5, atol=1e-5)
    assert batch.num_tokens_after == [17 // 2, single[1].num_tokens_before[0] // 2, 16]


@pytest.mark.parametrize('kept', [[0, 3, 5, 16, 31], [1, 2, 4, 6, 7, 9, 15]])
def test_the_tower_sees_the_chosen_patches_as_if_the_others_were_masked(qwen_folder, make_clip, build, kept):
    """Attention over the chosen keys alone, with the places of the full grid, is what the whole tower computes where
    every other key is masked in every layer."""
    model = build(qwen_folder)
    sample = model._prepare(make_clip(4))
    units = torch.tensor(kept)
    with torch.no_grad():
        ours = model.family.embed(model.model, [sample], [units])[0]
    whole = AutoModelForImageTextToText.from_pretrained(qwen_folder, attn_implementation='eager').eval()
    is_kept = torch.zeros(len(sample.pixels), dtype=torch.bool)
    is_kept[model.family.rows_of(units)] = True
    mask_keys(whole, is_kept, model.family)
    with torch.no_grad():
        theirs = model.family.embed(whole, [sample])[0]
    torch.testing.assert_close(ours.tokens, theirs.tokens[units], rtol=1e-4, atol=1e-5)
    for layer, expected in zip(ours.deepstack, theirs.deepstack, strict=True):
        torch.testing.assert_close(layer, expected[units], rtol=1e-4, atol=1e-5)


def mask_keys(model, is_kept, family):
    """Let every attention of the tower look at the kept patches alone, wherever they stand in its order."""
    tower = model.get_submodule(family.vision_tower[0])
    for block in tower.blocks:
        block.attn.forward = masked_attention(block.attn, is_kept, tower, family)


def masked_attention(attention, is_kept, tower, family):
    """Attention of one layer as its equation says, with the other keys out."""

    def forward(hidden_states, cu_seqlens, position_embeddings=None, **_):
        from transformers.vision_utils import get_vision_window_index

        order = torch.arange(len(hidden_states))
        if family.config.model_type == 'qwen2_5_vl':
            grid = torch.tensor([[2, 8, 8]])
            window, _ = get_vision_window_index(grid, 2, tower.window_size, family.patch_grid.patch)
            order = family.rows_of(window)
        visible = is_kept[order]
        length, heads = len(hidden_states), attention.num_heads
        q, k, v = attention.qkv(hidden_states).reshape(length, 3, heads, -1).permute(1, 0, 2, 3)
        cos, sin = (part[:, None].float() for part in position_embeddings)

        def turn(x):
            first, second = x.chunk(2, dim=-1)
            return x * cos + torch.cat([-second, first], dim=-1) * sin

        q, k = turn(q), turn(k)
        segment = torch.bucketize(torch.arange(length), cu_seqlens[1:], right=True)
        allowed = (segment[:, None] == segment[None]) & (visible[None] | torch.eye(length, dtype=torch.bool))
        scores = torch.einsum('qhd,khd->hqk', q, k) / q.shape[-1] ** 0.5
        weights = scores.masked_fill(~allowed, float('-inf')).softmax(dim=-1)
        return attention.proj(torch.einsum('hqk,khd->qhd', weights, v).reshape(length, -1))

    return forward


def test_only_at_test_where_told(qwen_folder, make_clip, build):
    model, keep = build(qwen_folder), StaticTokenFilter(threshold=0.01, when='test')
    clip = still_clip(make_clip, False)
    assert model.train()([clip], [WORDS], [0], None, keep.train()).num_tokens_after == [48]
    assert model.eval()([clip], [WORDS], [0], None, keep.eval()).num_tokens_after == [16]
