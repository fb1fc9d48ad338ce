"""The noise of a blurred photograph: its level, and a photograph with less of it."""

from torch import Tensor

from daep_prior.blind.mean_shift import Denoise
from daep_prior.blind.settings import NORMAL_MEDIAN, BlindSettings


def noise_level(grey: Tensor) -> float:
    """Noise of a blurred photograph (1, 1, H, W): its mixed second differences contain hardly anything else.

    In a sharp one, fine texture counts as noise, too.
    """
    mixed = grey[..., 1:, 1:] - grey[..., :-1, 1:] - grey[..., 1:, :-1] + grey[..., :-1, :-1]
    return float(mixed.abs().median()) / (2 * NORMAL_MEDIAN)


def less_noise(grey: Tensor, denoise: Denoise, noise: float, share: float, settings: BlindSettings) -> Tensor:
    r"""A photograph (1, 1, H, W) with less noise: the mean shift :math:`A_s(y)` with ``s = share * noise``.

    The image that is found keeps some of the noise of :math:`y`. So the kernel that blurs it into :math:`y` has a peak
    at one pixel, and with much noise nothing else. A photograph with less noise than ``settings.denoised_from`` is
    returned as it is.

    :param torch.Tensor grey: photograph in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    :param float noise: its noise level, images in [0, 1].
    :param float share: kernel width over the noise level, in (0, 1].
    """
    return grey if noise < settings.denoised_from else denoise(grey, share * noise)
