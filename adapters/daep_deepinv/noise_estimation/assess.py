"""Compare the assumed noise with that of the measurement, and use what it shows; estimate it if none is assumed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.fourier_blur import FourierBlur
from daep_deepinv.noise.model import NoiseModel, Source
from daep_deepinv.noise_estimation.estimate import law_in_detail
from daep_deepinv.noise_estimation.patches import VisibleNoise, visible_noise
from daep_deepinv.noise_estimation.spectrum_fit import FINE_DETAIL, MAX_FREQUENCY, ChannelNoise, noise_spectra
from daep_deepinv.operators.measured import measured_values
from daep_prior.images import RGB

__all__ = ["assess_noise", "colour_noise"]

# Noise levels in these comments are of 255. The limits were chosen by hand, between the figures quoted, which were
# measured on crops of training images under blur.

#: The assumed level is overruled if the measurement shows this many times as much noise. White noise of 2.55 in colour
#: was found within 0.93 to 1.06 times its level on 40 crops.
OVERRIDE_RATIO = 1.3
#: The same for noise that the channels share, whose level is 1.73 times that of a channel: found 1.54 times and more.
SHARED_OVERRIDE_RATIO = 1.5
#: The same for grey images, where texture looked like noise above the ratio in one of 222 crops.
GREY_OVERRIDE_RATIO = 1.65
#: A measurement that is assumed noise-free is overruled above this level, images in [0, 1]. Rounding to 8 bits is
#: 0.29/255.
NOISE_FREE_LIMIT = 0.7 / 255
#: Coloured noise in grey is restored for this many times the assumed level, times the root of the ratio of
#: WEAKEST_RANGE[1] to the strength of the weakest mode (clipped to the range): it has less power than assumed at the
#: finest detail and more elsewhere. Noise of 2.55, 4.5 and 7.65: better by 0.6, 1.3 and 2.4 dB if averaged over 3 x 3
#: pixels, by 0.3, 0.3 and 0.0 dB if stored as JPEG 90, 85 and 75.
COLOURED_RATIO, WEAKEST_RANGE = 1.3, (0.1, 0.25)
#: Noise is white if its weakest mode has at least this share of the assumed level: 0.92 and more in white noise, about
#: 0.5 in JPEG 90, 0.3 in averaged noise.
WHITE_MODE_RATIO = 0.8
#: The assumed level is kept if the measurement shows at most this share of it: so little noise says nothing about the
#: noise, and the modes with it.
MIN_LEVEL_RATIO = 0.1
#: Standard deviation of rounding to 8 bits, images in [0, 1].
EIGHT_BITS = 1 / 255 / math.sqrt(12)
#: Frequency bands in which the noise of a blur is compared, cycles a pixel. Below the lowest the image is too strong.
LOW, MIDDLE, HIGH, ALL = (0.16, 0.32), (0.32, FINE_DETAIL), (FINE_DETAIL, MAX_FREQUENCY), (0.16, MAX_FREQUENCY)
#: Noise of the channel differences is not white if its level at low frequencies is this many times that at high ones:
#: 0.8 to 1.1 for white noise of 2.55, 1.5 to 29 for averaged noise (24 crops).
COLOURED_DIFFERENCES_RATIO = 1.5
#: The same for the channel mean at middle frequencies, where texture adds: at most 1.3 for noise that the channels
#: share, more in 18 of 24 crops stored as JPEG 90.
COLOURED_MEAN_RATIO = 1.3
#: A spectrum is used only if its level is at least this share of the assumed one; a weaker one is that of texture.
MIN_COLOURED_RATIO = 0.5
#: The channels share noise if their differences have at most this share of the level of their mean; 1: independent.
SHARED_RATIO = 0.67
#: The same where no level is assumed: at most 0.22 for shared noise of 2.55 on 40 crops, mostly more for JPEG files.
ESTIMATED_SHARED_RATIO = 0.25
#: Coloured noise is independent in the channels if its level in the mean is at most this many times that in the
#: differences (geometric mean over middle and high frequencies): 1.9 for averaged noise in all but three of 40 crops,
#: 2.4 and more for JPEG 90, which removes detail, and more of it in the differences.
INDEPENDENT_RATIO = 2.0


def assess_noise(
    y: Tensor,
    physics: LinearPhysics,
    image: Tensor,
    sigma: float | None,
    source: Source,
    *,
    check: bool,
    estimate: Callable[[int], NoiseModel],
    doubt: Callable[[int], NoiseModel | None] | None = None,
    one_level: bool = False,
) -> list[NoiseModel]:
    """The noise to restore each image for.

    :param torch.Tensor y: measurement (B, C, h, w).
    :param torch.Tensor image: an image (B, C, H, W) in the domain of the physics; its values do not matter.
    :param float sigma: assumed standard deviation, images in [0, 1]; ``None``: it is estimated.
    :param str source: how ``sigma`` is known.
    :param bool check: compare the assumed level with the noise visible in the measurement, and use noise that is shared
        or not white as such. ``False``: white noise of the assumed or estimated level.
    :param Callable estimate: the noise of the image of an index, for one whose noise is not visible.
    :param Callable doubt: where no noise is stated: the noise of the image of an index that contradicts that, or
        ``None``. ``None``: that is believed, if no noise is visible.
    :param bool one_level: the denoiser is for one level, so that ``estimate`` would fail; what is visible is used.
    :return: one an image. Where values do not depend on the image, as in a mask behind the blur, no noise is visible:
        the edges of the holes are no detail of the blur.
    """
    count = image.shape[0]
    if sigma is not None and not check:
        return [NoiseModel(sigma, source)] * count
    measured = measured_values(physics, y, image)
    whole = [True] * count if measured is None else measured.flatten(1).all(1).tolist()
    in_colour = colour_noise(y, physics, image, ESTIMATED_SHARED_RATIO if sigma is None else SHARED_RATIO)
    found = [noise if sigma is None else _compared(noise, sigma, source) for noise in in_colour]
    found = [noise if all_measured else None for noise, all_measured in zip(found, whole, strict=True)]
    visible = visible_noise(y, physics, image) if None in found else []
    for i, noise in enumerate(found):
        if noise is None:
            shown = visible[i] if whole[i] else None
            of_image = _from_patches(shown, sigma, source, partial(estimate, i), one_level, check)
            if sigma == 0 and shown is None and check and doubt is not None:
                of_image = doubt(i) or of_image
            elif sigma is None and check and shown is not None and shown.white:
                of_image = law_in_detail(y[i : i + 1]) or of_image
            found[i] = of_image
        elif not check:
            found[i] = NoiseModel(noise.level, noise.source)
        elif sigma is None and noise.differences is None and noise.spectrum is None:
            found[i] = law_in_detail(y[i : i + 1]) or noise
    return [noise for noise in found if noise is not None]


def _compared(noise: NoiseModel | None, sigma: float, source: Source) -> NoiseModel | None:
    """The noise found in colour against the assumed level; ``None``: the finest detail decides."""
    if noise is None:
        return None
    if noise.differences is not None:  # without an assumed level, texture that the channels share looks like noise
        return _overruled(noise, sigma) if noise.level > SHARED_OVERRIDE_RATIO * sigma > 0 else None
    if noise.level > max(OVERRIDE_RATIO * sigma, NOISE_FREE_LIMIT):
        return _overruled(noise, sigma)
    if noise.spectrum is None or noise.level < max(MIN_COLOURED_RATIO * sigma, NOISE_FREE_LIMIT):
        return NoiseModel(sigma, source)
    level = max(sigma, noise.level)
    return NoiseModel(level, "overruled", assumed=sigma, spectrum=noise.spectrum.scaled(level / noise.level))


def _overruled(noise: NoiseModel, sigma: float) -> NoiseModel:
    return NoiseModel(noise.level, "overruled", noise.differences, sigma, noise.spectrum)


def _from_patches(
    shown: VisibleNoise | None,
    sigma: float | None,
    source: Source,
    estimate: Callable[[], NoiseModel],
    one_level: bool,
    check: bool,
) -> NoiseModel:
    """The noise by the finest detail, where that is visible."""
    if sigma is None:
        if shown is not None and (shown.white or one_level):
            return NoiseModel(shown.level, "estimated")
        found = estimate()
        if not check:
            return NoiseModel(found.level, "estimated")
        return found if shown is None else NoiseModel(_level_by_patches(shown, found.level), "estimated")
    level = sigma if shown is None or not check else _level_by_patches(shown, sigma)
    return NoiseModel(sigma, source) if level == sigma else NoiseModel(level, "overruled", assumed=sigma)


def _level_by_patches(shown: VisibleNoise, sigma: float) -> float:
    """The level for an image whose noise is assumed to be ``sigma``."""
    if shown.white:
        return shown.level if shown.level > max(GREY_OVERRIDE_RATIO * sigma, NOISE_FREE_LIMIT) else sigma
    if shown.weakest >= WHITE_MODE_RATIO * sigma or shown.level <= MIN_LEVEL_RATIO * sigma:
        return sigma
    lowest, highest = WEAKEST_RANGE
    return COLOURED_RATIO * math.sqrt(highest / min(max(shown.weakest / sigma, lowest), highest)) * sigma


def colour_noise(
    y: Tensor, physics: LinearPhysics, image: Tensor, shared_ratio: float = SHARED_RATIO
) -> list[NoiseModel | None]:
    """The noise in each measurement of a blurred colour image.

    It is read from the differences between the channels, which contain little texture. Noise that is independent in the
    channels has the same level there as in the mean of the channels. If it has less, the channels share it.

    :param float shared_ratio: the channels share noise if the differences have at most this share of the mean's level.
    :return: one an image. ``None``: the noise is unknown, or not white and not the same in mean and differences; for
        all images, if they are not in colour or the physics is no blur.
    """
    if image.shape[1:2] != (RGB,):
        return [None] * image.shape[0]
    spectra = noise_spectra(y, physics, image)
    whitened = FourierBlur.handles(physics, image, y)
    return [None if noise is None else _of_spectra(noise, shared_ratio, whitened) for noise in spectra]


def _of_spectra(noise: ChannelNoise, shared_ratio: float, whitened: bool) -> NoiseModel | None:
    """One of :func:`colour_noise`; ``whitened``: the data term can use a spectrum."""
    mean, differences = noise.mean, noise.differences
    assert differences is not None
    middle, high, highest = mean.level(*MIDDLE)[0], *mean.level(*HIGH)
    low, at_most = differences.level(*LOW)[0], differences.level(*HIGH)[1]
    level = differences.level(*ALL)[0]
    if level < SHARED_RATIO * high:
        if middle > COLOURED_MEAN_RATIO * highest:
            return None
        unshared = max(differences.level(*band)[1] for band in (LOW, MIDDLE, HIGH))
        return NoiseModel(high, "estimated", max(unshared, EIGHT_BITS)) if unshared < shared_ratio * high else None
    if low <= max(COLOURED_DIFFERENCES_RATIO * at_most, EIGHT_BITS):
        return NoiseModel(level, "estimated")
    others = differences.level(*MIDDLE)[0] * differences.level(*HIGH)[0]
    spectrum = differences.known(LOW[0], EIGHT_BITS**2)
    if not whitened or spectrum is None or middle * high > INDEPENDENT_RATIO**2 * others:
        return None
    return NoiseModel(spectrum.total(), "estimated", spectrum=spectrum)
