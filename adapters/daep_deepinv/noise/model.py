"""``NoiseModel``: the noise that an image is restored for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from daep_deepinv.noise.spectrum import NoiseSpectrum

__all__ = ["NoiseModel", "NoiseWarning", "Source"]

#: How the noise is known: the caller gave it, the physics states it, it is estimated from the measurement, or the
#: measurement contradicts what was given or stated.
Source = Literal["given", "stated", "estimated", "overruled"]


class NoiseWarning(UserWarning):
    """A measurement is restored for other noise than given or stated."""


@dataclass(frozen=True)
class NoiseModel:
    """Gaussian noise of one measurement; standard deviations, images in [0, 1].

    :param float level: standard deviation; of noise that the channels share, that of their mean times the root of their
        number.
    :param str source: how it is known.
    :param float differences: standard deviation of the differences between a channel and the mean of the channels, if
        the channels share noise; ``None``: they do not.
    :param float assumed: the level that was given or stated, if the measurement overruled it.
    :param NoiseSpectrum spectrum: power spectrum of noise that is not white; ``None``: white, or unknown.
    """

    level: float
    source: Source
    differences: float | None = None
    assumed: float | None = None
    spectrum: NoiseSpectrum | None = None

    @property
    def kind(self) -> str:
        """In words."""
        if self.level == 0:
            return "noise-free"
        if self.differences is not None:
            return f"Gaussian, shared by the channels (their differences: {255 * self.differences:.3g}/255)"
        return "white Gaussian" if self.spectrum is None else "Gaussian with a measured spectrum"

    def __str__(self) -> str:
        level = "" if self.level == 0 else f"{255 * self.level:.3g}/255, "
        source = self.source if self.assumed is None else f"overruled; {255 * self.assumed:.3g}/255 was assumed"
        return f"{level}{self.kind} ({source})"
