"""``DAEP``: restore an image in one line, ``DAEP(sigma)(y, physics)``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from deepinv.models import Reconstructor
from deepinv.optim.data_fidelity import DataFidelity
from deepinv.physics import Physics
from torch import Tensor, nn

from daep_deepinv.checks import check_callable
from daep_deepinv.data_terms.given import check_fidelity
from daep_deepinv.history import Watching
from daep_deepinv.last_call import LastCall
from daep_deepinv.measurement import Measurement, read_measurement
from daep_deepinv.noise.given import checked_noise
from daep_deepinv.plans.choices import Choices
from daep_deepinv.plans.make_plans import Job, jobs_of, plans_of
from daep_deepinv.plans.plan import Plan, Plans
from daep_deepinv.plans.run_plan import Follow, Outcome, combined, progress, run
from daep_deepinv.posterior import Sampling
from daep_deepinv.prior import DAEPrior
from daep_deepinv.starts.starting_point import starting_point
from daep_deepinv.used_values import check_saturation
from daep_deepinv.value_range import check_bounds, check_scale
from daep_prior import Schedule
from daep_prior.arguments import check_switch, real_number
from daep_prior.restore_measurement import check_schedule, default_network
from daep_prior.schedules import DEFAULT_PRESET, PRESETS, read_settings
from daep_prior.solvers import Bounds

__all__ = ["DAEP"]

#: Value of ``sigma`` for a noise level that is estimated.
ESTIMATE = "estimate"


class DAEP(LastCall, Sampling, Reconstructor):
    r"""Image restoration with the denoising-autoencoder prior (Bigdeli and Zwicker, VISAPP 2018).

    Minimises :math:`\frac{1}{2\sigma_d^2} \|Kx - y\|^2 + \lambda R_s(x)` for any linear physics. Presets:

    * ``"annealed"`` (default): proximal momentum with a falling kernel width, 36 iterations, half of them mean-shift
      steps without Jacobian; 40 for a noise-free measurement. Needs a noise-conditional denoiser; with a denoiser for
      one level the width stays at that level.
    * ``"fast"``: 8 mean-shift steps, as fast as plug-and-play.
    * ``"best"``: ``"annealed"`` with three gradient phases, whose results are averaged; 72 iterations (114).
    * ``"paper"``: the paper's solver for deblurring, inpainting and denoising; 300 iterations.
    * ``"paper-sr"``: the paper's solver for noise-free super-resolution; 300 iterations.

    For :class:`deepinv.physics.Denoising` the first three return one denoiser evaluation, the posterior mean. For
    :class:`deepinv.physics.Inpainting` they take 30, 8 and 60 mean-shift steps with a dual variable.

    :meth:`plan` shows what a call would do. After a call, ``plans`` contains its plans, ``noise_level`` the noise level
    of each image, and ``history`` the values of each iteration: name (``data_residual``, ``discrepancy``,
    ``step_length``, see :class:`daep_deepinv.history.Recorder`) -> image -> one value an iteration. One model may be
    used from several threads; these attributes are then those of the call that ended last.

    :param sigma: noise standard deviation in the units of the measurement; 0: noise-free. A number of any type, one an
        image (B,), a map (B, 1, h, w), or a :class:`SignalNoise`. ``"estimate"``: estimated from each measurement.
        ``None``: the noise that ``physics.noise_model`` states (any of deepinv's), or estimated if it states none.
    :param denoiser: any deepinv denoiser, a DAE, a shipped name or a weight file. Default: ``"dae"``, and
        ``"dae-sigma25"`` for the paper's solver.
    :param str preset: see above.
    :param int max_iter: number of iterations, default the preset's.
    :param int, list seed: of the noise of eq. 8; one, or one an image. The same seed gives the same image.
    :param Schedule schedule: instead of a preset, see :mod:`daep_prior.schedules`. It names its solver.
    :param settings: file of ``benchmarks/tune_presets.py``, the presets' numbers for another network.
    :param bool check_noise: compare ``sigma`` with the noise visible in the measurement. If that is clearly stronger,
        not white, or shared between the channels, use it and warn. ``False``: trust ``sigma``, as the paper's presets
        and a given ``schedule`` always do.
    :param DataFidelity data_fidelity: any of deepinv's in place of least squares, see
        :class:`daep_deepinv.data_terms.given.GivenDataTerm`.
    :param float scale: value of white. Default: found from the measurement; 1 for images in [0, 1].
    :param bounds: limits of the image values, (low, high), one may be ``None``; ``None``: none. Default: found; 0 to 1
        for images in [0, 1], 0 and above for others that are not negative.
    :param float saturation: the measured value from which on the sensor is saturated: ``Kx`` is there at least ``y``.
        Default: found from a plateau at the largest value, and the black level likewise; ``None``: no value is.
    :param str, torch.device device: where the denoiser is put; default: where it is, the CPU for one that is loaded.
    :param bool early_stop: end the iterations of an image when it no longer changes.
    :param str crit_conv: ``"residual"``: relative change of the image; ``"cost"``: of the cost.
    :param float thres_conv: the change at which an image has converged.
    :param dict custom_metrics: see :class:`deepinv.optim.BaseOptim`.
    :param Callable custom_init: function of (y, physics), the first image; default :func:`starting_point`.
    :param bool verbose: with ``show_progress_bar``, show a progress bar.
    :param kwargs: ``jacobian``, ``noise``, ``tile``, ``axes`` as in :class:`DAEPrior`.
    :raises ValueError: unknown preset, negative or not finite ``sigma``, ``max_iter`` below 1, or a preset and a
        schedule for different solvers.
    :raises TypeError: unknown keyword argument, or not a denoiser.

    >>> import torch, deepinv as dinv
    >>> from daep_deepinv import DAEP
    >>> physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    >>> y = physics(torch.rand(1, 3, 32, 32))
    >>> DAEP(max_iter=3)(y, physics).shape
    torch.Size([1, 3, 32, 32])
    """

    def __init__(
        self,
        sigma: Any = None,
        denoiser: nn.Module | str | os.PathLike[str] | None = None,
        preset: str | None = None,
        max_iter: int | None = None,
        *,
        seed: int | Sequence[int] = 0,
        schedule: Schedule | None = None,
        settings: str | os.PathLike[str] | None = None,
        check_noise: bool = True,
        data_fidelity: DataFidelity | None = None,
        scale: float | None = None,
        bounds: Bounds | str | None = "found",
        saturation: float | str | None = "found",
        device: str | torch.device | None = None,
        early_stop: bool = False,
        crit_conv: str = "residual",
        thres_conv: float = 1e-5,
        custom_metrics: dict[str, Callable[..., Any]] | None = None,
        custom_init: Callable[[Any, Physics], Any] = starting_point,
        verbose: bool = False,
        show_progress_bar: bool = False,
        **kwargs: Any,
    ):
        super().__init__()
        if isinstance(denoiser, str) and denoiser in PRESETS:
            raise ValueError(f"denoiser: got {denoiser!r}, the name of a preset; write preset={denoiser!r}.")
        check_schedule(preset, schedule, max_iter, "max_iter")
        if crit_conv not in ("residual", "cost"):
            raise ValueError(f"crit_conv: got {crit_conv!r}; expected 'residual' or 'cost'.")
        if crit_conv == "cost" and not kwargs.get("jacobian", True):
            raise ValueError("crit_conv: without the Jacobian there is no energy to watch; use 'residual'.")
        check_fidelity(data_fidelity)
        check_switch("check_noise", check_noise)
        check_switch("early_stop", early_stop)
        for name, function in (custom_metrics or {}).items():
            check_callable(f"custom_metrics[{name!r}]", function)
        self.choices = Choices(
            **_noise_choice(sigma),
            preset=None if schedule is not None else preset or DEFAULT_PRESET,
            schedule=schedule,
            iterations=None if max_iter is None else int(max_iter),
            check_noise=check_noise,
            settings=None if settings is None else read_settings(settings),
            scale=check_scale(scale),
            bounds=check_bounds(bounds),
            saturation=check_saturation(saturation),
            data_fidelity=data_fidelity,
        )
        network = default_network(preset, schedule) if denoiser is None else denoiser
        self.prior = DAEPrior(network, seed=seed, device=device, **kwargs)
        stop_by = crit_conv if early_stop else None
        self._watching = Watching(
            custom=custom_metrics, stop_by=stop_by, threshold=real_number("thres_conv", thres_conv, "a number")
        )
        self._init, self._progress_bar = custom_init, verbose and show_progress_bar

    @torch.compiler.disable  # a plan depends on the values of the measurement: the graph would break at each of them
    def forward(
        self,
        y: Tensor,
        physics: Physics,
        init: Any = None,
        x_gt: Tensor | None = None,
        compute_metrics: bool = False,
        callback: Callable[[Plan, int, Tensor], None] | None = None,
        *,
        sigma: Any = None,
    ) -> Any:
        """Restore ``y``: check the call, plan each image, run the plans, report.

        :param torch.Tensor y: measurement, (B, C, h, w). An image gives the same result alone and in a batch.
        :param deepinv.physics.Physics physics: forward model, linear, or one that can be differentiated. Half precision
            is computed in float32.
        :param init: the first image, as in :class:`deepinv.optim.BaseOptim`; default :func:`starting_point`.
        :param torch.Tensor x_gt: ground truth, for the PSNR in the metrics.
        :param bool compute_metrics: also return deepinv's metrics (``psnr``, ``residual``, ``cost``, custom ones) of
            the iterates. The last denoising of a schedule with ``final_width`` comes after them.
        :param sigma: the noise of this call, as in the constructor.
        :param Callable callback: called after each iteration with the plan of the images that are being restored, the
            iteration, from 0, and their result so far (B, C, H, W).
        :return: images (B, C, H, W) in [0, 1]; with ``compute_metrics`` also the metrics.
        :raises ValueError: a measurement that is not finite or does not fit the physics or the denoiser, a physics
            that can be neither transposed nor differentiated, or a noise level that cannot be found.
        :raises DivergenceError: the iterates are no longer finite, or far from the measurement.
        """
        with torch.inference_mode(False), torch.no_grad():
            check_callable("callback", callback)
            asked = read_measurement(y, physics, self._init if init is None else init, x_gt)
            jobs = self._plan(asked, sigma)
            plans = plans_of(jobs)
            plans.warn()
            outcome = self._run(jobs, replace(self._watching, metrics=compute_metrics, x_gt=asked.x_gt), callback)
            self._last, x = (plans, outcome), asked.result(outcome.x)
        return (x, outcome.history) if compute_metrics else x

    def plan(self, y: Tensor, physics: Physics, init: Any = None, *, sigma: Any = None) -> Plans:
        """What :meth:`forward` would do, one plan an image. Nothing is restored; an unknown noise level is estimated.

        ``print(model.plan(y, physics))`` shows a table. The parameters and errors are those of :meth:`forward`.
        """
        with torch.inference_mode(False), torch.no_grad():
            asked = read_measurement(y, physics, self._init if init is None else init)
            return plans_of(self._plan(asked, sigma))

    def _plan(self, asked: Measurement, sigma: Any) -> list[Job]:
        choices = self.choices if sigma is None else replace(self.choices, **_noise_choice(sigma))
        return jobs_of(asked.y, asked.physics, asked.init, self.prior.restarted(), choices)

    def _run(self, jobs: list[Job], watching: Watching, callback: Follow | None) -> Outcome:
        """Run the parts of the jobs, each with a prior of its own."""
        seed, parts = self.prior.seed, [part for job in jobs for part in job.parts()]
        seeds = [seed] if isinstance(seed, int) else list(seed)
        outcomes = []
        with progress([plan for plan, _ in parts], callback, self._progress_bar) as follow:
            for plan, view in parts:
                prior = self.prior.restarted(seeds if len(seeds) == 1 else [seeds[i] for i in view.images])
                step = None if follow is None else partial(follow, plan)
                outcomes.append(run(plan, view, prior, replace(watching, callback=step)))
        return combined(outcomes)

    @property
    def denoiser(self) -> nn.Module:
        """The network of the prior."""
        return self.prior.denoiser

    @property
    def preset(self) -> str | None:
        """The preset; ``None``: a given schedule."""
        return self.choices.preset


def _noise_choice(sigma: Any) -> dict[str, Any]:
    """``sigma`` and ``estimate`` of :class:`Choices`.

    :raises ValueError: another text, or a level that is negative or not finite.
    """
    if isinstance(sigma, str) and sigma != ESTIMATE:
        raise ValueError(f"sigma: got {sigma!r}; expected a number, None or {ESTIMATE!r}.")
    if sigma is None or isinstance(sigma, str):
        return {"sigma": None, "estimate": sigma is not None}
    return {"sigma": checked_noise(sigma), "estimate": False}
