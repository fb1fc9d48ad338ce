"""``DAEP``: restore an image in one line, ``DAEP(sigma)(y, physics)``."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from deepinv.optim import BaseOptim
from deepinv.physics import LinearPhysics, Physics, ZeroNoise
from deepinv.utils import TensorList
from torch import Tensor, nn

from daep_deepinv.checks import check_sigma
from daep_deepinv.fidelity import PerImageL2
from daep_deepinv.iterators import DivergenceError, HeavyBallIteration, ProximalMomentumIteration
from daep_deepinv.prior import DAEPrior
from daep_deepinv.start import measured_region, starting_point
from daep_prior import Schedule, schedules

__all__ = ["DAEP", "PRESETS"]

#: Presets and the solver each uses.
PRESETS: dict[str, type[HeavyBallIteration] | type[ProximalMomentumIteration]] = {
    "paper": HeavyBallIteration,
    "paper-sr": HeavyBallIteration,
    "annealed": ProximalMomentumIteration,
}
#: What is used when the user names nothing.
DEFAULT_DENOISER = "dae"
#: The network of the paper's presets.
PAPER_DENOISER = "dae-sigma25"


class DAEP(BaseOptim):
    r"""Image restoration with the denoising-autoencoder prior (Bigdeli and Zwicker, VISAPP 2018).

    Minimises :math:`\frac{1}{2\sigma_d^2} \|Kx - y\|^2 + \lambda R_s(x)` for any linear physics. Presets:

    * ``"annealed"`` (default): proximal momentum with a falling kernel width; 30 evaluations. Needs a noise-conditional
      denoiser; with a denoiser for one level the width stays at that level.
    * ``"paper"``: the paper's solver for deblurring, inpainting and denoising; 300 evaluations.
    * ``"paper-sr"``: the paper's solver for noise-free super-resolution; 300 evaluations.

    :param float sigma: noise standard deviation of the measurement, images in [0, 1]; 0: noise-free; ``None``: read
        ``physics.noise_model.sigma`` at each call.
    :param str preset: see above.
    :param denoiser: any deepinv denoiser, a DAE, a shipped name or a weight file. Default: ``"dae"``, and
        ``"dae-sigma25"`` for the paper's presets.
    :param int max_iter: number of iterations, default the preset's.
    :param int, list seed: of the noise of eq. 8. The same seed gives the same image.
    :param Schedule schedule: instead of the preset's.
    :param str, torch.device device: where the denoiser is put; default: where it is, the CPU for one that is loaded.
    :param kwargs: ``early_stop``, ``crit_conv``, ``thres_conv``, ``custom_metrics``, ``custom_init``, ``verbose``,
        ``show_progress_bar`` as in :class:`deepinv.optim.BaseOptim`; ``samples``, ``antithetic``, ``jacobian``,
        ``noise``, ``tile`` as in :class:`DAEPrior`.
    :raises ValueError: unknown preset, negative or not finite ``sigma``, ``max_iter`` below 1.
    :raises TypeError: unknown keyword argument.

    >>> import torch, deepinv as dinv
    >>> from daep_deepinv import DAEP
    >>> physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    >>> y = physics(torch.rand(1, 3, 32, 32))
    >>> DAEP(max_iter=3)(y, physics).shape
    torch.Size([1, 3, 32, 32])
    """

    _PRIOR_ARGUMENTS = ("samples", "antithetic", "jacobian", "noise", "tile", "cuda_graph")
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
        sigma: float | None = None,
        preset: str | None = None,
        denoiser: nn.Module | str | os.PathLike[str] | None = None,
        max_iter: int | None = None,
        *,
        seed: int | Sequence[int] = 0,
        schedule: Schedule | None = None,
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
        if kwargs.get("crit_conv", "residual") not in ("residual", "cost"):
            raise ValueError(f"crit_conv: got {kwargs['crit_conv']!r}; expected 'residual' or 'cost'.")
        if kwargs.get("crit_conv") == "cost" and not kwargs.get("jacobian", True):
            raise ValueError("crit_conv: without the Jacobian there is no energy to watch; use 'residual'.")
        if sigma is not None:
            check_sigma(sigma)
        if denoiser is None:
            denoiser = PAPER_DENOISER if preset.startswith("paper") else DEFAULT_DENOISER
        prior_arguments = {name: kwargs.pop(name) for name in self._PRIOR_ARGUMENTS if name in kwargs}
        prior = DAEPrior(denoiser, seed=seed, **prior_arguments)
        if device is not None:
            prior.denoiser.to(device)
        first = _schedule(preset, sigma or 0.0, prior, 1, max_iter, schedule)
        kwargs.setdefault("custom_init", starting_point)
        super().__init__(
            PRESETS[preset](),
            params_algo=_parameters(first),
            data_fidelity=PerImageL2(),
            prior=prior,
            max_iter=len(first),
            get_output=_output,
            **kwargs,
        )
        self.denoiser = prior.denoiser  # registered here, so that .to() and .parameters() reach it
        self.sigma, self.preset, self.schedule, self.length = sigma, preset, schedule, max_iter
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
        sigma = self._noise_level(physics) if self.sigma is None else self.sigma
        _check_measurement(y, physics)
        prior: DAEPrior = self.prior[0]
        prior.reset()
        x0 = self._first_image(y, physics, init)
        _check_image(_image(x0), y, physics, prior.denoiser)
        factor = _factor(x0, y)
        schedule = _schedule(self.preset, sigma, prior, factor, self.length, self.schedule)
        self.init_params_algo = _parameters(schedule)
        told = 1.0 if self.preset == "paper-sr" else max(sigma, schedules.SMALLEST_NOISE)
        self.data_fidelity = [PerImageL2(sigma=told)]
        iterator = self.fixed_point.iterator
        iterator.support = measured_region(y, physics) if self.preset == "paper" else None
        # the cost of an iteration is one more network evaluation: computed only for those who look at it
        self.has_cost = iterator.has_cost = self._wants_cost or (compute_metrics and prior.explicit_prior)
        result = super().forward(y, physics, init=x0, x_gt=x_gt, compute_metrics=compute_metrics, **kwargs)
        x, metrics = result if compute_metrics else (result, None)
        if schedule.final_width is not None:
            with torch.no_grad():
                x = prior.denoise(x, schedule.final_width).clamp(0, 1)
        if not bool(x.isfinite().all()):
            raise DivergenceError("the restored image is not finite; raise sigma, or lower the step of the schedule.")
        return (x, metrics) if compute_metrics else x

    def _first_image(self, y: Tensor, physics: Physics, init: Any) -> Any:
        init = self.custom_init if init is None else init
        try:
            start = init(y, physics) if isinstance(init, Callable) else init  # type: ignore[arg-type]
        except (RuntimeError, IndexError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(f"y: a measurement of shape {_shape(y)} does not fit this physics: {error}") from error
        # a copy: the caller's image is never written to, and never made to require a gradient
        if isinstance(start, Tensor):
            return start.detach().clone().clamp(0, 1)
        if isinstance(start, (tuple, dict)):
            return copy.copy(start)  # deepinv writes the cost of the start into a dictionary
        raise TypeError(f"init: got {type(start).__name__}; expected a tensor, a tuple, a dictionary or a function.")

    def _noise_level(self, physics: Physics) -> float:
        noise = getattr(physics, "noise_model", None)
        if isinstance(noise, ZeroNoise):
            return 0.0
        level = getattr(noise, "sigma", None)
        if level is None:
            raise ValueError(
                "sigma: this physics states no Gaussian noise level (physics.noise_model.sigma); give DAEP(sigma=...), "
                "0 for a noise-free measurement."
            )
        values = torch.as_tensor(level, dtype=torch.float64).flatten().unique()
        if values.numel() != 1:
            raise ValueError("sigma: the physics states several noise levels; restore one level at a time.")
        check_sigma(float(values))
        return float(values)


def _check_measurement(y: Tensor | TensorList, physics: Physics) -> None:
    for part in y if isinstance(y, TensorList) else [y]:
        if not isinstance(part, Tensor) or not part.is_floating_point():
            raise ValueError(f"y: got {getattr(part, 'dtype', type(part).__name__)}; expected a floating-point tensor.")
        if not bool(part.isfinite().all()):
            raise ValueError("y: the measurement holds NaN or infinite values; expected finite numbers.")
    if not isinstance(physics, LinearPhysics):
        raise ValueError(f"physics: got {type(physics).__name__}; expected a deepinv LinearPhysics.")


def _check_image(x0: Tensor, y: Tensor | TensorList, physics: LinearPhysics, denoiser: nn.Module) -> None:
    """That ``x0`` is an image which the denoiser can take and which the physics maps to something shaped like ``y``."""
    if x0.ndim != 4:
        raise ValueError(f"y: it comes from an image of shape {_shape(x0)}; expected (B, C, H, W).")
    channels = getattr(denoiser, "in_channels", None)
    if isinstance(channels, int) and x0.shape[1] not in (1, channels):
        raise ValueError(f"y: it comes from images of {x0.shape[1]} channels; the denoiser takes {channels}, or 1.")
    try:
        mapped = _shape(physics.A(x0))
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ValueError(f"init: this physics does not take images of shape {_shape(x0)}: {error}") from error
    if mapped != _shape(y):
        raise ValueError(f"y: got shape {_shape(y)}; this physics maps images of {_shape(x0)} to {mapped}.")


def _shape(value: Tensor | TensorList) -> tuple[Any, ...]:
    return tuple(value.shape)


def _image(start: Any) -> Tensor:
    """The image in a start of any of deepinv's forms."""
    image: Tensor = start if isinstance(start, Tensor) else (start["est"] if isinstance(start, dict) else start)[0]
    return image


