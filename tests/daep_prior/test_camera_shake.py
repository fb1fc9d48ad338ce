"""Blur of a camera that moves and turns: the operator, the poses, and the steps of the estimate."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from daep_prior.blind import BlindSettings, similarity
from daep_prior.blind.camera_poses import CameraPoses, enlarged_times, middle_times, one_pose, support
from daep_prior.blind.camera_refinement import mean_shake, moved_onto, refined_shake, shake_of
from daep_prior.blind.camera_shake import camera_shake, unexplained
from daep_prior.blind.pyramid import resized, scales
from daep_prior.blind.varying_steps import times_step, varying_image_step
from daep_prior.blind.windows import Windows

SHAPE, SIDE, COUNTS = (70, 81), 7, (2, 3)
SETTINGS = replace(BlindSettings(), size=SIDE, rounds=3, coarse_rounds=3)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def windows():
    return Windows(SHAPE, SIDE, COUNTS)


@pytest.fixture(scope="module")
def sharp():
    """Random squares, (1, 1, h, w) with the border of the kernel."""
    generator = torch.Generator().manual_seed(1)
    image = torch.zeros(1, 1, 76, 87)
    for _ in range(120):
        row, column, side = (int(torch.randint(n, (1,), generator=generator)) for n in (70, 80, 14))
        image[..., row : row + side + 3, column : column + side + 3] = torch.rand(1, generator=generator)
    return image


@pytest.fixture(scope="module")
def turned(windows):
    """Times of a camera that moves across and turns."""
    times = torch.zeros(SIDE, SIDE, SIDE)
    for step in range(-2, 3):
        times[SIDE // 2 + step // 2, SIDE // 2, SIDE // 2 + step] = 0.2
    return middle_times(times)


@pytest.fixture(scope="module")
def photograph(windows, sharp, turned):
    kernels = CameraPoses(windows).kernels(turned)
    wide = windows.blurred(sharp, windows.transfer(kernels / kernels.sum((-2, -1), keepdim=True)))
    return wide[..., 3:-3, 3:-3]


# -- the operator ----------------------------------------------------------------------------------------------------


def test_equal_kernels_are_one_convolution(windows):
    image, kernel = random(1, 2, 76, 87), random(SIDE, SIDE)
    windows = Windows(SHAPE, SIDE, COUNTS)
    windows.weights = windows.weights.double()
    spread = windows.blurred(image, windows.transfer(kernel.expand(*COUNTS, -1, -1)))
    expected = F.conv2d(image.transpose(0, 1), kernel.flip(0, 1)[None, None]).transpose(0, 1)
    assert torch.allclose(spread[..., 3:-3, 3:-3], expected, atol=1e-10)


def test_adjoint_and_derivative_belong_to_the_blur():
    windows = Windows(SHAPE, SIDE, COUNTS)
    windows.weights = windows.weights.double()
    x, z, kernels = random(1, 2, 76, 87), random(1, 2, 76, 87, seed=1), random(*COUNTS, SIDE, SIDE, seed=2)
    transfer = windows.transfer(kernels)
    product = float((windows.blurred(x, transfer) * z).sum())
    assert float((x * windows.adjoint(z, transfer)).sum()) == pytest.approx(product, rel=1e-10)
    correlation = windows.correlation(torch.fft.rfft2(windows.patches(x)), z)
    assert float((correlation * kernels).sum()) == pytest.approx(product, rel=1e-10)


# -- poses -----------------------------------------------------------------------------------------------------------


def test_a_camera_that_stands_still_does_not_blur(windows):
    kernels = CameraPoses(windows).kernels(one_pose(SIDE))
    expected = torch.zeros(SIDE, SIDE)
    expected[3, 3] = 1
    assert torch.allclose(kernels, expected.expand_as(kernels), atol=1e-5)


def test_a_camera_that_turns_blurs_across_the_radius():
    windows = Windows((90, 90), SIDE, (3, 3))
    times = torch.zeros(SIDE, SIDE, SIDE)
    times[:, 3, 3] = 1 / SIDE
    kernels = CameraPoses(windows).kernels(times)
    assert kernels[1, 1, 3, 3] == pytest.approx(1, abs=0.05)
    assert kernels[0, 1, 3].sum() == pytest.approx(1, abs=0.05) and kernels[0, 1, 3].max() < 0.5
    assert kernels[1, 0, :, 3].sum() == pytest.approx(1, abs=0.05) and kernels[1, 0, :, 3].max() < 0.5


def test_the_map_of_the_poses_has_its_adjoint(windows):
    poses = CameraPoses(windows)
    times, kernels = random(SIDE, SIDE, SIDE).float(), random(*COUNTS, SIDE, SIDE, seed=1).float()
    product = float((poses.kernels(times) * kernels).sum())
    assert float((times * poses.adjoint(kernels)).sum()) == pytest.approx(product, rel=1e-4)


def test_the_mean_pose_is_moved_to_the_middle_and_the_support_grows_by_the_margin():
    times = torch.zeros(9, 9, 9)
    times[5, 2, 4:7] = 2
    moved = middle_times(times)
    assert moved.sum() == pytest.approx(1) and moved[4, 4, 3:6].tolist() == pytest.approx([1 / 3] * 3)
    assert support(moved, 1).sum() == 3 * 3 * 5
    assert enlarged_times(moved, 2**0.5, 13).shape == (13, 13, 13)


# -- steps -----------------------------------------------------------------------------------------------------------


def test_the_step_finds_the_times_that_blur_a_sharp_image(windows, sharp, photograph, turned):
    scale, poses = scales(photograph, SETTINGS)[-1], CameraPoses(windows)
    settings, times = replace(SETTINGS, ridge=0.0), one_pose(SIDE)
    for _ in range(8):
        times = times_step(sharp, scale, times, windows, poses, settings)
    found, true = poses.kernels(times), poses.kernels(turned)
    assert times.min() >= 0 and times.sum() == pytest.approx(1, abs=0.03)
    for one, other in zip(found.flatten(0, 1), true.flatten(0, 1), strict=True):
        assert similarity(one, other) > 0.97


def test_the_image_step_solves_its_normal_equations(windows, sharp, photograph, turned, monkeypatch):
    monkeypatch.setattr("daep_prior.blind.varying_steps.GRADIENTS", 60)
    scale, kernels = scales(photograph, SETTINGS)[-1], CameraPoses(windows).kernels(turned)
    near = scale.y
    x = varying_image_step(near, scale, windows, kernels, 0.05)
    transfer = windows.transfer(kernels)
    difference = scale.known * (windows.blurred(x, transfer) - scale.y)
    gradient = windows.adjoint(difference, transfer) + 0.05 * (x - near)
    assert float(gradient.norm()) < 1e-3 * float(near.norm())
    inside = (..., slice(6, -6), slice(6, -6))
    assert float((x - sharp)[inside].square().mean()) < 0.5 * float((near - sharp)[inside].square().mean())


# -- the estimate, with a denoiser that knows the image ----------------------------------------------------------------


@pytest.fixture(scope="module")
def oracle(sharp):
    return lambda x, width: resized(sharp, x.shape[-2:])


def test_a_turning_camera_is_found_coarse_to_fine(photograph, turned, windows, oracle):
    seen = []
    shake = camera_shake(photograph, oracle, SETTINGS, COUNTS, follow=lambda *what: seen.append(what[:2]))
    true = CameraPoses(windows).kernels(turned)
    assert shake.kernels.sum((-2, -1)).flatten().tolist() == pytest.approx([1] * 6)
    values = [similarity(a, b) for a, b in zip(shake.kernels.flatten(0, 1), true.flatten(0, 1), strict=True)]
    assert min(values) > 0.95
    assert seen[0][1] == 0 and seen[-1] == (1.0, 25)


def test_more_rounds_find_the_rest_of_a_trail(photograph, turned, windows, oracle):
    short = turned.clone()
    short[:, :, [1, 5]] = 0
    before, true, seen = shake_of(short / short.sum(), windows), CameraPoses(windows).kernels(turned), []
    settings = replace(SETTINGS, refining_rounds=4)
    after = refined_shake(photograph, oracle, before, settings, follow=lambda *what: seen.append(what[:2]))
    errors = [float((shake.kernels - true).norm()) for shake in (before, after)]
    assert errors[1] < 0.3 * errors[0] and seen == [(1.0, number) for number in range(4)]
    assert after.times.sum() == pytest.approx(1) and after.times.min() >= 0


def test_starts_are_moved_onto_each_other_before_their_mean(turned, windows):
    away = turned.roll((1, -1, 0), (0, 1, 2))
    assert torch.equal(moved_onto(turned, away), turned)
    noisy = [times / times.sum() for times in (turned + 0.01 * (turned > 0) * random(7, 7, 7).float(), away)]
    mean = mean_shake(*(shake_of(times, windows) for times in noisy), SHAPE)
    assert mean.times.sum() == pytest.approx(1) and float((mean.times - turned).abs().max()) < 0.02


def test_true_kernels_leave_less_unexplained_than_one_kernel(photograph, turned, windows, oracle):
    true = CameraPoses(windows).kernels(turned)
    one = true.mean((0, 1), keepdim=True)
    assert unexplained(photograph, oracle, true, SETTINGS) < 0.8 * unexplained(photograph, oracle, one, SETTINGS)
