"""``NoiseModel``: the noise that an image is restored for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from daep_deepinv.noise.spectrum import NoiseSpectrum
from daep_deepinv.noise.variance import VarianceLaw

__all__ = ["NoiseModel", "NoiseWarning", "Source"]

#: How the noise is known: the caller gave it, the physics states it, it is estimated from the measurement, or the
#: measurement contradicts what was given or stated.
Source = Literal["given", "stated", "estimated", "overruled"]

#: Relative standard error of an estimated level above which it is unsure.
UNSURE = 0.3


class NoiseWarning(UserWarning):
    """A measurement is restored for other noise than given or stated."""


def in_words(*levels: float, digits: int = 3) -> str:
    """Noise levels of an image in [0, 1] as ``"7.65/255"`` or ``"2 to 7.7/255"``. Half the range and more is hardly a
    level of an image: such ones are written as they are, in the units of the measurement."""
    factor, unit = (255, "/255") if max(levels) < 0.5 else (1, "")
    return " to ".join(f"{float(f'{factor * level:.{digits}g}'):g}" for level in levels) + unit


@dataclass(frozen=True)
class NoiseModel:
    """Noise of one measurement; standard deviations in the units of the solver.

    :param float level: standard deviation; of noise that the channels share, that of their mean times the root of their
        number; of a ``law``, the level that the schedule is made for.
    :param str source: how it is known.
    :param float differences: standard deviation of the differences between a channel and the mean of the channels, if
        the channels share noise; ``None``: they do not.
    :param float assumed: the level that was given or stated, if the measurement overruled it.
    :param NoiseSpectrum spectrum: power spectrum of noise that is not white; ``None``: white, or unknown.
    :param VarianceLaw law: the variance by the mean, where the level is not the same everywhere; ``None``: it is.
    :param str words: the kind of noise in words, where it is stated or fitted; empty: as the other fields say.
    :param float uncertainty: relative standard error of an estimated level; ``None``: not known.
    """

    level: float
    source: Source
    differences: float | None = None
    assumed: float | None = None
    spectrum: NoiseSpectrum | None = None
    law: VarianceLaw | None = None
    words: str = ""
    uncertainty: float | None = None

    def scaled(self, factor: float) -> NoiseModel:
        """The noise of a measurement that is multiplied by ``factor``."""
        if factor == 1:
            return self
        return replace(
            self,
            level=factor * self.level,
            differences=None if self.differences is None else factor * self.differences,
            assumed=None if self.assumed is None else factor * self.assumed,
            spectrum=None if self.spectrum is None else self.spectrum.scaled(factor),
            law=None if self.law is None else self.law.scaled(factor),
        )

    def warning(self) -> NoiseWarning | None:
        """What is said of it before an image is restored, for noise in the units of the measurement."""
        if self.assumed is not None:
            return NoiseWarning(
                f"sigma: the noise of the measurement is more than {in_words(self.assumed)}, not white, or shared "
                f"between the channels; it is restored for {in_words(self.level)}, {self.kind}. "
                "DAEP(check_noise=False) trusts sigma."
            )
        if self.level > 0 and self.uncertainty is not None and self.uncertainty > UNSURE:
            return NoiseWarning(
                f"sigma: texture looks like noise here; the level is estimated as {in_words(self.level)}, and "
                f"may be {self._range}. Give a number if you know it."
            )
        return None

    @property
    def _range(self) -> str:
        """The levels within one standard error, in words."""
        error = self.uncertainty or 0.0
        return in_words(max(1 - error, 0.0) * self.level, (1 + error) * self.level, digits=2)

    @property
    def kind(self) -> str:
        """In words."""
        if self.words:
            return self.words
        if self.level == 0:
            return "noise-free"
        if self.differences is not None:
            return f"Gaussian, shared by the channels (their differences: {in_words(self.differences)})"
        return "white Gaussian" if self.spectrum is None else "Gaussian with a measured spectrum"

    def __str__(self) -> str:
        error = ""
        if self.uncertainty is not None:
            sure = self.uncertainty <= UNSURE
            error = f" +- {100 * self.uncertainty:.2g} %" if sure else f" ({self._range})"
        level = "" if self.level == 0 else f"{in_words(self.level)}{error}, "
        source = self.source if self.assumed is None else f"overruled; {in_words(self.assumed)} was assumed"
        return f"{level}{self.kind} ({source})"
