"""Plan a call of ``DAEP``: look at each image, and decide noise, data term and schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from deepinv.optim.data_fidelity import L1, DataFidelity
from deepinv.physics import Denoising, Inpainting, LinearPhysics
from torch import Tensor

from daep_deepinv.checks import adjoint_warning, check_image, units_warning
from daep_deepinv.data_terms.given import OfLevel
from daep_deepinv.noise.given import GivenNoise, given_noise
from daep_deepinv.noise.model import NoiseModel, Source
from daep_deepinv.noise.statement import StatedNoise
from daep_deepinv.noise.variance import PartsVariance, QuadraticVariance, white_level
from daep_deepinv.operators.circular_blur import VOLUMES, circular_task
from daep_deepinv.operators.sampling import is_sampling
from daep_deepinv.operators.scaled import ComplexAsReal
from daep_deepinv.plans.choose_data_term import data_term_in_words, few_evaluations
from daep_deepinv.plans.decide_noise import noise_of_images, statement_of
from daep_deepinv.plans.plan import Plan, Plans
from daep_deepinv.prior import DAEPrior
from daep_deepinv.starts.clipped import LIT, with_light_of_clipped
from daep_deepinv.starts.starting_point import starting_point
from daep_deepinv.used_values import ALL_USED, Saturation, UsedValues, used_values
from daep_deepinv.value_range import UNIT_RANGE, ValueRange, bounds_warning, find_ranges
from daep_deepinv.view import GREY_AS_COLOUR, SEVERAL, View, views_of
from daep_prior import NoiseSource, Schedule, schedules
from daep_prior.back_projection import fill_missing
from daep_prior.images import RGB
from daep_prior.schedules import DEFAULT_PRESET, HEAVY_BALL, PRESETS, SettingsTable, Task
from daep_prior.solvers import Bounds

__all__ = ["Choices", "Job", "jobs_of", "plans_of"]


#: Noise level for which the schedule is made where a data fidelity judges impulses, as a share of their range. Three
#: noisy training crops with L1, 6 and 20 % impulses: 40.9 and 33.5 dB at 0.005, 40.2 and 33.7 at 0.02, 37.6 and 27.6 at
#: the level of the impulses.
BESIDE_IMPULSES = 0.005
#: Largest ratio of the noise levels of stacked parts for which a mask among them counts: the weight of one part is then
#: at most four times that of the other. Set by hand. The stacks of ``benchmarks/physics_matrix.py`` have ratios of at
#: most 1.4 or at least 3.6: values between them give the same verdicts.
ALIKE = 2.0
#: Iterations for random projections. Two training crops, a quarter as many projections as values, in colour: 31.81 and
#: 22.19 dB, 26.90 and 19.56 with 30; the general schedule has 27.43 and 21.28.
RANDOM_ITERATIONS = 60


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
    def papers_solver(self) -> bool:
        """Whether the paper's solver restores, which is used as in the paper: no noise check, grey images as they
        are."""
        solver = PRESETS[self.preset].solver if self.preset is not None else None
        return (solver if self.schedule is None else self.schedule.solver) == HEAVY_BALL


@dataclass(frozen=True)
class Job:
    """A view of a batch, with the plan of each of its images."""

    view: View
    plans: list[Plan]

    def parts(self) -> list[tuple[Plan, View]]:
        """The images with equal plans, which are restored together."""
        return [(plan, self.view.subset(members)) for plan, members in Plans(self.plans).groups()]


def jobs_of(y: Any, physics: LinearPhysics, init: Any, prior: DAEPrior, choices: Choices) -> list[Job]:
    """The plans of a batch.

    :param init: first image, or a function of (y, physics).
    :raises ValueError: the measurement does not fit the physics or the denoiser, or its noise cannot be estimated.
    """
    own_start = init is not starting_point
    statement, source = statement_of(y, physics, choices.sigma, choices.estimate)
    known = None
    if statement is not None:
        known = statement.known(y, physics.mask if isinstance(physics, Inpainting) else None)
        filled = None if known is None else fill_missing(y * known, known.to(y))
        if choices.data_fidelity is None:
            y = statement.prepare(y if filled is None else filled)
        elif filled is not None:
            statement, choices = _for_impulses(statement, y, choices)
            y = filled if isinstance(choices.data_fidelity, L1) else y
    split_grey = not choices.papers_solver and (not own_start or callable(init)) and _one_law(statement)
    views = views_of(y, physics, init, split_grey=split_grey)
    for view in views:
        check_image(view.start, view.y, view.physics)
    views = [
        replace(view, used=_used(view, known, statement, choices), fidelity=choices.data_fidelity) for view in views
    ]
    views = [scaled for view in views for scaled in view.in_ranges(_ranges(view, prior, choices))]
    if not own_start:
        views = [with_light_of_clipped(view) for view in views]
    NoiseSource(prior.seed).seeds(sum(len(view.images) for view in views))
    return [Job(view, _plans(view, prior, choices, statement, source, own_start)) for view in views]


def _for_impulses(statement: StatedNoise, y: Tensor, choices: Choices) -> tuple[StatedNoise, Choices]:
    """Noise and data fidelity for a measurement with impulses that the data fidelity judges.

    The other values are nearly noise-free, which the schedule is for, and the weight of ``L1``, which leaves the values
    out that are impulses. Else these have the weight's noise level: their mean square distance to values that are
    uniform between the extremes is a third of the range's square.
    """
    impulses = statement.of(0).impulses
    assert impulses is not None and choices.data_fidelity is not None
    spread = impulses.high - impulses.low
    if isinstance(choices.data_fidelity, L1):
        return given_noise(BESIDE_IMPULSES * spread, y), choices
    fidelity = OfLevel(choices.data_fidelity, spread * math.sqrt(impulses.share / 3))
    return given_noise(BESIDE_IMPULSES * spread, y), replace(choices, data_fidelity=fidelity)


def _one_law(statement: StatedNoise | None) -> bool:
    """Whether the noise is that of the whole measurement, not of each channel or part."""
    return statement is None or all(isinstance(one.law, QuadraticVariance) for one in statement.images)


def _used(view: View, known: Tensor | None, statement: StatedNoise | None, choices: Choices) -> UsedValues:
    """Which measured values of a view are used. The paper's presets and most data fidelities use all."""
    if choices.papers_solver or (choices.data_fidelity is not None and not isinstance(choices.data_fidelity, L1)):
        return ALL_USED
    if known is not None:
        known = known[view.images][:, : view.y.shape[1]]
    if choices.data_fidelity is not None:
        return used_values(view.y, view.physics, view.start, None, known, noisy=False)
    noisy = statement is None or all((white_level(one.law) or 0) > 0 for one in statement.images)
    return used_values(view.y, view.physics, view.start, choices.saturation, known, noisy=noisy)


