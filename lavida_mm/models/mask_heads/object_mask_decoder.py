"""SAM's mask decoder for many frames at once, with a token that says whether the object is there."""

import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.transformer import TwoWayAttentionBlock
from torch import Tensor, nn

__all__ = ['ObjectMaskDecoder', 'ReadingTwoWayTransformer']


class ReadingTwoWayTransformer(TwoWayTransformer):
    """segment-anything's two-way transformer whose first tokens read and are never read.

    A token that is added to a trained decoder changes what all other tokens and the image see. Here the added ones
    attend to the tokens and to the image, but nothing attends to them: with released weights the masks stay the
    released ones, to the last digit that matters. Parameters and their names are those of the library's class.
    """

    def forward(
        self, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor, num_readers: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Attend both ways.

        Args:
            image_embedding: image features, (F, C, h, w).
            image_pe: position encoding, (1 or F, C, h, w).
            point_embedding: tokens, the readers first, (F, N, C).
            num_readers: how many of the tokens only read.

        Returns:
            The tokens (F, N, C) and the image features as a sequence (F, h * w, C).
        """
        keys = image_embedding.flatten(2).transpose(1, 2)  # (F, h * w, C)
        key_pe = image_pe.flatten(2).transpose(1, 2)
        queries = point_embedding
        for block in self.layers:
            queries, keys = _two_way(block, queries, keys, point_embedding, key_pe, num_readers)
        attended = self.final_attn_token_to_image(q=queries + point_embedding, k=keys + key_pe, v=keys)
        return self.norm_final_attn(queries + attended), keys


def _two_way(
    block: TwoWayAttentionBlock, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor, num_readers: int
) -> tuple[Tensor, Tensor]:
    """One two-way block of segment-anything, without anything attending to the first ``num_readers`` queries."""
    read = slice(num_readers, None)
    if block.skip_first_layer_pe:
        queries = block.self_attn(q=queries, k=queries[:, read], v=queries[:, read])
    else:
        placed = queries + query_pe
        queries = queries + block.self_attn(q=placed, k=placed[:, read], v=queries[:, read])
    queries = block.norm1(queries)

    placed_keys = keys + key_pe
    attended = block.cross_attn_token_to_image(q=queries + query_pe, k=placed_keys, v=keys)
    queries = block.norm2(queries + attended)
    queries = block.norm3(queries + block.mlp(queries))

    placed = queries[:, read] + query_pe[:, read]
    keys = keys + block.cross_attn_image_to_token(q=placed_keys, k=placed, v=queries[:, read])
    return queries, block.norm4(keys)


class ObjectMaskDecoder(MaskDecoder):
    """SAM's mask decoder with one image embedding per prompt set and an object-score token (docs/method.md, section 5).

    The released names and shapes stay as they are; ``object_token`` and ``object_head`` are new.

    Args:
        transformer_dim: channels C of image features and tokens.
        transformer_depth: number of two-way attention blocks.
        num_heads: attention heads; must divide half of ``transformer_dim``.
        mlp_channels: hidden channels of the blocks' MLP.
        iou_hidden: hidden channels of the IoU head, and of the object head.
    """

    def __init__(
        self,
        *,
        transformer_dim: int = 256,
        transformer_depth: int = 2,
        num_heads: int = 8,
        mlp_channels: int = 2048,
        iou_hidden: int = 256,
    ) -> None:
        if transformer_dim % (2 * num_heads) or transformer_dim % 8:
            raise ValueError(
                f'transformer_dim must be a multiple of 8 and of twice num_heads ({2 * num_heads}), '
                f'got {transformer_dim}'
            )
        transformer = ReadingTwoWayTransformer(
            depth=transformer_depth, embedding_dim=transformer_dim, num_heads=num_heads, mlp_dim=mlp_channels
        )
        super().__init__(transformer_dim=transformer_dim, transformer=transformer, iou_head_hidden_dim=iou_hidden)
        self.object_token = nn.Embedding(1, transformer_dim)
        self.object_head = nn.Sequential(
            nn.Linear(transformer_dim, iou_hidden),
            nn.ReLU(),
            nn.Linear(iou_hidden, iou_hidden),
            nn.ReLU(),
            nn.Linear(iou_hidden, 1),
        )

    def forward(
        self, features: Tensor, position: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decode every frame with its own prompts.

        Args:
            features: image embeddings, (F, C, h, w).
            position: position encoding, (1, C, h, w).
            sparse: prompt tokens, (F, P, C).
            dense: dense prompt, (F or 1, C, h, w).

        Returns:
            Mask logits (F, 4, 4h, 4w), the single mask first, predicted IoUs (F, 4), object-present logits (F,).
        """
        frames, channels, height, width = features.shape
        own = torch.cat([self.object_token.weight, self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(frames, -1, -1), sparse.to(own.dtype)], dim=1)  # (F, 2 + 4 + P, C)
        tokens, image = self.transformer(features + dense, position, tokens, num_readers=1)

        image = image.transpose(1, 2).reshape(frames, channels, height, width)
        image = self.output_upscaling(image)  # (F, C / 8, 4h, 4w)
        mask_tokens = tokens[:, 2 : 2 + self.num_mask_tokens].unbind(dim=1)
        kernels = torch.stack(
            [mlp(token) for mlp, token in zip(self.output_hypernetworks_mlps, mask_tokens, strict=True)], dim=1
        )
        masks = (kernels @ image.flatten(2)).unflatten(2, image.shape[-2:])  # (F, 4, 4h, 4w)
        return masks, self.iou_prediction_head(tokens[:, 1]), self.object_head(tokens[:, 0]).squeeze(-1)
