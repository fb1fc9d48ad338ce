"""From the variance of samples to the expected error of the restored image, with numbers chosen on training images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import avg_pool2d

__all__ = ["CALIBRATIONS", "Calibration", "expected_error"]


@dataclass(frozen=True)
class Calibration:
    """How the samples of a kind of task are read.

    :param float factor: of the samples' standard deviation, to the power, to the expected error.
    :param int window: side in pixels of the windows over which the variance is averaged; odd.
    :param float power: of the standard deviation, images in [0, 1]. Below 1: the samples differ too much where they
        differ most.
    """

    factor: float
    window: int
    power: float = 1.0


#: By kind of task, on training crops, by ``benchmarks/calibration.py --images train --samples 8 --choose``. The window
#: has the best rank correlation. With the factor, 90 % intervals cover 90 % of the pixels, on average over the crops. A
#: power other than 1 is used only where it about halves the spread of this coverage over crops. Blur that suppresses
#: much of the image, "general", blur that does not, "weak blur" (``is_strong``), enlargement: 14 crops each. Missing
#: pixels: 12. Tomography: 24. Denoising: 9 crops, noise of 3, 15 and 40 of 255.
CALIBRATIONS = {
    "general": Calibration(4.88, 3),
    "weak blur": Calibration(2.30, 3),
    "missing pixels": Calibration(0.71, 1, power=0.75),
    "enlargement": Calibration(5.91, 3),
    "tomography": Calibration(3.30, 3),
    "denoising": Calibration(0.60, 5, power=0.75),
}


def expected_error(variance: Tensor, how: Calibration, unit: float = 1.0) -> Tensor:
    """The standard deviation of the error of each pixel.

    :param torch.Tensor variance: of the samples, real, (B, C, ..., H, W).
    :param float unit: difference of white and black.
    :return: of the same shape.
    """
    local = variance.reshape(-1, 1, *variance.shape[-2:])
    local = avg_pool2d(local, how.window, stride=1, padding=how.window // 2, count_include_pad=False)
    spread = local.reshape(variance.shape).sqrt() / unit
    return unit * how.factor * spread**how.power