def _ranges(view: View, prior: DAEPrior, choices: Choices) -> list[ValueRange]:
    """The range of each image of a view. The paper's presets and a given schedule are for images in [0, 1]."""
    found = choices.scale is None and choices.bounds == "found"
    if found and (choices.papers_solver or choices.schedule is not None):
        return [UNIT_RANGE] * view.start.shape[0]
    ranges = find_ranges(view.start, choices.scale, choices.bounds)
    if prior.adapted(view.start).transform is not None:  # it shifts what the network sees
        ranges = [replace(r, offset=(0.0,) * len(r.offset)) for r in ranges]
    if choices.bounds == "found" and isinstance(view.physics, ComplexAsReal):
        return [replace(r, bounds=(None, None)) for r in ranges]  # complex numbers have any sign
    if choices.bounds != "found" or view.used.at_least is None:
        return ranges
    saturated = view.used.at_least.flatten(1).any(1).tolist()
    return [replace(r, bounds=(r.bounds[0], None)) if s else r for r, s in zip(ranges, saturated, strict=True)]


def plans_of(jobs: list[Job]) -> Plans:
    """The plans in the order of the batch."""
    by_image = {i: plan for job in jobs for i, plan in zip(job.view.images, job.plans, strict=True)}
    return Plans(by_image[i] for i in sorted(by_image))


