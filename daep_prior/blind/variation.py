"""Does the blur of a photograph vary over it? The found kernel, refined in each quarter."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from daep_prior.blind.mean_shift import Denoise
from daep_prior.blind.noise import less_noise, noise_level
from daep_prior.blind.refinement import refined
from daep_prior.blind.region import LEAST_SIDES, region_side, textured_square
from daep_prior.blind.settings import BlindSettings
from daep_prior.blind.several_starts import LEAST_TEXTURE, SHARPENED_FROM, texture
from daep_prior.blind.similarity import similarity

#: Similarity to the found kernel below which the kernel of a quarter may be another one, and its cost there, over that
#: of the found one, below which it is. In two training photographs whose blur varies, other kernels have similarities
#: of 0.86 to 0.91 and costs of 0.987 to 0.995. With one blur, kernels below 0.92 cost at least 0.996.
OTHER, BETTER = 0.92, 0.997


def other_quarters(
    y: Tensor,
    kernel: Tensor,
    denoise: Denoise,
    sharpen: Denoise,
    settings: BlindSettings,
    cost: Callable[[Tensor, Tensor], float],
    error: float = 0.0,
) -> int:
    """How many quarters of a photograph have another blur than the found one, 0 to 4.

    In the part of each quarter with the most texture, at most half as wide as the region in which kernels are sought,
    the kernel is refined, see :func:`daep_prior.blind.refinement.refined`. The blur is another one if the similarity of
    the two kernels is below :data:`OTHER`, and the refined one costs less than :data:`BETTER` times as much there.
    Parts that are too small or without texture, and those with less noise than
    :data:`daep_prior.blind.several_starts.SHARPENED_FROM`, count as equal.

    :param torch.Tensor y: photograph in grey, (1, 1, H, W) in [0, 1].
    :param torch.Tensor kernel: the found one, (n, n), n odd; not negative, sum 1, centred.
    :param Callable denoise: ``denoise(x, s)``, measures misfits.
    :param Callable sharpen: the denoiser of the rounds.
    :param Callable cost: how badly a kernel explains a photograph, ``cost(photograph, kernel)``.
    :param float error: root mean square error of the photograph beside its noise, such as that of JPEG, in [0, 1].
    """
    height, width = y.shape[-2] // 2, y.shape[-1] // 2
    side = region_side(settings.size) // 2
    number = 0
    for quarter in (y[..., rows, columns] for rows in _halves(height) for columns in _halves(width)):
        rows, columns = textured_square(quarter, side)
        part = quarter[..., rows, columns]
        noise = noise_level(part)
        small = min(part.shape[-2:]) < LEAST_SIDES * settings.size
        if small or max(noise, error) < SHARPENED_FROM or texture(part) < LEAST_TEXTURE:
            continue
        of_noise = settings.for_noise(noise)
        quieter = less_noise(part, denoise, noise, settings.denoised_share, settings)
        new = refined(quieter, denoise, kernel, of_noise.with_sharpener(noise), sharpen=sharpen)
        if similarity(new, kernel) < OTHER and cost(part, new) < BETTER * cost(part, kernel):
            number += 1
    return number


def _halves(length: int) -> tuple[slice, slice]:
    return slice(0, length), slice(-length, None)
