"""Search of the numbers of one preset at one noise level: the steps of ``tune_presets.py``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from coordinate_search import Point, coordinate_search
from csv_table import Table
from gradient_search import gradient_search
from torch import nn, uint8
from tuning_crops import Crops, Half

from daep_deepinv import DAEP
from daep_prior import DivergenceError, Schedule
from daep_prior.schedules import SettingsTable, Task, preset, shipped_settings
from daep_prior.schedules.settings import FastSettings, Settings

#: The presets, in the order of their searches, and the phases whose numbers each of them finds. ``annealed`` begins
#: with the phase that ``fast`` has found.
PHASES = {"fast": ("fast",), "annealed": ("gradient", "restart")}
#: The preset's last denoising, which a noise-free measurement does not have.
FINAL_WIDTHS = {"fast": "fast_final_width", "annealed": "final_width"}
#: The numbers of a phase in the order of the search, chosen by hand: the last values, which act on the result directly,
#: come first. 0: first value, 1: last value.
ORDER = (
    ("widths", 1),
    ("weights", 1),
    ("weights", 0),
    ("steps", 1),
    ("momentum", 1),
    ("widths", 0),
    ("steps", 0),
    ("momentum", 0),
)
#: Upper bounds. Widths: white, which is 255. Weights: a hundred times the shipped ones. Steps: below 2, where gradient
#: steps on an energy whose gradient has Lipschitz constant 1 diverge. Momentum: below 1.
LARGEST = {"widths": 255.0, "weights": 1000.0, "steps": 1.9, "momentum": 0.95}
#: Factors of a step of the search, coarse to fine: the square root and the fourth root of 2.
STEP_FACTORS = (1.4, 1.2)
#: Least mean gain of the held-out half, in dB and in standard errors of that mean. 0.01 dB is the last digit that the
#: tables of results print. Two standard errors are exceeded by chance about once in 40 searches; without them, gains of
#: 0.01 to 0.02 dB on six held-out crops were accepted that were losses on other crops.
MIN_GAIN, MIN_STANDARD_ERRORS = 0.01, 2.0
#: PSNR in dB of a restoration that diverges: below that of any image.
DIVERGED = 0.0

#: A number of ``Settings``: a field, or a phase, a field of it, and first (0) or last (1) value.
Name = tuple[str] | tuple[str, str, int]
AnySettings = TypeVar("AnySettings", Settings, FastSettings)
#: Steps of a gradient search.
GRADIENT_STEPS = 14


def searched_numbers(preset_name: str, level: float) -> list[Name]:
    """The numbers that are searched for a preset at a noise level, of 255."""
    final: list[Name] = [(FINAL_WIDTHS[preset_name],)] if level > 0 else []
    return final + [(phase, field, end) for phase in PHASES[preset_name] for field, end in ORDER]


def get_numbers(settings: Settings | FastSettings, names: list[Name]) -> Point:
    """The values of these numbers."""
    return tuple(
        getattr(settings, name[0]) if len(name) == 1 else getattr(getattr(settings, name[0]), name[1])[name[2]]
        for name in names
    )


def with_numbers(settings: AnySettings, names: list[Name], values: Point) -> AnySettings:
    """``settings`` with other values of these numbers."""
    for name, value in zip(names, values, strict=True):
        new: Any = value
        if len(name) == 3:
            phase = getattr(settings, name[0])
            first, last = getattr(phase, name[1])
            new = replace(phase, **{name[1]: (first, value) if name[2] else (value, last)})
        settings = replace(settings, **{name[0]: new})
    return settings


class Trials:
    """PSNR of settings. Each is measured once and appended to a CSV file, which later runs read.

    Rows of other crops, networks or schedules in the same file are not used.

    :param Path path: the CSV file.
    :param Crops crops: training crops.
    :param nn.Module network: noise-conditional denoiser.
    """

    def __init__(self, path: Path, crops: Crops, network: nn.Module):
        self.table = Table(path, "problem", "level", "half", "schedule")
        self.crops, self.network = crops, network
        digest = hashlib.sha256(crops.fingerprint().encode())
        for name, tensor in sorted(network.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().reshape(-1).view(uint8).numpy().tobytes())
        self.problem = digest.hexdigest()[:12]

    def known(self) -> int:
        """Number of trials in the file with these crops and this network."""
        return sum(row["problem"] == self.problem for row in self.table.rows)

    def psnr(
        self, settings: Settings | FastSettings, preset_name: str, level: float, half: Half
    ) -> tuple[list[float], bool]:
        """PSNR in dB of each measurement of a half, and whether it is new."""
        if isinstance(settings, FastSettings):
            table = replace(shipped_settings(), circular={level: settings})
        else:
            table = SettingsTable({level or 1.0: settings}, noise_free=settings)
        task: Task = "circular blur" if self.crops.border == "circular" else "general"
        schedule = preset(preset_name, level / 255, task=task, settings=table)
        digest = hashlib.sha256(json.dumps(asdict(schedule)).encode()).hexdigest()[:12]
        row, new = self.table.find(self.problem, f"{level:g}", half, digest), False
        if row is None:
            measured, new = [round(psnr, 4) for psnr in self._measured(schedule, level, half)], True
            row = {"problem": self.problem, "level": f"{level:g}", "half": half, "schedule": digest}
            row |= {"preset": preset_name, "mean": f"{np.mean(measured):.4f}"}
            row |= {"psnr": " ".join(map(str, measured)), "settings": json.dumps(asdict(settings))}
            self.table.add(row)
        return [float(psnr) for psnr in row["psnr"].split()], new

    def by_gradients(
        self, settings: Settings | FastSettings, names: list[Name], level: float, log: Callable[[str], None]
    ) -> Point:
        """The numbers that :func:`gradient_search` finds, from the file if they are there."""
        digest = hashlib.sha256(json.dumps(asdict(settings)).encode()).hexdigest()[:12]
        row = self.table.find(self.problem, f"{level:g}", "gradients", digest)
        if row is None:
            cases = self.crops.cases(level, "search")
            found = get_numbers(gradient_search(settings, cases, self.network, GRADIENT_STEPS, log), names)
            row = {"problem": self.problem, "level": f"{level:g}", "half": "gradients", "schedule": digest}
            row |= {"preset": "fast", "mean": "", "psnr": "", "settings": json.dumps(found)}
            self.table.add(row)
        return tuple(json.loads(row["settings"]))

    def _measured(self, schedule: Schedule, level: float, half: Half) -> list[float]:
        model, measured = DAEP(level / 255, schedule=schedule, denoiser=self.network), []
        for case in self.crops.cases(level, half):
            try:
                measured.append(case.psnr(model(case.measurement, case.physics)))
            except DivergenceError:
                measured.append(DIVERGED)
        return measured


@dataclass(frozen=True)
class Found:
    """Result of a search. PSNR: mean in dB.

    :param Settings settings: the new ones if they were accepted, else those of the start.
    :param bool accepted: the gain of the held-out half is clear, see ``MIN_GAIN``.
    :param tuple search: PSNR on the half that chooses: of the first numbers, and of the numbers found.
    :param tuple held_out: the same of the held-out half.
    :param float error: standard error of the gain of the held-out half, dB.
    """

    settings: Settings | FastSettings
    accepted: bool
    search: tuple[float, float]
    held_out: tuple[float, float]
    error: float


def search(
    start: Settings | FastSettings,
    preset_name: str,
    level: float,
    trials: Trials,
    most: int,
    log: Callable[[str], None],
    by: Literal["coordinates", "gradients"] = "coordinates",
) -> Found:
    """Search the numbers of a preset at a noise level.

    :param start: first numbers.
    :param float level: noise level, of 255; 0: noise-free.
    :param int most: largest number of trials.
    :param Callable log: called with a line for each trial that is measured.
    :param str by: ``"gradients"``: only for ``"fast"`` and a noisy measurement.
    """
    names, tried = searched_numbers(preset_name, level), []
    largest = tuple(LARGEST["widths"] if len(name) == 1 else LARGEST[name[1]] for name in names)
    first = get_numbers(start, names)

    def value(point: Point) -> float:
        values, new = trials.psnr(with_numbers(start, names, point), preset_name, level, "search")
        psnr = float(np.mean(values))
        tried.append(psnr)
        if new:
            log(f"  trial {len(tried)} of {most}: {psnr:.3f} dB, best {max(tried):.3f} dB")
        return psnr

    if by == "gradients":
        best = trials.by_gradients(start, names, level, log)
        value(first), value(best)
    else:
        best = coordinate_search(first, largest, range(len(names)), value, most, STEP_FACTORS)
    found = with_numbers(start, names, best)
    before, after = (np.array(trials.psnr(x, preset_name, level, "held-out")[0]) for x in (start, found))
    gain, error = float(np.mean(after - before)), float(np.std(after - before, ddof=1) / len(before) ** 0.5)
    accepted = gain >= max(MIN_GAIN, MIN_STANDARD_ERRORS * error)
    held_out = (round(float(before.mean()), 4), round(float(after.mean()), 4))
    chosen = found if accepted else start
    return Found(chosen, accepted, (round(tried[0], 4), round(max(tried), 4)), held_out, round(error, 4))
