"""With much noise, strong edges determine the kernels at the finest scale."""

import pytest
import torch
from blind_scene import discs

from daep_prior.blind import BlindSettings, one_estimate
from daep_prior.blind.fourier import convolved, transfer
from daep_prior.blind.kernel_step import kernel_step
from daep_prior.blind.sharpness import sharpness

#: A trail of nine pixels.
LINE = torch.zeros(9, 9)
LINE[4] = 1 / 9
MUCH, LITTLE = 0.03, 0.02


@pytest.fixture
def edges_of_steps(monkeypatch):
    """The ``edges`` of all kernel steps, with the side of the photograph."""
    from daep_prior.blind import one_start

    steps, real = [], one_start.kernel_step

    def spied(sharp, y, known, kernel, ridge, iterations, edges):
        steps.append((y.shape[-1], edges))
        return real(sharp, y, known, kernel, ridge, iterations, edges)

    monkeypatch.setattr(one_start, "kernel_step", spied)
    return steps


@pytest.mark.parametrize("noise", [MUCH, LITTLE])
def test_a_start_uses_strong_edges_at_the_finest_scale_alone(edges_of_steps, noise):
    settings = BlindSettings(size=9, rounds=2, coarse_rounds=2).for_noise(noise).with_sharpener(noise)
    one_estimate(discs(), lambda x, s: x, settings)
    largest = max(side for side, _ in edges_of_steps)
    finest = [edges for side, edges in edges_of_steps if side == largest]
    assert set(finest) == {settings.edges if noise == MUCH else 1.0} and len(finest) == 2
    assert {edges for side, edges in edges_of_steps if side < largest} == {1.0}


def test_the_test_of_the_photograph_itself_uses_all_gradients(edges_of_steps):
    sharpness(discs(), lambda x, s: x, BlindSettings().for_noise(MUCH))
    assert {edges for _, edges in edges_of_steps} == {1.0}


def test_noise_that_the_image_has_kept_adds_a_peak_to_the_kernel_that_strong_edges_hardly_see():
    x = discs()
    noise = 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    y, kept = convolved(transfer(LINE, x.shape[-2:]), x) + noise, x + 0.4 * noise
    middles = [float(kernel_step(kept, y, torch.ones_like(y), LINE, 10.0, 200, edges)[4, 4]) for edges in (1.0, 0.05)]
    assert middles[0] > 0.25 and middles[1] == pytest.approx(1 / 9, abs=0.05)
