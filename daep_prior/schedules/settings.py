"""The numbers of the presets that depend on the noise level. ``benchmarks/tune_presets.py`` finds them."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from daep_prior.schedules.phases import Pair, Phase

__all__ = ["PhaseSettings", "Settings", "SettingsTable", "read_settings", "shipped_settings"]

#: File of the settings for the shipped network ``dae``, in this package.
SHIPPED = "settings.json"


@dataclass(frozen=True)
class PhaseSettings:
    """The numbers of one phase, each the first and the last value; see :class:`daep_prior.schedules.Phase`.

    :param tuple widths: kernel width, of 255.
    :param tuple weights: ``g``; the prior weight is ``g / (2 s^2)``.
    :param tuple steps: relative step ``t``.
    :param tuple momentum: weight of the velocity.
    """

    widths: Pair
    weights: Pair
    steps: Pair
    momentum: Pair

    def phase(self, iterations: int, *, gradient: bool, **options: Any) -> Phase:
        """The phase of that many iterations; ``options`` are the other fields of :class:`Phase`."""
        widths = (self.widths[0] / 255, self.widths[1] / 255)
        return Phase(iterations, widths, self.weights, self.steps, self.momentum, gradient, **options)


@dataclass(frozen=True)
class Settings:
    """The numbers of the presets at one noise level.

    :param PhaseSettings fast: mean-shift steps, the preset ``"fast"``.
    :param PhaseSettings restart: mean-shift steps with more weight, from a wide kernel again.
    :param PhaseSettings gradient: gradients of the energy.
    :param float fast_final_width: noise level of the last denoising of ``"fast"``, of 255.
    :param float final_width: noise level of the last denoising of the other presets, of 255.
    """

    fast: PhaseSettings
    restart: PhaseSettings
    gradient: PhaseSettings
    fast_final_width: float
    final_width: float


@dataclass(frozen=True)
class SettingsTable:
    """Settings by noise level.

    :param dict levels: noise level of the measurement, of 255 -> settings.
    :param Settings noise_free: for a noise-free measurement.
    """

    levels: dict[float, Settings]
    noise_free: Settings

    def at(self, sigma: float) -> Settings:
        """The settings for noise ``sigma``, images in [0, 1]. 0: noise-free. Between two levels every number is
        interpolated geometrically; beyond the lowest and the highest level the numbers stay."""
        if sigma == 0:
            return self.noise_free
        noise = min(max(255 * sigma, min(self.levels)), max(self.levels))
        low = max(level for level in self.levels if level <= noise)
        high = min(level for level in self.levels if level >= noise)
        if low == high:
            return self.levels[low]
        share = math.log(noise / low) / math.log(high / low)
        a, b = (_numbers(self.levels[level]) for level in (low, high))
        return _settings(_between(a, b, share))


def shipped_settings() -> SettingsTable:
    """The settings for the shipped network ``dae``."""
    return _shipped()


@cache
def _shipped() -> SettingsTable:
    return _table(json.loads(files(__package__).joinpath(SHIPPED).read_text()))


def read_settings(path: str | os.PathLike[str]) -> SettingsTable:
    """The settings in a file that ``benchmarks/tune_presets.py`` has written.

    :raises ValueError: not such a file.
    """
    try:
        return _table(json.loads(Path(path).read_text()))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"settings: {path} is no file of preset settings: {error}") from error


def _table(values: dict[str, Any]) -> SettingsTable:
    levels = {float(level): _settings(numbers) for level, numbers in values["levels"].items()}
    return SettingsTable(levels, _settings(values["noise_free"]))


def _settings(values: dict[str, Any]) -> Settings:
    phases = ("fast", "restart", "gradient")
    made: dict[str, Any] = {
        name: PhaseSettings(**{field: tuple(pair) for field, pair in value.items()}) if name in phases else value
        for name, value in values.items()
    }
    return Settings(**made)


def _numbers(settings: Settings) -> dict[str, Any]:
    return {
        name: dict(vars(value)) if isinstance(value, PhaseSettings) else value for name, value in vars(settings).items()
    }


def _between(a: Any, b: Any, share: float) -> Any:
    """Every number geometrically between those of ``a`` and ``b``."""
    if isinstance(a, dict):
        return {name: _between(a[name], b[name], share) for name in a}
    if isinstance(a, tuple):
        return tuple(_between(p, q, share) for p, q in zip(a, b, strict=True))
    return a ** (1 - share) * b**share
