"""The independent check of a found kernel: a wrong one is never returned without a warning."""

import pytest
import torch
from blind_scene import discs, measured
from deepinv.physics import Blur

from daep_deepinv import BlindDAEP, DAEPrior, estimate_kernel
from daep_deepinv.blind.kernels import STARTS
from daep_prior.blind import BlindSettings, Estimate
from daep_prior.blind.noise import noise_level
from daep_prior.blind.overshoot import overshoot

NOISE = 0.005


@pytest.fixture(scope="module")
def scene():
    return discs()


@pytest.fixture(scope="module")
def diagonal():
    """Motion along a diagonal over 9 pixels."""
    return torch.eye(9) / 9


@pytest.fixture(scope="module")
def blurred(scene, diagonal):
    return measured(scene, diagonal)


@pytest.fixture
def agreeing(monkeypatch):
    """``agreeing(kernel)``: every start finds that kernel; the seeds that were used."""
    seeds = []

    def use(kernel):
        def estimate(y, denoise, settings, seed=0, follow=None, sharpen=None):
            seeds.append(seed)
            return Estimate(kernel, 0.01, settings.factor)

        monkeypatch.setattr("daep_prior.blind.several_starts.one_estimate", estimate)
        return seeds

    return use


def test_a_wrong_kernel_overshoots_and_the_true_one_does_not(blurred, diagonal):
    prior = DAEPrior("dae")
    with torch.no_grad():
        true, wrong = (
            overshoot(blurred, prior.denoise, kernel, NOISE, BlindSettings(size=11))
            for kernel in (diagonal, diagonal.flip(0))
        )
    assert true <= 1 < wrong


def test_starts_that_agree_on_a_wrong_kernel_are_warned_of(agreeing, blurred, diagonal):
    seeds = agreeing(diagonal.flip(0))
    model = BlindDAEP(size=11)
    with pytest.warns(UserWarning, match="may be wrong: the restoration overshoots the photograph, confidence 0.99"):
        model(blurred)
    assert model.verdict == ["found"]
    # further starts were tried, and one that keeps faint arms; then all with the other network
    assert seeds == [*range(STARTS + 1), *range(STARTS)]


def test_one_start_with_a_wrong_kernel_is_warned_of_too(agreeing, blurred, diagonal):
    agreeing(diagonal.flip(0))
    with pytest.warns(UserWarning, match="may be wrong"):
        BlindDAEP(size=11, starts=1)(blurred)


def test_a_large_size_is_warned_of_though_the_starts_agree(agreeing, blurred, diagonal, monkeypatch):
    agreeing(diagonal)
    monkeypatch.setattr("daep_prior.blind.several_starts.overshoot", lambda *_: 0.5)
    monkeypatch.setattr("daep_prior.blind.several_starts.sharpness", lambda *_: 0.0)
    with pytest.warns(UserWarning, match="size=33; kernels of more than 31"):
        estimate_kernel(blurred, size=33)


def test_the_noise_of_a_blurred_photograph_is_seen(scene):
    y = Blur(torch.full((1, 1, 15, 15), 1 / 225), padding="valid").A(scene)
    y = y + 0.02 * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    assert noise_level(y) == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize(("noise", "weight"), [(0.003, 0.01), (0.01, 0.04), (0.02, 0.04)])
def test_little_noise_has_a_smaller_weight_at_the_finest_scale(noise, weight):
    assert BlindSettings().for_noise(noise).last_weight == weight
