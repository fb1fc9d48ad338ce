"""The blur kernel of a photograph: several starts, their agreement, and what it says."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.chosen_kernel import improved_kernel
from daep_prior.blind.confidence import confidence
from daep_prior.blind.kernel_shape import entropy, one_pixel, scattered
from daep_prior.blind.mean_shift import Denoise
from daep_prior.blind.noise import less_noise, noise_level
from daep_prior.blind.one_start import Cost, Estimate, Follow, one_estimate
from daep_prior.blind.overshoot import overshoot
from daep_prior.blind.region import textured_region
from daep_prior.blind.settings import BlindSettings
from daep_prior.blind.sharpness import core, predicts_better, sharpness
from daep_prior.blind.similarity import similarity

#: Called after each round with the start, from 0, the scale's factor, the round, from 0, and the kernel.
FollowStarts = Callable[[int, float, int, Tensor], None]
#: Enough agreement of the best start with all that have another factor. The starts of four training crops of 160
#: pixels agree by 0.997 and more, those of a fifth by 0.984. Two wrong ones in a photograph of 128 pixels agree by
#: 0.983.
AGREED = 0.99
#: Agreement below which the blur counts as not found. On 14 blurred training crops the similarity of the chosen kernel
#: to the true one was at least 0.92 where the agreement was at least 0.85, and at least 0.9 in 4 of the other 7.
NOT_FOUND = 0.5
#: Agreement that confirms a kernel that looks scattered: with much noise, that of a disc does. In two training crops
#: with noise of 2 and 3 %, starts agree by 0.936 and 0.994; kernels of squared uniform random numbers by 0.88. A
#: refined kernel that is still scattered is not taken.
SCATTERED_CONFIRMS = 0.92
#: Noise of the grey photograph from which ``sharpen`` finds the kernel, images in [0, 1]. With less noise, ``denoise``
#: finds it: the sharpener also makes soft images sharper, and the kernel wider. The training crops that it was chosen
#: on: ``docs/unknown-blur-method.md``.
SHARPENED_FROM = 1.2 / 255
#: Share of a kernel in 2 x 2 pixels from which the photograph counts as sharp. The test of the photograph itself gives
#: 40 sharp training crops 0.66 and more, but for 0.50 and 0.58, and 96 blurred ones at most 0.64,
#: ``benchmarks/results/blind-sharpness.csv``. Kernels found
#: by one start: 38 of the sharp crops at least 0.64, the other two are wrong; 40 slightly blurred ones at most 0.60.
SHARP_CORE = 0.65
#: Confidence of a photograph that is just sharp. Chosen by hand.
SHARP_AT_LIMIT = 0.85
#: Factors between two scales that the starts take in turn: starts with one factor often fail alike. Chosen by hand.
FACTORS = (2.0, 2**0.5, 2**0.75)
#: Numbers, in :data:`FACTORS`, of the starts that keep faint arms. The first is the best alone, on 21 training crops.
FAINT_STARTS = (1, 2, 0)
#: Root mean square gradient of the photograph at a quarter of its size, images in [0, 1], below which nothing shows the
#: blur. Chosen by hand.
LEAST_TEXTURE, TEXTURE_SCALE = 0.004, 4
#: Factor on the power of the noise that covers its uncertainty. Chosen by hand.
NOISE_MARGIN = 1.2


class FoundBlur(NamedTuple):
    """The blur of one photograph.

    :param torch.Tensor kernel: (n, n), n odd; not negative, sum 1, centred. One pixel: no blur, or none that is found.
    :param float confidence: probability that the kernel is right, see :func:`daep_prior.blind.confidence.confidence`;
        of a photograph whose blur is not found, or that is sharp after all starts, that of the best kernel. Of one that
        is sharp before any start: 0.85 times its sharpness over ``SHARP_CORE``, at most 1, which is no probability.
    :param str verdict: ``"found"``, ``"sharp"``, ``"no texture"`` or ``"not found"``.
    :param list estimates: of all starts, before their last rounds.
    :param float doubt: of the best kernel before its last rounds, see
        :func:`daep_prior.blind.overshoot.overshoot`; above 1: it may be wrong. 0 without a start, or if the kernel of
        the starts is that of a sharp photograph.
    """

    kernel: Tensor
    confidence: float
    verdict: str
    estimates: list[Estimate]
    doubt: float = 0.0


def find_blur(
    y: Tensor,
    denoise: Denoise,
    settings: BlindSettings,
    starts: int = 5,
    seed: int = 0,
    follow: FollowStarts | None = None,
    sharpen: Denoise | None = None,
    cost: Callable[[Tensor, Tensor], float] | None = None,
    error: float = 0.0,
) -> FoundBlur:
    """The blur kernel of a photograph.

    First the photograph itself is tested, see :func:`daep_prior.blind.sharpness.sharpness`; a sharp one needs no start.
    With much noise, the test, the starts and the last rounds see a photograph with less, see
    :func:`daep_prior.blind.noise.less_noise`; ``cost`` and overshoot do not.
    Starts differ in their noise and in the factor between two scales, :data:`FACTORS`. Those that find the true kernel
    agree; those that fail differ. If the best agrees with all that have another factor, see
    :func:`daep_prior.blind.similarity.similarity`, and its restoration does not overshoot the photograph, see
    :func:`daep_prior.blind.overshoot.overshoot`, no more starts are made. The best is taken: the one that costs least,
    or see :func:`score`. One more, or three, keep faint arms, see :meth:`BlindSettings.for_faint_arms`; one is taken if
    it costs less and passes. The kernel is refined or corrected, see
    :func:`daep_prior.blind.chosen_kernel.improved_kernel`. If there is a ``cost``, with noise it must cost less than no
    blur, see :func:`daep_prior.blind.sharpness.predicts_better`; else the blur counts as not found if the kernel
    overshoots, and otherwise, with much noise, the photograph as sharp.

    :param torch.Tensor y: photograph (1, C, H, W) in [0, 1]. The mean of the channels is used, and of a large one the
        region with the most texture.
    :param Callable denoise: ``denoise(x, s)``, images (1, 1, h, w). It judges: the photograph, misfits and overshoots.
    :param int starts: largest number of starts, without the one that keeps faint arms: it is made after two or more
        with ``sharpen``, if there is a ``cost``, and there are three if it disagrees with the best.
    :param int seed: of the first start; the others have the next.
    :param Callable sharpen: the denoiser that finds the kernel in photographs with noise, or an ``error``, from
        :data:`SHARPENED_FROM` on; default: ``denoise``. If its kernel fails the check, or its starts disagree,
        ``denoise`` is tried. The shipped ``dae-blind`` also removes what a wrong kernel leaves in an image.
    :param Callable cost: how badly a kernel explains a photograph, ``cost(photograph, kernel)``, grey (1, 1, h, w) and
        (n, n). It chooses the start; default: :func:`score`. It also chooses among the kernels that ``sharpen``
        refines, and the one before, and refuses one that is no better than no blur.
    :param float error: root mean square error of the photograph beside its noise, such as that of JPEG, in [0, 1].
    """
    grey = y.mean(1, keepdim=True)
    rows, columns = textured_region(grey, settings.size)
    grey = grey[..., rows, columns]
    if texture(grey) < LEAST_TEXTURE:
        return FoundBlur(one_pixel(), 0.0, "no texture", [])
    noise = noise_level(grey)
    settings = settings.for_noise(noise)
    sharp = sharpness(less_noise(grey, denoise, noise, 1.0, settings), denoise, settings)
    if sharp >= SHARP_CORE:
        return FoundBlur(one_pixel(), min(1.0, SHARP_AT_LIMIT * sharp / SHARP_CORE), "sharp", [])
    find = denoise if sharpen is None or max(noise, error) < SHARPENED_FROM else sharpen
    rate = None if cost is None else partial(cost, grey)
    quieter = less_noise(grey, denoise, noise, settings.denoised_share, settings)
    search = _Search(grey, quieter, denoise, find, noise, settings, seed, follow, rate)
    return _found_blur(*_best_network(search, starts), starts)


class _Search(NamedTuple):
    """What all starts have in common; ``quieter``: the photograph with less noise."""

    grey: Tensor
    quieter: Tensor
    denoise: Denoise
    find: Denoise
    noise: float
    settings: BlindSettings
    seed: int
    follow: FollowStarts | None
    cost: Cost | None

    def rate(self, estimate: Estimate) -> float:
        """What an estimate costs, or its :func:`score`; the least is the best."""
        return score(estimate) if self.cost is None else self.cost(estimate.kernel)


class _Chosen(NamedTuple):
    """All starts, the number of the best, its agreement with others, the overshoot of its kernel, and its rating."""

    estimates: list[Estimate]
    best: int
    agreement: float
    doubt: float
    rating: float


def _disagree(agreement: float, starts: int) -> bool:
    """Whether the starts disagree; one start has nothing to agree with."""
    return starts > 1 and agreement < NOT_FOUND


def _fails(chosen: _Chosen, starts: int) -> bool:
    """Whether the kernel is probably wrong, or the starts disagree."""
    return chosen.doubt > 1 or _disagree(chosen.agreement, starts)


def _found_blur(search: _Search, chosen: _Chosen, starts: int) -> FoundBlur:
    """The blur of the best start after its last rounds, or why there is none."""
    estimates, best, agreement, doubt, rating = chosen
    noise, settings, cost = search.noise, search.settings, search.cost
    kernel = estimates[best].kernel
    if (scattered(kernel) and agreement < SCATTERED_CONFIRMS) or _disagree(agreement, starts):
        return FoundBlur(one_pixel(), confidence(kernel, estimates), "not found", estimates, doubt)
    if core(kernel) >= SHARP_CORE:
        return FoundBlur(one_pixel(), confidence(kernel, estimates), "sharp", estimates)
    options = (noise, settings, search.seed, follow_of_start(search.follow, best), search.find, cost)
    kernel = improved_kernel(search.quieter, search.denoise, kernel, rating, *options)
    verdict = "found"
    if cost is not None and noise >= settings.denoised_from and not predicts_better(kernel, cost):
        if _fails(chosen, starts):
            verdict = "not found"
        elif noise >= settings.much_noise:
            verdict = "sharp"
    shown = kernel if verdict == "found" else one_pixel()
    return FoundBlur(shown, confidence(kernel, estimates), verdict, estimates, doubt)


def _best_network(search: _Search, starts: int) -> tuple[_Search, _Chosen]:
    """The best start of a search. If it fails, that of ``denoise``, if it does not and is rated better; the rating does
    not matter if the starts of the search disagree."""
    chosen = _best_start(search, starts)
    if search.find is not search.denoise and _fails(chosen, starts):
        second = search._replace(find=search.denoise)
        other = _best_start(second, starts)
        better = other.rating < chosen.rating or _disagree(chosen.agreement, starts)
        if better and not _fails(other, starts):
            return second, other
    return search, chosen


def _best_start(search: _Search, starts: int) -> _Chosen:
    """The best start, once it agrees with all that have another factor and passes the check, or after all."""
    grey, denoise, find = search.grey, search.denoise, search.find
    settings = search.settings if find is denoise else search.settings.with_sharpener(search.noise)
    estimates: list[Estimate] = []
    ratings: list[float] = []
    doubts: dict[int, float] = {}
    for start in range(starts):
        follow_start = follow_of_start(search.follow, start)
        seed = search.seed + start
        estimates.append(one_estimate(search.quieter, denoise, of_start(settings, start), seed, follow_start, find))
        ratings.append(search.rate(estimates[-1]))
        best, agreement = _chosen(estimates, ratings)
        if agreement < AGREED and start < starts - 1:
            continue
        if best not in doubts:
            doubts[best] = overshoot(grey, denoise, estimates[best].kernel, search.noise, settings)
        if agreement >= AGREED and doubts[best] <= 1:
            break
    chosen = _Chosen(estimates, best, agreement, doubts[best], ratings[best])
    # scores of different settings cannot be compared
    faint = settings.faint_start and find is not denoise and search.cost is not None and starts > 1
    return _or_faint_start(search, settings, chosen) if faint else chosen


def _or_faint_start(search: _Search, settings: BlindSettings, chosen: _Chosen) -> _Chosen:
    """The chosen start, or one that keeps faint arms if it costs less and passes: all others may have lost them.

    If the first such start agrees with the chosen one, it is enough; otherwise there is one for each factor.
    """
    kernel, best, estimates = chosen.estimates[chosen.best].kernel, chosen, list(chosen.estimates)
    for start in FAINT_STARTS:
        number = len(estimates)
        options = (of_start(settings.for_faint_arms(), start), search.seed + number)
        follow = follow_of_start(search.follow, number)
        estimates.append(one_estimate(search.quieter, search.denoise, *options, follow, search.find))
        new, rating = estimates[-1].kernel, search.rate(estimates[-1])
        agreement = similarity(new, kernel)
        if rating < best.rating:
            doubt = overshoot(search.grey, search.denoise, new, search.noise, settings)
            if doubt <= max(1.0, chosen.doubt):
                best = _Chosen(estimates, number, min(chosen.agreement, agreement), doubt, rating)
        if agreement >= AGREED:
            break
    return best._replace(estimates=estimates)


def of_start(settings: BlindSettings, start: int) -> BlindSettings:
    """The settings of a start, from 0."""
    return replace(settings, factor=FACTORS[start % len(FACTORS)])


def texture(grey: Tensor) -> float:
    """Root mean square gradient of a photograph at 1 / ``TEXTURE_SCALE`` of its size, without its noise."""
    small = F.avg_pool2d(grey, TEXTURE_SCALE)
    differences = (small[..., 1:, 1:] - small[..., :-1, 1:], small[..., 1:, 1:] - small[..., 1:, :-1])
    noise = noise_level(grey) / TEXTURE_SCALE
    power = float(torch.stack(differences).square().mean()) - NOISE_MARGIN * 2 * noise**2
    return math.sqrt(max(0.0, power))


def score(estimate: Estimate) -> float:
    """Entropy of the kernel plus the logarithm of its squared misfit; the least is the best.

    A wrong kernel is scattered over its support, or does not blur a natural image into the photograph. On 14 blurred
    training crops with three estimates each (``weight`` 0.01 and 0.02), the similarity of the chosen kernel to the true
    one was 0.91 in the mean; that of the best of the three was 0.93, that of the first 0.85. Scores of different
    settings cannot be compared: a larger ``weight`` has a smaller entropy.
    """
    return entropy(estimate.kernel) + 2 * math.log(max(estimate.misfit, 1e-6))


def _chosen(estimates: list[Estimate], ratings: list[float]) -> tuple[int, float]:
    """The number of the best estimate, and its least similarity to a start with another factor; 0 if there is none."""
    best = min(range(len(estimates)), key=lambda i: ratings[i])
    kernel, factor = estimates[best].kernel, estimates[best].factor
    others = [similarity(kernel, other.kernel) for other in estimates if other.factor != factor]
    return best, min(1.0, *(others or [0.0]))


def follow_of_start(follow: FollowStarts | None, start: int) -> Follow | None:
    """``follow`` for one start."""
    return None if follow is None else lambda factor, number, kernel: follow(start, factor, number, kernel)
