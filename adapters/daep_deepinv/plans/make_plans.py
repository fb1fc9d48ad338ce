"""Plan a call of ``DAEP``: look at each image, and decide noise, data term and schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from deepinv.optim.data_fidelity import L1
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.checks import adjoint_warning, check_image, units_warning
from daep_deepinv.data_terms.given import OfLevel
from daep_deepinv.noise.assumed import AssumedNoise, NoiseOfImage
from daep_deepinv.noise.given import given_noise
from daep_deepinv.noise.model import Source
from daep_deepinv.noise.variance import QuadraticVariance, white_level
from daep_deepinv.operators.measured import measured_values
from daep_deepinv.operators.scaled import ComplexAsReal
from daep_deepinv.plans.choices import Choices
from daep_deepinv.plans.choose_data_term import data_term_in_words
from daep_deepinv.plans.choose_schedule import preset_name, preset_schedule
from daep_deepinv.plans.decide_noise import assumed_noise, noise_of_images
from daep_deepinv.plans.plan import Plan, Plans
from daep_deepinv.prior import DAEPrior
from daep_deepinv.starts.clipped import LIT, with_light_of_clipped
from daep_deepinv.starts.smoothed import ranges_of_start, with_smooth_start
from daep_deepinv.starts.starting_point import starting_point
from daep_deepinv.used_values import ALL_USED, UsedValues, used_values
from daep_deepinv.value_range import UNIT_RANGE, ValueRange, bounds_warning
from daep_deepinv.view import GREY_AS_COLOUR, SEVERAL, View, views_of
from daep_prior import NoiseSource
from daep_prior.back_projection import fill_missing
from daep_prior.images import RGB

__all__ = ["Job", "jobs_of", "plans_of"]


#: Noise level for which the schedule is made where a data fidelity judges impulses, as a share of their range. Three
#: noisy training crops with L1, 6 and 20 % impulses: 40.9 and 33.5 dB at 0.005, 40.2 and 33.7 at 0.02, 37.6 and 27.6 at
#: the level of the impulses.
BESIDE_IMPULSES = 0.005


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
    assumed, source = assumed_noise(y, physics, choices.sigma, choices.estimate, check=choices.looks_for_impulses)
    known = None
    if assumed is not None:
        known = assumed.known(y, measured_values(physics, y)) if assumed.has_impulses else None
        filled = None if known is None else fill_missing(y * known, known.to(y))
        if choices.data_fidelity is None:
            y = assumed.prepare(y if filled is None else filled)
        elif filled is not None:
            assumed, choices = _for_impulses(assumed, y, choices)
            y = filled if isinstance(choices.data_fidelity, L1) else y
    split_grey = not choices.papers_solver and (not own_start or callable(init)) and _one_law(assumed)
    views = views_of(y, physics, init, split_grey=split_grey)
    for view in views:
        check_image(view.start, view.y, view.physics)
    if not own_start:
        views = [smooth for view in views for smooth in with_smooth_start(view)]
    views = [replace(view, used=_used(view, known, assumed, choices), fidelity=choices.data_fidelity) for view in views]
    views = [scaled for view in views for scaled in view.in_ranges(_ranges(view, prior, choices))]
    if not own_start:
        views = [with_light_of_clipped(view) for view in views]
    NoiseSource(prior.seed).seeds(sum(len(view.images) for view in views))
    return [Job(view, _plans(view, prior, choices, assumed, source, own_start)) for view in views]


def _for_impulses(assumed: AssumedNoise, y: Tensor, choices: Choices) -> tuple[AssumedNoise, Choices]:
    """Noise and data fidelity for a measurement with impulses that the data fidelity judges.

    ``L1`` leaves the impulses out. Its weight and the schedule are for the noise of the other values: estimated, or
    :data:`BESIDE_IMPULSES` if the impulses are stated. For other fidelities the schedule is for that, and the weight
    for the level of the impulses: their mean square distance to values that are uniform between the extremes is a third
    of the range's square.

    :raises ValueError: some images have impulses and some have none, and the data fidelity is not ``L1``.
    """
    if isinstance(choices.data_fidelity, L1):
        return replace(assumed, images=tuple(map(_beside_impulses, assumed.images))), choices
    impulses = assumed.of(0).impulses
    if impulses is None or any(one.impulses is None for one in assumed.images):
        raise ValueError("y: some images have impulses and some have none; restore them in a call each.")
    assert choices.data_fidelity is not None
    spread = impulses.high - impulses.low
    fidelity = OfLevel(choices.data_fidelity, spread * math.sqrt(impulses.share / 3))
    return given_noise(BESIDE_IMPULSES * spread, y), replace(choices, data_fidelity=fidelity)


def _beside_impulses(noise: NoiseOfImage) -> NoiseOfImage:
    """The noise of the values that are no impulses: to be estimated as it is, or none is stated."""
    if noise.impulses is None or noise.between is not None:
        return noise
    return replace(noise, law=QuadraticVariance((BESIDE_IMPULSES * (noise.impulses.high - noise.impulses.low)) ** 2))


def _one_law(assumed: AssumedNoise | None) -> bool:
    """Whether the noise is that of the whole measurement, not of each channel or part."""
    return assumed is None or all(isinstance(one.law, QuadraticVariance) for one in assumed.images)


def _used(view: View, known: Tensor | None, assumed: AssumedNoise | None, choices: Choices) -> UsedValues:
    """Which measured values of a view are used. The paper's presets and most data fidelities use all."""
    if choices.papers_solver or (choices.data_fidelity is not None and not isinstance(choices.data_fidelity, L1)):
        return ALL_USED
    if known is not None:
        known = known[view.images][:, : view.y.shape[1]]
    if choices.data_fidelity is not None:
        return used_values(view.y, view.physics, view.start, None, known, noisy=False)
    noisy = assumed is None or all((white_level(one.law) or 0) > 0 for one in assumed.images)
    return used_values(view.y, view.physics, view.start, choices.saturation, known, noisy=noisy)


def _ranges(view: View, prior: DAEPrior, choices: Choices) -> list[ValueRange]:
    """The range of each image of a view. The paper's presets and a given schedule are for images in [0, 1]."""
    found = choices.scale is None and choices.bounds == "found"
    if found and (choices.papers_solver or choices.schedule is not None):
        return [UNIT_RANGE] * view.start.shape[0]
    ranges = ranges_of_start(view, choices.scale, choices.bounds)
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
    view: View, prior: DAEPrior, choices: Choices, assumed: AssumedNoise | None, source: Source, own_start: bool
) -> list[Plan]:
    """The plan of each image of a view."""
    wrong_adjoint = adjoint_warning(view.physics, view.start)
    seen = prior.adapted(view.start).description(view.start) if view.channels == SEVERAL else view.channels
    channels = (RGB if view.channels == GREY_AS_COLOUR else view.start.shape[1], *view.start.shape[2:])
    plans = []
    for i, noise in enumerate(noise_of_images(view, assumed, source, prior, check=choices.checks)):
        one = replace(view, used=view.used.select([i]))
        schedule = choices.schedule or preset_schedule(one, i, noise, prior, choices, own_start)
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
                preset=None if choices.schedule is not None else preset_name(view, choices),
                schedule=schedule,
                warnings=tuple(warning for warning in found if warning is not None),
            )
        )
    return plans


def _units(view: View, i: int, choices: Choices) -> Warning | None:
    if not isinstance(choices.sigma, float) or not isinstance(view.y, Tensor):
        return None
    return units_warning(choices.sigma, view.range.scale * view.y[i])
