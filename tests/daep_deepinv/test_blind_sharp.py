"""Sharp photographs are recognised before a kernel is sought; starts with different factors confirm each other."""

import pytest
import torch
from blind_scene import discs, measured

from daep_deepinv import DAEPrior
from daep_prior.blind import BlindSettings, Estimate, find_blur
from daep_prior.blind.confidence import UNCERTAIN
from daep_prior.blind.kernel_shape import scattered
from daep_prior.blind.several_starts import FACTORS, SCATTERED_CONFIRMS, SHARP_CORE
from daep_prior.blind.sharpness import core, sharpness
from daep_prior.blind.similarity import similarity

HOOK = torch.zeros(7, 7)
HOOK[1, 1:5], HOOK[1:6, 5] = 1 / 9, 1 / 9


@pytest.fixture(scope="module")
def scene():
    return discs()


@pytest.fixture
def found_by(monkeypatch):
    """``found_by(kernels)``: what starts with each of the three factors find, the first with the least misfit; the
    factors used."""

    def use(*kernels):
        factors = []

        def estimate(y, denoise, settings, seed=0, follow=None, sharpen=None):
            factors.append(settings.factor)
            way = FACTORS.index(settings.factor)
            return Estimate(kernels[way], 0.01 * (1 + way), settings.factor)

        monkeypatch.setattr("daep_prior.blind.several_starts.one_estimate", estimate)
        monkeypatch.setattr("daep_prior.blind.several_starts.sharpness", lambda *_: 0.0)
        monkeypatch.setattr("daep_prior.blind.several_starts.overshoot", lambda *_: 0.5)
        for better in ("refined", "corrected"):
            monkeypatch.setattr(f"daep_prior.blind.chosen_kernel.{better}", lambda y, denoise, kernel, *_: kernel)
        return factors

    return use


def nothing(x, s):
    return x


def test_the_core_is_the_largest_share_in_four_pixels():
    assert core(torch.ones(1, 1)) == 1
    assert core(torch.full((3, 3), 1 / 9)) == pytest.approx(4 / 9)
    corners = torch.zeros(5, 5)
    corners[0, 0] = corners[4, 4] = 0.5
    assert core(corners) == 0.5


def test_a_trail_with_most_of_its_light_at_one_end_is_not_sharp(monkeypatch, scene):
    kernels = {name: torch.zeros(13, 13) for name in ("trail", "spot")}
    for kernel in kernels.values():
        kernel[6, 6] = 0.75
    kernels["trail"][6, 7:12], kernels["spot"][6, 5] = 0.05, 0.25
    found = {}
    for name, kernel in kernels.items():
        monkeypatch.setattr("daep_prior.blind.sharpness.one_round", lambda scale, *_, k=kernel: (k, scale.y))
        found[name] = sharpness(scene, nothing, BlindSettings())
    assert core(kernels["trail"]) == pytest.approx(0.8) and found["trail"] < SHARP_CORE
    assert found["spot"] == pytest.approx(core(kernels["spot"]))


def test_a_blur_of_three_pixels_is_seen_and_a_sharp_scene_too(scene):
    prior = DAEPrior("dae")
    box = torch.full((3, 3), 1 / 9)
    with torch.no_grad():
        sharp, blurred = (sharpness(y, prior.denoise, BlindSettings()) for y in (scene, measured(scene, box)))
    assert blurred < SHARP_CORE <= sharp


def test_no_kernel_is_sought_in_a_sharp_photograph(found_by, monkeypatch, scene):
    factors = found_by(HOOK, HOOK, HOOK)
    monkeypatch.setattr("daep_prior.blind.several_starts.sharpness", lambda *_: 0.8)
    found = find_blur(scene, nothing, BlindSettings(size=9))
    assert found.verdict == "sharp" and found.kernel.shape == (1, 1) and found.confidence > 0.85
    assert factors == []


def test_starts_with_two_factors_that_agree_are_enough(found_by, scene):
    factors = found_by(HOOK, HOOK, HOOK)
    assert find_blur(scene, nothing, BlindSettings(size=9)).confidence > 0.95
    assert factors == list(FACTORS[:2])


def test_starts_with_one_factor_do_not_confirm_each_other(found_by, scene):
    factors = found_by(HOOK, HOOK.flip(1), HOOK.flip(0))
    found = find_blur(scene, nothing, BlindSettings(size=9), starts=4)
    assert torch.equal(found.kernel, HOOK) and found.confidence < UNCERTAIN
    assert factors == [*FACTORS, FACTORS[0]]


def test_the_kernel_that_costs_least_is_taken_though_two_factors_agree_on_another(found_by, scene):
    found_by(HOOK, HOOK.flip(1), HOOK.flip(1))

    def cost(y, kernel):
        return 1.0 if torch.equal(kernel, HOOK) else 1.1

    # the first factor finds its kernel twice
    found = find_blur(scene, nothing, BlindSettings(size=9), starts=4, cost=cost)
    assert torch.equal(found.kernel, HOOK) and found.confidence < 0.5


def test_a_kernel_of_unlike_values_is_found_if_the_starts_confirm_it(found_by, scene):
    rough = torch.rand(13, 13, generator=torch.Generator().manual_seed(0)) ** 2
    rough = rough / rough.sum()
    assert scattered(rough) and 0.85 < similarity(rough, rough.flip(1)) < SCATTERED_CONFIRMS
    found_by(rough, rough, rough)
    assert find_blur(scene, nothing, BlindSettings(size=13)).verdict == "found"
    found_by(rough, rough.flip(1), rough)
    found = find_blur(scene, nothing, BlindSettings(size=13), starts=2)
    assert found.verdict == "not found" and found.kernel.shape == (1, 1)
