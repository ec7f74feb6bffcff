"""The plainest way from the MLLM's state to a prompt."""

from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor

from lavida_mm.models.projectors.projector import Projector, ProjectorInput
from lavida_mm.registry import MODELS

__all__ = ['MLPProjector']


@MODELS.register_module()
class MLPProjector(Projector):
    """The ``<SEG>`` state alone becomes the prompt, the same for all frames of a clip.

    One of the two that the paper compares its projector with: it reads neither category text nor the frames.

    Args:
        seg_channels: channels D of the ``<SEG>`` state.
        visual_channels: channels C of the segmenter's features, and of the prompts.
        hidden: channels between the layers.
        depth: linear layers.
        similarity: config of a pixel-text similarity (``PixelTextSimilarity``) whose map becomes a dense prompt, or
            None, as in the paper.
    """

    def __init__(
        self,
        *,
        seg_channels: int,
        visual_channels: int,
        hidden: int = 768,
        depth: int = 2,
        similarity: dict | None = None,
    ) -> None:
        super().__init__()
        if hidden < 1 or depth < 1:
            raise ValueError(f'hidden and depth must be at least 1, got {hidden} and {depth}')
        self.mlp = MLP(seg_channels, hidden, visual_channels, depth)
        self.add_similarity(similarity, visual_channels)

    def make_prompts(self, inputs: ProjectorInput) -> tuple[Tensor, None]:
        """One prompt per frame, (F, 1, C); no embeddings."""
        prompts = self.mlp(inputs.seg_states)  # (B, C)
        return prompts[inputs.clip_index, None], None
