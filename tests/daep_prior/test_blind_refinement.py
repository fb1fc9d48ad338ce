"""More rounds for a found kernel: they bring it closer to the true one, and cannot hurt."""

import itertools

import pytest
import torch
from blind_scene import discs, measured

from daep_deepinv import DAEPrior
from daep_prior.blind import BlindSettings, Estimate, find_blur, similarity
from daep_prior.blind.refinement import refined
from daep_prior.blind.several_starts import FACTORS

SETTINGS = BlindSettings(size=13)


@pytest.fixture(scope="module")
def kernel():
    """A hook with a faint arm, (9, 9)."""
    k = torch.zeros(9, 9)
    k[1, 1:7], k[1:8, 7] = 1.0, 4.0
    return k / k.sum()


@pytest.fixture(scope="module")
def y(kernel):
    return measured(discs(), kernel, noise=0.003)


@pytest.fixture(scope="module")
def denoise():
    return DAEPrior("dae").denoise


@pytest.fixture(scope="module")
def faded(kernel):
    """The kernel without half of its faint arm."""
    k = kernel.clone()
    k[1, 1:4] = 0
    return k / k.sum()


def test_a_faint_arm_comes_back(y, kernel, faded, denoise):
    with torch.no_grad():
        better = refined(y, denoise, faded, SETTINGS)
    assert similarity(better, kernel) > similarity(faded, kernel) + 0.3 * (1 - similarity(faded, kernel))
    assert better.min() >= 0 and better.sum() == pytest.approx(1, abs=1e-5) and better.shape[0] % 2 == 1


def test_a_kernel_that_explains_the_photograph_worse_is_not_taken(monkeypatch, y, faded):
    growing = itertools.count(1)
    monkeypatch.setattr("daep_prior.blind.refinement.misfit", lambda *_: float(next(growing)))
    assert refined(y, lambda x, s: x, faded, SETTINGS) is faded


def test_the_chosen_kernel_is_refined_and_the_starts_are_not(monkeypatch, y, kernel, faded):
    estimates = [Estimate(faded, 0.01, factor) for factor in FACTORS[:2]]
    left = list(estimates)
    monkeypatch.setattr("daep_prior.blind.several_starts.one_estimate", lambda *_: left.pop(0))
    monkeypatch.setattr("daep_prior.blind.several_starts.overshoot", lambda *_: 0.5)
    monkeypatch.setattr("daep_prior.blind.chosen_kernel.refined", lambda *_: kernel)
    monkeypatch.setattr("daep_prior.blind.chosen_kernel.corrected", lambda y, denoise, refined, *_: refined)
    found = find_blur(y, lambda x, s: x, SETTINGS, starts=2)
    assert found.kernel is kernel and found.estimates == estimates
