"""Another blur in the quarters of a photograph."""

import pytest
import torch

from daep_prior.blind import BlindSettings
from daep_prior.blind.variation import other_quarters

ACROSS = torch.zeros(5, 5)
ACROSS[2] = 0.2
#: Similarity to the one across: 0.45.
DOWN = ACROSS.T.contiguous()


@pytest.fixture
def y():
    """Random values of squares of eight pixels, with noise; the quarters have means of 0.2 to 0.5."""
    generator = torch.Generator().manual_seed(0)
    squares = torch.rand(1, 1, 12, 14, generator=generator).repeat_interleave(8, 2).repeat_interleave(8, 3)
    offsets = torch.tensor([[0.0, 0.1], [0.2, 0.3]]).repeat_interleave(48, 0).repeat_interleave(56, 1)
    return 0.4 * squares + offsets + 0.01 * torch.randn(1, 1, 96, 112, generator=generator)


@pytest.fixture
def count(monkeypatch):
    """``count(y, kernels, costs, ...)``: the refined kernels of the quarters in turn; the cost of each kernel there."""

    def run(y, kernels, cost=lambda part, kernel: 1.0 if torch.equal(kernel, ACROSS) else 0.5, error=0.0, size=5):
        left = list(kernels)
        monkeypatch.setattr("daep_prior.blind.variation.refined", lambda *_, **__: left.pop(0))
        settings = BlindSettings(size=size)
        number = other_quarters(y, ACROSS, lambda x, s: x, lambda x, s: x, settings, cost, error)
        return number, len(left)

    return run


def test_quarters_with_another_kernel_that_costs_less_are_counted(y, count):
    assert count(y, [DOWN, ACROSS, DOWN, DOWN]) == (3, 0)


@pytest.mark.parametrize(("costs", "number"), [(1.5, 0), (0.999, 0), (0.99, 4)])
def test_a_kernel_that_costs_hardly_less_is_not_another_one(y, count, costs, number):
    assert count(y, [DOWN] * 4, cost=lambda part, kernel: costs if torch.equal(kernel, DOWN) else 1.0) == (number, 0)


def test_each_quarter_is_judged_by_itself(y, count):
    """Only the last quarter, the brightest, is better explained by the kernel down."""

    def cost(part, kernel):
        assert part.shape == (1, 1, 48, 56)
        return 1.0 + float(torch.equal(kernel, ACROSS)) * (float(part.mean()) - 0.45)

    assert count(y, [DOWN] * 4, cost=cost) == (1, 0)


@pytest.mark.parametrize("size", [17, 31])
def test_quarters_that_are_too_small_for_the_kernel_are_left_out(y, count, size):
    assert count(y, [DOWN] * 4, size=size) == (0, 4)


def test_quarters_without_noise_are_left_out_unless_the_photograph_has_an_error(y, count):
    clean = y.round(decimals=1)
    assert count(clean, [DOWN] * 4) == (0, 4)
    assert count(clean, [DOWN] * 4, error=0.01) == (4, 0)


def test_quarters_without_texture_are_left_out(y, count):
    y[..., :48, :] = 0.5 + 0.01 * torch.randn(1, 1, 48, 112, generator=torch.Generator().manual_seed(1))
    assert count(y, [DOWN] * 4) == (2, 2)
