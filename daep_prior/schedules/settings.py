"""The numbers of the presets that depend on noise level and network. ``benchmarks/tune_presets.py`` finds them."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from daep_prior.schedules.phases import Pair, Phase

__all__ = [
    "FastSettings",
    "PhaseSettings",
    "Settings",
    "SettingsTable",
    "read_settings",
    "shipped_settings",
    "write_settings",
]

#: File of the settings for the shipped network ``dae``, in this package.
SHIPPED = "settings.json"
#: What a file of settings says about its numbers.
UNITS = "noise levels and widths: standard deviation, white is 255; pairs: first and last value of a phase"


S = TypeVar("S", "FastSettings", "Settings")


@dataclass(frozen=True)
class PhaseSettings:
    """The numbers of one phase, each the first and the last value; see :class:`daep_prior.schedules.Phase`.

    :param tuple widths: kernel width, of 255.
    :param tuple weights: ``g``; the prior weight is ``g / (2 s^2)``.
    :param tuple steps: relative step ``t``.
    :param tuple momentum: weight of the velocity, in [0, 1).
    :raises ValueError: not two numbers, or out of their range.
    """

    widths: Pair
    weights: Pair
    steps: Pair
    momentum: Pair

    def __post_init__(self) -> None:
        for name in ("widths", "weights", "steps"):
            pair = getattr(self, name)
            if len(pair) != 2 or not all(0 < value < math.inf for value in pair):
                raise ValueError(f"{name}: got {pair}; expected two numbers above 0.")
        if len(self.momentum) != 2 or not all(0 <= value < 1 for value in self.momentum):
            raise ValueError(f"momentum: got {self.momentum}; expected two numbers in [0, 1).")

    def phase(self, iterations: int, *, gradient: bool, **options: Any) -> Phase:
        """The phase of that many iterations; ``options`` are the other fields of :class:`Phase`."""
        widths = (self.widths[0] / 255, self.widths[1] / 255)
        return Phase(iterations, widths, self.weights, self.steps, self.momentum, gradient, **options)


@dataclass(frozen=True)
class FastSettings:
    """The numbers of the preset ``"fast"`` at one noise level, where they differ from those in :class:`Settings`.

    :param PhaseSettings fast: mean-shift steps.
    :param float fast_final_width: noise level of the last denoising, of 255.
    :raises ValueError: a final width is not above 0.
    """

    fast: PhaseSettings
    fast_final_width: float

    def __post_init__(self) -> None:
        _check_final_widths(self, "fast_final_width")


@dataclass(frozen=True)
class Settings:
    """The numbers of the presets at one noise level.

    :param PhaseSettings fast: mean-shift steps, the preset ``"fast"``.
    :param PhaseSettings restart: mean-shift steps with more weight, from a wide kernel again.
    :param PhaseSettings gradient: gradients of the energy.
    :param float fast_final_width: noise level of the last denoising of ``"fast"``, of 255.
    :param float final_width: noise level of the last denoising of the other presets, of 255.
    :raises ValueError: a final width is not above 0.
    """

    fast: PhaseSettings
    restart: PhaseSettings
    gradient: PhaseSettings
    fast_final_width: float
    final_width: float

    def __post_init__(self) -> None:
        _check_final_widths(self, "fast_final_width", "final_width")


@dataclass(frozen=True)
class SettingsTable:
    """Settings by noise level.

    :param dict levels: noise level of the measurement, of 255 -> settings.
    :param Settings noise_free: for a noise-free measurement.
    :param dict circular: noise level of the measurement, of 255 -> settings for a circular blur; empty: as for others.
    :raises ValueError: no level, or one that is not above 0.
    """

    levels: dict[float, Settings]
    noise_free: Settings
    circular: dict[float, FastSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, levels in (("levels", self.levels), ("circular", self.circular)):
            if not (levels or name == "circular") or not all(0 < level < math.inf for level in levels):
                raise ValueError(f"{name}: got {list(levels)}; expected noise levels above 0, at least one.")

    def at(self, sigma: float) -> Settings:
        """The settings for noise ``sigma``, images in [0, 1]. 0: noise-free. Between two levels every number is
        interpolated geometrically; beyond the lowest and the highest level the numbers stay."""
        if sigma == 0:
            return self.noise_free
        return _interpolated(self.levels, sigma)

    def circular_at(self, sigma: float) -> FastSettings | None:
        """The settings for a circular blur and noise ``sigma`` above 0, as in :meth:`at`; ``None``: there are none."""
        return _interpolated(self.circular, sigma) if self.circular and sigma > 0 else None


@cache
def shipped_settings() -> SettingsTable:
    """The settings for the shipped network ``dae``."""
    return _table(json.loads(files(__package__).joinpath(SHIPPED).read_text()))


def read_settings(path: str | os.PathLike[str]) -> SettingsTable:
    """The settings in a file of :func:`write_settings`.

    :raises ValueError: not such a file, with what is wrong in it.
    :raises OSError: the file cannot be read.
    """
    try:
        return _table(json.loads(Path(path).read_text()))
    except OSError as error:
        raise type(error)(f"settings: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"settings: got {path}; expected a file of benchmarks/tune_presets.py: {reason}") from error


def write_settings(
    path: str | os.PathLike[str], table: SettingsTable, *, network: str, origin: str, **record: Any
) -> None:
    """Write settings to a JSON file, which :func:`read_settings` and ``DAEP(settings=path)`` read.

    :param str network: name of the network that the numbers are for.
    :param str origin: one sentence: how the numbers were found.
    :param record: more about their origin, written as it is; reading ignores it.
    """
    content = {"network": network, "units": UNITS, "origin": origin, **asdict(table), **record}
    text = json.dumps(content, indent=2)
    # a list of numbers in one line; a string in JSON contains no line break
    flat = re.sub(r"\[(\n[^\[\]{}]*)\]", lambda found: "[" + re.sub(r"\n *", " ", found[1]).strip() + "]", text)
    Path(path).write_text(flat + "\n")


def _check_final_widths(settings: Settings | FastSettings, *names: str) -> None:
    for name in names:
        if not 0 < getattr(settings, name) < math.inf:
            raise ValueError(f"{name}: got {getattr(settings, name)}; expected a number above 0.")


def _table(values: dict[str, Any]) -> SettingsTable:
    levels = {float(level): _settings(Settings, numbers) for level, numbers in values["levels"].items()}
    circular = {float(level): _settings(FastSettings, numbers) for level, numbers in values.get("circular", {}).items()}
    return SettingsTable(levels, _settings(Settings, values["noise_free"]), circular)


def _settings(kind: type[S], values: dict[str, Any]) -> S:
    phases = ("fast", "restart", "gradient")
    made: dict[str, Any] = {
        name: PhaseSettings(**{field: tuple(pair) for field, pair in value.items()}) if name in phases else value
        for name, value in values.items()
    }
    return kind(**made)


def _interpolated(levels: dict[float, S], sigma: float) -> S:
    """Every number geometrically between those of the two nearest levels; at the ends those of the last level."""
    noise = min(max(255 * sigma, min(levels)), max(levels))
    low = max(level for level in levels if level <= noise)
    high = min(level for level in levels if level >= noise)
    if low == high:
        return levels[low]
    share = math.log(noise / low) / math.log(high / low)
    a, b = (asdict(levels[level]) for level in (low, high))
    return _settings(type(levels[low]), _between(a, b, share))


def _between(a: Any, b: Any, share: float) -> Any:
    """Every number geometrically between those of ``a`` and ``b``."""
    if isinstance(a, dict):
        return {name: _between(a[name], b[name], share) for name in a}
    if isinstance(a, tuple):
        return tuple(_between(p, q, share) for p, q in zip(a, b, strict=True))
    return a ** (1 - share) * b**share
