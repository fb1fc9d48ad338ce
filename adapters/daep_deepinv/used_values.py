"""``UsedValues``: which measured values are used, and which are only limits because the sensor clipped them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from deepinv.physics import Physics
from torch import Tensor

from daep_deepinv.noise_estimation.pixels import law_of_counts
from daep_deepinv.operators.geometry import image_geometry
from daep_deepinv.operators.measured import measured_values

__all__ = ["ALL_USED", "Saturation", "UsedValues", "check_saturation", "used_values"]

#: ``saturation=`` of ``DAEP``: found, a given value, or none.
Saturation = float | Literal["found"] | None

#: Least number of values that are equal to the largest or smallest one of a clipped image. Values with noise are
#: hardly equal.
MIN_CLIPPED = 8
#: They are at least this many times as many as the values next to them. At the end of the histogram of an image of 8
#: bits that is not clipped, each value is rarer than the one before.
PLATEAU_RATIO = 2.0


@dataclass(frozen=True)
class UsedValues:
    """Boolean masks over a measurement (B, C, h, w); ``None``: of no value.

    :param torch.Tensor unknown: values that carry no information, such as impulses.
    :param torch.Tensor at_most: values at the black level: ``Kx`` is there at most ``y``.
    :param torch.Tensor at_least: saturated values: ``Kx`` is there at least ``y``.
    """

    unknown: Tensor | None = None
    at_most: Tensor | None = None
    at_least: Tensor | None = None

    @property
    def of_all(self) -> bool:
        """Whether all values are used as they are."""
        return self.unknown is None and self.at_most is None and self.at_least is None

    def select(self, images: Sequence[int]) -> UsedValues:
        """The masks of some images of the batch; a mask without a value becomes ``None``."""
        return UsedValues(*(_some(None if m is None else m[list(images)]) for m in self._masks()))

    def shares(self) -> dict[str, float]:
        """Name -> share of the values."""
        names = ("unknown", "black", "saturated")
        return {n: float(m.float().mean()) for n, m in zip(names, self._masks(), strict=True) if m is not None}

    def _masks(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return self.unknown, self.at_most, self.at_least


#: All values are used as they are.
ALL_USED = UsedValues()


def check_saturation(saturation: Any) -> Saturation:
    """A number, ``"found"`` or ``None``.

    :raises ValueError: anything else.
    """
    if saturation is None:
        return None
    if isinstance(saturation, str) and saturation == "found":
        return "found"
    try:
        return float(saturation)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"saturation: got {saturation!r}; expected the largest value of the sensor, 'found' or None."
        ) from error


def used_values(
    y: Any, physics: Physics, start: Tensor, saturation: Saturation, known: Tensor | None, *, noisy: bool
) -> UsedValues:
    """Which values of a measurement are used as they are.

    :param y: measurement (B, C, h, w), or anything else, of which all values are used.
    :param torch.Tensor start: first images (B, C, H, W).
    :param saturation: the value from which on a sensor is saturated; ``"found"``: the largest value of an image, if it
        is a plateau; the smallest likewise; ``None``: no value is clipped.
    :param torch.Tensor known: which values carry information, boolean.
    :param bool noisy: noise that does not depend on the signal: without it, plateaus need not be clipped.
    """
    if not isinstance(y, Tensor) or y.ndim != 4 or y.is_complex():
        return UsedValues()
    unknown = None if known is None else _some(~known)
    if isinstance(saturation, (int, float)):
        return UsedValues(unknown, at_least=_some(y >= saturation))
    if saturation is None or not noisy or unknown is not None:
        return UsedValues(unknown)
    if image_geometry(physics, start) is None:
        return UsedValues(unknown)
    where = measured_values(physics, y, start)
    measured = torch.ones_like(y, dtype=torch.bool) if where is None else where
    at_most = torch.stack([_plateau(-one, seen) for one, seen in zip(y, measured, strict=True)])
    for i in at_most.flatten(1).any(1).nonzero().flatten().tolist():
        if law_of_counts(y[i].cpu(), measured[i].all(0).cpu()) is not None:
            at_most[i] = False  # zero photons are a count
    at_least = torch.stack([_plateau(one, seen) for one, seen in zip(y, measured, strict=True)])
    return UsedValues(unknown, _some(at_most), _some(at_least))


def _some(mask: Tensor | None) -> Tensor | None:
    return mask if mask is not None and bool(mask.any()) else None


def _plateau(y: Tensor, measured: Tensor) -> Tensor:
    """The values of one measurement at its largest value, if that is a plateau: boolean, in its shape."""
    values = y[measured]
    if values.numel() == 0:
        return torch.zeros_like(measured)
    top = values.max()
    count, below = int((values == top).sum()), values[values < top]
    if count < MIN_CLIPPED or below.numel() == 0:
        return torch.zeros_like(measured)
    if count < PLATEAU_RATIO * int((below == below.max()).sum()):
        return torch.zeros_like(measured)
    return (y == top) & measured
