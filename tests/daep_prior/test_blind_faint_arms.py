"""Faint arms of a kernel: many weak values in a row are found, noise is not, and only what lowers the cost is taken."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from blind_scene import discs, measured, oracle

from daep_prior.blind import BlindSettings, faint_arms, similarity
from daep_prior.blind.faint_arms import curves, with_faint_arms
from daep_prior.blind.kernel_shape import centred, fitted
from daep_prior.blind.kernel_step import kernel_step
from daep_prior.blind.pyramid import scales

SETTINGS = BlindSettings(size=13)


@pytest.fixture(scope="module")
def kernel():
    """A bright line with a faint arm of a tenth of the light, (13, 13), centred."""
    k = torch.zeros(13, 13)
    k[6, 4:8], k[7:12, 8] = 0.225, 0.02
    return centred(k)


@pytest.fixture(scope="module")
def bright(kernel):
    """The kernel without its faint arm."""
    return centred(torch.where(kernel > 0.1, kernel, 0.0))


@pytest.fixture(scope="module")
def y(kernel):
    return measured(discs(), kernel, noise=0.003)


def found(y, bright, cost, follow=None, rating=1.0):
    return with_faint_arms(y, oracle, oracle, bright, rating, SETTINGS, 0, follow, cost)


def test_a_missing_arm_is_found(y, kernel, bright):
    better = found(y, bright, lambda k: 1 - similarity(k, kernel))
    assert 1 - similarity(better, kernel) < 0.2 * (1 - similarity(bright, kernel))
    assert better.min() >= 0 and better.sum() == pytest.approx(1, abs=1e-5) and better.shape[0] % 2 == 1


@pytest.fixture
def every_window(monkeypatch):
    """The search goes on however few pixels are outside the support."""
    monkeypatch.setattr(faint_arms, "LEAST_OUTSIDE", 1)


def test_what_costs_more_is_not_taken_and_ends_the_search(every_window, y, bright):
    steps = []
    assert found(y, bright, lambda *_: 2.0, lambda *step: steps.append(step)) is bright
    assert len(steps) == faint_arms.PATIENCE + 1


def test_without_steps_the_kernel_stays(y, bright):
    options = (bright, 1.0, replace(SETTINGS, arm_steps=0), 0, None, lambda *_: pytest.fail("rated"))
    assert with_faint_arms(y, oracle, oracle, *options) is bright


def test_the_cheapest_step_is_taken(every_window, y, bright):
    costs, seen = iter([0.9, 0.5, 0.7, 0.8]), []
    assert found(y, bright, lambda k: seen.append(k) or next(costs)) is seen[1]


@pytest.fixture
def support():
    """Of 5 x 5 pixels in 61 x 61."""
    mask = torch.zeros(61, 61, dtype=torch.bool)
    mask[28:33, 28:33] = True
    return mask


def noisy(value: float = 0.0, row: slice = slice(35, 55), tilt: float = 0.0, seed: int = 0):
    """Noise of 0.01 and a line of such a value, which moves by ``tilt`` pixels in a row."""
    missing = 0.01 * torch.randn(61, 61, generator=torch.Generator().manual_seed(seed))
    for i in range(row.start, row.stop):
        missing[i, 30 + round(tilt * (i - row.start))] += value
    return missing


@pytest.mark.parametrize("tilt", [0.0, 0.5, -1.0])
def test_a_row_of_values_is_a_curve_in_any_direction(support, tilt):
    """Values of 3 times the noise; a single one of 8 times is none."""
    found = curves(noisy(0.03, tilt=tilt), support)
    line = noisy(1.0, tilt=tilt) > 0.5
    assert found[line].float().mean() > 0.8
    assert found.sum() < 6 * line.sum()


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_curve(support, seed):
    assert not curves(noisy(seed=seed), support).any()


def test_single_values_are_no_curve(support):
    assert not curves(noisy(0.08, slice(40, 41)), support).any()


def test_values_in_the_support_are_no_curve(support):
    assert not curves(noisy(10.0, slice(29, 32)), support).any()


def test_a_curve_needs_a_high_peak(monkeypatch, support):
    assert curves(noisy(0.03), support).any()
    monkeypatch.setattr(faint_arms, "HIGH", 100.0)
    assert not curves(noisy(0.03), support).any()


def test_a_step_solves_on_the_kernel_the_curves_and_their_neighbours(monkeypatch, y, bright):
    seen = []

    def spy(*arguments):
        seen.append((arguments[-1], kernel_step(*arguments)))
        return seen[-1][1]

    monkeypatch.setattr(faint_arms, "curves", lambda missing, support: arm(missing))
    monkeypatch.setattr(faint_arms, "kernel_step", spy)
    found(y, bright, lambda _: 2.0)
    support, kernel = seen[0]
    used = (fitted(bright, support.shape[0]) > 0) | arm(kernel)
    assert torch.equal(support, F.max_pool2d(used.float()[None, None], 3, 1, 1)[0, 0] > 0)
    assert kernel[arm(kernel)].any() and not kernel[~support].any()


def arm(kernel):
    """A column of 5 pixels below the middle of a kernel (n, n)."""
    mask = torch.zeros_like(kernel, dtype=torch.bool)
    middle = kernel.shape[0] // 2
    mask[middle + 1 : middle + 6, middle] = True
    return mask


def test_the_kernel_fits_into_the_largest_one(monkeypatch, y, bright):
    monkeypatch.setattr(faint_arms, "curves", lambda missing, support: ~support)
    used = found(y, bright, lambda *_: 0.5).nonzero()
    assert int((used.max(0).values - used.min(0).values).max()) + 1 <= SETTINGS.size


def test_no_significant_curve_costs_nothing(monkeypatch, y, bright):
    monkeypatch.setattr(faint_arms, "curves", lambda missing, support: torch.zeros_like(support))
    assert found(y, bright, lambda *_: pytest.fail("rated")) is bright


@pytest.mark.parametrize("free", [0, 3])
def test_a_kernel_that_leaves_too_few_pixels_for_the_noise_is_not_restored_with(y, free):
    room = scales(y, BlindSettings(size=5))[-1].room
    kernel = torch.ones(room, room) / room**2
    kernel[:free, :free] = 0
    options = (kernel, 1.0, BlindSettings(size=5), 0, None, lambda *_: pytest.fail("rated"))
    assert with_faint_arms(y, *[lambda *_: pytest.fail("restored")] * 2, *options) is kernel
