"""The spiral of Figure 2: a density with a known score, denoiser and prior."""

import math

import pytest
import spiral
import torch

from daep_prior import energy_gradient, mean_shift

POINTS = spiral.plane(9).double()
DENSITY = spiral.Spiral(dtype=torch.float64)


def test_the_smoothed_density_integrates_to_one():
    fine = spiral.plane(161, half=1.4)
    mass = spiral.Spiral().log_density(fine, spiral.WIDTH).exp().sum() * (2.8 / 160) ** 2
    assert float(mass) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("width", [0.02, 0.05, 0.2])
def test_the_optimal_denoiser_minus_the_point_is_the_mean_shift(width):
    shift = mean_shift(DENSITY.denoise, POINTS, width)
    torch.testing.assert_close(shift, DENSITY.field(POINTS, width), rtol=0, atol=1e-12)


def test_the_field_is_the_finite_difference_of_the_log_density():
    width, step = 0.1, 1e-5
    for axis in (0, 1):
        move = torch.zeros(1, 2, 1, 1, dtype=torch.float64)
        move[0, axis] = step
        slope = (DENSITY.log_density(POINTS + move, width) - DENSITY.log_density(POINTS - move, width)) / (2 * step)
        torch.testing.assert_close(DENSITY.field(POINTS, width)[:, axis, 0, 0], width**2 * slope, rtol=1e-5, atol=1e-8)


def test_samples_have_the_stated_density():
    samples = DENSITY.sample(20_000, torch.Generator().manual_seed(0))
    # E log p over samples of p is minus the entropy; samples of a wider density would have a smaller one
    axis = spiral.plane(161, half=1.4).double()
    p = DENSITY.log_density(axis)
    expected = float((p.exp() * p).sum() * (2.8 / 160) ** 2)
    assert float(DENSITY.log_density(samples).mean()) == pytest.approx(expected, abs=0.03)


def test_a_trained_network_learns_the_exact_field():
    density, grid = spiral.Spiral(), spiral.plane(25)
    weight = density.log_density(grid, spiral.WIDTH).exp()
    exact = density.field(grid, spiral.WIDTH)
    untrained = spiral.train(density, steps=1, batch=64)
    trained = spiral.train(density, steps=600, batch=256)
    before = spiral.compare(mean_shift(untrained, grid, spiral.WIDTH), exact, weight)
    after = spiral.compare(mean_shift(trained, grid, spiral.WIDTH), exact, weight)
    assert after["error"] < 0.6 < 0.9 < before["error"]
    assert after["cosine"] > 0.8 > before["cosine"]


def test_eq_8_becomes_exact_as_the_width_falls_and_keeps_its_direction():
    errors = []
    for width in (spiral.THICKNESS / 16, spiral.THICKNESS / 4, spiral.THICKNESS):
        wide = math.sqrt(2) * width
        weight = DENSITY.log_density(POINTS, wide).exp()
        field = spiral.stochastic_field(DENSITY.denoise, POINTS, width)
        found = spiral.compare(field, DENSITY.field(POINTS, wide), weight)
        errors.append(found["error"])
        assert found["cosine"] > 0.97
    assert errors[0] < 0.01 < errors[1] < errors[2]


def test_points_are_images_to_the_prior():
    """The gradient of the energy (Algorithm 1) of the optimal denoiser, against finite differences."""
    width, step = 0.05, 1e-6
    points = DENSITY.sample(5, torch.Generator().manual_seed(1))
    gradient = energy_gradient(DENSITY.denoise, points, width)
    for axis in (0, 1):
        move = torch.zeros(1, 2, 1, 1, dtype=torch.float64)
        move[0, axis] = step

        def value(x):
            return DENSITY.field(x, width).square().flatten(1).sum(1) / 2

        slope = (value(points + move) - value(points - move)) / (2 * step)
        torch.testing.assert_close(gradient[:, axis, 0, 0], slope, rtol=1e-4, atol=1e-8)
