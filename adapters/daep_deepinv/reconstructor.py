"""``DAEP``: restore an image in one line, ``DAEP(sigma)(y, physics)``."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from deepinv.optim import BaseOptim
from deepinv.physics import Denoising, Inpainting, LinearPhysics, Physics
from deepinv.utils import TensorList
from torch import Tensor, nn

from daep_deepinv.checks import check_sigma
from daep_deepinv.consistency import (
    check_image,
    check_measurement,
    check_result,
    shape_of,
    warn_of_adjoint,
    warn_of_units,
)
from daep_deepinv.data_terms.least_squares import PerImageL2, SharedNoiseL2
from daep_deepinv.history import Monitor
from daep_deepinv.noise.assess import BelievedNoise, NoiseWarning, believed_noise
from daep_deepinv.noise.estimate import estimated_level, stated_level
from daep_deepinv.operators.of_batch import physics_of_each
from daep_deepinv.presets import PRESETS, preset_schedule, solver_parameters
from daep_deepinv.prior import DAEPrior
from daep_deepinv.start import measured_region, starting_point
from daep_prior import Schedule, schedules
from daep_prior.images import IMAGE_RANGE, RGB

__all__ = ["DAEP", "PRESETS"]

#: ``sigma`` that says: find it out.
ESTIMATE = "estimate"
#: What is used when the user names nothing.
DEFAULT_DENOISER = "dae"
#: The network of the paper's presets.
PAPER_DENOISER = "dae-sigma25"


class DAEP(BaseOptim):
    r"""Image restoration with the denoising-autoencoder prior (Bigdeli and Zwicker, VISAPP 2018).

    Minimises :math:`\frac{1}{2\sigma_d^2} \|Kx - y\|^2 + \lambda R_s(x)` for any linear physics. Presets:

    * ``"annealed"`` (default): proximal momentum with a falling kernel width; 28 iterations, 10 of them plain
      mean-shift steps, and a last denoising; without that 40 of a noise-free measurement, 3 of them plain. Needs a
      noise-conditional denoiser; with a denoiser for one level the width stays at that level.
    * ``"fast"``: mean-shift steps alone; 9 forward evaluations, the time of PnP-HQS with 9 steps.
    * ``"best"``: ``"annealed"`` with three gradient phases, whose results are averaged; 64 iterations (114).
    * ``"paper"``: the paper's solver for deblurring, inpainting and denoising; 300 evaluations.
    * ``"paper-sr"``: the paper's solver for noise-free super-resolution; 300 evaluations.

    An image of three equal channels is restored as the grey one that it is, except by the paper's presets.

    Of a plain noisy image (:class:`deepinv.physics.Denoising`) the first three give what one mean-shift step ends at,
    the posterior mean. Missing pixels (:class:`deepinv.physics.Inpainting`) they fill by 30, 8 and 60 mean-shift steps
    with a dual variable.

    After each call ``history`` holds what happened, name -> image -> one value an iteration: ``data_residual``,
    ``discrepancy`` and ``step_length``, see :class:`daep_deepinv.history.Monitor`; and ``noise_level`` the noise that
    was assumed for each image, stated or estimated.

    :param float, str sigma: noise standard deviation of the measurement, images in [0, 1]; 0: noise-free;
        ``"estimate"``: estimated from each measurement; ``None``: read ``physics.noise_model.sigma`` at each call, or
        estimated if the physics has a noise model that states none.
    :param str preset: see above.
    :param denoiser: any deepinv denoiser, a DAE, a shipped name or a weight file. Default: ``"dae"``, and
        ``"dae-sigma25"`` for the paper's presets.
    :param int max_iter: number of iterations, default the preset's.
    :param int, list seed: of the noise of eq. 8. The same seed gives the same image.
    :param Schedule schedule: instead of the preset's.
    :param bool check_noise: a measurement that shows, where the physics has taken the fine detail away, that its noise
        is much more than ``sigma`` or not white, is restored for a higher level, with a warning; where the channels
        share the noise, for less of it in what they differ by; in colour, under noise that is not white and the same in
        all channels, with the spectrum that it shows. ``False``: for ``sigma``, as by the paper's presets and a given
        ``schedule`` always.
    :param str, torch.device device: where the denoiser is put; default: where it is, the CPU for one that is loaded.
    :param kwargs: ``early_stop``, ``crit_conv``, ``thres_conv``, ``custom_metrics``, ``custom_init``, ``verbose``,
        ``show_progress_bar`` as in :class:`deepinv.optim.BaseOptim`, with one more criterion: ``early_stop=True,
        crit_conv="discrepancy"`` stops each image when its discrepancy is at most ``thres_conv`` (1) and it moves by
        less than a tenth of the noise; ``samples``, ``antithetic``, ``jacobian``, ``noise``, ``tile`` as in
        :class:`DAEPrior`.
    :raises ValueError: unknown preset, negative or not finite ``sigma``, ``max_iter`` below 1.
    :raises TypeError: unknown keyword argument.

    >>> import torch, deepinv as dinv
    >>> from daep_deepinv import DAEP
    >>> physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    >>> y = physics(torch.rand(1, 3, 32, 32))
    >>> DAEP(max_iter=3)(y, physics).shape
    torch.Size([1, 3, 32, 32])
    """

    _PRIOR_ARGUMENTS = ("samples", "antithetic", "jacobian", "noise", "tile")
    _OPTIM_ARGUMENTS = (
        "early_stop",
        "crit_conv",
        "thres_conv",
        "custom_metrics",
        "custom_init",
        "verbose",
        "show_progress_bar",
    )

    def __init__(
        self,
        sigma: float | str | None = None,
        preset: str | None = None,
        denoiser: nn.Module | str | os.PathLike[str] | None = None,
        max_iter: int | None = None,
        *,
        seed: int | Sequence[int] = 0,
        schedule: Schedule | None = None,
        check_noise: bool = True,
        device: str | torch.device | None = None,
        **kwargs: Any,
    ):
        preset = "annealed" if preset is None else preset
        if preset not in PRESETS:
            raise ValueError(f"preset: got {preset!r}; expected one of {', '.join(map(repr, PRESETS))}.")
        unknown = sorted(set(kwargs) - set(self._PRIOR_ARGUMENTS) - set(self._OPTIM_ARGUMENTS))
        if unknown:
            raise TypeError(f"DAEP() got unexpected keyword arguments: {', '.join(unknown)}.")
        if max_iter is not None and (not max_iter >= 1 or int(max_iter) != max_iter):
            raise ValueError(f"max_iter: got {max_iter}; expected a whole number >= 1.")
        if max_iter is not None and schedule is not None:
            raise ValueError("max_iter, schedule: a schedule has its own length; give one of the two.")
        if kwargs.get("crit_conv", "residual") not in ("residual", "cost", "discrepancy"):
            raise ValueError(f"crit_conv: got {kwargs['crit_conv']!r}; expected 'residual', 'cost' or 'discrepancy'.")
        if kwargs.get("crit_conv") == "discrepancy":
            kwargs.setdefault("thres_conv", 1.0)
        if kwargs.get("crit_conv") == "cost" and not kwargs.get("jacobian", True):
            raise ValueError("crit_conv: without the Jacobian there is no energy to watch; use 'residual'.")
        if isinstance(sigma, str) and sigma != ESTIMATE:
            raise ValueError(f"sigma: got {sigma!r}; expected a number, None or {ESTIMATE!r}.")
        if sigma is not None and not isinstance(sigma, str):
            check_sigma(sigma)
        if denoiser is None:
            denoiser = PAPER_DENOISER if preset.startswith("paper") else DEFAULT_DENOISER
        prior_arguments = {name: kwargs.pop(name) for name in self._PRIOR_ARGUMENTS if name in kwargs}
        prior = DAEPrior(denoiser, seed=seed, **prior_arguments)
        if device is not None:
            prior.denoiser.to(device)
        # replaced at each call; until then what it is most likely to be
        level = sigma if isinstance(sigma, (int, float)) else schedules.SMALLEST_NOISE
        first = schedule or preset_schedule(preset, level, prior.trained_width, 1, max_iter)
        kwargs.setdefault("custom_init", starting_point)
        super().__init__(
            PRESETS[preset](),
            params_algo=solver_parameters(first),
            data_fidelity=PerImageL2(),
            prior=prior,
            max_iter=len(first),
            get_output=_output,
            **kwargs,
        )
        self.denoiser = prior.denoiser  # registered here, so that .to() and .parameters() reach it
        self.sigma, self.preset, self.schedule, self.length = sigma, preset, schedule, max_iter
        self.check_noise = check_noise
        #: Of the last call: name -> image -> one value an iteration.
        self.history: dict[str, list[list[float]]] = {}
        #: Of the last call: the noise that was assumed for each image.
        self.noise_level: list[float] = []
        self._wants_cost = prior.explicit_prior and self.crit_conv == "cost"

    def forward(
        self,
        y: Tensor,
        physics: Physics,
        init: Any = None,
        x_gt: Tensor | None = None,
        compute_metrics: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Restore ``y``.

        :param torch.Tensor y: measurement, (B, C, h, w); an image gives the same result alone and in a batch.
        :param deepinv.physics.Physics physics: forward model; any :class:`deepinv.physics.LinearPhysics`.
        :param init: where to start, as in :class:`deepinv.optim.BaseOptim`; default :func:`starting_point`.
        :param torch.Tensor x_gt: ground truth, for the PSNR in the metrics.
        :param bool compute_metrics: also return deepinv's metrics (``psnr``, ``residual``, ``cost``, custom ones).
        :return: images (B, C, H, W) in [0, 1]; with ``compute_metrics`` also the metrics, which are those of the
            iterates: the last denoising of a schedule with ``final_width`` comes after them.
        :raises ValueError: a measurement that is not finite or does not fit the physics or the denoiser, physics that
            is not linear, or no noise level.
        :raises DivergenceError: the iterates are no longer finite.
        """
        check_measurement(y, physics)
        arguments: tuple[Any, ...] = (physics, init, x_gt, compute_metrics)
        grey = self._grey_images(y, physics, init)
        if grey is None or not any(grey):
            return self._restore_at_level(y, *arguments, **kwargs)
        if all(grey):
            return self._restore_grey(y, *arguments, **kwargs)
        # grey images among coloured ones: each as it would be alone
        ways = [self._restore_grey if g else self._restore_at_level for g in grey]
        return self._restore_each(y, ways, *arguments, **kwargs)

    def _grey_images(self, y: Any, physics: Physics, init: Any) -> list[bool] | None:
        """Which images of a batch are grey although they have three channels; ``None``: not to be treated apart."""
        if self.preset.startswith("paper") or init is not None or not isinstance(y, Tensor):
            return None
        if y.ndim != 4 or y.shape[1] != RGB:
            return None
        grey = (y[:, :1] == y).flatten(1).all(1).tolist()
        if any(grey):
            one = y[:, :1]
            try:  # some physics are made for three channels
                if physics.A(_image(self._first_image(one, physics, None))).shape != one.shape:
                    return None
            except (RuntimeError, ValueError, AssertionError, IndexError):
                return None
        return grey

    def _restore_grey(
        self, y: Tensor, physics: Physics, init: Any, x_gt: Tensor | None, compute_metrics: bool, **kwargs: Any
    ) -> Any:
        """An image of three equal channels as the one channel that it is.

        Its noise is equal in the channels too, which a colour network would take for structure.
        """
        truth = None if x_gt is None else x_gt.mean(1, keepdim=True)
        result = self._restore_at_level(y[:, :1], physics, init, truth, compute_metrics, **kwargs)
        x, metrics = result if compute_metrics else (result, None)
        x = x.repeat(1, RGB, 1, 1)
        return (x, metrics) if compute_metrics else x

    def _restore_each(
        self,
        y: Tensor,
        ways: list[Callable[..., Any]],
        physics: Physics,
        init: Any,
        x_gt: Tensor | None,
        compute_metrics: bool,
        **kwargs: Any,
    ) -> Any:
        """Each image by itself, in its own way; history and metrics are put together again."""
        restored, histories, levels, metrics = [], [], [], []
        # the start is made for each image; here only the shape of the images matters
        images = _image(self._first_image(y, physics, lambda y, physics: physics.A_adjoint(y)))
        each = physics_of_each(physics, images)
        seeds = self.prior[0].seeds(y.shape[0])
        try:
            for i, way in enumerate(ways):
                self.prior[0].use_seeds(seeds[i % len(seeds)])
                start = init[i : i + 1] if isinstance(init, Tensor) else init
                truth = None if x_gt is None else x_gt[i : i + 1]
                result = way(y[i : i + 1], each[i], start, truth, compute_metrics, **kwargs)
                restored.append(result[0] if compute_metrics else result)
                metrics.append(result[1] if compute_metrics else {})
                histories.append(self.history)
                levels += self.noise_level
        finally:
            self.prior[0].use_seeds(seeds if len(seeds) > 1 else seeds[0])
        self.history, self.noise_level = _joined(histories), levels
        x = torch.cat(restored)
        return (x, _joined(metrics)) if compute_metrics else x

    def _restore_at_level(
        self, y: Tensor, physics: Physics, init: Any, x_gt: Tensor | None, compute_metrics: bool, **kwargs: Any
    ) -> Any:
        """At the noise level that is told, stated or estimated."""
        level = stated_level(physics) if self.sigma is None else self.sigma
        if isinstance(level, (int, float)):
            return self._restore(y, physics, float(level), init, x_gt, compute_metrics, **kwargs)
        if y.shape[0] > 1:
            ways = [self._restore_at_level] * y.shape[0]
            return self._restore_each(y, ways, physics, init, x_gt, compute_metrics, **kwargs)
        with torch.no_grad():
            level = estimated_level(
                y, physics, self.prior[0], lambda y, physics: _image(self._first_image(y, physics, None))
            )
        return self._restore(y, physics, level, init, x_gt, compute_metrics, **kwargs)

    def _restore(
        self,
        y: Tensor,
        physics: Physics,
        sigma: float,
        init: Any,
        x_gt: Tensor | None,
        compute_metrics: bool,
        **kwargs: Any,
    ) -> Any:
        prior: DAEPrior = self.prior[0]
        prior.reset()
        x0 = self._first_image(y, physics, init)
        image = _image(x0)
        check_image(image, y, physics, prior.denoiser)
        warn_of_units(sigma, y)
        warn_of_adjoint(physics, image)
        noises = self._checked_noise(sigma, y, physics, image)
        if len(set(noises)) > 1:
            ways = [self._restore_at_level] * len(noises)
            return self._restore_each(y, ways, physics, init, x_gt, compute_metrics, **kwargs)
        noise = noises[0]
        sigma = noise.level
        prior.seeds(image.shape[0])
        schedule = self.schedule or preset_schedule(
            self.preset,
            sigma,
            prior.trained_width,
            _factor(image, y),
            self.length,
            identity=isinstance(physics, Denoising) and self.custom_init is starting_point and init is None,
            holes=isinstance(physics, Inpainting),
        )
        self.init_params_algo = solver_parameters(schedule)
        self.max_iter = self.fixed_point.max_iter = len(schedule)
        told = 1.0 if self.preset == "paper-sr" else max(sigma, schedules.SMALLEST_NOISE)
        data_fidelity = SharedNoiseL2(told, noise.differences) if noise.shared else PerImageL2(told, noise.spectrum)
        self.data_fidelity = [data_fidelity]
        target = self.thres_conv if self.early_stop and self.crit_conv == "discrepancy" else None
        monitor = Monitor(data_fidelity, y, physics, sigma, target)
        iterator = self.fixed_point.iterator
        iterator.support = measured_region(y, physics) if self.preset == "paper" else None
        iterator.dual, iterator.bounds = schedule.dual, IMAGE_RANGE if schedule.clip else None
        iterator.monitor = monitor
        # the cost of an iteration is one more network evaluation: computed only for those who look at it
        self.has_cost = iterator.has_cost = self._wants_cost or (compute_metrics and prior.explicit_prior)
        try:
            result = super().forward(y, physics, init=x0, x_gt=x_gt, compute_metrics=compute_metrics, **kwargs)
        finally:
            iterator.monitor = None
            self.history, self.noise_level = monitor.history(), [sigma] * image.shape[0]
        x, metrics = result if compute_metrics else (result, None)
        if schedule.final_width is not None:
            with torch.no_grad():
                x = prior.denoise(x, schedule.final_width)
                if isinstance(data_fidelity, SharedNoiseL2):
                    x = data_fidelity.prox_of_differences(x, y, physics, schedule.final_width**2)
        x = x.clamp(*IMAGE_RANGE)
        check_result(x, image, monitor, sigma, y)
        return (x, {**(metrics or {}), **self.history}) if compute_metrics else x

    def _checked_noise(
        self, sigma: float, y: Tensor | TensorList, physics: LinearPhysics, image: Tensor
    ) -> list[BelievedNoise]:
        """The noise to restore each image for: ``sigma``, or another if the measurement shows that it must be."""
        if not self.check_noise or self.schedule is not None or self.preset.startswith("paper"):
            return [BelievedNoise(sigma, sigma)]
        found_out = self.sigma == ESTIMATE or (self.sigma is None and stated_level(physics) is None)
        with torch.no_grad():
            noises = believed_noise(sigma, y, physics, image, estimated=found_out)
        highest = max(noise.level for noise in noises)
        coloured = any(noise.spectrum is not None for noise in noises)
        if (highest > sigma or coloured) and not found_out:
            warnings.warn(
                f"sigma: the noise of the measurement is more than {255 * sigma:.3g}/255, or not white; it is restored "
                f"for {255 * highest:.3g}/255{', with the spectrum that it shows' if coloured else ''}. "
                "DAEP(check_noise=False) restores for sigma.",
                NoiseWarning,
                stacklevel=2,
            )
        return noises

    def check_conv_fn(self, it: int, X_prev: dict[str, Any], X: dict[str, Any]) -> bool:
        """Also the discrepancy, for which every image stops by itself; see :class:`deepinv.optim.BaseOptim`."""
        if self.crit_conv != "discrepancy":
            return bool(super().check_conv_fn(it, X_prev, X))
        monitor = self.fixed_point.iterator.monitor
        self.has_converged = monitor is not None and monitor.done is not None and bool(monitor.done.all())
        return self.has_converged

    def _first_image(self, y: Tensor, physics: Physics, init: Any) -> Any:
        init = self.custom_init if init is None else init
        try:
            start = init(y, physics) if isinstance(init, Callable) else init  # type: ignore[arg-type]
        except (RuntimeError, IndexError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(f"y: a measurement of shape {shape_of(y)} does not fit this physics: {error}") from error
        # a copy: the caller's image is never written to, and never made to require a gradient
        if isinstance(start, Tensor):
            start = start.detach().clone()
            return start.clamp(*IMAGE_RANGE) if self.preset.startswith("paper") else start
        if isinstance(start, (tuple, dict)):
            return copy.copy(start)  # deepinv writes the cost of the start into a dictionary
        raise TypeError(f"init: got {type(start).__name__}; expected a tensor, a tuple, a dictionary or a function.")


def _image(start: Any) -> Tensor:
    """The image in a start of any of deepinv's forms."""
    image: Tensor = start if isinstance(start, Tensor) else (start["est"] if isinstance(start, dict) else start)[0]
    return image


def _factor(image: Tensor, y: Tensor | TensorList) -> int:
    return max(1, round(image.shape[-1] / y.shape[-1])) if isinstance(y, Tensor) and y.ndim == image.ndim == 4 else 1


def _joined(parts: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Histories or metrics of single images as those of a batch."""
    return {name: [row for part in parts for row in part[name]] for name in parts[0]}


def _output(X: dict[str, Any]) -> Tensor:
    """The running mean where the solver keeps one, else the iterate."""
    est = X["est"]
    out: Tensor = est[1] if len(est) > 2 else est[0]
    return out
