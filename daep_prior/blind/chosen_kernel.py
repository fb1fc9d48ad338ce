"""The last rounds of the kernel that is chosen: it is refined, and its bias is taken off."""

from torch import Tensor

from daep_prior.blind.correction import corrected
from daep_prior.blind.faint_arms import with_faint_arms
from daep_prior.blind.mean_shift import Denoise
from daep_prior.blind.one_start import Cost, Follow
from daep_prior.blind.refinement import refined
from daep_prior.blind.settings import LITTLE_NOISE, BlindSettings


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
    is refined with :meth:`BlindSettings.with_sharpener`, and the better one of both with
    :meth:`BlindSettings.with_long_refinement`. A refined kernel is taken only if it costs less: a sharpener makes some
    kernels worse. Then its faint arms are sought, see :func:`daep_prior.blind.faint_arms.with_faint_arms`.

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    :param torch.Tensor kernel: (n, n), n odd; not negative, sum 1, centred.
    :param float rating: what ``kernel`` costs; without ``cost`` it is not used.
    :param float noise: noise level of ``y``.
    :param BlindSettings settings: of ``denoise``.
    :param int seed: of the noise.
    :param Callable follow: see :data:`daep_prior.blind.one_start.Follow`.
    :param Callable find: the denoiser that found the kernel: ``denoise`` or a sharpener.
    :param Callable cost: see :data:`daep_prior.blind.one_start.Cost`; ``None``: the first refinement is taken.
    :return: (m, m), as ``kernel``.
    """
    if find is denoise:
        kernel = refined(y, denoise, kernel, settings, seed, follow)
        return corrected(y, denoise, kernel, noise, settings, seed, follow) if noise < LITTLE_NOISE else kernel
    settings = settings.with_sharpener()
    if cost is None:
        return refined(y, denoise, kernel, settings, seed, follow, find)
    for way in (settings, settings.with_long_refinement()):
        new = refined(y, denoise, kernel, way, seed, follow, find)
        if new is not kernel and (new_rating := cost(y, new)) < rating:
            kernel, rating = new, new_rating
    return with_faint_arms(y, denoise, find, kernel, rating, settings, seed, follow, cost)
