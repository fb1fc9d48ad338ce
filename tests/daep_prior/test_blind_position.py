"""The position of a kernel between the pixels."""

import math

import pytest
import torch
import torch.nn.functional as F

from daep_prior.blind import BlindSettings, one_estimate
from daep_prior.blind.fourier import convolved, transfer
from daep_prior.blind.kernel_step import nonnegative_solution, quadratic
from daep_prior.blind.position import MOVE, at_best_position

SIZE = (64, 72)


@pytest.fixture
def scene():
    """A sharp image of rectangles (1, 1, H, W), a thin trail (9, 9), and the photograph."""
    generator = torch.Generator().manual_seed(3)
    x = torch.zeros(1, 1, *SIZE)
    for _ in range(60):
        top, left = (int(torch.randint(n - 12, (1,), generator=generator)) for n in SIZE)
        height, width = torch.randint(3, 12, (2,), generator=generator).tolist()
        x[..., top : top + height, left : left + width] = torch.rand(1, generator=generator)
    x = F.avg_pool2d(x, 3, 1, 1)
    kernel = torch.zeros(9, 9)
    kernel[range(1, 8), [2, 2, 3, 4, 4, 5, 6]] = torch.tensor([3.0, 1, 1, 1, 2, 1, 4])
    kernel /= kernel.sum()
    return x, kernel, convolved(transfer(kernel, SIZE), x)


def moved(image, down, across):
    """An image moved by parts of a pixel, periodic."""
    rows, columns = torch.fft.fftfreq(SIZE[0])[:, None], torch.fft.rfftfreq(SIZE[1])
    phase = torch.exp(-2j * math.pi * (down * rows + across * columns))
    return torch.fft.irfft2(phase * torch.fft.rfft2(image), s=SIZE)


def placed(x, y, kernel, moves=8):
    return at_best_position(x, y, torch.ones_like(y), kernel, 1e-3, 60, moves)


@pytest.mark.parametrize("shift", [(0.25, 0.0), (0.0, -0.375), (0.375, 0.25), (-0.25, 0.375)])
def test_an_image_between_the_pixels_is_moved_to_where_its_kernel_is_not_negative(scene, shift):
    x, kernel, y = scene
    away = moved(x, *shift)
    back = placed(away, y, kernel)
    assert (back - x).square().mean() < 0.2 * (away - x).square().mean()


def test_an_image_at_the_right_position_stays_there(scene):
    x, kernel, y = scene
    assert placed(x, y, kernel) is x


def test_no_moves_no_change(scene):
    x, kernel, y = scene
    away = moved(x, 0.375, 0.25)
    assert placed(away, y, kernel, moves=0) is away


def test_the_number_of_moves_is_the_largest(scene):
    x, kernel, y = scene
    away = moved(x, 0.375, 0.0)
    inside = (..., slice(16, -16), slice(16, -16))
    assert torch.allclose(placed(away, y, kernel, moves=1)[inside], moved(away, -MOVE, 0.0)[inside], atol=5e-3)


@pytest.mark.parametrize(("least", "stays"), [(0.0, False), (1.0, True)])
def test_an_image_stays_if_the_misfit_falls_too_little(scene, monkeypatch, least, stays):
    x, kernel, y = scene
    monkeypatch.setattr("daep_prior.blind.position.LEAST_DECREASE", least)
    away = moved(x, 0.375, 0.25)
    assert (placed(away, y, kernel) is away) == stays


def test_the_quadratic_is_the_least_squares_error_up_to_a_constant(scene):
    x, kernel, y = scene
    spectrum, ridge = torch.fft.rfft2(x.double()), 0.5
    power = torch.fft.irfft2(spectrum.abs().square(), s=SIZE)[0, 0]
    match = torch.fft.irfft2(spectrum.conj() * torch.fft.rfft2(y.double()), s=SIZE)[0, 0].roll((4, 4), (0, 1))[:9, :9]
    kernels = torch.stack([kernel, kernel.flip(0), 2 * kernel]).double()
    errors = [
        0.5 * (convolved(transfer(k, SIZE), x.double()) - y).square().sum() + 0.5 * ridge * k.square().sum()
        for k in kernels
    ]
    values = quadratic(power, match.expand(3, 9, 9), kernels, ridge)
    assert torch.allclose(values - values[0], torch.stack(errors) - errors[0], rtol=1e-4)


def test_several_solutions_are_those_of_one_after_another(scene):
    x, kernel, y = scene
    spectrum = torch.fft.rfft2(x)
    power = torch.fft.irfft2(spectrum.abs().square(), s=SIZE)[0, 0]
    matches = torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(0))
    together = nonnegative_solution(power, matches, kernel.expand_as(matches), 0.1, 20)
    alone = [nonnegative_solution(power, one, kernel, 0.1, 20) for one in matches]
    assert torch.allclose(together, torch.stack(alone), atol=1e-6)


@pytest.mark.parametrize(
    ("sharpener", "noise", "moved"), [(False, 0.01, False), (True, 0.02, True), (True, 0.03, False)]
)
def test_a_start_moves_the_image_in_the_last_rounds_of_the_finest_scale_if_a_sharpener_finds_it_without_much_noise(
    scene, monkeypatch, sharpener, noise, moved
):
    moves = []

    def stays(sharp, y, known, kernel, ridge, iterations, most):
        moves.append((y.shape[-1], most))
        return sharp

    monkeypatch.setattr("daep_prior.blind.one_start.at_best_position", stays)
    settings = BlindSettings(size=5, rounds=5, coarse_rounds=5, widest=60 / 255, narrowest=15 / 255)
    settings = settings.with_sharpener(noise) if sharpener else settings
    one_estimate(scene[2], lambda x, s: x, settings)
    finest = SIZE[1] + 2 * (settings.size // 2)
    assert moves == 3 * [(finest, settings.moves)]  # at 30/255, 21/255 and 15/255
    assert (settings.moves > 0) == moved
