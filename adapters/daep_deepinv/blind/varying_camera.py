"""The blur of a photograph by a camera that is moved and turned: kernels from the whole image, judged against one."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from daep_deepinv.blind.prior import BlindPrior
from daep_deepinv.blind.varying_kernel import VaryingBlur, VaryingKernel
from daep_prior.blind import BlindSettings, similarity
from daep_prior.blind.camera_refinement import mean_shake, refined_shake
from daep_prior.blind.camera_shake import CameraShake, camera_shake, unexplained
from daep_prior.blind.noise import noise_level
from daep_prior.blind.refinement import GROWTH
from daep_prior.blind.several_starts import FollowStarts, follow_of_start

#: Height and width of photographs for which poses are sought, pixels. A turn is hardly seen in a smaller one; in a
#: larger one, a start takes more than two minutes. Chosen by hand.
LEAST_SIDE, LARGEST_SIDE = 160, 640
#: Kernels down and across.
COUNTS = (7, 7)
#: Error of the kernels, images in [0, 1]; it counts as noise. With noise of 2.55/255 in a training photograph, assumed
#: levels of 3 and 5/255 restored 25.3 and 25.2 dB.
ERROR = 1.5 / 255
#: Factors between two scales of the starts that are compared, and rounds of each at a scale.
FACTORS, ROUNDS = (2**0.5, 2.0), 8
#: Mean similarity of the kernels of two starts that confirms the poses. Chosen by hand.
CONFIRMED = 0.85


class CameraBlur(NamedTuple):
    """The blur for the poses of a camera.

    :param VaryingBlur blur: its confidence is the mean similarity of the kernels of two starts, 0 with one start.
    :param float misfit: see :class:`Judge`.
    :param float repeated: see :func:`repeated`; 1 with one start.
    :param list shakes: what the starts have found.
    """

    blur: VaryingBlur
    misfit: float
    repeated: float
    shakes: list[CameraShake]


class Judge:
    """How badly kernels explain a photograph of at most :data:`LARGEST_SIDE`, see :func:`unexplained`.

    :param torch.Tensor y: (1, C, h, w) in [0, 1].
    """

    def __init__(self, y: Tensor, size: int, prior: BlindPrior):
        self.grey = y.detach().to("cpu", torch.float32).mean(1, keepdim=True)
        settings = replace(BlindSettings(), size=size, rounds=ROUNDS, coarse_rounds=ROUNDS)
        self.settings = settings.for_noise(noise_level(self.grey))
        #: The denoiser. It finds the poses, too: under a rotation, those of the sharpener restored 1.2 dB worse.
        self.denoise = prior.judge

    def misfit(self, kernels: Tensor) -> float:
        """Of kernels (rows, columns, n, n), images in [0, 1]."""
        with torch.inference_mode(False), torch.no_grad():
            return unexplained(self.grey, self.denoise, kernels, self.settings)


def suits(y: Tensor) -> bool:
    """Whether poses are sought in a photograph of this size."""
    return min(y.shape[-2:]) >= LEAST_SIDE and max(y.shape[-2:]) <= LARGEST_SIDE


def camera_blur(judge: Judge, starts: int, seed: int, follow: FollowStarts | None = None) -> CameraBlur:
    """The blur for the poses of a camera: of two starts, the one with the smaller misfit."""
    shakes: list[CameraShake] = []
    with torch.inference_mode(False), torch.no_grad():
        for start in range(min(len(FACTORS), starts)):
            settings = replace(judge.settings, factor=FACTORS[start])
            follow_start = follow_of_start(follow, start)
            shakes.append(camera_shake(judge.grey, judge.denoise, settings, COUNTS, seed + start, follow_start))
    found = [shake.kernels for shake in shakes]
    misfits = [judge.misfit(kernels) for kernels in found]
    best = min(range(len(found)), key=misfits.__getitem__)
    compared = len(found) > 1
    confidence = agreement(*found) if compared else 0.0
    shape = (judge.grey.shape[2], judge.grey.shape[3])
    trusted = torch.full(COUNTS, confidence >= CONFIRMED or not compared)
    blur = VaryingBlur(VaryingKernel(found[best], trusted, shape, ERROR), confidence, "found")
    return CameraBlur(blur, misfits[best], repeated(*found) if compared else 1.0, shakes)


def refined_blur(judge: Judge, camera: CameraBlur, seed: int, follow: FollowStarts | None = None) -> VaryingBlur:
    """The blur after more rounds of each start, and the mean of the starts.

    If it explains the photograph worse than before, by the factor ``GROWTH`` of
    :mod:`daep_prior.blind.refinement`, it is not taken. The confidence stays that of the starts.
    """
    shape = (judge.grey.shape[2], judge.grey.shape[3])
    with torch.inference_mode(False), torch.no_grad():
        shakes = [
            refined_shake(
                judge.grey,
                judge.denoise,
                shake,
                judge.settings,
                seed + start,
                follow_of_start(follow, start),
            )
            for start, shake in enumerate(camera.shakes)
        ]
        kernels = (mean_shake(shakes[0], shakes[1], shape) if len(shakes) > 1 else shakes[0]).kernels
    if judge.misfit(kernels) > GROWTH * camera.misfit:
        return camera.blur
    return camera.blur._replace(kernel=replace(camera.blur.kernel, kernels=kernels))


def repeated(first: Tensor, second: Tensor) -> float:
    """The share of the variation of kernels (rows, columns, n, n) that another start repeats, at most 1.

    It is ``1 - (1 - a) / (1 - b)``, where ``a`` is the :func:`agreement` with the other start, and ``b`` that with its
    mean kernel at all places. A blur that does not vary gives 0 or less.
    """
    mean = second.mean((0, 1), keepdim=True).expand_as(second)
    return 1 - (1 - agreement(first, second)) / max(1e-6, 1 - agreement(first, mean))


def agreement(first: Tensor, second: Tensor) -> float:
    """Mean similarity of kernels (rows, columns, n, n) at the same places, 0 to 1."""
    pairs = zip(first.flatten(0, 1), second.flatten(0, 1), strict=True)
    values = [similarity(one, other) for one, other in pairs]
    return min(1.0, sum(values) / len(values))
