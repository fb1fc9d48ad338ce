"""Samples of the posterior, and what they say of each pixel: ``DAEP.sample`` and ``DAEP.posterior``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from statistics import NormalDist
from typing import Any

import torch
from deepinv.physics import Physics
from torch import Tensor

from daep_deepinv.calibration import CALIBRATIONS, expected_error, task_of
from daep_deepinv.checks import check_callable
from daep_deepinv.measurement import Measurement, read_measurement
from daep_deepinv.plans.choose_data_term import data_term_for
from daep_deepinv.plans.make_plans import Job, plans_of
from daep_deepinv.plans.plan import Plan
from daep_deepinv.plans.run_plan import Outcome, as_given
from daep_deepinv.prior import DAEPrior
from daep_deepinv.view import GREY_AS_COLOUR, View
from daep_prior import NoiseSource
from daep_prior.arguments import real_number, whole_number
from daep_prior.sampling import SamplingPlan, check_takes_levels, draw_sample, sample_seed
from daep_prior.solvers import clipped

__all__ = ["Posterior", "Sampling"]

#: Share of the dual variable for missing pixels: the best mean of the chains on training crops.
DUAL = 0.7
#: Samples of :meth:`Sampling.sample` and :meth:`Sampling.posterior`.
SAMPLES = 16


@dataclass(frozen=True)
class Posterior:
    """What the samples say of each pixel.

    :param torch.Tensor mean: (B, C, H, W), the estimate: the restored image, about which the samples lie.
    :param torch.Tensor deviation: (B, C, H, W), the expected error of the estimate: the standard deviation of the
        samples, corrected on training images, see :class:`daep_deepinv.calibration.Calibration`.
    :param int samples: how many.
    """

    mean: Tensor
    deviation: Tensor
    samples: int

    def quantile(self, q: float) -> Tensor:
        """The value that a pixel is below with probability ``q``, (B, C, H, W): of the normal distribution.

        :raises ValueError: ``q`` is not between 0 and 1.
        """
        return self.mean + NormalDist().inv_cdf(_probability("q", q)) * self.deviation

    def interval(self, share: float = 0.9) -> tuple[Tensor, Tensor]:
        """Limits between which the pixel is with probability ``share``, each (B, C, H, W).

        :raises ValueError: ``share`` is not between 0 and 1.
        """
        outside = (1 - _probability("share", share)) / 2
        return self.quantile(outside), self.quantile(1 - outside)


def _probability(name: str, value: Any) -> float:
    """``value`` as a float above 0 and below 1."""
    what = "a probability below 1 and"
    number = real_number(name, value, what, positive=True)
    if number >= 1:
        raise ValueError(f"{name}: got {value!r}; expected {what} > 0.")
    return number


class Sampling:
    """The methods ``sample`` and ``posterior`` of :class:`daep_deepinv.DAEP`."""

    # of the reconstructor
    prior: DAEPrior
    _init: Any
    _plan: Callable[[Measurement, Any], list[Job]]
    _run: Callable[..., Outcome]
    _watching: Any

    def sample(
        self,
        y: Tensor,
        physics: Physics,
        n: int = SAMPLES,
        seed: int = 0,
        *,
        init: Any = None,
        sigma: Any = None,
        **options: Any,
    ) -> Tensor:
        """Images that fit the measurement and look like the truth: draws from the posterior, about the restored image.

        :param torch.Tensor y: measurement, as for a restoration. An image has the same samples alone and in a batch.
        :param deepinv.physics.Physics physics: forward model.
        :param int n: number of samples. From 2 on, their mean is the restored image, up to what the limits of the
            values cut off.
        :param int seed: at least 0; the same ``n`` and ``seed`` give the same samples.
        :param init: the first image of the restoration, as in :meth:`daep_deepinv.DAEP.forward`.
        :param sigma: the noise of this call, as in the constructor.
        :param options: ``first``, ``last``, ``levels`` and ``fresh`` of :class:`daep_prior.sampling.SamplingPlan`.
        :return: (n, B, C, H, W).
        :raises ValueError: ``n`` is no whole number of at least 1, ``seed`` none of at least 0, an option is out of its
            range, or the denoiser is for one level.
        """
        n, seed, plan = whole_number("n", n), whole_number("seed", seed, 0), _plan_of(options)
        return self._chains(y, physics, init, sigma).samples(n, seed, plan)

    def posterior(
        self,
        y: Tensor,
        physics: Physics,
        n: int = SAMPLES,
        seed: int = 0,
        *,
        init: Any = None,
        sigma: Any = None,
        callback: Callable[[int], None] | None = None,
        **options: Any,
    ) -> Posterior:
        """The restored image, and by ``n`` samples, of which one is held at a time, its expected error and quantiles.

        The parameters and errors are those of :meth:`sample`; ``n`` is at least 2.

        :param Callable callback: is called with the number of each sample that is drawn.
        """
        check_callable("callback", callback)
        n, seed, plan = whole_number("n", n, 2), whole_number("seed", seed, 0), _plan_of(options)
        chains = self._chains(y, physics, init, sigma)
        mean = squares = torch.zeros(())
        for k in range(n):  # Welford's sums
            x = chains.asked.result(chains.draw(seed, k, plan))
            change = x - mean
            mean = mean + change / (k + 1)
            squares = squares + (change * (x - mean).conj()).real
            if callback is not None:
                callback(k)
        return Posterior(chains.asked.result(chains.restored), chains.expected_error(squares / (n - 1)), n)

    def _chains(self, y: Any, physics: Physics, init: Any, sigma: Any) -> _Chains:
        """One chain for each plan, each at the restored images.

        :raises ValueError: the denoiser is for one level.
        """
        check_takes_levels(self.prior)
        with torch.inference_mode(False), torch.no_grad():
            asked = read_measurement(y, physics, self._init if init is None else init)
            jobs = self._plan(asked, sigma)
            plans_of(jobs).warn()
            restored = self._run(jobs, replace(self._watching, stop_by=None, custom=None), None).x
            parts = [part for job in jobs for part in job.parts()]
            chains = [_Chain(p, view, self.prior, restored[view.images]) for p, view in parts]
            return _Chains(asked, chains, restored)


def _plan_of(options: dict[str, Any]) -> SamplingPlan:
    """:raises TypeError: an option is unknown."""
    known = [field.name for field in fields(SamplingPlan)]
    for name in options.keys() - known:
        raise TypeError(
            f"{name}: no such option; expected n (the number of samples), seed, init, sigma, {', '.join(known)}."
        )
    return SamplingPlan(**options)


class _Chains:
    """The chains of a batch, and the restored images (B, C, H, W) from which they start."""

    def __init__(self, asked: Measurement, chains: list[_Chain], restored: Tensor):
        self.asked, self.chains, self.restored = asked, chains, restored
        places = [(i, c, p) for c, chain in enumerate(chains) for p, i in enumerate(chain.view.images)]
        self.places = [(c, p) for _, c, p in sorted(places)]

    def draw(self, seed: int, number: int, plan: SamplingPlan) -> Tensor:
        """The end of chain ``number`` of each image, (B, C, H, W)."""
        with torch.inference_mode(False), torch.no_grad():
            parts = [chain.draw(sample_seed(seed, number), plan) for chain in self.chains]
            return torch.stack([parts[c][p] for c, p in self.places])

    def samples(self, n: int, seed: int, plan: SamplingPlan) -> Tensor:
        """(n, B, C, H, W). What the chains have in common, such as too smooth details, is replaced by the restored
        image. The mean takes one of the chains' degrees of freedom, hence the factor; one sample takes two chains."""
        number = max(n, 2)
        ends = torch.stack([self.draw(seed, k, plan) for k in range(number)])
        x = self.restored + math.sqrt(number / (number - 1)) * (ends - ends.mean(0))[:n]
        for i, (c, _) in enumerate(self.places):
            x[:, i] = clipped(x[:, i], self.chains[c].plan.range.bounds)
        return torch.stack([self.asked.result(one) for one in x])

    def expected_error(self, variance: Tensor) -> Tensor:
        """Of each image, by its task."""
        images = [(self.chains[c], p) for c, p in self.places]
        found = [
            expected_error(spread, CALIBRATIONS[task_of(chain.plan, chain.view, place)], chain.plan.range.scale)
            for spread, (chain, place) in zip(variance.split(1), images, strict=True)
        ]
        return torch.cat(found)


class _Chain:
    """The chain for the images of one plan."""

    def __init__(self, plan: Plan, view: View, prior: DAEPrior, restored: Tensor):
        self.plan, self.view, self.prior = plan, view, prior.restarted().adapted(view.start)
        self.data = data_term_for(view, plan.noise.scaled(1 / plan.range.scale))
        restored = restored[:, :1] if view.channels == GREY_AS_COLOUR else restored
        self.start = view.in_solver_units(restored)

    def draw(self, seed: int, plan: SamplingPlan) -> Tensor:
        """A sample of each image (B, C, H, W), in the values of the measurement's images."""
        source = NoiseSource(seed)
        prox = self.data.prox_of(self.view.y, self.view.physics)
        dual = DUAL if self.plan.schedule.dual else 0.0
        x = draw_sample(prox, self.start, self.prior, source, plan, dual=dual, bounds=self.plan.range.solver_bounds)
        return as_given(self.view, x)
