"""How much JPEG has changed a photograph, read from the pixels: its quantised block transform shows in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from deepinv.physics import Denoising, LinearPhysics
from torch import Tensor

from daep_deepinv.noise.model import NoiseModel, Source
from daep_deepinv.operators.geometry import image_geometry
from daep_deepinv.operators.measured import measured_values
from daep_prior.images import RGB

__all__ = ["JpegTraces", "covering_jpeg", "jpeg_level", "jpeg_traces"]

# Values are 0 to 255 in this file, but for parameters and results of its public functions.

#: Side of a block, pixels.
BLOCK = 8
#: Luminance of red, green and blue (ITU-R BT.601), which JPEG stores.
LUMINANCE = (0.299, 0.587, 0.114)
#: Largest side of the middle part that is looked at, pixels.
SIDE = 1536
#: Largest number of blocks that are looked at, and for the position of the grid; least number.
BLOCKS, GRID_BLOCKS, LEAST_BLOCKS = 2000, 300, 64
#: Quantisation steps that are looked for. Those of an 8-bit file are at most 255; below 2, rounding hides them.
STEPS = range(2, 122)
#: Rounding error of a coefficient: of the luminance, and of the three channels. Share of the agreement that it leaves
#: which is asked for.
ROUNDING, AGREEMENT = 0.4, 0.85
#: Least number of coefficients beyond half a step, for a step; and for a file to count as JPEG, in how many places.
LEAST_VALUES, SURE_VALUES, SURE_PLACES = 4, 20, 4
#: A coefficient below this in all blocks was set to 0. Between 0 and one step there are no others; largest share of
#: those beyond half a step.
ZERO, BETWEEN = 1.5, 0.1
#: Least sum of quantised values in a place whose scale enters the fit, and where its weight is largest.
FITTED, WELL_FITTED = 5, 200
#: A given or stated level is kept if JPEG shows less than this share of it. Otherwise, at least this many times
#: as much is assumed. Noise of 7.65/255, stated rightly, quality 90 and 95: three training crops have 25.1 dB if it is
#: kept, 28.7 for what JPEG shows, 29.9 for 1.15 times the level; two others lose 0.1 to 0.6 dB.
SHOWN, MARGIN = 0.9, 1.15
#: What is said of the noise.
WORDS = "white Gaussian, to cover what JPEG has changed"
#: Largest difference of an 8-bit image from whole numbers.
WHOLE = 0.02
#: Of :func:`_noise`: the quantile of the bounds that is taken, and the largest share that is believed.
QUANTILE, LARGEST_SHARE = 0.15, 0.99
#: The level is ``hypot(OF_ERROR e, OF_NOISE s)`` for an error ``e`` and a noise ``s`` of the luminance: in colour,
#: where the channels share them, and in grey, where other means find the noise. Chosen by
#: ``benchmarks/jpeg_noise.py`` on blurred training crops.
OF_ERROR, OF_NOISE = {RGB: 0.7, 1: 1.3}, {RGB: 1.6, 1: 0.0}


def covering_jpeg(
    found: Sequence[NoiseModel], y: Any, physics: LinearPhysics, start: Tensor, assumed: float | None, source: Source
) -> list[NoiseModel]:
    """The noise of blurred photographs, at least what JPEG asks for, see :func:`jpeg_level`.

    Photographs whose pixels are sharp (noisy, smaller, or some missing) want less: their restoration does not amplify
    the error, and their texture looks like noise.

    :param Sequence found: the noise of each by other means. Without an ``assumed`` level, the larger one is taken.
    :param y: measurement (B, C, h, w) in [0, 1].
    :param torch.Tensor start: (B, C, H, W).
    :param float assumed: the level that was given or stated, images in [0, 1]; ``None``: it is estimated.
    :param str source: how ``assumed`` is known.
    """
    alike = isinstance(y, Tensor) and y.ndim == start.ndim == 4 and y.shape[1] == start.shape[1]
    if not alike or isinstance(physics, Denoising):
        return list(found)
    levels = [jpeg_level(one[None]) for one in y]
    if not any(levels) or measured_values(physics, y, start) is not None:
        return list(found)
    geometry = image_geometry(physics, start)
    if geometry is None or geometry.factor != 1:
        return list(found)
    return [_covering(noise, level, assumed, source) for noise, level in zip(found, levels, strict=True)]


def _covering(found: NoiseModel, level: float | None, assumed: float | None, source: Source) -> NoiseModel:
    if level is None:
        return found
    if assumed is None:
        return found if level <= found.level else NoiseModel(level, "estimated", words=WORDS)
    # what else contradicts the assumed level comes from JPEG, too
    if level < SHOWN * assumed:
        return NoiseModel(assumed, source)
    return NoiseModel(max(level, MARGIN * assumed), "overruled", assumed=assumed, words=WORDS)


class JpegTraces(NamedTuple):
    """What JPEG leaves in a photograph, images in [0, 1].

    :param float error: root mean square error of the luminance that compression has caused.
    :param float noise: noise level of the luminance before compression; an upper bound, if the steps are wide.
    """

    error: float
    noise: float


def jpeg_level(image: Tensor) -> float | None:
    """Level of the white noise to assume in a blurred photograph that was stored as JPEG.

    The error of JPEG is neither white nor independent of the photograph, so this level is found by experience, see
    :data:`OF_ERROR`. Too little costs more than too much.

    :param torch.Tensor image: see :func:`jpeg_traces`.
    :return: standard deviation, images in [0, 1]; ``None``: JPEG does not show.
    """
    traces = jpeg_traces(image)
    if traces is None:
        return None
    channels = image.shape[1]
    return math.hypot(OF_ERROR[channels] * traces.error, OF_NOISE[channels] * traces.noise)


def jpeg_traces(image: Tensor) -> JpegTraces | None:
    r"""The error of JPEG and the noise of a photograph, from the coefficients that JPEG has rounded.

    JPEG divides the cosine transform of each 8 x 8 pixels by a step :math:`q` for each frequency, and rounds. So the
    coefficients of such a photograph are multiples of :math:`q`; this shows the grid and the steps.

    * *Error.* A coefficient that is not 0 has a mean squared error of :math:`q^2 / 12`. What became 0 is lost: before,
      coefficients have a Laplace distribution, :math:`p(c) \propto e^{-|c| / b}` (Lam and Goodman, IEEE TIP 2000). Its
      scale :math:`b` follows from the mean size of the rounded coefficients over :math:`q`,
      :math:`1 / (2 \sinh(q / 2b))`. Where all are 0, :math:`b` lies on a line through :math:`\log b` of the others over
      the logarithm of the frequency.
    * *Noise.* White noise of level :math:`s` alone leaves the share :math:`P(|n| > q / 2)` that is not 0, the
      photograph adds to it. So each frequency gives an upper bound of :math:`s`; a low quantile of them is taken.

    :param torch.Tensor image: (1, C, H, W) in [0, 1], C = 1 or 3; 8 bits, not resized since it was stored. A part of a
        photograph may begin anywhere.
    :return: ``None``: not stored as JPEG, or with so high a quality that nothing shows it; or fewer than 64 blocks
        without black and white pixels.
    """
    luminance = _luminance(image)
    blocks = None if luminance is None else _blocks(luminance)
    if blocks is None:
        return None
    steps, sure = _steps(blocks)
    if sure < SURE_PLACES:
        return None
    return JpegTraces(math.sqrt(float(_squared_errors(blocks, steps).mean())) / 255, _noise(blocks, steps) / 255)


def _luminance(image: Tensor) -> Tensor | None:
    """(H, W), 0 to 255; ``None``: no 8-bit image."""
    if image.ndim != 4 or image.shape[1] not in OF_ERROR or image.is_complex():
        return None
    top, left = ((n - min(n, SIDE)) // 2 for n in image.shape[-2:])
    values = 255 * image[0, :, top : top + SIDE, left : left + SIDE].detach().cpu().double()
    whole = values.round()
    if not bool(values.isfinite().all()) or float((values - whole).abs().max()) > WHOLE:
        return None
    if float(whole.min()) < 0 or float(whole.max()) > 255:
        return None
    return whole[0] if len(whole) == 1 else torch.einsum("c,chw->hw", whole.new_tensor(LUMINANCE), whole)


def _transform() -> Tensor:
    """The orthonormal cosine transform of :data:`BLOCK` values."""
    k = torch.arange(BLOCK, dtype=torch.float64)
    matrix = torch.cos(math.pi * (2 * k + 1) * k[:, None] / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix


def _blocks(luminance: Tensor) -> Tensor | None:
    """Coefficients (N, 8, 8) of the blocks of the grid whose blocks have most zeros; ``None``: too few blocks."""
    high = torch.arange(BLOCK)[:, None] + torch.arange(BLOCK) >= BLOCK // 2
    best, most = None, -1.0
    for down in range(BLOCK):
        for right in range(BLOCK):
            few = _coefficients(luminance, down, right, GRID_BLOCKS)
            if len(few) < LEAST_BLOCKS:
                return None
            zeros = float((few[:, high].abs() < ZERO / 2).double().mean())
            if zeros > most:
                best, most = (down, right), zeros
    assert best is not None
    return _coefficients(luminance, *best, BLOCKS)


def _coefficients(luminance: Tensor, down: int, right: int, count: int) -> Tensor:
    """Coefficients (N, 8, 8) of at most about ``count`` blocks, without those with black or white pixels."""
    part = luminance[down:, right:]
    rows, columns = part.shape[0] // BLOCK, part.shape[1] // BLOCK
    blocks = part[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).transpose(1, 2).flatten(0, 1)
    blocks = blocks[:: max(1, len(blocks) // count)]
    inside = ((blocks > 0) & (blocks < 255)).all(-1).all(-1)
    transform = _transform()
    return transform @ (blocks[inside] - 128) @ transform.T


def _steps(blocks: Tensor) -> tuple[Tensor, int]:
    r"""The step of each place (8, 8), 0 where none shows; and the number of places where it shows clearly.

    Multiples of a step agree with it and with its divisors: the mean of :math:`\cos(2 \pi c / q)` is near 1. The
    largest step is taken. Coefficients below half of it say nothing.
    """
    steps, best = blocks.new_zeros(BLOCK, BLOCK), blocks.new_zeros(BLOCK, BLOCK)
    sure = torch.zeros(BLOCK, BLOCK, dtype=torch.bool)
    sizes = blocks.abs()
    for step in STEPS:
        beyond = sizes > step / 2
        number = beyond.sum(0)
        agreement = (beyond * torch.cos(2 * math.pi / step * blocks)).sum(0) / number.clamp_min(1)
        asked = AGREEMENT * math.exp(-2 * (math.pi * ROUNDING / step) ** 2)
        # neighbours of the step agree a little less
        between = ((sizes > ZERO) & (sizes < step - ZERO)).sum(0)
        agrees = (number >= LEAST_VALUES) & (agreement >= asked) & (between <= BETWEEN * number)
        agrees &= (agreement > best) | (step > 1.5 * steps)
        steps[agrees], best[agrees] = step, agreement[agrees]
        sure |= agrees & (number >= SURE_VALUES) & (step > STEPS[0])
    return steps, int(sure.sum())


def _squared_errors(blocks: Tensor, steps: Tensor) -> Tensor:
    """Mean squared error of the coefficients in each place, (8, 8)."""
    number = len(blocks)
    known, lost = steps > 0, (blocks.abs() < ZERO).all(0)
    step = torch.where(known, steps, 1.0)
    sums = torch.where(known, (blocks / step).round().abs().sum(0), 0.0)
    half = step / 2
    scale = half / torch.asinh(number / (2 * sums + 1))
    line = _line(scale, sums)
    # a scale from very few values is uncertain
    scale = torch.where(sums >= FITTED, scale, torch.minimum(scale, line))
    kept = torch.exp(-half / scale)
    rounded = 2 * scale**2 - kept * (half**2 + 2 * half * scale + 2 * scale**2) + kept * step**2 / 12
    errors = torch.where(known, rounded, torch.where(lost, 2 * line**2, 1 / 12))
    errors[0, 0] = step[0, 0] ** 2 / 12
    return errors


def _noise(blocks: Tensor, steps: Tensor) -> float:
    """The noise level that all but a few places allow."""
    share = ((blocks.abs() > steps / 2) & (steps > 0)).double().mean(0)
    share[0, 0] = 0
    shown = share > 0
    bounds = steps[shown] / 2 / torch.special.ndtri(1 - share[shown].clamp_max(LARGEST_SHARE) / 2)
    return float(bounds.quantile(QUANTILE))


def _line(scale: Tensor, sums: Tensor) -> Tensor:
    """``scale`` (8, 8) on the line through the logarithms of those that are known well; 0 if there are too few."""
    places = torch.arange(BLOCK, dtype=scale.dtype)
    frequency = torch.hypot(places[:, None], places).clamp_min(1).log()
    fitted = sums >= FITTED
    fitted[0, 0] = False
    if int(fitted.sum()) < SURE_PLACES:
        return torch.zeros_like(scale)
    weight = sums[fitted].clamp_max(WELL_FITTED).sqrt()[:, None]
    columns = torch.stack([frequency[fitted], torch.ones_like(frequency[fitted])], 1)
    slope, height = torch.linalg.lstsq(weight * columns, weight * scale[fitted].log()[:, None]).solution[:, 0]
    return (slope.clamp_max(0) * frequency + height).exp()
