"""segment-anything's ViT at any resolution."""

from segment_anything.modeling import ImageEncoderViT
from torch import Tensor
from torch.nn import functional as F

__all__ = ['SAMImageEncoder']


class SAMImageEncoder(ImageEncoderViT):
    """SAM's image encoder that keeps its released parameters and takes other image sizes.

    The absolute position embedding is interpolated to the image's grid; the relative ones of the global blocks are
    interpolated by the library itself, and windowed blocks do not depend on the image size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (F, 3, H, W) -> features (F, C, H / patch, W / patch)."""
        x = self.patch_embed(x)  # (F, h, w, D)
        if self.pos_embed is not None:
            x = x + self._position(x.shape[1], x.shape[2]).to(x.dtype)
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))

    def _position(self, height: int, width: int) -> Tensor:
        """Position embedding for a grid of another size, (1, h, w, D)."""
        position = self.pos_embed
        if tuple(position.shape[1:3]) == (height, width):
            return position
        position = position.permute(0, 3, 1, 2).float()
        position = F.interpolate(position, size=(height, width), mode='bicubic', align_corners=False, antialias=True)
        return position.permute(0, 2, 3, 1)