def _plans(
    view: View, prior: DAEPrior, choices: Choices, statement: StatedNoise | None, source: Source, own_start: bool
) -> list[Plan]:
    """The plan of each image of a view."""
    wrong_adjoint = adjoint_warning(view.physics, view.start)
    seen = prior.adapted(view.start).description(view.start) if view.channels == SEVERAL else view.channels
    channels = (RGB if view.channels == GREY_AS_COLOUR else view.start.shape[1], *view.start.shape[2:])
    plans = []
    ours = choices.schedule is None and choices.data_fidelity is None and not choices.papers_solver
    check = choices.check_noise and ours
    for i, noise in enumerate(noise_of_images(view, statement, source, prior, check=check)):
        one = replace(view, used=view.used.select([i]))
        schedule = choices.schedule or _preset_schedule(one, i, noise, prior, choices, own_start)
        found = [wrong_adjoint, noise.scaled(view.range.scale).warning(), _units(view, i, choices)]
        if view.range.source != "found":
            found.append(bounds_warning(view.in_image_units(view.start[i : i + 1])[0], view.range.bounds))
        plans.append(
            Plan(
                image_shape=channels,
                channels=seen,
                range=view.range,
                noise=noise.scaled(view.range.scale),
                data_term=data_term_in_words(one, noise),
                start=view.start_name + (LIT if one.used.at_least is not None and not own_start else ""),
                preset=None if choices.schedule is not None else _preset_name(view, choices),
                schedule=schedule,
                warnings=tuple(warning for warning in found if warning is not None),
            )
        )
    return plans


def _units(view: View, i: int, choices: Choices) -> Warning | None:
    if not isinstance(choices.sigma, float) or not isinstance(view.y, Tensor):
        return None
    return units_warning(choices.sigma, view.range.scale * view.y[i])


def _preset_name(view: View, choices: Choices) -> str:
    """The preset; ``"fast"`` in place of the default one where each evaluation of the operator costs much."""
    assert choices.preset is not None
    default = choices.preset == DEFAULT_PRESET and choices.iterations is None
    return "fast" if default and few_evaluations(view) else choices.preset


def _preset_schedule(
    view: View, image: int, noise: NoiseModel, prior: DAEPrior, choices: Choices, own_start: bool
) -> Schedule:
    """The preset's schedule for the physics and noise of an image of the view."""
    task: Task = "general"
    iterations = choices.iterations
    if isinstance(view.physics, LinearPhysics):
        task, iterations = _sampling(view, noise, prior, choices)
    denoising = isinstance(view.physics, Denoising)
    if denoising and view.used.unknown is not None:
        task = "missing pixels"
    elif denoising and not own_start and view.used.of_all and choices.data_fidelity is None:
        task = "denoising"  # its one step sees no other first image
    elif task == "general" and (_white_and_complete(view, noise, choices) or view.start.ndim == VOLUMES):
        task = circular_task(view.physics, view.y, view.start, image) or task
    return schedules.preset(
        _preset_name(view, choices),
        noise.level,
        trained_width=prior.trained_width,
        task=task,
        factor=_factor(view),
        iterations=iterations,
        settings=choices.settings,
    )


def _white_and_complete(view: View, noise: NoiseModel, choices: Choices) -> bool:
    """Whether the data term is least squares over all values, as in the measurements of circular blurs."""
    other = (noise.differences, noise.spectrum, noise.law, choices.data_fidelity)
    return view.used.of_all and all(value is None for value in other)


def _sampling(view: View, noise: NoiseModel, prior: DAEPrior, choices: Choices) -> tuple[Task, int | None]:
    """The task for a linear physics, as far as it measures parts of an image alone, and the number of iterations."""
    if is_sampling(view.physics, view.y, view.start, exact=True):
        return "missing pixels", choices.iterations
    if choices.preset == "fast" or not (_alike(noise) and is_sampling(view.physics, view.y, view.start)):
        return "general", choices.iterations
    more = choices.iterations is None and choices.preset == DEFAULT_PRESET and prior.trained_width is None
    return "missing pixels", RANDOM_ITERATIONS if more else choices.iterations


def _alike(noise: NoiseModel) -> bool:
    """Whether the parts of a measurement have about the same noise level."""
    if not isinstance(noise.law, PartsVariance):
        return True
    levels = [white_level(part) for part in noise.law.parts]
    known = [level for level in levels if level is not None]
    return len(known) == len(levels) and max(known) <= ALIKE * min(known)


def _factor(view: View) -> int:
    """Of super-resolution; 1 for other physics."""
    y = view.y
    return max(1, round(view.start.shape[-1] / y.shape[-1])) if isinstance(y, Tensor) and y.ndim == 4 else 1
