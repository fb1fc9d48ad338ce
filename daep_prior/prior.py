"""The prior as one object on tensors: value, gradient, proximal step. What the adapter of a toolkit wraps."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from daep_prior.energy import NoiseSource, energy, energy_gradient
from daep_prior.images import replicate, replicated_level
from daep_prior.pretrained import load_dae

__all__ = ["MeanShiftPrior", "PriorSettings", "check_takes_level", "proximal_descent"]

#: Upper bound on the Lipschitz constant of the energy's gradient that the inner proximal solver steps by; the
#: residual Jacobian of a denoiser has norm about one, and curvature of the network adds a little.
GRADIENT_LIPSCHITZ = 2.0


class PriorSettings:
    """What every form of the prior shares: kernel width, noise of eq. 8 and proximal step. Has no constructor, so that
    it stands beside the base class that a toolkit demands.

    The class that inherits it has ``denoiser`` and ``sigma``, and calls :meth:`_choose_noise` when it is made.
    """

    denoiser: Any
    sigma: float | None
    noise: str
    _stream: NoiseSource
    #: What to do when no kernel width is given, the end of the message.
    _width_advice = "say one, for example sigma=25/255."

    def _choose_noise(self, noise: str, samples: int, antithetic: bool, seed: int | Sequence[int]) -> None:
        """Check and keep how eq. 8 is evaluated.

        :raises ValueError: unknown ``noise``, or fewer than one sample.
        """
        if noise not in ("fresh", "fixed", "none"):
            raise ValueError(f"noise: got {noise!r}; expected 'fresh', 'fixed' or 'none'.")
        self.noise = noise
        self._stream = NoiseSource(seed, samples, antithetic)

    @property
    def _network(self) -> Any:
        """The denoiser itself, if ``denoiser`` is wrapped."""
        return self.denoiser

    @property
    def trained_width(self) -> float | None:
        """The one level the denoiser is trained for; ``None`` if it is told the level, or does not say."""
        trained = getattr(self._network, "sigma", None)
        if isinstance(trained, bool) or not isinstance(trained, (int, float)):
            return None
        if not 0 < trained <= 1:
            raise ValueError(
                f"denoiser: its attribute sigma, the level it is trained for, is {trained}; expected a standard "
                "deviation for images in [0, 1], such as 25/255."
            )
        return float(trained)

    def kernel_width(self, width: float | Tensor | None = None) -> float | Tensor:
        """The width that is used when a solver asks for ``width``.

        :raises ValueError: there is none.
        """
        if self.trained_width is not None:
            return self.trained_width
        width = self.sigma if width is None else width
        if width is None:
            raise ValueError(
                "sigma: this prior's denoiser is noise-conditional and no kernel width was given; " + self._width_advice
            )
        return width

    def _network_width(self, x: Tensor, width: float | Tensor | None) -> float | Tensor:
        """The level at which the network works on ``x`` for a kernel of that width."""
        width = self.kernel_width(width)
        return width if self.trained_width is not None else replicated_level(width, self._replicas(x))

    def _gradient_fields(self, x: Tensor, noise_share: float) -> list[Tensor] | None:
        """The noise fields of one gradient at ``x``; ``None``: none."""
        fields = None
        if self.noise == "fresh" and noise_share > 0:
            fields = self._stream.draw(replicate(x, self._replicas(x)))
        elif self.noise == "fixed" and noise_share > 0:
            fields = self._fixed_fields(x)
        if fields is not None and noise_share != 1:
            fields = [noise_share * field for field in fields]
        return fields

    def _fixed_fields(self, x: Tensor) -> list[Tensor]:
        stream = NoiseSource(self._stream.seed, self._stream.samples, self._stream.antithetic)
        return stream.draw(replicate(x, self._replicas(x)))

    def _replicas(self, x: Tensor) -> int:
        channels = getattr(self._network, "in_channels", None)
        return channels if x.ndim == 4 and x.shape[1] == 1 and isinstance(channels, int) and channels > 1 else 1


def check_takes_level(denoiser: Callable[..., Tensor]) -> None:
    """Refuse a denoiser that cannot be called as ``denoiser(x, sigma)``.

    :raises TypeError: it takes other arguments.
    """
    function = denoiser.forward if isinstance(denoiser, torch.nn.Module) else denoiser
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some built-in functions nobody knows
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(
            f"denoiser: {type(denoiser).__name__} takes {signature}; expected (x, sigma), the images and their noise "
            "level; a denoiser for one level ignores the second and has it as attribute sigma."
        ) from error


def proximal_descent(
    gradient: Callable[[Tensor], Tensor],
    x: Tensor,
    weight: float | Tensor,
    step: float | Tensor | None,
    iterations: int,
    tolerance: float,
) -> Tensor:
    """``argmin_z weight R(z) + 1/2 ||z - x||^2`` by gradient descent from ``x`` (B, ...).

    The parameters are those of :meth:`MeanShiftPrior.prox`, ``gradient`` is that of ``R``.
    """
    length = 1 / (1 + weight * GRADIENT_LIPSCHITZ) if step is None else step
    z = x
    for _ in range(iterations):
        move = length * (z - x + weight * gradient(z))
        z = z - move
        if bool((move.flatten(1).norm(dim=1) <= tolerance * z.flatten(1).norm(dim=1)).all()):
            break
    return z


class MeanShiftPrior(PriorSettings):
    r"""``R_s(x) = 1/2 ||A_s(x - eps) - x||^2`` (Bigdeli and Zwicker, VISAPP 2018, eq. 6 to 8) with a denoiser ``A``.

    :param denoiser: a DAE or any ``denoiser(x, sigma)`` on images (B, C, H, W) in [0, 1]; a shipped name; or a weight
        file. A denoiser with a number ``sigma`` as attribute is trained for that level alone, which is then the
        kernel width whatever a solver asks for.
    :param str noise: how eq. 8 is evaluated. ``"fresh"`` (the paper): every gradient draws new noise. ``"fixed"``: the
        same noise at every call, so that the gradient is exactly that of the value. ``"none"``: no noise.
    :param int samples: noise fields a gradient; the cost grows in proportion.
    :param bool antithetic: use each field with both signs.
    :param bool jacobian: ``False`` gives the DMSP form (no Jacobian, half the cost), which has no energy.
    :param int, list seed: of the noise; one for all images or one an image.
    :param float sigma: kernel width ``s`` when none is passed, a standard deviation for images in [0, 1].
    :param str, torch.device device: where a network is put; default: where it is, the CPU for one that is loaded.
    :raises ValueError: unknown ``noise``, a ``sigma`` that is not positive, or fewer than one sample.
    :raises TypeError: not a denoiser.

    >>> import torch
    >>> from daep_prior import MeanShiftPrior
    >>> prior = MeanShiftPrior("dae", sigma=25 / 255)
    >>> x = torch.rand(2, 3, 16, 16)
    >>> prior.value(x).shape, prior.gradient(x).shape
    (torch.Size([2]), torch.Size([2, 3, 16, 16]))
    """

    def __init__(
        self,
        denoiser: Callable[..., Tensor] | str | os.PathLike[str] = "dae",
        *,
        noise: Literal["fresh", "fixed", "none"] = "fresh",
        samples: int = 1,
        antithetic: bool = False,
        jacobian: bool = True,
        seed: int | Sequence[int] = 0,
        sigma: float | None = None,
        device: str | torch.device | None = None,
    ):
        self._choose_noise(noise, samples, antithetic, seed)
        if sigma is not None and not 0 < sigma < float("inf"):
            raise ValueError(f"sigma: got {sigma}; expected a positive kernel width, for images in [0, 1].")
        self.denoiser: Any = load_dae(denoiser) if isinstance(denoiser, (str, os.PathLike)) else denoiser
        if not callable(self.denoiser):
            raise TypeError(
                f"denoiser: got {type(denoiser).__name__}; expected a DAE, a function of (x, sigma), a shipped name or "
                "a weight file."
            )
        check_takes_level(self.denoiser)
        if device is not None and isinstance(self.denoiser, torch.nn.Module):
            self.denoiser.to(device)
        self.jacobian = jacobian
        self.sigma = sigma

    def __repr__(self) -> str:
        width = self.trained_width or self.sigma
        told = "a width that the solver says" if width is None else f"width {255 * width:g}/255"
        return f"{type(self).__name__}({type(self.denoiser).__name__}, {told}, noise={self.noise!r})"

    def reset(self) -> None:
        """Start the noise again: the same calls then give the same results."""
        self._stream.reset()

    @property
    def device(self) -> torch.device:
        """Where the denoiser computes; the CPU for one that does not say."""
        parameters = getattr(self.denoiser, "parameters", None)
        first = next(iter(parameters()), None) if callable(parameters) else None
        return torch.device("cpu") if first is None else first.device

    def value(self, x: Tensor, width: float | Tensor | None = None) -> Tensor:
        """Energy of each image, always at the same noise (or none), so that values can be compared.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor width: kernel width; a number or one an image.
        :return: (B,).
        """
        fields = None if self.noise == "none" else self._fixed_fields(x)
        return energy(self.denoiser, x, self._network_width(x, width), fields, self._replicas(x))

    def gradient(
        self,
        x: Tensor,
        width: float | Tensor | None = None,
        *,
        noise_share: float = 1.0,
        jacobian: bool = True,
    ) -> Tensor:
        """Gradient of the energy (Algorithm 1), or the mean-shift vector ``x - A(x - eps)`` without the Jacobian.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor width: kernel width; a number or one an image.
        :param float noise_share: share of the noise of eq. 8 that is used, 1: all, 0: none.
        :param bool jacobian: ``False``: without the Jacobian, this time.
        :return: (B, C, H, W).
        """
        fields = self._gradient_fields(x, noise_share)
        level, jacobian = self._network_width(x, width), self.jacobian and jacobian
        return energy_gradient(self.denoiser, x, level, fields, self._replicas(x), jacobian)

    def prox(
        self,
        x: Tensor,
        weight: float | Tensor,
        width: float | Tensor | None = None,
        *,
        step: float | None = None,
        iterations: int = 10,
        tolerance: float = 1e-4,
    ) -> Tensor:
        r"""``argmin_z weight R_s(z) + 1/2 ||z - x||^2`` by gradient descent from ``x``.

        Each inner step costs a gradient; solvers that take the gradient itself are cheaper with this prior.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float weight: weight of the energy.
        :param float, torch.Tensor width: kernel width; a number or one an image.
        :param float step: default ``1 / (1 + weight L)``, which decreases the inner objective.
        :param int iterations: most inner steps.
        :param float tolerance: stop when every image moves by less than this fraction of its norm.
        :return: (B, C, H, W).
        """
        return proximal_descent(lambda z: self.gradient(z, width), x, weight, step, iterations, tolerance)
