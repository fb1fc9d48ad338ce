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
    :param float factor: of the samples' standard deviation, to the power, to the expected error.
    :param int window: side in pixels of the windows over which the variance is averaged; odd.
    :param float power: of the standard deviation, images in [0, 1]. Above 1: the samples lack more of the error where
        there is more to see.
    """

    share: float
    factor: float
    window: int
    power: float = 1.0


#: By kind of task, on training crops (``benchmarks/calibration.py --images train --choose``): the share with the best
#: mean PSNR of those with which no crop loses; the window with the best rank correlation; the factor with which 90 %
#: intervals cover 90 % of the pixels, on average over the crops; a power above 1 where it halves the spread of this
#: coverage between crops. Blur: "general"; 8 crops, tomography 6. Denoising: 9 crops, noise of 3, 15 and 40 of 255, and
#: the power below 1 with which the three levels are covered alike: the samples differ too much at strong noise.
CALIBRATIONS = {
    "general": Calibration(0.5, 8.65, 3, power=1.25),
    "missing pixels": Calibration(0.0, 1.6, 1),
    "enlargement": Calibration(0.0, 5.46, 3),
    "tomography": Calibration(0.0, 1.33, 3),
    "denoising": Calibration(0.0, 0.15, 3, power=0.6),
}


def calibrated(
    restored: Tensor, average: Tensor, variance: Tensor, how: Calibration, unit: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The estimate, and its expected error.

    :param torch.Tensor restored: images (B, C, ..., H, W).
    :param torch.Tensor average: mean of the samples, of the same shape.
    :param torch.Tensor variance: of the samples, real, of the same shape.
    :param float unit: difference of white and black.
    """
    local = variance.reshape(-1, 1, *variance.shape[-2:])
    local = avg_pool2d(local, how.window, stride=1, padding=how.window // 2, count_include_pad=False)
    spread = local.reshape(variance.shape).sqrt() / unit
    return restored + how.share * (average - restored), unit * how.factor * spread**how.power
