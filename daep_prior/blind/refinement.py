"""More rounds at the finest scale for the kernel that is chosen."""

from dataclasses import replace

import torch
from torch import Tensor

from daep_prior.blind.image_step import image_step
from daep_prior.blind.kernel_shape import fitted, scattered, trimmed
from daep_prior.blind.mean_shift import Denoise, mean_shift
from daep_prior.blind.one_start import Follow, misfit, one_round
from daep_prior.blind.pyramid import Scale, scales
from daep_prior.blind.settings import BlindSettings

#: Kernel widths of the restoration with the kernel as it is, images in [0, 1]. Chosen on ten training
#: crops, see ``docs/unknown-blur-measured.md``.
WIDTHS = (60 / 255, 40 / 255, 25 / 255, 15 / 255)
#: Largest growth of the misfit of a refined kernel. On these crops it grew by 6 % where the kernel became worse, and by
#: at most 2.2 % in the others.
GROWTH = 1.04


def refined(
    y: Tensor,
    denoise: Denoise,
    kernel: Tensor,
    settings: BlindSettings,
    seed: int = 0,
    follow: Follow | None = None,
    sharpen: Denoise | None = None,
) -> Tensor:
    """The kernel after more rounds of a narrow mean shift, which keep faint tails.

    The rounds of a start end before the kernel stands still. A refined kernel that explains the photograph worse, or is
    scattered, is not taken.

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``; the misfit is measured with it.
    :param torch.Tensor kernel: (n, n), n odd; not negative, sum 1, centred.
    :param int seed: of the noise.
    :param Callable follow: see :data:`daep_prior.blind.one_start.Follow`.
    :param Callable sharpen: the denoiser of the rounds; default: ``denoise``.
    :return: (m, m), as ``kernel``.
    """
    if settings.refining_rounds == 0:
        return kernel
    settings = replace(
        settings,
        rounds=settings.refining_rounds,
        widest=settings.refined_from,
        margin=settings.refined_margin,
        island=settings.refined_island,
        edges=settings.refined_edges,
    )
    scale = scales(y, settings)[-1]
    generator = torch.Generator().manual_seed(seed)
    new = fitted(kernel, scale.room)
    _, image = restored(scale, sharpen or denoise, new, settings, generator)
    before = misfit(scale, new, image, denoise)
    for number, width in enumerate(settings.widths(finest=True)):
        new, image = one_round(
            scale, new, image, sharpen or denoise, settings, width, settings.last_weight, True, generator
        )
        if follow is not None:
            follow(scale.factor, number, new)
    worse = misfit(scale, new, image, denoise) > GROWTH * before
    return kernel if worse or scattered(trimmed(new)) else trimmed(new)


def restored(
    scale: Scale, denoise: Denoise, kernel: Tensor, settings: BlindSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The last mean shift and the image of the restoration with ``kernel``, (1, 1, H, W), see :data:`WIDTHS`."""
    sharp = image = scale.y
    for width in WIDTHS:
        sharp = mean_shift(image, denoise, width, generator)
        image = image_step(sharp, scale.y, scale.known, kernel, settings.last_weight, settings.fills)
    return sharp, image
