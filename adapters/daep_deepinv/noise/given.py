"""The noise that a caller gives: a number of any type, a map, or ``SignalNoise``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.noise.assumed import AssumedNoise, NoiseOfImage, stacked
from daep_deepinv.noise.stated import gaussian
from daep_deepinv.noise.variance import MapVariance, QuadraticVariance

__all__ = ["GivenNoise", "SignalNoise", "checked_noise", "given_noise"]


@dataclass(frozen=True, eq=False)
class SignalNoise:
    r"""Noise of a sensor that counts: :math:`y = g\,\mathrm{Poisson}((Kx + b)/g) + o + \sigma n`, ``n`` normal.

    ``DAEP(sigma=SignalNoise(gain=0.01, sigma=0.02))(y, physics)``. All parameters are in the units of ``y``.

    :param float gain: :math:`g`, the value of one count; 0: Gaussian noise alone.
    :param float sigma: :math:`\sigma`, standard deviation of the read noise.
    :param float, torch.Tensor background: :math:`b`, what is measured besides the image (randoms, scatter, sky, dark
        current): a number, or a tensor that broadcasts to ``y``.
    :param float, torch.Tensor offset: :math:`o`, the black level.
    :raises ValueError: negative or not finite, or both ``gain`` and ``sigma`` are 0.
    :raises TypeError: not a number.
    """

    gain: float = 0.0
    sigma: float = 0.0
    background: float | Tensor = 0.0
    offset: float | Tensor = 0.0

    def __post_init__(self) -> None:
        for name in ("gain", "sigma"):
            object.__setattr__(self, name, _one_number(name, getattr(self, name)))
        for name in ("background", "offset"):
            values = _numbers(name, getattr(self, name))
            if not bool(values.isfinite().all()) or (name == "background" and bool((values < 0).any())):
                expected = "finite values >= 0" if name == "background" else "finite values"
                raise ValueError(f"{name}: got values that are negative or not finite; expected {expected}.")
            object.__setattr__(self, name, float(values) if values.numel() == 1 else values)
        if self.gain == 0 and self.sigma == 0:
            raise ValueError("gain, sigma: got 0 for both; expected one above 0, or DAEP(sigma=0) for noise-free data.")

    def of_images(self, y: Tensor) -> AssumedNoise:
        """The noise of a measurement (B, ...).

        :raises ValueError: background or offset do not broadcast to ``y``.
        """
        tensors = [value for value in (self.background, self.offset) if isinstance(value, Tensor)]
        for value in tensors:
            try:
                fits = torch.broadcast_shapes(value.shape, y.shape) == y.shape
            except RuntimeError:
                fits = False
            if not fits:
                raise ValueError(
                    f"background, offset: got shape {tuple(value.shape)} for a measurement of {tuple(y.shape)}."
                )
        count = max([1, *(len(value) for value in tensors if value.ndim == y.ndim)])
        return AssumedNoise(tuple(self._of_image(i, y.ndim) for i in range(count)))

    def _of_image(self, i: int, ndim: int) -> NoiseOfImage:
        def own(value: float | Tensor) -> float | Tensor:
            several = isinstance(value, Tensor) and value.ndim == ndim and len(value) > 1
            return value[i : i + 1] if several and isinstance(value, Tensor) else value

        background, offset = own(self.background), own(self.offset)
        constant = self.sigma**2 + self.gain * background
        law: QuadraticVariance | MapVariance
        if isinstance(constant, Tensor):
            law = MapVariance(constant, self.gain)
        else:
            law = QuadraticVariance(constant, self.gain)
        return NoiseOfImage(law, str(self), shift=background + offset)

    def __str__(self) -> str:
        parts = []
        if self.gain > 0:
            parts.append(f"Poisson, gain {self.gain:.4g}")
        if self.sigma > 0:
            parts.append(f"Gaussian of {self.sigma:.4g}")
        words = " and ".join(parts)
        if isinstance(self.background, Tensor) or self.background != 0:
            words += ", over a background"
        return words + (", with an offset" if isinstance(self.offset, Tensor) or self.offset != 0 else "")


#: What ``DAEP(sigma=...)`` takes besides ``None`` and ``"estimate"``, checked.
GivenNoise = float | Tensor | SignalNoise


def checked_noise(sigma: Any) -> GivenNoise:
    """A noise level of any type that holds numbers: a float, a tensor if there are several, or the ``SignalNoise``.

    :param sigma: Python, numpy or torch numbers: one; (B,), one an image; a map (B, 1, h, w).
    :raises TypeError: no number.
    :raises ValueError: negative or not finite.
    """
    if isinstance(sigma, SignalNoise):
        return sigma
    levels = _numbers("sigma", sigma)
    if not bool((levels.isfinite() & (levels >= 0)).all()):
        got = f"{float(levels):.6g}" if levels.numel() == 1 else "levels that are negative or not finite"
        raise ValueError(f"sigma: got {got}; expected a finite standard deviation >= 0.")
    return float(levels) if levels.numel() == 1 else levels


def given_noise(sigma: GivenNoise, y: Any) -> AssumedNoise:
    """The noise of a measurement for a checked noise level.

    :param sigma: see :func:`checked_noise`.
    :param y: measurement (B, ...), or a ``TensorList``, whose parts all have the same noise.
    :raises ValueError: the number or the shape of the levels does not fit the measurement.
    """
    if isinstance(y, TensorList):
        parts = [given_noise(sigma, part) for part in y]
        count = max(len(part.images) for part in parts)
        return AssumedNoise(tuple(stacked([part.of(i) for part in parts]) for i in range(count)))
    return sigma.of_images(y) if isinstance(sigma, SignalNoise) else gaussian(sigma, y)


def _numbers(name: str, value: Any) -> Tensor:
    """Any numbers as a tensor of float64.

    :raises TypeError: it is not made of real numbers.
    """
    got = f"got {value!r} of type {type(value).__name__}"
    if isinstance(value, (str, bytes, bool)) or value is None:
        raise TypeError(f"{name}: {got}; expected a number, or one an image.")
    if isinstance(value, Tensor):
        values = value.detach()
    else:
        try:
            values = torch.from_numpy(np.array(value, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name}: {got}; expected a number, or one an image.") from error
    if values.is_complex() or values.dtype == torch.bool or values.numel() == 0:
        kind = f"a tensor of {values.dtype} and shape {tuple(values.shape)}"
        raise TypeError(f"{name}: got {kind}; expected real numbers.")
    return values.double()


def _one_number(name: str, value: Any) -> float:
    values = _numbers(name, value)
    if values.numel() != 1:
        raise TypeError(f"{name}: got {values.numel()} numbers; expected one.")
    if not math.isfinite(float(values)) or float(values) < 0:
        raise ValueError(f"{name}: got {float(values):.6g}; expected a finite number >= 0.")
    return float(values)
