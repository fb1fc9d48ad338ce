"""With much noise, the kernel is sought in a photograph with less; it is judged by the photograph that was measured."""

from dataclasses import replace

import pytest
import torch
from blind_scene import discs, measured

from daep_prior.blind import BlindSettings, Estimate, find_blur
from daep_prior.blind.noise import less_noise, noise_level

SETTINGS = BlindSettings(size=9, denoised_share=0.25)
LINE = torch.full((1, 5), 0.2).expand(5, 5) * torch.eye(5)[:, [2]]


def darker(x, s):
    """Says how much noise was to be removed, and where it was called."""
    return x - s


@pytest.fixture
def seen(monkeypatch):
    """What each part of the search is given."""
    given = {}

    def keep(name, result):
        def take(y, *others):
            given.setdefault(name, y)
            return result

        return take

    place = "daep_prior.blind.several_starts."
    monkeypatch.setattr(place + "sharpness", keep("sharpness", 0.0))
    monkeypatch.setattr(place + "one_estimate", keep("rounds", Estimate(LINE, 0.01)))
    monkeypatch.setattr(place + "overshoot", keep("overshoot", 0.5))
    monkeypatch.setattr(place + "improved_kernel", keep("last rounds", LINE))
    given["cost"] = keep("cost", 1.0)
    return given


def test_a_photograph_with_little_noise_is_taken_as_it_is():
    y = measured(discs(), LINE, 0.005)
    assert less_noise(y, lambda *_: pytest.fail("denoised"), noise_level(y), 1.0, SETTINGS) is y


def test_of_much_noise_a_share_is_removed():
    y = measured(discs(), LINE, 0.05)
    noise = noise_level(y)
    assert noise == pytest.approx(0.05, rel=0.1)
    torch.testing.assert_close(less_noise(y, darker, noise, 0.25, SETTINGS), y - 0.25 * noise)


@pytest.mark.parametrize(("level", "removed"), [(0.05, True), (0.005, False)])
def test_the_kernel_is_sought_with_less_noise_and_judged_with_all(seen, level, removed):
    y, cost = measured(discs(), LINE, level), seen.pop("cost")
    found = find_blur(y, darker, SETTINGS, 2, sharpen=darker, cost=cost)
    assert found.verdict == "found" and set(seen) == {"sharpness", "rounds", "overshoot", "last rounds", "cost"}
    noise = noise_level(y) if removed else 0.0
    shares = {"sharpness": 1.0, "rounds": 0.25, "last rounds": 0.25, "overshoot": 0.0, "cost": 0.0}
    for part, share in shares.items():
        torch.testing.assert_close(seen[part], y - share * noise, msg=part)


def test_nothing_is_denoised_if_the_limit_is_above_the_noise(seen):
    y, cost = measured(discs(), LINE, 0.05), seen.pop("cost")
    find_blur(y, darker, replace(SETTINGS, denoised_from=1.0), 2, sharpen=darker, cost=cost)
    assert all(torch.equal(given, y) for given in seen.values())
