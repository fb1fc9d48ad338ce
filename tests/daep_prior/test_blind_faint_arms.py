"""Faint arms of a kernel: many weak values in a row are found, noise is not, and only what lowers the cost is taken."""

from dataclasses import replace

import pytest
import torch
from blind_scene import discs, measured, oracle

from daep_prior.blind import BlindSettings, faint_arms, similarity
from daep_prior.blind.faint_arms import significant, with_faint_arms
from daep_prior.blind.kernel_shape import centred, fitted
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


def test_what_costs_more_is_not_taken_and_ends_the_search(y, bright):
    steps = []
    assert found(y, bright, lambda *_: 2.0, lambda *step: steps.append(step)) is bright
    assert len(steps) == faint_arms.PATIENCE + 1


def test_without_steps_the_kernel_stays(y, bright):
    options = (bright, 1.0, replace(SETTINGS, arm_steps=0), 0, None, lambda *_: pytest.fail("rated"))
    assert with_faint_arms(y, oracle, oracle, *options) is bright


def test_the_cheapest_step_is_taken(y, bright):
    costs, seen = iter([0.9, 0.5, 0.7, 0.8]), []
    assert found(y, bright, lambda k: seen.append(k) or next(costs)) is seen[1]


def test_a_row_of_weak_values_is_kept_and_single_ones_are_not():
    noise = 0.01 * torch.randn(61, 61, generator=torch.Generator().manual_seed(0))
    bright = torch.zeros(61, 61, dtype=torch.bool)
    bright[28:33, 28:33] = True
    kernel = torch.where(bright, 1 / 25, 0.0)
    arm = torch.zeros(61, 61)
    arm[35:55, 30] = 0.03
    with_arm, without = significant(kernel, noise + arm, bright), significant(kernel, noise, bright)
    assert with_arm[35:55, 30].gt(0).float().mean() > 0.9
    assert without[~bright].sum() == 0
    assert with_arm.sum() == pytest.approx(1, abs=1e-5)


def test_the_bright_part_keeps_its_shape():
    kernel = fitted(torch.tensor([[0.0, 0.2, 0.0], [0.3, 0.4, 0.1], [0.0, 0.0, 0.0]]), 31)
    bright = kernel > 0
    new = significant(kernel, torch.rand(31, 31, generator=torch.Generator().manual_seed(1)) - 0.5, bright)
    assert torch.allclose(new[bright] / new[bright].sum(), kernel[bright], atol=1e-6)


def test_the_kernel_fits_into_the_largest_one(monkeypatch, y, bright):
    def everywhere(kernel, correction, bright):
        return torch.full_like(kernel, 1 / kernel.numel())

    monkeypatch.setattr(faint_arms, "significant", everywhere)
    used = found(y, bright, lambda *_: 0.5).nonzero()
    assert int((used.max(0).values - used.min(0).values).max()) + 1 <= SETTINGS.size


def test_no_significant_part_costs_nothing(monkeypatch, y, bright):
    monkeypatch.setattr(faint_arms, "significant", lambda kernel, correction, bright: kernel)
    assert found(y, bright, lambda *_: pytest.fail("rated")) is bright


@pytest.mark.parametrize(("limit", "value"), [("HIGH", 100.0), ("TOGETHER", 100.0)])
def test_a_part_needs_a_high_peak_and_a_high_sum(monkeypatch, limit, value):
    noise = 0.01 * torch.randn(61, 61, generator=torch.Generator().manual_seed(0))
    bright = torch.zeros(61, 61, dtype=torch.bool)
    bright[28:33, 28:33] = True
    noise[35:55, 30] += 0.03
    kernel = torch.where(bright, 1 / 25, 0.0)
    assert significant(kernel, noise, bright)[~bright].sum() > 0
    monkeypatch.setattr(faint_arms, limit, value)
    assert significant(kernel, noise, bright)[~bright].sum() == 0


def test_a_kernel_that_fills_its_support_is_not_restored_with(y):
    room = scales(y, BlindSettings(size=5))[-1].room
    kernel = torch.ones(room, room) / room**2
    options = (kernel, 1.0, BlindSettings(size=5), 0, None, lambda *_: pytest.fail("rated"))
    assert with_faint_arms(y, *[lambda *_: pytest.fail("restored")] * 2, *options) is kernel
