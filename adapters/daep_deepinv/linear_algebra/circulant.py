"""A circulant matrix near ``K^T K``: a preconditioner for operators that treat all places of an image about alike."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from daep_deepinv.linear_algebra.conjugate_gradients import conjugate_gradients
from daep_deepinv.linear_algebra.preconditioned import preconditioned_conjugate_gradients
from daep_prior.images import one_per_image

__all__ = ["circulant_power", "divided", "preconditioner_power"]

Map = Callable[[Tensor], Tensor]

#: Number of probes. Two that agree are enough.
PROBES = 4
#: Relative difference of the estimates of two probes up to which ``K^T K`` is circulant. Rounding in float32 leaves
#: 1e-6; tomography 0.3.
EXACT = 1e-4
#: Frequencies over which the estimate is averaged along an axis, and least size of an axis along which it is.
WINDOW, LEAST_SIZE = 3, 16
#: Iterations with and without preconditioner that are compared, the largest eigenvalue of ``gamma K^T K`` for that, and
#: the relative residual at which a solution needs no more iterations. Down to that residual, the operators of
#: ``benchmarks/physics_matrix.py`` that pass need 1 to 20 iterations instead of 17 to 28, the others 16 and more
#: instead of 1 to 30 (one, which is solved in 7, 1).
WITH, WITHOUT, CONDITION, SOLVED = 4, 7, 100.0, 1e-3
#: Least value of ``K^T K 1``, as a share of the largest. Pixels that are hardly measured, as the border of a cropped
#: blur, converge last, and a small residual does not show it: a reduction that crops by 7 pixels lost 0.8 dB there.
#: Operators that crop have 0 to 0.01, tomography 0.44.
LEAST_SEEN = 0.1


def circulant_power(normal: Map, like: Tensor) -> Tensor:
    r"""The diagonal of :math:`F K^T K F^*`, not negative, for the Fourier transform ``F`` of the axes of an image.

    The estimate is :math:`\bar{\hat u} \widehat{K^T K u} / |\hat u|^2` for noise ``u`` of a flat spectrum. It is the
    diagonal itself if ``K^T K`` is circulant. Else it is averaged over :data:`PROBES` probes and neighbouring
    frequencies, and raised to its standard error where it is smaller.

    :param Callable normal: ``K^T K``.
    :param torch.Tensor like: real images (B, C, ...) that it takes; their values do not matter.
    :return: for the frequencies of ``torch.fft.rfftn``, (B, C, ...).
    """
    axes = tuple(range(2, like.ndim))
    half = like.shape[-1] // 2 + 1
    found: list[Tensor] = []
    for seed in range(PROBES):
        spectrum, u = _flat_noise(like, seed)
        found.append((spectrum.conj() * torch.fft.fftn(normal(u.expand_as(like)), dim=axes)).real)
        if seed == 1 and bool((found[1] - found[0]).abs().max() <= EXACT * found[0].abs().max()):
            return found[0][..., :half].clamp_min(0)
    every = torch.stack(found)
    error = _smoothed(every.var(0), axes).div(PROBES * _averaged(like, axes)).sqrt()
    return torch.maximum(_smoothed(every.mean(0), axes), error)[..., :half]


def divided(v: Tensor, power: Tensor) -> Tensor:
    """The circulant system with the eigenvalues ``power``, as returned by :func:`circulant_power`, solved for ``v``."""
    axes = tuple(range(2, v.ndim))
    return torch.fft.irfftn(torch.fft.rfftn(v, dim=axes) / power, s=v.shape[2:], dim=axes)


def preconditioner_power(normal: Map, row_sums: Tensor) -> Tensor | None:
    """:func:`circulant_power` where the preconditioner saves at least three of seven iterations, and the operator
    measures all pixels of an image about equally well.

    Equations with ``K^T K + 1 / gamma`` are solved for white noise in both ways. The count of iterations is the same on
    every machine, unlike a time.

    :param Callable normal: ``K^T K``.
    :param torch.Tensor row_sums: ``K^T K 1``, real images (B, C, ...).
    :return: one number for all frequencies of an image whose iterations are not saved, which changes no iteration;
        ``None``: there is no other image.
    """
    sums = row_sums.flatten(1)
    helps = sums.amin(1) >= LEAST_SEEN * sums.amax(1)
    if not bool(helps.any()):
        return None
    power = circulant_power(normal, row_sums)
    largest = one_per_image(power.flatten(1).amax(1), power)
    shift = largest / CONDITION
    u = torch.randn((1, *row_sums.shape[1:]), generator=torch.Generator().manual_seed(PROBES)).to(row_sums)
    rhs = normal(u.expand_as(row_sums))

    def shifted(v: Tensor) -> Tensor:
        return normal(v) + shift * v

    def residual(x: Tensor) -> Tensor:
        return (rhs - shifted(x)).flatten(1).norm(dim=1)

    exact = torch.zeros_like(largest.flatten())
    plain = residual(conjugate_gradients(shifted, rhs, exact, WITHOUT))
    moved = residual(preconditioned_conjugate_gradients(shifted, rhs, lambda v: divided(v, power + shift), exact, WITH))
    helps = helps & (moved < plain) & (plain > SOLVED * rhs.flatten(1).norm(dim=1))
    return torch.where(one_per_image(helps, power), power, largest) if bool(helps.any()) else None


def _flat_noise(like: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Real noise whose Fourier transform has the modulus 1 everywhere: that transform, and the noise."""
    axes = tuple(range(2, like.ndim))
    white = torch.randn((1, *like.shape[1:]), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spectrum = torch.fft.fftn(white, dim=axes)
    spectrum = spectrum / spectrum.abs()
    noise = torch.fft.ifftn(spectrum, dim=axes).real
    return spectrum.to(torch.promote_types(like.dtype, torch.complex64)).to(like.device), noise.to(like)


def _averaged(like: Tensor, axes: tuple[int, ...]) -> int:
    """Number of frequencies over which the estimate is averaged."""
    return WINDOW ** sum(like.shape[axis] >= LEAST_SIZE for axis in axes)


def _smoothed(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    reach = WINDOW // 2
    for axis in axes:
        if values.shape[axis] >= LEAST_SIZE:
            values = torch.stack([values.roll(k, axis) for k in range(-reach, reach + 1)]).mean(0)
    return values
