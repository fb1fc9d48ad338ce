"""An independent check of a found kernel: how far the restoration with it overshoots the photograph."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.fourier import gradients
from daep_prior.blind.image_step import image_step
from daep_prior.blind.kernel_shape import fitted, spread
from daep_prior.blind.mean_shift import Denoise, mean_shift
from daep_prior.blind.pyramid import scales
from daep_prior.blind.settings import BlindSettings

#: Of the short restoration: kernel width of the mean shift in each step, images in [0, 1]; the weight of its image at
#: the last width; passes of an image step; the noise level above which the weight grows with the noise's power. Chosen
#: by hand on blurred training crops.
WIDTHS, WEIGHT, FILLS, NOISE = (30 / 255, 20 / 255, 12 / 255), 0.005, 3, 0.01
#: Side of the window in which the least and the largest value of the photograph are taken, pixels.
WINDOW = 9
#: Limits of the two overshoots, see :func:`overshoot`. Chosen on blurred training crops, see
#: ``docs/unknown-blur-method.md``.
LOCAL_LIMIT, RANGE_LIMIT = 1.0, 0.07


def overshoot(y: Tensor, denoise: Denoise, kernel: Tensor, noise: float, settings: BlindSettings) -> float:
    """How far the restoration with ``kernel`` overshoots the photograph, in units of the limit: above 1 is doubtful.

    A wrong kernel makes ringing, and the ringing leaves the values of the photograph. Three steps of mean shift and
    data term restore ``x`` from ``y`` with the kernel fixed. How the kernel was found has no influence. The larger of
    two measures counts:

    * ``rms(a) / (g sqrt(w) LOCAL_LIMIT)``: ``a`` is the distance of the restoration from the range of ``y`` in windows
      of :data:`WINDOW` pixels, ``g`` the root mean square gradient of ``y``, ``w`` the kernel's spread in pixels;
    * ``rms(b) / (std(y) RANGE_LIMIT)``: ``b`` is its distance from [0, 1].

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    :param torch.Tensor kernel: (n, n), n odd, sum 1.
    :param float noise: noise level of ``y``.
    """
    scale = scales(y, settings)[-1]
    kernel = fitted(kernel, scale.room)
    x = scale.y
    least = WEIGHT * max(1.0, noise / NOISE) ** 2
    for number, width in enumerate(WIDTHS):
        weight = least * (width / WIDTHS[-1]) ** 2
        sharp = mean_shift(x, denoise, width, torch.Generator().manual_seed(number))
        x = image_step(sharp, scale.y, scale.known, kernel, weight, FILLS)
    x = scale.inside(x)
    local = _root_mean_square(_outside(x, *_local_range(y)))
    steps = _root_mean_square(gradients(y)) * math.sqrt(max(spread(kernel), 1.0))
    beyond = _root_mean_square(_outside(x, torch.zeros(()), torch.ones(())))
    return max(local / max(LOCAL_LIMIT * steps, 1e-6), beyond / max(RANGE_LIMIT * float(y.std()), 1e-6))


def _local_range(y: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest value around each pixel."""
    return -F.max_pool2d(-y, WINDOW, 1, WINDOW // 2), F.max_pool2d(y, WINDOW, 1, WINDOW // 2)


def _outside(x: Tensor, least: Tensor, largest: Tensor) -> Tensor:
    """How far each value lies outside its range; 0 inside."""
    return (x - largest).clamp_min(0) + (least - x).clamp_min(0)


def _root_mean_square(x: Tensor) -> float:
    return float(x.square().mean().sqrt())
