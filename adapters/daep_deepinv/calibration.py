"""From the variance of samples to the expected error of the restored image, with numbers chosen on training images."""

from __future__ import annotations

from dataclasses import dataclass

from deepinv.physics import Blur, BlurFFT, Denoising, Tomography, TomographyWithAstra
from torch import Tensor
from torch.nn.functional import avg_pool2d

from daep_deepinv.operators.circular_blur import is_strong
from daep_deepinv.plans.plan import Plan
from daep_deepinv.view import View

__all__ = ["CALIBRATIONS", "Calibration", "expected_error", "task_of"]


@dataclass(frozen=True)
class Calibration:
    """How the samples of a task are read.

    :param float factor: of the samples' standard deviation, to the power, to the expected error.
    :param int window: side in pixels of the windows over which the variance is averaged; odd.
    :param float power: of the standard deviation, images in [0, 1]. Below 1: the samples differ too much where they
        differ most.
    """

    factor: float
    window: int
    power: float = 1.0


#: By task. Chosen on training crops, by ``benchmarks/calibration.py --images train --samples 8 --choose``. The window
#: has the best rank correlation. With the factor, 90 % intervals cover 90 % of the pixels, on average over the crops. A
#: power other than 1 is used only where it about halves the spread of this coverage over crops. "general": blur that
#: suppresses much of the image, and all that is not named. "weak blur": other blur. For these two and "enlargement", 14
#: crops each. Missing pixels: 12. Tomography: 24. Denoising: 9 crops, noise of 3, 15 and 40 of 255.
CALIBRATIONS = {
    "general": Calibration(4.88, 3),
    "weak blur": Calibration(2.30, 3),
    "missing pixels": Calibration(0.71, 1, power=0.75),
    "enlargement": Calibration(5.91, 3),
    "tomography": Calibration(3.30, 3),
    "denoising": Calibration(0.60, 5, power=0.75),
}


def task_of(plan: Plan, view: View, image: int) -> str:
    """The task of an image of a view, a key of ``CALIBRATIONS``."""
    if plan.schedule.dual:
        return "missing pixels"
    # with another adjoint it is the base of a physics of ours
    physics, y, x = getattr(view.physics, "base", view.physics), view.y, view.start
    if isinstance(physics, Denoising):
        return "denoising"
    if isinstance(physics, (Tomography, TomographyWithAstra)):
        return "tomography"
    if isinstance(physics, (Blur, BlurFFT)):
        return "general" if is_strong(physics.filter, image, len(x)) else "weak blur"
    fewer = isinstance(y, Tensor) and y.ndim == x.ndim and all(y.shape[k] <= x.shape[k] / 2 for k in (-2, -1))
    return "enlargement" if fewer else "general"


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
