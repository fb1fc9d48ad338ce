"""The denoising-autoencoder prior as a ``deepinv.optim.Prior``."""

from __future__ import annotations

import os
from typing import Any

import torch
from deepinv.distributed.framework import DistributedProcessing
from deepinv.optim import Prior
from torch import Tensor, nn

from daep_deepinv.denoiser import as_denoiser
from daep_deepinv.score import DAEScore
from daep_prior import MeanShiftPrior
from daep_prior.arguments import check_switch, whole_number
from daep_prior.neighbouring_slices import VolumePrior
from daep_prior.notebook import table
from daep_prior.tiling import Share, Tiler

__all__ = ["DAEPrior"]

#: Kernel width where neither the solver nor the prior has one, images in [0, 1]. The best fixed width, on average over
#: PGD, HQS, ADMM and DRS, for deblurring and missing pixels of training images (``benchmarks/gallery.py --widths``).
DEFAULT_WIDTH = 20 / 255
#: Inner steps of the exact proximal operator, if it is asked for without a number.
INNER_STEPS = 10


class DAEPrior(VolumePrior, Prior):
    r"""The mean-shift prior of a denoising autoencoder (DAEP; Bigdeli and Zwicker, VISAPP 2018).

    .. math::

        R_s(x) = \tfrac12 \| A_s(x) - x \|^2, \qquad
        \nabla R_s(x) = (x - A_s(x)) - J_{A_s}(x)^\top (x - A_s(x))

    with both evaluated at :math:`x - \epsilon`, :math:`\epsilon \sim \mathcal N(0, s^2)` (eq. 8). The kernel width
    :math:`s` is the prior's ``g_param``. A network that is trained for one level always acts, and draws its noise, at
    that level. It is :class:`daep_prior.MeanShiftPrior` with deepinv's method names.

    ``grad`` is exact. ``prox`` is one mean-shift step, at the cost of plug-and-play, unless ``max_iter_inter`` asks
    for the exact one. ``score`` is :math:`(A_s(x) - x) / s^2`; deepinv's samplers use it automatically, as that of a
    :class:`deepinv.optim.ScorePrior`.

    :param denoiser: any :class:`deepinv.models.Denoiser`, noise-conditional or not; a :class:`daep_prior.DAE`; a
        shipped name; or a weight file.
    :param options: ``noise`` ("fresh", "fixed" or "none"), ``jacobian``, ``seed``, ``sigma`` and ``tile`` of
        :class:`daep_prior.MeanShiftPrior`. ``jacobian=False`` has no energy: ``explicit_prior`` is then ``False``.
        Without any kernel width it is 20/255.
    :param bool explicit_prior: whether a solver evaluates the energy: as its cost, for backtracking, and to stop by it.
        Default: as ``jacobian``. ``False`` saves that evaluation at each iteration.
    :param int max_iter_inter: inner steps of an exact ``prox``; ``None``: one mean-shift step.
    :raises ValueError: an option out of its range.
    :raises TypeError: unknown option, or not a denoiser.

    >>> import torch
    >>> from daep_deepinv import DAEPrior
    >>> prior = DAEPrior("dae-sigma25", noise="fixed")
    >>> x = torch.rand(2, 3, 16, 16)
    >>> prior(x).shape, prior.grad(x).shape
    (torch.Size([2]), torch.Size([2, 3, 16, 16]))
    """

    def __init__(
        self,
        denoiser: nn.Module | str | os.PathLike[str] = "dae",
        *,
        explicit_prior: bool | None = None,
        max_iter_inter: int | None = None,
        **options: Any,
    ):
        Prior.__init__(self)
        MeanShiftPrior.__init__(self, as_denoiser(denoiser), **options)
        if explicit_prior and not self.jacobian:
            raise ValueError("explicit_prior: got True with jacobian=False, which has no energy; leave one out.")
        if explicit_prior is not None:
            check_switch("explicit_prior", explicit_prior)
        self.explicit_prior = self.jacobian if explicit_prior is None else explicit_prior
        self.max_iter_inter = None if max_iter_inter is None else whole_number("max_iter_inter", max_iter_inter)

    def kernel_width(self, width: float | Tensor | None = None) -> float | Tensor:
        """The kernel width of a call that gives ``width``; 20/255 if there is none."""
        none = width is None and self.sigma is None
        return super().kernel_width(DEFAULT_WIDTH if none else width)

    def as_score(self) -> DAEScore:
        """This prior as a :class:`deepinv.optim.ScorePrior`."""
        return DAEScore(self)

    def fn(
        self, x: Tensor, sigma: float | Tensor | None = None, *args: Any, reduce: bool = True, **kwargs: Any
    ) -> Tensor:
        """Energy of each image (B,); see :meth:`daep_prior.MeanShiftPrior.value`.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor sigma: kernel width; a number or one an image.
        :param bool reduce: ``False``: the sum over the batch, (). Only deepinv's ``optim_builder`` asks for it, to add
            up the energies; a weight ``lambda`` that is trained or an integer fits no other shape there.
        """
        value = self.value(x, sigma)
        return value if reduce else value.sum()

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
        max_iter_inter: int | None = None,
        tol_inter: float = 1e-4,
        **kwargs: Any,
    ) -> Tensor:
        r"""Proximal step of :math:`\gamma R_s`: one mean-shift step, or by ``max_iter_inter`` the exact operator.

        The mean-shift step has the length that plug-and-play has, 1, whatever :math:`\gamma` is. The exact operator is
        :meth:`daep_prior.MeanShiftPrior.prox`.

        :param float gamma: weight.
        :param float stepsize_inter: default ``1 / (1 + gamma L)``, which decreases the inner objective.
        :param int max_iter_inter: maximum number of inner steps, default that of the constructor. If it is ``None``,
            and ``stepsize_inter`` too: one mean-shift step.
        :param float tol_inter: stop when every image moves by less than this fraction of its norm.
        :return: (B, C, H, W).
        """
        max_iter_inter = self.max_iter_inter if max_iter_inter is None else max_iter_inter
        if max_iter_inter is None and stepsize_inter is None:
            return self.mean_shift_step(x, 1.0, sigma)
        max_iter_inter = INNER_STEPS if max_iter_inter is None else whole_number("max_iter_inter", max_iter_inter)
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
        energy = "½ ‖A(x - ε) - x‖²" if self.jacobian else "none: the mean shift alone (DMSP)"
        rows = {
            "energy": energy,
            "denoiser A": f"{size}, {level}",
            "noise ε": f"{self.noise}, one field a gradient, seed {self.seed}",
        }
        return table("DAEPrior", {name: (text, "") for name, text in rows.items()})
