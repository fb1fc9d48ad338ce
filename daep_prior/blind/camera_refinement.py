"""More rounds at the finest scale for the poses of a camera, and the mean of two starts."""

from __future__ import annotations

import torch
from torch import Tensor

from daep_prior.blind.camera_poses import CameraPoses, middle_times
from daep_prior.blind.camera_shake import CameraShake, of_sum_one, restored
from daep_prior.blind.mean_shift import Denoise, mean_shift
from daep_prior.blind.one_start import Follow
from daep_prior.blind.pyramid import scales
from daep_prior.blind.refinement import WIDTHS
from daep_prior.blind.settings import BlindSettings
from daep_prior.blind.varying_steps import times_step, varying_image_step
from daep_prior.blind.windows import Windows

#: Times below this share of the largest are set to 0. Under a rotation, from one start, in grey: 26.14 dB without these
#: rounds, 26.33 dB with 0.005; 0.01 gave 26.40 dB, but its trails became narrower from round to round.
LEAST = 0.005
#: Standard deviation with which times are smoothed before they are compared, steps of the poses. Chosen by hand.
SMOOTHING = 2**0.5


def refined_shake(
    y: Tensor,
    denoise: Denoise,
    shake: CameraShake,
    settings: BlindSettings,
    seed: int = 0,
    follow: Follow | None = None,
) -> CameraShake:
    """What a start has found, after more rounds with a narrow mean shift.

    As :func:`daep_prior.blind.refinement.refined`, with the times in the poses instead of the kernel.

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    :param int seed: of the noise.
    :param Callable follow: see :func:`daep_prior.blind.camera_shake.camera_shake`.
    """
    scale, counts = scales(y, settings)[-1], (shake.kernels.shape[0], shake.kernels.shape[1])
    windows = Windows((y.shape[-2], y.shape[-1]), scale.size, counts)
    poses, times, kernels = CameraPoses(windows), shake.times, shake.kernels
    generator, width = torch.Generator().manual_seed(seed), WIDTHS[-1]
    _, image = restored(scale, denoise, windows, kernels, WIDTHS, settings.last_weight, generator)
    for number in range(settings.refining_rounds):
        sharp = mean_shift(image, denoise, width, generator)
        times = times_step(sharp, scale, times, windows, poses, settings)
        times = torch.where(times < LEAST * times.max(), 0.0, times)
        times = times / times.sum().clamp_min(1e-12)
        kernels = of_sum_one(poses.kernels(times))
        image = varying_image_step(sharp, scale, windows, kernels, settings.last_weight)
        if follow is not None:
            follow(scale.factor, number, kernels[counts[0] // 2, counts[1] // 2])
    return shake_of(times, windows)


def mean_shake(first: CameraShake, second: CameraShake, shape: tuple[int, int]) -> CameraShake:
    """The mean of two starts; their errors differ.

    The poses are known only up to a movement and a turn of the image. So the second is moved onto the first, by whole
    steps, where their smoothed times overlap most.

    :param tuple shape: height and width of the photograph.
    """
    times = (first.times + moved_onto(first.times, second.times)) / 2
    counts = (first.kernels.shape[0], first.kernels.shape[1])
    return shake_of(times, Windows(shape, times.shape[0], counts))


def moved_onto(first: Tensor, second: Tensor) -> Tensor:
    """``second``, (n, n, n), with sum 1, moved by whole steps onto ``first``; what leaves is lost."""
    side = first.shape[0]
    frequencies = torch.fft.fftfreq(2 * side)
    squares = frequencies.square()
    distances = squares[:, None, None] + squares[:, None] + squares[: side + 1]
    smooth = torch.exp(-((2 * torch.pi * SMOOTHING) ** 2) / 2 * distances)
    size = (2 * side,) * 3
    overlap = torch.fft.irfftn(smooth * torch.fft.rfftn(first, size) * torch.fft.rfftn(second, size).conj(), size)
    moves = [int(move) for move in torch.unravel_index(overlap.argmax(), size)]
    padded = second.new_zeros(size)
    padded[:side, :side, :side] = second
    moved = padded.roll(moves, (0, 1, 2))[:side, :side, :side]
    return moved / moved.sum().clamp_min(1e-12)


def shake_of(times: Tensor, windows: Windows) -> CameraShake:
    """Times, with the mean pose in the middle, and their kernels."""
    times = middle_times(times)
    return CameraShake(of_sum_one(CameraPoses(windows).kernels(times)), times)
