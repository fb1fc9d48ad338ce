"""The denoising-autoencoder prior as a ``deepinv.optim.Prior``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import torch
from deepinv.distributed.framework import DistributedProcessing
from deepinv.optim import Prior
from torch import Tensor, nn

from daep_deepinv.denoiser import as_denoiser
from daep_prior import NoiseSource
from daep_prior.display import table
from daep_prior.prior import PriorSettings, proximal_descent
from daep_prior.tiling import Share, Tiler, TileSize

__all__ = ["DAEPrior"]


class DAEPrior(PriorSettings, Prior):
    r"""The mean-shift prior of a denoising autoencoder (DAEP; Bigdeli and Zwicker, VISAPP 2018).

    .. math::

        R_s(x) = \tfrac12 \| A_s(x) - x \|^2, \qquad
        \nabla R_s(x) = (x - A_s(x)) - J_{A_s}(x)^\top (x - A_s(x))

    with both evaluated at :math:`x - \epsilon`, :math:`\epsilon \sim \mathcal N(0, s^2)` (eq. 8). The kernel width
    :math:`s` is the prior's ``g_param``; a network that is trained for one level always acts, and draws its noise,
    at that level.

    :param denoiser: any :class:`deepinv.models.Denoiser`, noise-conditional or not; a :class:`daep_prior.DAE`; a
        shipped name; or a weight file.
    :param str noise: how eq. 8 is evaluated. ``"fresh"`` (the paper): every gradient draws new noise. ``"fixed"``:
        the same noise at every call, so that the gradient is exactly that of the value and solvers can converge to a
        point. ``"none"``: no noise.
    :param int samples: noise fields a gradient; the cost grows in proportion.
    :param bool antithetic: use each field with both signs.
    :param bool jacobian: ``False`` gives the DMSP form (no Jacobian, half the cost), which has no energy:
        ``explicit_prior`` is then ``False``.
    :param int, list seed: of the noise; one for all images or one an image. :meth:`reset` starts the noise again.
    :param float sigma: kernel width when the solver passes none (``g_param=None``), images in [0, 1].
    :param tile: for images too large for memory, see :class:`daep_prior.tiling.Tiler`. ``"auto"``: evaluate in tiles
        when the image does not fit; a number: in tiles of that many pixels in height and width; ``None``: never.
    :raises ValueError: unknown ``noise`` or ``tile``, or fewer than one sample.
    :raises TypeError: not a denoiser.

    >>> import torch
    >>> from daep_deepinv import DAEPrior
    >>> prior = DAEPrior("dae-sigma25", noise="fixed")
    >>> x = torch.rand(2, 3, 16, 16)
    >>> prior(x).shape, prior.grad(x).shape
    (torch.Size([2]), torch.Size([2, 3, 16, 16]))
    """

    _width_advice = "pass g_param (sigma_denoiser) to the optimizer, or DAEPrior(..., sigma=25/255)."

    def __init__(
        self,
        denoiser: nn.Module | str | os.PathLike[str] = "dae",
        *,
        noise: Literal["fresh", "fixed", "none"] = "fresh",
        samples: int = 1,
        antithetic: bool = False,
        jacobian: bool = True,
        seed: int | Sequence[int] = 0,
        sigma: float | None = None,
        tile: TileSize = "auto",
    ):
        super().__init__()
        self._choose_noise(noise, samples, antithetic, seed)
        self.denoiser: Any = as_denoiser(denoiser)
        self.jacobian = jacobian
        self.sigma = sigma
        self.explicit_prior = jacobian
        self._tiler = Tiler(tile)

    def reset(self) -> None:
        """Start the noise again, so that the same calls give the same results, and look at the free memory again."""
        self._stream.reset()
        self._tiler.reset()

    def seeds(self, images: int) -> list[int]:
        """The seed of all, or one of each of so many images.

        :raises ValueError: there are seeds for another number of images.
        """
        return self._stream.seeds(images)

    def use_seeds(self, seed: int | Sequence[int]) -> None:
        """Draw the noise from other seeds, from their start."""
        self._stream = NoiseSource(seed, self._stream.samples, self._stream.antithetic)

    def fn(self, x: Tensor, sigma: float | Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """Energy of each image, always at the same noise (or none), so that values can be compared.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor sigma: kernel width; a number or one an image.
        :return: (B,).
        """
        width = self._network_width(x, sigma)
        fields = self._fixed_fields(x) if self.noise != "none" else None
        network, tiler, share = self._evaluation(x)
        return tiler.energy(network, x, width, fields, self._replicas(x), share)

    def grad(
        self,
        x: Tensor,
        sigma: float | Tensor | None = None,
        *args: Any,
        noise_share: float = 1.0,
        jacobian: bool = True,
        **kwargs: Any,
    ) -> Tensor:
        """Gradient of the energy (Algorithm 1), or the mean-shift vector ``x - A(x - eps)`` without the Jacobian.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor sigma: kernel width; a number or one an image.
        :param float noise_share: share of the noise of eq. 8 that is used, 1: all, 0: none.
        :param bool jacobian: ``False``: without the Jacobian, this time.
        :return: (B, C, H, W).
        """
        width, jacobian = self._network_width(x, sigma), self.jacobian and jacobian
        fields = self._gradient_fields(x, noise_share)
        network, tiler, share = self._evaluation(x)
        return tiler.gradient(network, x, width, fields, self._replicas(x), jacobian, share)

    def denoise(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """The denoiser itself at ``x`` (B, C, H, W), in tiles where the gradient would be, and without noise added."""
        network, tiler, share = self._evaluation(x)
        return tiler.denoise(network, x, self.kernel_width(sigma), share)

    def prox(
        self,
        x: Tensor,
        sigma: float | Tensor | None = None,
        *args: Any,
        gamma: float | Tensor = 1.0,
        stepsize_inter: float | None = None,
        max_iter_inter: int = 10,
        tol_inter: float = 1e-4,
        **kwargs: Any,
    ) -> Tensor:
        r"""Proximal operator of :math:`\gamma R_s`, by gradient descent from ``x``.

        Each inner step costs a gradient; solvers that take the gradient itself are cheaper with this prior.

        :param float gamma: weight.
        :param float stepsize_inter: default ``1 / (1 + gamma L)``, which decreases the inner objective.
        :param int max_iter_inter: most inner steps.
        :param float tol_inter: stop when every image moves by less than this fraction of its norm.
        :return: (B, C, H, W).
        """
        return proximal_descent(lambda z: self.grad(z, sigma), x, gamma, stepsize_inter, max_iter_inter, tol_inter)

    @property
    def _network(self) -> nn.Module:
        """The denoiser, out of the wrapping that ``deepinv.distributed.distribute`` gives it."""
        network: nn.Module = self.denoiser.processor if self._distributed else self.denoiser
        return network

    @property
    def _distributed(self) -> bool:
        return isinstance(self.denoiser, DistributedProcessing)

    def _evaluation(self, x: Tensor) -> tuple[nn.Module, Tiler, Share | None]:
        """What is evaluated, in which tiles, and with whom these are shared."""
        if not self._distributed:
            return self.denoiser, self._tiler, None
        wrapper, network = self.denoiser, self._network
        trained = any(p.requires_grad for p in network.parameters())
        if torch.is_grad_enabled() and (x.requires_grad or trained):
            # deepinv's wrapper adds up the gradients of parameters; but those of images it adds up before it has all
            if self.jacobian and wrapper.ctx.world_size > 1:
                raise ValueError(
                    "jacobian: deepinv's distributed denoiser cannot be differentiated twice on several processes; "
                    "train in one process, or with jacobian=False (DMSP)."
                )
            return wrapper, Tiler(None), None
        if wrapper.strategy is not None:
            raise ValueError(
                "tiling_strategy: this prior cuts its own tiles, whose halo is that of the gradient; "
                "give distribute(..., patch_size=...) alone."
            )
        patch = wrapper.strategy_kwargs["patch_size"]
        return network, Tiler(patch if isinstance(patch, int) else min(patch)), wrapper.ctx

    def _repr_html_(self) -> str:
        width, network = self.trained_width, getattr(self.denoiser, "dae", self.denoiser)
        size = f"{type(network).__name__}, {sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters"
        level = "told the noise level" if width is None else f"for a noise level of {255 * width:.4g}/255"
        energy = "½ ‖A(x - ε) - x‖²" if self.explicit_prior else "none: the mean shift alone (DMSP)"
        noise = f"{self.noise}, {self._stream.samples} a gradient, seed {self._stream.seed}"
        rows = {"energy": energy, "denoiser A": f"{size}, {level}", "noise ε": noise}
        return table("DAEPrior", {name: (text, "") for name, text in rows.items()})

    def extra_repr(self) -> str:
        noise = f"noise={self.noise!r}, samples={self._stream.samples}"
        return f"{noise}, jacobian={self.jacobian}, tile={self._tiler.tile!r}"
