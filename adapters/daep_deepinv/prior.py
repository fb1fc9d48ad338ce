"""The denoising-autoencoder prior as a ``deepinv.optim.Prior``."""

from __future__ import annotations

import os
from typing import Any

import torch
from deepinv.distributed.framework import DistributedProcessing
from deepinv.optim import Prior
from torch import Tensor, nn

from daep_deepinv.denoiser import as_denoiser
from daep_prior import MeanShiftPrior
from daep_prior.display import table
from daep_prior.tiling import Share, Tiler

__all__ = ["DAEPrior"]


class DAEPrior(MeanShiftPrior, Prior):
    r"""The mean-shift prior of a denoising autoencoder (DAEP; Bigdeli and Zwicker, VISAPP 2018).

    .. math::

        R_s(x) = \tfrac12 \| A_s(x) - x \|^2, \qquad
        \nabla R_s(x) = (x - A_s(x)) - J_{A_s}(x)^\top (x - A_s(x))

    with both evaluated at :math:`x - \epsilon`, :math:`\epsilon \sim \mathcal N(0, s^2)` (eq. 8). The kernel width
    :math:`s` is the prior's ``g_param``. A network that is trained for one level always acts, and draws its noise, at
    that level. It is :class:`daep_prior.MeanShiftPrior` with deepinv's method names.

    :param denoiser: any :class:`deepinv.models.Denoiser`, noise-conditional or not; a :class:`daep_prior.DAE`; a
        shipped name; or a weight file.
    :param options: ``noise`` ("fresh", "fixed" or "none"), ``jacobian``, ``seed``, ``sigma`` and ``tile`` of
        :class:`daep_prior.MeanShiftPrior`. ``jacobian=False`` has no energy: ``explicit_prior`` is then ``False``.
    :raises ValueError: an option out of its range.
    :raises TypeError: unknown option, or not a denoiser.

    >>> import torch
    >>> from daep_deepinv import DAEPrior
    >>> prior = DAEPrior("dae-sigma25", noise="fixed")
    >>> x = torch.rand(2, 3, 16, 16)
    >>> prior(x).shape, prior.grad(x).shape
    (torch.Size([2]), torch.Size([2, 3, 16, 16]))
    """

    _width_advice = "pass g_param (sigma_denoiser) to the optimizer, or DAEPrior(..., sigma=25/255)."

    def __init__(self, denoiser: nn.Module | str | os.PathLike[str] = "dae", **options: Any):
        Prior.__init__(self)
        MeanShiftPrior.__init__(self, as_denoiser(denoiser), **options)
        self.explicit_prior = self.jacobian

    def fn(self, x: Tensor, sigma: float | Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """Energy of each image (B,); see :meth:`daep_prior.MeanShiftPrior.value`.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor sigma: kernel width; a number or one an image.
        """
        return self.value(x, sigma)

    def grad(self, x: Tensor, sigma: float | Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """Gradient (B, C, H, W) of the energy; see :meth:`daep_prior.MeanShiftPrior.gradient`.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor sigma: kernel width; a number or one an image.
        :param kwargs: ``noise_share``, ``jacobian`` and ``flip`` of that method; others are ignored.
        """
        form = {name: kwargs[name] for name in ("noise_share", "jacobian", "flip") if name in kwargs}
        return self.gradient(x, sigma, **form)

    def prox(  # type: ignore[override]
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
        r"""Proximal operator of :math:`\gamma R_s`; see :meth:`daep_prior.MeanShiftPrior.prox`.

        :param float gamma: weight.
        :param float stepsize_inter: default ``1 / (1 + gamma L)``, which decreases the inner objective.
        :param int max_iter_inter: maximum number of inner steps.
        :param float tol_inter: stop when every image moves by less than this fraction of its norm.
        :return: (B, C, H, W).
        """
        inner = {"step": stepsize_inter, "iterations": max_iter_inter, "tolerance": tol_inter}
        return MeanShiftPrior.prox(self, x, gamma, sigma, **inner)  # type: ignore[arg-type]

    # -- deepinv.distributed wraps the denoiser ----------------------------------------------------------------------

    @property
    def _network(self) -> nn.Module:
        network: nn.Module = self.denoiser.processor if self._distributed else self.denoiser
        return network

    @property
    def _distributed(self) -> bool:
        return isinstance(self.denoiser, DistributedProcessing)

    def _evaluation(self, x: Tensor) -> tuple[nn.Module, Tiler, Share | None]:
        if not self._distributed:
            return super()._evaluation(x)
        wrapper, network = self.denoiser, self._network
        trained = any(p.requires_grad for p in network.parameters())
        if torch.is_grad_enabled() and (x.requires_grad or trained):
            # deepinv's wrapper sums the gradients of parameters; those of images it sums before it has them all
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

    # -- how it shows itself -----------------------------------------------------------------------------------------

    __repr__ = nn.Module.__repr__

    def extra_repr(self) -> str:
        return f"noise={self.noise!r}, jacobian={self.jacobian}, tile={self._tiler.tile!r}"

    def _repr_html_(self) -> str:
        width, network = self.trained_width, getattr(self.denoiser, "dae", self.denoiser)
        size = f"{type(network).__name__}, {sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters"
        level = "noise-conditional" if width is None else f"for a noise level of {255 * width:.4g}/255"
        energy = "½ ‖A(x - ε) - x‖²" if self.explicit_prior else "none: the mean shift alone (DMSP)"
        rows = {
            "energy": energy,
            "denoiser A": f"{size}, {level}",
            "noise ε": f"{self.noise}, one field a gradient, seed {self.seed}",
        }
        return table("DAEPrior", {name: (text, "") for name, text in rows.items()})
