r"""The mean-shift energy of a denoising autoencoder, its gradient, and their stochastic evaluation.

For the optimal DAE, ``A_s(x) - x = s^2 grad log (g_{s^2} * p)(x)`` (Theorem 1, eq. 6 of Bigdeli and Zwicker, *Image
Restoration using Autoencoding Priors*, VISAPP 2018): the mean-shift vector. Its squared length is the energy

    R_s(x) = 1/2 || A_s(x) - x ||^2 .

The network was trained on noisy images only. So both are evaluated at ``x - eps``, ``eps ~ N(0, s^2)``, and the
residual is taken against the clean ``x`` (eq. 8). Images are (B, C, H, W) in [0, 1]; a denoiser is any
``denoise(x, sigma)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from daep_prior.images import per_image, replicate

__all__ = ["energy", "energy_gradient", "mean_shift"]

Denoise = Callable[[Tensor, "float | Tensor"], Tensor]


def mean_shift(denoise: Denoise, x: Tensor, sigma: float | Tensor) -> Tensor:
    """The mean-shift vector ``A_s(x) - x`` (eq. 6), of the shape of ``x``."""
    return _denoised(denoise, x, sigma) - x


def energy(
    denoise: Denoise, x: Tensor, sigma: float | Tensor, noise: Sequence[Tensor] | None = None, replicas: int = 1
) -> Tensor:
    """``R_s(x) = 1/2 ||A_s(x - eps) - x||^2`` summed over C, H, W, averaged over the noise fields.

    :param Callable denoise: ``denoise(x, sigma)``.
    :param torch.Tensor x: images (B, C, H, W) in [0, 1].
    :param float, torch.Tensor sigma: kernel width ``s``, a number or one an image.
    :param list noise: standard normal fields, each (B, C * replicas, H, W); ``None``: evaluate at ``x`` itself.
    :param int replicas: equal channels in which the network sees a one-channel image (3 for a colour network). The
        energy is the mean over the replicas, so its weight against the data term does not depend on their number.
    :return: (B,).
    """
    x = replicate(x, replicas)
    total = torch.zeros(x.shape[0], dtype=x.dtype, device=x.device)
    fields: Sequence[Tensor | None] = noise or [None]
    for field in fields:
        total = total + (x - _denoised(denoise, _perturbed(x, sigma, field), sigma)).square().flatten(1).sum(1)
    return total / (2 * len(fields) * replicas)


def energy_gradient(
    denoise: Denoise,
    x: Tensor,
    sigma: float | Tensor,
    noise: Sequence[Tensor] | None = None,
    replicas: int = 1,
    jacobian: bool = True,
) -> Tensor:
    r"""Gradient of :func:`energy` (Algorithm 1), one forward and one vector-Jacobian product a noise field.

    With ``z = x - eps`` and ``e = x - A_s(z)`` it is ``e - J_A(z)^T e = J_{z - A(z)}^T e``. Without the Jacobian it is
    ``e``, the DMSP form (Bigdeli, Jin, Favaro, Zwicker, NIPS 2017): half the cost, no longer the gradient of an energy.

    The result carries a graph only if gradients are enabled and ``x`` or a parameter requires one (unfolded training).

    :param bool jacobian: apply ``I - J^T``. The other parameters are those of :func:`energy`.
    :return: (B, C, H, W).
    :raises ValueError: the denoiser cannot be differentiated, or returns another shape.
    """
    wide = replicate(x, replicas)
    fields: Sequence[Tensor | None] = noise or [None]

    def at(field: Tensor | None) -> Tensor:
        z = _perturbed(wide, sigma, field)
        return _pulled_residual(denoise, wide, z, sigma) if jacobian else wide - _denoised(denoise, z, sigma)

    total = at(fields[0])
    for field in fields[1:]:
        total = total + at(field)
    if len(fields) > 1:
        total = total / len(fields)
    return total.mean(1, keepdim=True) if replicas > 1 else total


def _pulled_residual(denoise: Denoise, x: Tensor, z: Tensor, sigma: float | Tensor) -> Tensor:
    """``J_{z - A(z)}^T (x - A(z))``."""
    keep_graph = torch.is_grad_enabled()
    asked = x.requires_grad or z.requires_grad or (isinstance(sigma, Tensor) and sigma.requires_grad)
    graph = keep_graph and (asked or _has_trainable(denoise))
    with torch.inference_mode(False), torch.enable_grad():
        if not (keep_graph and z.requires_grad):
            z = (z.clone() if z.is_inference() else z.detach()).requires_grad_()
        denoised = _denoised(denoise, z, sigma)
        if not denoised.requires_grad:
            raise ValueError(
                "denoiser: its output carries no gradient to its input, so the energy cannot be differentiated; "
                "use a denoiser without torch.no_grad() inside, or jacobian=False (DMSP)."
            )
        minus_shift, residual = z - denoised, x - denoised
        weight = residual if graph else residual.detach()
        try:
            (gradient,) = torch.autograd.grad(minus_shift, z, weight, create_graph=graph)
        except RuntimeError as error:
            if "second time" not in str(error):
                raise
            raise ValueError(
                "denoiser: its output is a gradient whose graph was freed, so the energy cannot be differentiated; "
                "keep the graph (deepinv's gradient-step denoisers: detach=False), or use jacobian=False (DMSP)."
            ) from error
    return gradient


def _denoised(denoise: Denoise, x: Tensor, sigma: float | Tensor) -> Tensor:
    out = denoise(x, sigma)
    if not isinstance(out, Tensor) or out.shape != x.shape:
        got = f"a tensor of shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(f"denoiser: it returned {got}; expected a tensor of its input's shape, {tuple(x.shape)}.")
    return out


def _has_trainable(denoise: Denoise) -> bool:
    return isinstance(denoise, torch.nn.Module) and any(p.requires_grad for p in denoise.parameters())


def _perturbed(x: Tensor, sigma: float | Tensor, field: Tensor | None) -> Tensor:
    # a view, because some denoisers call requires_grad_() on their input
    return x.view_as(x) if field is None else x - per_image(sigma, x) * field
