"""Properties of a denoiser: its arguments, its one noise level, the channels it takes, its device."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["channels_of", "check_takes_level", "device_of", "takes_volumes", "trained_level"]

#: Layers that mix channels over an image, and over a volume.
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
VOLUME_CONVOLUTIONS = (nn.Conv3d, nn.ConvTranspose3d)


def check_takes_level(denoiser: Callable[..., Tensor]) -> None:
    """Refuse a denoiser that cannot be called as ``denoiser(x, sigma)``.

    :raises TypeError: it takes other arguments.
    """
    function = denoiser.forward if isinstance(denoiser, nn.Module) else denoiser
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have no signature
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(
            f"denoiser: {type(denoiser).__name__} takes {signature}; expected (x, sigma), the images and their noise "
            "level; a denoiser for one level ignores the second and has it as attribute sigma."
        ) from error


def trained_level(denoiser: Any) -> float | None:
    """The one level that a denoiser is trained for, its attribute ``sigma``; ``None``: it does not say, or takes any.

    :raises ValueError: the attribute is a number, but no standard deviation for images in [0, 1].
    """
    trained = getattr(denoiser, "sigma", None)
    if isinstance(trained, bool) or not isinstance(trained, (int, float)):
        return None
    if not 0 < trained <= 1:
        raise ValueError(
            f"denoiser: its attribute sigma, the level it is trained for, is {trained}; expected a standard "
            "deviation for images in [0, 1], such as 25/255."
        )
    return float(trained)


def device_of(denoiser: Any) -> torch.device:
    """Device of the parameters; the CPU for a denoiser without any."""
    parameters = getattr(denoiser, "parameters", None)
    first = next(iter(parameters()), None) if callable(parameters) else None
    return torch.device("cpu") if first is None else first.device


def channels_of(denoiser: Any) -> tuple[int, ...] | None:
    """The numbers of channels that the denoiser takes; ``None``: unknown, it is then shown every image as it is.

    They are its attribute ``in_channels``, a number or several; else those of its last convolution, if its first one
    takes as many, or one more for the noise level.
    """
    stated = getattr(denoiser, "in_channels", None)
    if isinstance(stated, int) and not isinstance(stated, bool):
        return (stated,)
    if isinstance(stated, (list, tuple)) and stated and all(isinstance(count, int) for count in stated):
        return tuple(stated)
    if stated is not None or not isinstance(denoiser, nn.Module):
        return None
    layers = [m for m in denoiser.modules() if isinstance(m, (*CONVOLUTIONS, *VOLUME_CONVOLUTIONS))]
    if not layers:
        return None
    entry, leaving = layers[0].in_channels, layers[-1].out_channels
    return (leaving,) if entry in (leaving, leaving + 1) else None


def takes_volumes(denoiser: Any) -> bool:
    """Whether the denoiser takes volumes (B, C, D, H, W): it has convolutions over three axes."""
    return isinstance(denoiser, nn.Module) and any(isinstance(m, VOLUME_CONVOLUTIONS) for m in denoiser.modules())
