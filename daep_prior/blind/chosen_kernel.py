"""The last rounds of the kernel that is chosen: it is refined, and its bias is taken off."""

from torch import Tensor

from daep_prior.blind.correction import corrected
from daep_prior.blind.faint_arms import with_faint_arms
from daep_prior.blind.kernel_shape import spread
from daep_prior.blind.mean_shift import Denoise
from daep_prior.blind.one_start import Cost, Follow
from daep_prior.blind.refinement import refined
from daep_prior.blind.settings import LITTLE_NOISE, WIDE, BlindSettings


def improved_kernel(
    y: Tensor,
    denoise: Denoise,
    kernel: Tensor,
    rating: float,
    noise: float,
    settings: BlindSettings,
    seed: int,
    follow: Follow | None,
    find: Denoise,
    cost: Cost | None,
) -> Tensor:
    """The kernel after its last rounds.

    If ``denoise`` found it, it is :func:`refined`, and with little noise :func:`corrected`. If a sharpener found it, it
    is refined with :meth:`BlindSettings.with_sharpener`; a wide one, :data:`WIDE`, also with
    :meth:`BlindSettings.with_long_refinement`. Of these kernels and the one before, the one that costs least is taken:
    a sharpener makes some kernels worse. Then its faint arms are sought, see
    :func:`daep_prior.blind.faint_arms.with_faint_arms`.

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    :param torch.Tensor kernel: (n, n), n odd; not negative, sum 1, centred.
    :param float rating: what ``kernel`` costs; without ``cost`` it is not used.
    :param float noise: noise level of the measured photograph; ``y`` may have less.
    :param BlindSettings settings: of ``denoise``.
    :param int seed: of the noise.
    :param Callable follow: see :data:`daep_prior.blind.one_start.Follow`.
    :param Callable find: the denoiser that found the kernel: ``denoise`` or a sharpener.
    :param Callable cost: see :data:`daep_prior.blind.one_start.Cost`; ``None``: the first refined kernel is taken.
    :return: (m, m), as ``kernel``.
    """
    if find is denoise:
        kernel = refined(y, denoise, kernel, settings, seed, follow)
        return corrected(y, denoise, kernel, noise, settings, seed, follow) if noise < LITTLE_NOISE else kernel
    settings = settings.with_sharpener(noise)
    ways = [settings, settings.with_long_refinement()] if cost and spread(kernel) >= WIDE else [settings]
    found = [refined(y, denoise, kernel, way, seed, follow, find) for way in ways]
    if cost is None:
        return found[0]
    rated = [(rating, kernel), *((cost(one), one) for one in found if one is not kernel)]
    rating, kernel = min(rated, key=lambda one: one[0])
    return with_faint_arms(y, denoise, find, kernel, rating, settings, seed, follow, cost)
