"""``Choices``: what the user of ``DAEP`` has chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepinv.optim.data_fidelity import L1, DataFidelity

from daep_deepinv.data_terms.given import OfLevel
from daep_deepinv.noise.given import GivenNoise
from daep_deepinv.used_values import Saturation
from daep_prior import Schedule
from daep_prior.schedules import HEAVY_BALL, PRESETS, SettingsTable
from daep_prior.solvers import Bounds

__all__ = ["Choices"]


@dataclass(frozen=True)
class Choices:
    """What the user of ``DAEP`` has chosen; see there.

    :param sigma: given noise, see :func:`daep_deepinv.noise.given.checked_noise`; ``None``: that of
        the physics, or estimated.
    :param bool estimate: estimate the noise level even if the physics states one.
    :param str preset: ``None``: ``schedule`` is used.
    :param float scale: of the image values; ``None``: found, 1 for a given schedule and the paper's solver.
    :param bounds: limits of the image values.
    :param saturation: see :func:`daep_deepinv.used_values.used_values`.
    """

    sigma: GivenNoise | None
    estimate: bool
    preset: str | None
    schedule: Schedule | None
    iterations: int | None
    check_noise: bool
    settings: SettingsTable | None
    scale: float | None = None
    bounds: Bounds | Literal["found"] | None = "found"
    saturation: Saturation = "found"
    data_fidelity: DataFidelity | OfLevel | None = None

    @property
    def checks(self) -> bool:
        """Whether the noise is compared with the measurement."""
        return self._may_overrule and self.data_fidelity is None

    @property
    def looks_for_impulses(self) -> bool:
        """Whether impulses are looked for that nobody stated: also for ``L1``, which leaves them out."""
        return self._may_overrule and isinstance(self.data_fidelity, L1 | None)

    @property
    def _may_overrule(self) -> bool:
        """Whether the measurement may overrule the noise that is assumed."""
        return self.check_noise and self.schedule is None and not self.papers_solver

    @property
    def papers_solver(self) -> bool:
        """Whether the paper's solver restores, which is used as in the paper: no noise check, grey images as they
        are."""
        solver = PRESETS[self.preset].solver if self.preset is not None else None
        return (solver if self.schedule is None else self.schedule.solver) == HEAVY_BALL
