"""Decide the noise that each image of a view is restored for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deepinv.physics import Denoising, LinearPhysics, Physics
from torch import Tensor

from daep_deepinv.data_terms.weighted import precision_level
from daep_deepinv.noise.assumed import AssumedNoise, NoiseOfImage
from daep_deepinv.noise.given import GivenNoise, given_noise
from daep_deepinv.noise.model import NoiseModel, Source
from daep_deepinv.noise.stated import stated_noise
from daep_deepinv.noise.variance import MapVariance, PartsVariance, QuadraticVariance, VarianceLaw, white_level
from daep_deepinv.noise_estimation.assess import assess_noise
from daep_deepinv.noise_estimation.estimate import contradicting_noise, estimated_noise
from daep_deepinv.noise_estimation.impulses import can_have_impulses, impulses_in
from daep_deepinv.noise_estimation.jpeg import covering_jpeg
from daep_deepinv.operators.measured import measured_values
from daep_deepinv.prior import DAEPrior
from daep_deepinv.view import View

__all__ = ["assumed_noise", "noise_of_images"]

#: Limits of a level that nothing is known of.
ANY_LEVEL = (0.0, math.inf)


def assumed_noise(
    y: Any, physics: Physics, sigma: GivenNoise | None, estimate: bool, *, check: bool
) -> tuple[AssumedNoise | None, Source]:
    """The noise that the caller gives, or else the physics states; ``None``: it is to be estimated.

    :param bool estimate: estimate it even if the physics states one.
    :param bool check: look for impulses beside white noise, and estimate it if there are some.
    """
    source: Source = "stated" if sigma is None else "given"
    stated = given_noise(sigma, y) if sigma is not None else None if estimate else stated_noise(physics, y)
    if stated is None:
        return _beside_impulses(y, physics), "estimated"
    if not check or not all(one.is_white for one in stated.images):
        return stated, source
    seen = _beside_impulses(y, physics)
    if seen is not None:
        stated = AssumedNoise(
            tuple(
                replace(one, assumed=stated.level(i)) if one.impulses is not None else stated.of(i)
                for i, one in enumerate(seen.images)
            ),
            stated.doubtful,
        )
    return stated, source


def _beside_impulses(y: Any, physics: Physics) -> AssumedNoise | None:
    """Noise of unknown level beside the impulses that the measurement shows; ``None``: it shows none."""
    if not isinstance(y, Tensor) or not can_have_impulses(y):
        return None
    measured = measured_values(physics, y)
    found = [impulses_in(y[i : i + 1], None if measured is None else measured[i : i + 1]) for i in range(len(y))]
    if not any(found):
        return None
    return AssumedNoise(
        tuple(
            NoiseOfImage(
                QuadraticVariance(1.0),
                "" if one is None else f"white Gaussian, beside impulses ({100 * one.share:.2g} % of the values)",
                impulses=one,
                between=ANY_LEVEL,
            )
            for one in found
        )
    )


def noise_of_images(
    view: View, assumed: AssumedNoise | None, source: Source, prior: DAEPrior, *, check: bool
) -> list[NoiseModel]:
    """The noise of each image of a view, in the units of the solver.

    :param AssumedNoise assumed: of the batch, in the units of the images; ``None``: the noise is estimated.
    :param bool check: compare a level with the noise that is visible in the measurement.
    """
    found: dict[int, NoiseModel] = {}
    # images with values that are not used are apart: their noise is not checked
    alike: dict[tuple[float | None, bool], list[int]] = {}
    for k, image in enumerate(view.images):
        level, whole = None, view.used.select([k]).unknown is None
        if assumed is not None and assumed.of(image).between is None:
            law = assumed.law(image).scaled(1 / view.range.scale)
            level = white_level(law)
            if level is None:
                found[k] = _by_law(view.subset([k]), law, source, assumed.of(image).words)
                continue
        alike.setdefault((level, whole), []).append(k)
    for (level, whole), members in alike.items():
        doubtful = assumed is not None and assumed.doubtful and isinstance(view.physics, LinearPhysics)
        models = _assessed(view.subset(members), level, source, prior, check and whole, doubtful)
        for k, model in zip(members, models, strict=True):
            one = None if assumed is None else assumed.of(view.images[k])
            if one is not None and one.between is not None and (one.impulses is not None or one.between != ANY_LEVEL):
                low, high = (limit / view.range.scale for limit in one.between)
                model = replace(
                    model, level=min(max(model.level, low), high), law=None, words=one.words if one.impulses else ""
                )
                if one.assumed is not None:
                    model = replace(model, source="overruled", assumed=one.assumed / view.range.scale)
                found[k] = model
            else:
                named = one is not None and one.words and model.source == source
                found[k] = replace(model, words=one.words) if one is not None and named else model
    return [found[k] for k in range(len(view.images))]


def _by_law(one: View, law: VarianceLaw, source: Source, words: str) -> NoiseModel:
    """The noise of one image whose level is not the same everywhere.

    The schedule is made for its root mean square; of parts and maps, whose levels may differ much, for the level of the
    mean precision. On 3 training crops, a blur and a mask stacked, levels 0.01 and 0.1, 0.1 and 0.01, 0.02 and 0.04:
    34.20, 34.59, 34.55 dB; for the root mean square 33.68, 32.55, 34.35 dB; unweighted 32.52, 31.59, 34.25 dB.
    """
    mean = one.y if isinstance(one.physics, Denoising) else one.physics.A(one.start)
    unlike = isinstance(law, (PartsVariance, MapVariance)) and not isinstance(one.physics, Denoising)
    level = precision_level(law.variance(mean)) if unlike else law.level(mean)[0]
    return NoiseModel(level, source, law=law, words=words)


def _assessed(
    view: View, level: float | None, source: Source, prior: DAEPrior, check: bool, doubtful: bool
) -> Sequence[NoiseModel]:
    """The noise of images of one assumed level, ``None``: none is assumed.

    :param bool doubtful: that there is no noise is perhaps only deepinv's default.
    """

    def estimate(i: int) -> NoiseModel:
        one = view.subset([i])
        return estimated_noise(one.y, one.physics, prior, one.start)

    def contradicting(i: int) -> NoiseModel | None:
        one = view.subset([i])
        return contradicting_noise(one.y, one.physics, prior, one.start)

    found = assess_noise(
        view.y,
        view.physics,
        view.start,
        level,
        source,
        check=check,
        estimate=estimate,
        doubt=contradicting if doubtful else None,
        one_level=prior.trained_width is not None,
    )
    return covering_jpeg(found, view.y, view.physics, view.start, level, source) if check or level is None else found