def _factor(x0: Any, y: Tensor | TensorList) -> int:
    image = _image(x0)
    return max(1, round(image.shape[-1] / y.shape[-1])) if isinstance(y, Tensor) and y.ndim == image.ndim == 4 else 1


def _schedule(
    preset: str, sigma: float, prior: DAEPrior, factor: int, length: int | None, schedule: Schedule | None
) -> Schedule:
    if schedule is not None:
        return schedule
    length_argument: dict[str, Any] = {} if length is None else {"iterations": length}
    width = prior.trained_width
    width_argument: dict[str, Any] = {} if width is None else {"width": width}
    if preset == "paper":
        return schedules.paper(sigma, **width_argument, **length_argument)
    if preset == "paper-sr":
        return schedules.paper_sr(factor, **width_argument, **length_argument)
    return schedules.default(sigma, width, length)


def _parameters(schedule: Schedule) -> dict[str, Any]:
    """deepinv's names for the columns of a schedule."""
    names = {"kernel_width": "g_param", "prior_weight": "lambda", "step": "stepsize"}
    return {names.get(name, name): list(values) for name, values in schedule.columns().items()}


def _output(X: dict[str, Any]) -> Tensor:
    """The running mean where the solver keeps one, else the iterate."""
    est = X["est"]
    out: Tensor = est[1] if len(est) == 3 else est[0]
    return out
