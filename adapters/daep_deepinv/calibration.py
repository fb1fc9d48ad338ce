"""From the statistics of samples to an estimate and its expected error, with numbers chosen on training images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import avg_pool2d

__all__ = ["CALIBRATIONS", "Calibration", "calibrated"]


@dataclass(frozen=True)
class Calibration:
    """How the samples of a kind of task are read.

    :param float share: of the samples' mean in the estimate, 0 to 1; the rest is the restored image.
    :param float factor: of the samples' standard deviation to the expected error.
    :param int window: side in pixels of the windows over which the variance is averaged; odd.
    """

    share: float
    factor: float
    window: int


#: By kind of task: the share with the best PSNR, and the factor with which 90 % intervals cover 90 % of the pixels, on
#: average over training crops; ``benchmarks/calibration.py --images train --choose``. "general" was chosen for blur.
CALIBRATIONS = {
    "general": Calibration(0.5, 2.34, 3),
    "missing pixels": Calibration(0.0, 1.55, 1),
    "enlargement": Calibration(0.0, 4.2, 3),
    "tomography": Calibration(0.1, 0.92, 3),
}


def calibrated(restored: Tensor, average: Tensor, variance: Tensor, how: Calibration) -> tuple[Tensor, Tensor]:
    """The estimate, and its expected error.

    :param torch.Tensor restored: images (B, C, ..., H, W).
    :param torch.Tensor average: mean of the samples, of the same shape.
    :param torch.Tensor variance: of the samples, real, of the same shape.
    """
    local = variance.reshape(-1, 1, *variance.shape[-2:])
    local = avg_pool2d(local, how.window, stride=1, padding=how.window // 2, count_include_pad=False)
    return restored + how.share * (average - restored), how.factor * local.reshape(variance.shape).sqrt()
