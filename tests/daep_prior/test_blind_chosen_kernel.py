"""The last rounds of the chosen kernel: which network, refined or corrected, and what is taken."""

import pytest
import torch

from daep_prior.blind import BlindSettings, chosen_kernel
from daep_prior.blind.chosen_kernel import improved_kernel

SETTINGS = BlindSettings(size=41)
Y = torch.zeros(1, 1, 8, 8)


def line(pixels: int) -> torch.Tensor:
    kernel = torch.zeros(pixels, pixels)
    kernel[pixels // 2] = 1 / pixels
    return kernel


NARROW, WIDE, REFINED, LONG, CORRECTED = line(9), line(31), line(5), line(33), line(7)


def denoise(x, s):
    return x


def sharpen(x, s):
    return x


@pytest.fixture
def steps(monkeypatch):
    """What was done: name, network and settings."""
    done = []

    def refined(y, judge, kernel, settings, seed, follow, find=None):
        done.append(("refined", find or judge, settings))
        return REFINED if settings.refined_margin == SETTINGS.refined_margin else LONG

    def corrected(y, network, kernel, noise, settings, seed, follow):
        done.append(("corrected", network, settings))
        return CORRECTED

    monkeypatch.setattr(chosen_kernel, "refined", refined)
    monkeypatch.setattr(chosen_kernel, "corrected", corrected)
    return done


@pytest.fixture(autouse=True)
def arms(monkeypatch):
    """The kernels whose faint arms were sought, with their ratings."""
    asked = []

    def with_faint_arms(y, judge, find, kernel, rating, settings, seed, follow, cost):
        asked.append((kernel, rating))
        return kernel

    monkeypatch.setattr(chosen_kernel, "with_faint_arms", with_faint_arms)
    return asked


def improved(kernel, find, noise=0.006, cost=None):
    rating = cost(kernel) if cost and find is not denoise else 0.0
    return improved_kernel(Y, denoise, kernel, rating, noise, SETTINGS, 0, None, find, cost)


@pytest.mark.parametrize("kernel", [NARROW, WIDE])
@pytest.mark.parametrize(("noise", "last"), [(0.003, CORRECTED), (0.02, REFINED)])
def test_what_the_denoiser_found_is_refined_and_with_little_noise_corrected(steps, kernel, noise, last):
    assert improved(kernel, denoise, noise) is last
    assert all(step[1] is denoise and step[2] == SETTINGS for step in steps)
    assert [step[0] for step in steps] == ["refined", "corrected"][: 1 + (last is CORRECTED)]


@pytest.mark.parametrize("least", [0, 1, 2])
def test_the_cheapest_of_a_wide_kernel_of_the_sharpener_and_two_refined_ones_is_taken_with_its_arms(steps, arms, least):
    kernels = [WIDE, REFINED, LONG]
    found = improved(WIDE, sharpen, cost=lambda kernel: 1.0 if kernel is kernels[least] else 2.0)
    assert found is kernels[least]
    ((asked, rating),) = arms
    assert asked is found and rating == 1.0
    short = SETTINGS.with_sharpener(0.006)
    assert steps == [("refined", sharpen, short), ("refined", sharpen, short.with_long_refinement())]


@pytest.mark.parametrize("least", [0, 1])
def test_a_narrow_kernel_of_the_sharpener_is_refined_once(steps, least):
    kernels = [NARROW, REFINED]
    found = improved(NARROW, sharpen, cost=lambda kernel: 1.0 if kernel is kernels[least] else 2.0)
    assert found is kernels[least]
    assert steps == [("refined", sharpen, SETTINGS.with_sharpener(0.006))]


def test_without_a_cost_the_refined_kernel_of_the_sharpener_is_taken(steps, arms):
    assert improved(WIDE, sharpen) is REFINED and len(steps) == 1 and not arms


def test_a_kernel_that_no_refinement_changes_is_not_rated(monkeypatch):
    monkeypatch.setattr(chosen_kernel, "refined", lambda y, judge, kernel, *_: kernel)
    options = (0.006, SETTINGS, 0, None, sharpen, lambda *_: pytest.fail("rated"))
    assert improved_kernel(Y, denoise, WIDE, 1.0, *options) is WIDE


def test_the_kernel_before_is_not_rated_again(steps):
    rated = []
    options = (0.006, SETTINGS, 0, None, sharpen, lambda kernel: rated.append(kernel) or 2.0)
    assert improved_kernel(Y, denoise, WIDE, 1.0, *options) is WIDE
    assert [k is one for k, one in zip(rated, (REFINED, LONG), strict=True)] == [True, True]


def test_the_long_refinement_has_more_rounds_from_a_wider_width_and_a_support_that_grows_faster():
    short, long = SETTINGS.with_sharpener(0.006), SETTINGS.with_sharpener(0.006).with_long_refinement()
    assert long.refining_rounds > short.refining_rounds and long.refined_from > short.refined_from
    assert long.refined_margin > short.refined_margin and long.refined_island < short.refined_island
