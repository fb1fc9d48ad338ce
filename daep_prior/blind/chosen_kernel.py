"""The last rounds of the kernel that is chosen: it is refined, and its bias is taken off."""

from torch import Tensor

from daep_prior.blind.correction import corrected
from daep_prior.blind.kernel_shape import spread
from daep_prior.blind.mean_shift import Denoise
from daep_prior.blind.one_start import WIDE, Cost, Follow
from daep_prior.blind.refinement import refined
from daep_prior.blind.settings import BlindSettings

#: Noise of the grey photograph below which the finest scale uses ``BlindSettings.last_weight``, images in [0, 1]. Mean
#: similarity to the true kernels of 14 training crops, two seeds, weight 0.04 and 0.01: seven with less noise 0.964 and
#: 0.973, 0.960 and 0.963; seven with more 0.917 and 0.911, 0.886 and 0.880.
LITTLE_NOISE = 0.008


def improved_kernel(
    y: Tensor,
    denoise: Denoise,
    kernel: Tensor,
    noise: float,
    settings: BlindSettings,
    seed: int = 0,
    follow: Follow | None = None,
    find: Denoise | None = None,
    cost: Cost | None = None,
) -> Tensor:
    """The kernel after its last rounds.

    If ``denoise`` found it, it is :func:`refined`, and with little noise :func:`corrected`. If a sharpener found it, it
    is refined with :meth:`BlindSettings.with_sharpener`; a wide one, :data:`WIDE`, also with
    :meth:`BlindSettings.with_long_refinement`. Of these kernels and the one before, the one that costs least is taken:
    a sharpener makes some kernels worse.

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    :param torch.Tensor kernel: (n, n), n odd; not negative, sum 1, centred.
    :param float noise: noise level of ``y``.
    :param BlindSettings settings: of ``denoise``.
    :param int seed: of the noise.
    :param Callable follow: see :data:`daep_prior.blind.one_start.Follow`.
    :param Callable find: the denoiser that found the kernel: ``denoise``, the default, or a sharpener.
    :param Callable cost: see :data:`daep_prior.blind.one_start.Cost`; default: the first refined kernel is taken.
    :return: (m, m), as ``kernel``.
    """
    if find is None or find is denoise:
        kernel = refined(y, denoise, kernel, settings, seed, follow)
        return corrected(y, denoise, kernel, noise, settings, seed, follow) if noise < LITTLE_NOISE else kernel
    settings = settings.with_sharpener()
    ways = [settings, settings.with_long_refinement()] if cost and spread(kernel) >= WIDE else [settings]
    found = [refined(y, denoise, kernel, way, seed, follow, find) for way in ways]
    if cost is None:
        return found[0]
    new = [one for one in found if one is not kernel]
    return min([kernel, *new], key=lambda one: cost(y, one)) if new else kernel
