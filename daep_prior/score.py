"""The mean-shift vector as a score and as a proximal step: one network evaluation each, no Jacobian, no noise."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from daep_prior.images import one_per_image

#: Smallest kernel width that the score is divided by, images in [0, 1]; deepinv's ``ScorePrior`` has the same.
SMALLEST_WIDTH = 1e-7


class Score:
    """Methods of a prior that has ``denoise`` and ``kernel_width``."""

    denoise: Any
    kernel_width: Any

    def score(self, x: Tensor, width: float | Tensor | None = None) -> Tensor:
        r"""Score ``grad log p_s(x) = (A_s(x) - x) / s^2`` (Miyasawa 1961) of the density smoothed by ``N(0, s^2)``.

        It points towards probable images; samplers that step against a gradient take its negative. No noise is drawn
        (eq. 8 is not used) and there is no Jacobian: this is not the gradient of :meth:`MeanShiftPrior.value`, which
        is that of ``s^4/2 ||score||^2``.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor width: kernel width ``s``, a standard deviation; a number or one an image. A denoiser
            for one level has the score of that level, whatever is given. ``"dae"`` is trained up to 75/255; for larger
            ``s`` it is as if ``x`` were scaled to that level, which is useful up to about 1.
        :return: (B, C, H, W), in 1 / (unit of the image).
        :raises ValueError: there is no kernel width.
        """
        width = self.kernel_width(width)
        shift: Tensor = self.denoise(x, width) - x
        return shift / _squared(width, x)

    def mean_shift_step(self, x: Tensor, length: float | Tensor, width: float | Tensor | None = None) -> Tensor:
        """``x + length (A_s(x) - x)``: part of the way to the denoised image; 1 is plug-and-play.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor length: a number, or a tensor that broadcasts with ``x``.
        :param float, torch.Tensor width: kernel width; a number or one an image.
        :return: (B, C, H, W).
        """
        denoised: Tensor = self.denoise(x, width)
        return denoised if isinstance(length, float) and length == 1 else x + length * (denoised - x)


def _squared(width: float | Tensor, x: Tensor) -> float | Tensor:
    """``s^2`` in a shape that broadcasts with images ``x`` (B, ...)."""
    if not isinstance(width, Tensor):
        return max(width, SMALLEST_WIDTH) ** 2
    squared = width.to(x.device, x.real.dtype).clamp_min(SMALLEST_WIDTH).square()
    return squared if squared.numel() == 1 else one_per_image(squared, x)
