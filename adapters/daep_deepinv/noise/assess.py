"""What of a told noise level can be believed: the noise that a measurement shows, and what it is restored for."""

from __future__ import annotations

import math
from typing import NamedTuple

from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.fourier_blur import FourierBlur
from daep_deepinv.noise.patches import ShownNoise, shown_noise
from daep_deepinv.noise.spectrum import FINEST, LAST, ChannelNoise, NoiseSpectrum, noise_spectra
from daep_prior.images import RGB

__all__ = ["BelievedNoise", "NoiseWarning", "believed_noise", "colour_noise"]

#: A measurement that holds this many times the noise that was told is restored for the noise that it holds; one that
#: was told to be noise-free, if it holds more than so much. In colour white noise of 2.55 of 255 was found within 0.93
#: to 1.06 times on 40 crops of training images under blur; noise that the channels share, 1.73 times as strong as it is
#: told by rights, for 1.54 times and more. In grey white noise was taken for more in one of 222 crops, where texture
#: looks like it. Eight bits alone are 0.29 of 255.
EVIDENT, EVIDENT_IF_SHARED, EVIDENT_IN_GREY, EVIDENT_IN_NONE = 1.3, 1.5, 1.65, 0.7 / 255
#: Noise that is not white is taken for so many times the level that was told: what it has less of the finest detail it
#: has more of the rest. The more, with the root, the weaker its weakest mode is between these shares of the level. On
#: crops of training images with noise of 2.55, 4.5 and 7.65 of 255, better by 0.6, 1.3 and 2.4 dB where it was averaged
#: over 3 x 3 pixels, by 0.3, 0.3 and 0.0 dB where it was stored as JPEG 90, 85 and 75.
COLOURED, WEAKEST_SHARES = 1.3, (0.1, 0.25)
#: It is white, and texture what looks like more of it, if its weakest mode is no weaker than this share of the level:
#: 0.92 and more in white noise, 0.5 in the middle if stored as JPEG 90, 0.3 if averaged. But there must be some of it.
HELD, SOME = 0.8, 0.1
#: Rounding to eight bits.
EIGHT_BITS = 1 / 255 / math.sqrt(12)
#: Ranges of frequencies, cycles a pixel, in which the noise of a blur is compared.
LOW, MIDDLE, HIGH, ALL = (0.16, 0.32), (0.32, FINEST), (FINEST, LAST), (0.16, LAST)
#: Noise is not white if its level is so many times as high at low frequencies as at high ones, by which channels
#: differ; and of their mean, to which texture adds, at middle frequencies. On 24 crops of training images the former is
#: 0.8 to 1.1 for white noise of 2.55 of 255, 1.5 to 29 if it is averaged over 3 x 3 pixels; the latter at most 1.3 for
#: noise that the channels share, and more in 18 if it was stored as JPEG 90.
COLOURED_DIFFERENCES, COLOURED_MEAN = 1.5, 1.3
#: Noise that is not white is taken for less of it than was told only so far: its shape is that of what is left else.
HALF = 0.5
#: The channels share the noise if they differ by less than this share of it.
SHARED = 0.67
#: Where nothing is told that the noise contradicts, the channels share it only if they differ by less than this share:
#: on 40 crops at most 0.22 of shared noise of 2.55, and mostly more of noise that JPEG makes look so.
CERTAINLY_SHARED = 0.25
#: Noise that is not white is the same in mean and differences if its level is at most so many times as high in the
#: mean, at middle and high frequencies (geometric mean). On 40 crops noise of 2.55 averaged over 3 x 3 pixels has 1.9
#: times at most in all but three, of which texture is the cause; stored as JPEG 90, which takes away detail that is not
#: noise and more of it in the differences, 2.4 and more.
SAME = 2.0


class BelievedNoise(NamedTuple):
    """The noise that an image is restored for.

    :param float level: standard deviation for images in [0, 1].
    :param float differences: of what a channel differs by from their mean; less than ``level`` if they share the noise.
    :param NoiseSpectrum spectrum: of noise that is not white; ``None``: it is, or nothing better is known.
    """

    level: float
    differences: float
    spectrum: NoiseSpectrum | None = None

    @property
    def shared(self) -> bool:
        """Whether the channels share some of it."""
        return self.differences < self.level


class NoiseWarning(UserWarning):
    """A measurement is restored for other noise than was told."""


