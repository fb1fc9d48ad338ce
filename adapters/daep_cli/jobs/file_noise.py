"""The noise of a file's values: in light, in a JPEG, and beside a blur that was found."""

import math
import warnings

import numpy as np

from daep_cli.jobs.measurement import Measurement
from daep_cli.noise_option import AUTO
from daep_cli.photographs.tensors import to_tensor
from daep_cli.photographs.tone_curves import ToneCurve
from daep_cli.photographs.transparency import without_hidden
from daep_deepinv.blind.restoration import assumed_noise
from daep_deepinv.blind.varying_kernel import VaryingKernel
from daep_deepinv.noise.given import SignalNoise
from daep_deepinv.reconstructor import ESTIMATE

#: Side in pixels of the middle of an image, in which its noise is found. More pixels make it no more accurate.
NOISE_SIDE = 2048
#: Least variance of the read noise, relative to the mean variance.
LEAST_VARIANCE = 1e-3


def light_noise(measured: Measurement, curve: ToneCurve, level: float) -> SignalNoise:
    """The noise of amounts of light, if that of the values of a photograph has one level.

    The tone curve amplifies the noise by its slope: variance ``(level slope)^2``. As a function of the light this is
    close to a line for all usual curves. The line is fitted to the photograph's values: a gain, and read noise.

    :param float level: standard deviation of the values, white is 1.
    """
    values = to_tensor(without_hidden(measured.photo)).double().numpy().clip(0, 1).ravel()
    light, variance = curve.light(values), (level * curve.slope(values)) ** 2
    # relative errors count, or the shadows would have too much noise
    terms = np.stack([np.ones_like(light), light], axis=1) / variance[:, None]
    constant, gain = np.linalg.lstsq(terms, np.ones_like(light), rcond=None)[0]
    return SignalNoise(max(0.0, float(gain)), math.sqrt(max(float(constant), LEAST_VARIANCE * float(variance.mean()))))


def noise_to_estimate(measured: Measurement) -> str | SignalNoise:
    """The noise for ``--noise auto``: the solver estimates it, but for a blurred JPEG that is restored in light.

    The solver then gets amounts of light, which do not show the error of JPEG; the values of the file do. A warning is
    given for a blurred JPEG whose values do not show it.
    """
    if not measured.photo.metadata.lossy or measured.kernel is None:
        return ESTIMATE
    level = measured.jpeg_level()
    if level is None:
        text = f"--noise {AUTO}: may find too little noise in a JPEG; if the result shows rings, give 3 to 6."
        warnings.warn(text, stacklevel=2)
        return ESTIMATE
    return ESTIMATE if measured.curve is None else light_noise(measured.middle(NOISE_SIDE), measured.curve, level)


def noise_beside_found_blur(measured: Measurement) -> float | SignalNoise:
    """The noise of a photograph whose kernel was found in it; of a JPEG in light, at least the error of JPEG."""
    image, curve = measured.image(), measured.curve
    error = measured.kernel.error if isinstance(measured.kernel, VaryingKernel) else 0.0
    level = assumed_noise(image, error=error)
    jpeg = measured.jpeg_level() if curve is not None and measured.photo.metadata.lossy else None
    if curve is None or jpeg is None:
        return level
    light = light_noise(measured.middle(NOISE_SIDE), curve, jpeg)
    return light if math.sqrt(light.gain * float(image.mean()) + light.sigma**2) > level else level
