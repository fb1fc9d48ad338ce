"""Images that were restored with a wrong kernel: the inputs of ``train_blind.py``.

A chain is one photograph whose kernel is sought. It begins with a kernel that is damaged at random (:func:`damaged`).
Each further round takes the sharp image that the network makes of the present restoration, finds the kernel that
belongs to it, and restores the photograph with this kernel, as in :mod:`daep_prior.blind.one_start`. So the network
meets the errors that it makes itself. The blur is circular; images are (1, 1, N, N) in [0, 1], kernels (45, 45) with
sum 1. All numbers were chosen by hand, on training images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from random_kernels import random_kernel
from torch import Tensor

from daep_prior.blind.fourier import convolved, transfer
from daep_prior.blind.image_step import image_step
from daep_prior.blind.kernel_shape import cleaned, fitted, reach
from daep_prior.blind.kernel_step import nonnegative_solution

#: Side of an image and of a kernel, pixels.
CROP, SIDE = 160, 45
#: Reach of a blur, pixels. Values below this share of the largest do not count.
REACH, COUNTED = (1, 20), 0.01
#: Share of the crops that are softened by a Gaussian, and its standard deviation, pixels: sharp images that are soft.
SOFT_SHARE, SOFTNESS = 0.5, (0.3, 1.6)
#: Least standard deviation of a crop: a flat one shows no blur.
CONTRAST = 0.04
#: Largest noise of four photographs in five, and of the others; standard deviation, images in [0, 1].
NOISE, STRONG_NOISE, STRONG_SHARE = 0.012, 0.03, 0.2
#: Weight of the sharp image in the image step, and of the image 0 in the first restoration, against a data term of
#: weight 1; log-uniform.
WEIGHT, FIRST_WEIGHT = (0.008, 0.06), (0.01, 0.2)
#: Weight of ``|k|^2 / 2`` in the kernel step on an image of 300 x 300 pixels; it grows with the number of pixels.
RIDGE, RIDGE_SIDE = (1, 10), 300
#: Kernel values below one of these shares of the largest are set to 0 in each round of a chain.
LEAST = (0.005, 0.01, 0.02)
#: Smallest share of the sum that a connected part of a kernel keeps.
ISLAND = 0.02
#: Pixels by which the support of a kernel may grow in a round, and iterations of a kernel step.
MARGIN, ITERATIONS = 2, 40
#: Share of the kernels that are not damaged, and of the rounds after which the found kernel is damaged again.
UNDAMAGED, DAMAGED_AGAIN = 0.15, 0.1
#: Smallest value that a kernel keeps that is damaged again, share of the largest.
DAMAGED_LEAST = 0.005


def damaged(kernel: Tensor, rng: np.random.Generator) -> Tensor:
    """The kernel with some of :data:`DAMAGES`, each drawn on its own, (n, n), not negative, sum 1; in 15 % as it is."""
    wrong = kernel
    if rng.random() >= UNDAMAGED:
        for share, damage in DAMAGES:
            if rng.random() < share:
                wrong = damage(wrong, rng)
    wrong = wrong if float(wrong.sum()) > 0 else kernel
    return wrong / wrong.sum()


def of_coarse_scale(kernel: Tensor, rng: np.random.Generator) -> Tensor:
    """Reduced to 0.5, 0.6 or 0.707 of its side and enlarged again; of half of them, values below 0 to 20 % are cut."""
    side = max(3, int(kernel.shape[0] * rng.choice([0.5, 0.707, 0.6])))
    coarse = F.interpolate(kernel[None, None], size=(side, side), mode="bicubic", antialias=True)
    wide = F.interpolate(coarse, size=kernel.shape, mode="bicubic")[0, 0].clamp_min(0)
    return _cut(wide, rng.uniform(0, 0.2)) if rng.random() < 0.5 else wide


def without_tails(kernel: Tensor, rng: np.random.Generator) -> Tensor:
    """Values below a share of the largest, 0 to 40 %, are set to 0."""
    return _cut(kernel, rng.uniform(0, 0.4))


def unevenly_weighted(kernel: Tensor, rng: np.random.Generator) -> Tensor:
    """``k min(max(a f + b, 0), 1.5)``: ``f`` is a smooth random field, ``a`` in [0.3, 1.5] and ``b`` in [0.3, 1]."""
    field = F.interpolate(_normal(rng, 1, 1, 8, 8), size=kernel.shape, mode="bicubic")[0, 0]
    return kernel * (field * rng.uniform(0.3, 1.5) + rng.uniform(0.3, 1)).clamp(0, 1.5)


def noisy(kernel: Tensor, rng: np.random.Generator) -> Tensor:
    """``k max(1 + s n, 0)``: ``n`` is standard normal in each pixel and ``s`` in [0, 1.5]."""
    return kernel * (1 + rng.uniform(0, 1.5) * _normal(rng, *kernel.shape)).clamp_min(0)


def softened(kernel: Tensor, rng: np.random.Generator) -> Tensor:
    """Convolved with a Gaussian of 0.4 to 1.2 pixels."""
    profile = torch.exp(-((torch.arange(-4, 5.0) / rng.uniform(0.4, 1.2)) ** 2) / 2)
    profile = profile / profile.sum()
    return F.conv2d(kernel[None, None], torch.outer(profile, profile)[None, None], padding=4)[0, 0]


#: Share of the damaged kernels that has each damage, in this order.
DAMAGES: tuple[tuple[float, Callable[[Tensor, np.random.Generator], Tensor]], ...] = (
    (0.3, of_coarse_scale),
    (0.45, without_tails),
    (0.3, unevenly_weighted),
    (0.3, noisy),
    (0.25, softened),
)


@dataclass
class Chain:
    """A photograph, and its restoration with the kernel of the present round.

    :param torch.Tensor sharp: the true image, (1, 1, N, N).
    :param torch.Tensor y: the photograph, ``y = t * x + n``.
    :param torch.Tensor true_kernel: ``t``.
    :param torch.Tensor kernel: the present kernel.
    :param float weight: of the sharp image in the image step.
    :param float ridge: weight of ``|k|^2 / 2`` in the kernel step.
    :param float least: kernel values below this share of the largest are set to 0.
    :param torch.Tensor restored: the image of the present kernel, (1, 1, N, N).
    :param int age: rounds so far.
    """

    sharp: Tensor
    y: Tensor
    true_kernel: Tensor
    kernel: Tensor
    weight: float
    ridge: float
    least: float
    restored: Tensor
    age: int = 0

    @classmethod
    def restarted(cls, images: Sequence[np.ndarray], rng: np.random.Generator) -> Chain:
        """A new chain: a crop of one of the grey images (h, w) in uint8, a random blur, noise, and a damaged kernel.

        The first restoration uses this kernel twice: as in the other rounds, and before for the sharp image of the
        image step, which a network makes later.
        """
        sharp, kernel = crop(images, rng), blur_kernel(rng)
        strongest = STRONG_NOISE if rng.random() < STRONG_SHARE else NOISE
        noise = rng.uniform(0, strongest) * _normal(rng, *sharp.shape)
        y = convolved(transfer(kernel, (CROP, CROP)), sharp) + noise
        wrong, weight = damaged(kernel, rng), _log_uniform(rng, *WEIGHT)
        first = _restored(torch.zeros_like(y), y, wrong, _log_uniform(rng, *FIRST_WEIGHT))
        ridge = rng.uniform(*RIDGE) * (CROP / RIDGE_SIDE) ** 2
        return cls(sharp, y, kernel, wrong, weight, ridge, float(rng.choice(LEAST)), _restored(first, y, wrong, weight))

    def advance(self, sharp: Tensor, rng: np.random.Generator) -> None:
        """The next round: the kernel that blurs ``sharp``, (1, 1, N, N), into the photograph, and its restoration."""
        kernel = cleaned(_kernel_step(sharp, self.y, self.kernel, self.ridge), self.least, ISLAND)
        if rng.random() < DAMAGED_AGAIN:
            kernel = cleaned(damaged(kernel, rng), DAMAGED_LEAST, 0)
        self.kernel, self.restored = kernel, _restored(sharp, self.y, kernel, self.weight)
        self.age += 1


def crop(images: Sequence[np.ndarray], rng: np.random.Generator) -> Tensor:
    """A crop (1, 1, N, N) in [0, 1] of one of the grey images (h, w) in uint8; none is flat.

    Half of them are mirrored, and half are softened: photographs are often softer than these images, and the network
    must not take all softness for blur.
    """
    while True:
        image = images[rng.integers(len(images))]
        top, left = (rng.integers(n - CROP + 1) for n in image.shape)
        x = torch.from_numpy(image[top : top + CROP, left : left + CROP].copy()).float()[None, None] / 255
        if rng.random() < SOFT_SHARE:
            x = _softer(x, rng.uniform(*SOFTNESS))
        if float(x.std()) >= CONTRAST:
            return x.flip(-1) if rng.random() < 0.5 else x


def blur_kernel(rng: np.random.Generator) -> Tensor:
    """A random kernel (45, 45) with sum 1 that reaches 1 to 20 pixels, turned or mirrored at random."""
    while True:
        # from its second row and column on, the middle pixel of a kernel (64, 64) is the centre
        kernel = torch.from_numpy(random_kernel(rng)[1:, 1:].copy())
        if REACH[0] <= reach((kernel > COUNTED).float()) <= REACH[1]:
            break
    kernel = fitted(kernel, SIDE)
    kernel = kernel.flip(0) if rng.random() < 0.5 else kernel
    kernel = kernel.t() if rng.random() < 0.5 else kernel
    return kernel / kernel.sum()


def _kernel_step(sharp: Tensor, y: Tensor, kernel: Tensor, ridge: float) -> Tensor:
    r""":math:`\operatorname{argmin}_{k \ge 0} \tfrac12 \|\nabla x * k - \nabla y\|^2 + \tfrac{\rho}{2} \|k\|^2`.

    The kernel is 0 farther than :data:`MARGIN` pixels from the values of the last one. In
    :func:`daep_prior.blind.kernel_step.kernel_step`, the gradients across the seam of the periodic domain are 0, as
    photographs are not periodic. Here they are: the seam is blurred like every other edge.
    """
    edges, seen = torch.fft.rfft2(_gradients(sharp)), torch.fft.rfft2(_gradients(y))
    match = torch.fft.irfft2((edges.conj() * seen).sum(1), s=y.shape[-2:])[0]
    match = match.roll((SIDE // 2, SIDE // 2), (0, 1))[:SIDE, :SIDE]
    power = torch.fft.irfft2(edges.abs().square().sum(1), s=y.shape[-2:])[0]
    support = F.max_pool2d((kernel > 0).float()[None, None], 2 * MARGIN + 1, 1, MARGIN)[0, 0]
    return nonnegative_solution(power, match, kernel, ridge, ITERATIONS, support)


def _softer(image: Tensor, width: float) -> Tensor:
    """The circular convolution with a Gaussian of that standard deviation, pixels."""
    down, across = torch.fft.fftfreq(CROP)[:, None], torch.fft.rfftfreq(CROP)
    return convolved(torch.exp(-2 * (math.pi * width) ** 2 * (down.square() + across.square())), image)


def _gradients(image: Tensor) -> Tensor:
    """Differences to the pixel on the left and to the pixel above, (1, 2, N, N), across the seam too."""
    return torch.cat([image - image.roll(1, -1), image - image.roll(1, -2)], 1)


def _restored(sharp: Tensor, y: Tensor, kernel: Tensor, weight: float) -> Tensor:
    """``argmin_x |k * x - y|^2 + weight |x - v|^2`` with the sharp image ``v``; all pixels are measured."""
    return image_step(sharp, y, torch.ones_like(y), kernel, weight, fills=1)


def _cut(kernel: Tensor, share: float) -> Tensor:
    """Values below this share of the largest set to 0."""
    return torch.where(kernel < share * kernel.max(), 0.0, kernel)


def _normal(rng: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal numbers in float32."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform between those of both."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