def believed_noise(
    sigma: float, y: Tensor, physics: LinearPhysics, image: Tensor, *, estimated: bool = False
) -> list[BelievedNoise]:
    """The noise to restore each image for: ``sigma``, or another if the measurement shows that it must be.

    :param float sigma: standard deviation that is told, for images in [0, 1].
    :param torch.Tensor y: measurement (B, C, h, w).
    :param torch.Tensor image: an image (B, C, H, W) that the physics takes.
    :param bool estimated: ``sigma`` is the noise that the measurement shows already.
    :return: one an image.
    """

    def taken(noise: BelievedNoise | None) -> BelievedNoise | None:
        """``None``: the finest detail is to be asked."""
        if noise is None or estimated:
            return noise
        if noise.shared:  # of noise that is told to be none texture is left, which the channels share
            return noise if noise.level > EVIDENT_IF_SHARED * sigma > 0 else None
        if noise.level > max(EVIDENT * sigma, EVIDENT_IN_NONE):
            return noise
        if noise.spectrum is None or noise.level < max(HALF * sigma, EVIDENT_IN_NONE):
            return BelievedNoise(sigma, sigma)
        level = max(sigma, noise.level)
        return BelievedNoise(level, level, noise.spectrum.scaled(level / noise.level))

    share = CERTAINLY_SHARED if estimated else SHARED
    believed = [taken(noise) for noise in colour_noise(y, physics, image, share)]
    shown = shown_noise(y, physics, image) if None in believed else None
    asked = [sigma] * len(believed) if shown is None else [_believed(sigma, noise) for noise in shown]
    return [
        BelievedNoise(level, level) if noise is None else noise for noise, level in zip(believed, asked, strict=True)
    ]


def colour_noise(y: Tensor, physics: LinearPhysics, image: Tensor, share: float = SHARED) -> list[BelievedNoise | None]:
    """The noise in each measurement of a blurred colour image.

    Told from what the channels differ by, where there is little texture: noise that is independent in the channels has
    the level there that it has in their mean. If it has less, they share it.

    :param float share: by how much less the channels must differ at most if they share the noise.
    :return: ``None`` for an image whose noise is not known, or not white and not the same in mean and differences; for
        all, if there are no colours, or the physics is no blur.
    """
    if image.shape[1:2] != (RGB,):
        return [None] * image.shape[0]
    spectra = noise_spectra(y, physics, image)
    whitened = FourierBlur.handles(physics, image, y)
    return [None if noise is None else _of_spectra(noise, share, whitened) for noise in spectra]


def _of_spectra(noise: ChannelNoise, share: float, whitened: bool) -> BelievedNoise | None:
    """One of :func:`colour_noise`; ``whitened``: the data term can have a spectrum."""
    mean, differences = noise.mean, noise.differences
    assert differences is not None
    middle, high, highest = mean.level(*MIDDLE)[0], *mean.level(*HIGH)
    low, at_most = differences.level(*LOW)[0], differences.level(*HIGH)[1]
    level = differences.level(*ALL)[0]
    white = low <= max(COLOURED_DIFFERENCES * at_most, EIGHT_BITS)
    if level < SHARED * high:
        if middle > COLOURED_MEAN * highest:
            return None
        unshared = max(differences.level(*group)[1] for group in (LOW, MIDDLE, HIGH))
        return BelievedNoise(high, max(unshared, EIGHT_BITS)) if unshared < share * high else None
    if white:
        return BelievedNoise(level, level)
    others = differences.level(*MIDDLE)[0] * differences.level(*HIGH)[0]
    spectrum = differences.known(LOW[0], EIGHT_BITS**2)
    if not whitened or spectrum is None or middle * high > SAME**2 * others:
        return None
    total = spectrum.total()
    return BelievedNoise(total, total, spectrum)


def _believed(sigma: float, shown: ShownNoise) -> float:
    """The level for an image whose noise is said to be ``sigma``."""
    if shown.white:
        return shown.level if shown.level > max(EVIDENT_IN_GREY * sigma, EVIDENT_IN_NONE) else sigma
    if shown.weakest >= HELD * sigma or shown.level <= SOME * sigma:
        return sigma
    lowest, highest = WEAKEST_SHARES
    return COLOURED * math.sqrt(highest / min(max(shown.weakest / sigma, lowest), highest)) * sigma
