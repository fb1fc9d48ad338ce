"""The noise-conditional denoising autoencoder: a bias-free U-Net."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from daep_prior.images import RGB
from daep_prior.networks.dae import DAE, start_near_identity

__all__ = ["UNetDAE"]


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``, 3 x 3, without bias or normalisation."""

    def __init__(self, width: int):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out


class UNetBody(nn.Module):
    """Bias-free U-Net: residual blocks, strided 2 x 2 convolutions down, transposed ones up, additive skips."""

    def __init__(self, in_channels: int, widths: Sequence[int], blocks: int, out_channels: int = RGB):
        super().__init__()

        def level(width: int) -> list[nn.Module]:
            return [ResidualBlock(width) for _ in range(blocks)]

        steps = list(zip(widths, widths[1:], strict=False))
        self.head = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            nn.Sequential(*level(fine), nn.Conv2d(fine, coarse, 2, 2, bias=False)) for fine, coarse in steps
        )
        self.bottom = nn.Sequential(*level(widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(coarse, fine, 2, 2, bias=False), *level(fine)) for fine, coarse in steps
        )
        self.tail = nn.Conv2d(widths[0], out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.bottom(x)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = up(x) + skip
        out: Tensor = self.tail(x)
        return out


class UNetDAE(DAE):
    """A noise-conditional DAE: a bias-free U-Net that reads the noise level from one more input channel.

    Without bias the network is homogeneous in (image, noise level), so it serves a wide range of levels.

    :param tuple sigma_range: noise levels it is trained on, images in [0, 1].
    :param list widths: channels of each scale, fine to coarse; each further scale halves the resolution.
    :param int blocks: residual blocks a scale.
    :param float sigma: noise level of a variant for one level; give ``sigma_range=None`` with it.
    :param int channels: of the images: 3 for colour, 1 for grey, or any other number.
    """

    architecture = "unet"

    def __init__(
        self,
        sigma_range: tuple[float, float] | None = (0.0, 75 / 255),
        widths: Sequence[int] = (24, 48, 96, 192),
        blocks: int = 2,
        sigma: float | None = None,
        channels: int = RGB,
    ):
        super().__init__(sigma, sigma_range, channels)
        if not widths or min(widths) < 1 or blocks < 1:
            raise ValueError(f"widths, blocks: got {widths}, {blocks}; expected positive numbers.")
        self.widths, self.blocks = list(widths), blocks
        self.multiple = 2 ** (len(widths) - 1)
        body = UNetBody(channels + self.conditional, self.widths, blocks, channels)
        start_near_identity(body.tail)
        self.body = body

    @property
    def radius(self) -> int:
        """Two convolutions a block; at each scale, in pixels of that scale, on the way down and on the way up."""
        a_scale = 2 * self.blocks
        around_skips = sum(2 * a_scale * 2**k for k in range(len(self.widths) - 1))
        head_and_tail = 2
        return head_and_tail + around_skips + a_scale * self.multiple + self.multiple - 1
