"""What a projector hands to the mask head."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ['ProjectorOutput']


@dataclass
class ProjectorOutput:
    """Prompts for F frames.

    Attributes:
        sparse: prompt tokens, (F, P, C).
        dense: what the prompt adds to each cell of the features, (F, C, h, w), or None.
        categories: embedding of each named word, zero where a sample has fewer words, (F, n, C); None where the
            projector reads no category text.
        similarity: pixel-text logits, very low where a sample has fewer words, (F, n, h, w), or None.
        answers: what the MLLM says of each word, logits, very low where a sample has fewer, (F, n); None where it is
            not asked word by word.
    """

    sparse: Tensor
    dense: Tensor | None
    categories: Tensor | None
    similarity: Tensor | None
    answers: Tensor | None = None

    def select(self, frame: int) -> 'ProjectorOutput':
        """That of one frame."""
        parts = (self.sparse, self.dense, self.categories, self.similarity, self.answers)
        return ProjectorOutput(*(None if part is None else part[frame : frame + 1] for part in parts))  # type: ignore[arg-type]
