r"""The mean-shift energy of a denoising autoencoder, its gradient, and their stochastic evaluation.

For the optimal DAE, ``A_s(x) - x = s^2 grad log (g_{s^2} * p)(x)`` (Theorem 1, eq. 6 of Bigdeli and Zwicker, *Image
Restoration using Autoencoding Priors*, VISAPP 2018): the mean-shift vector. Its squared length is the energy

    R_s(x) = 1/2 || A_s(x) - x ||^2 .

The network was trained on noisy images only, so both are evaluated at ``x - eps``, ``eps ~ N(0, s^2)``, with the
residual taken against the clean ``x`` (eq. 8). Images are (B, C, H, W) in [0, 1]; a denoiser is any
``denoise(x, sigma)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from daep_prior.images import per_image, replicate

__all__ = ["NoiseSource", "energy", "energy_gradient", "mean_shift"]

Denoise = Callable[[Tensor, "float | Tensor"], Tensor]


class NoiseSource:
    """Standard normal fields ``eps / s`` for the stochastic evaluation (eq. 8), reproducible per image.

    Every image draws from its own stream, fixed by its seed alone, so that it is restored to the same result alone and
    in a batch. With one seed for all, every image sees the fields it would see alone.

    :param int, list seed: one seed for all images, or one an image.
    :param int samples: fields an evaluation; each costs one network evaluation.
    :param bool antithetic: use each field with both signs; doubles the network evaluations.
    :raises ValueError: fewer than one sample.
    """

    def __init__(self, seed: int | Sequence[int] = 0, samples: int = 1, antithetic: bool = False):
        if samples < 1:
            raise ValueError(f"samples: got {samples}; expected at least 1.")
        self.seed = seed
        self.samples = samples
        self.antithetic = antithetic
        self._generators: dict[torch.device, list[torch.Generator]] = {}

    def reset(self) -> None:
        """Start all streams again."""
        for generators in self._generators.values():
            for generator, seed in zip(generators, self._seeds(), strict=True):
                generator.manual_seed(seed)

    def generators(self, device: torch.device) -> list[torch.Generator]:
        """The streams on a device, as far as they have come; one, or one an image."""
        if device not in self._generators:
            self._generators[device] = [torch.Generator(device).manual_seed(s) for s in self._seeds()]
        return self._generators[device]

    def _seeds(self) -> list[int]:
        return [self.seed] if isinstance(self.seed, int) else list(self.seed)

    def seeds(self, images: int) -> list[int]:
        """One seed for all of so many images, or one an image.

        :raises ValueError: there are seeds for another number of images.
        """
        seeds = self._seeds()
        if len(seeds) not in (1, images):
            raise ValueError(f"seed: got {len(seeds)} seeds for {images} images; give one, or one an image.")
        return seeds

    def draw(self, x: Tensor) -> list[Tensor]:
        """Fields of the shape, type and device of ``x`` (B, C, H, W), which the streams move past.

        :raises ValueError: there are seeds for another number of images.
        """
        self.seeds(x.shape[0])
        generators = self.generators(x.device)
        fields = []
        for _ in range(self.samples):
            # float32 whatever the type of x, so that a float64 run sees the same noise
            parts = torch.empty((len(generators), *x.shape[1:]), device=x.device)
            for part, generator in zip(parts, generators, strict=True):
                part.normal_(generator=generator)
            field = parts.to(x.dtype).expand(x.shape)
            fields.extend([field, -field] if self.antithetic else [field])
        return fields


def mean_shift(denoise: Denoise, x: Tensor, sigma: float | Tensor) -> Tensor:
    """The mean-shift vector ``A_s(x) - x`` (eq. 6), shape of ``x``."""
    return _denoised(denoise, x, sigma) - x


def energy(
    denoise: Denoise, x: Tensor, sigma: float | Tensor, noise: Sequence[Tensor] | None = None, replicas: int = 1
) -> Tensor:
    """``R_s(x) = 1/2 ||A_s(x - eps) - x||^2`` summed over C, H, W, averaged over the noise fields.

    :param Callable denoise: ``denoise(x, sigma)``.
    :param torch.Tensor x: images (B, C, H, W) in [0, 1].
    :param float, torch.Tensor sigma: kernel width ``s``, a number or one an image.
    :param list noise: standard normal fields, each (B, C * replicas, H, W); ``None``: evaluate at ``x`` itself.
    :param int replicas: channels that a one-channel image is shown as (3 for a colour network); the energy is the mean
        over the replicas, so that its balance with the data term does not depend on them.
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

    No gradient for parameters is computed unless they ask for one. The result carries a graph only when gradients are
    enabled and ``x`` or a parameter asks for one (unfolded training).

    :param bool jacobian: whether to apply ``I - J^T``; the other parameters are those of :func:`energy`.
    :return: (B, C, H, W).
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
                "denoiser: it is a gradient itself and has thrown its graph away, so the energy has no gradient here; "
                "keep the graph (deepinv's gradient-step denoisers: detach=False), or use jacobian=False (DMSP)."
            ) from error
    return gradient


def _denoised(denoise: Denoise, x: Tensor, sigma: float | Tensor) -> Tensor:
    out = denoise(x, sigma)
    if not isinstance(out, Tensor) or out.shape != x.shape:
        got = f"a tensor of shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(f"denoiser: it returned {got}; expected a tensor of the shape it was given, {tuple(x.shape)}.")
    return out


def _has_trainable(denoise: Denoise) -> bool:
    return isinstance(denoise, torch.nn.Module) and any(p.requires_grad for p in denoise.parameters())


def _perturbed(x: Tensor, sigma: float | Tensor, field: Tensor | None) -> Tensor:
    # a view: some denoisers call requires_grad_() on what they are given
    return x.view_as(x) if field is None else x - per_image(sigma, x) * field
