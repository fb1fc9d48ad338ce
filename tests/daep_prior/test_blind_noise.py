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
    """What each part of the search is given, each time. The start that keeps faint arms costs least."""
    given = {}

    def keep(name, result):
        def take(y, *others):
            given.setdefault(name, []).append(y)
            return result(*others) if callable(result) else result

        return take

    def estimate(denoise, settings, *_):
        return Estimate(LINE.T if settings.edges_from == 0 else LINE, 0.01, settings.factor)

    place = "daep_prior.blind.several_starts."
    monkeypatch.setattr(place + "sharpness", keep("sharpness", 0.0))
    monkeypatch.setattr(place + "one_estimate", keep("rounds", estimate))
    monkeypatch.setattr(place + "overshoot", keep("overshoot", 0.5))
    monkeypatch.setattr(place + "improved_kernel", keep("last rounds", LINE))
    given["cost"] = keep(
        "cost", lambda kernel: 1.0 if torch.equal(kernel, LINE.T) else 2.0 if len(kernel) == 5 else 3.0
    )
    return given


def test_a_photograph_with_little_noise_is_taken_as_it_is():
    y = measured(discs(), LINE, 0.005)
    assert less_noise(y, lambda *_: pytest.fail("denoised"), noise_level(y), 1.0, SETTINGS) is y


def test_of_much_noise_a_share_is_removed():
    y = measured(discs(), LINE, 0.05)
    noise = noise_level(y)
    assert noise == pytest.approx(0.05, rel=0.1)
    torch.testing.assert_close(less_noise(y, darker, noise, 0.25, SETTINGS), y - 0.25 * noise)


def sharpen(x, s):
    """Another network than the one that judges."""
    return darker(x, s)


@pytest.mark.parametrize(("level", "removed"), [(0.05, True), (0.005, False)])
def test_the_kernel_is_sought_with_less_noise_and_judged_with_all(seen, level, removed):
    y, cost = measured(discs(), LINE, level), seen.pop("cost")
    found = find_blur(y, darker, SETTINGS, 2, sharpen=sharpen, cost=cost, error=0.01)
    assert found.verdict == "found" and len(seen["rounds"]) == 5  # two starts, three that keep faint arms
    noise = noise_level(y) if removed else 0.0
    shares = {"sharpness": 1.0, "rounds": 0.25, "last rounds": 0.25, "overshoot": 0.0, "cost": 0.0}
    assert set(seen) == set(shares)
    for part, photographs in seen.items():
        for photograph in photographs:
            torch.testing.assert_close(photograph, y - shares[part] * noise, msg=part)


def test_nothing_is_denoised_if_the_limit_is_above_the_noise(seen):
    y, cost = measured(discs(), LINE, 0.05), seen.pop("cost")
    find_blur(y, darker, replace(SETTINGS, denoised_from=1.0), 2, sharpen=sharpen, cost=cost)
    assert all(torch.equal(photograph, y) for photographs in seen.values() for photograph in photographs)


@pytest.mark.parametrize(
    ("level", "of_no_blur", "overshoots", "verdict"),
    [
        (0.05, 2, 0.5, "sharp"),
        (0.05, 2, 1.1, "not found"),
        (0.05, 2.1, 1.1, "found"),
        (0.02, 2, 0.5, "found"),
        (0.02, 2, 1.1, "not found"),
        (0.02, 2.1, 1.1, "found"),
        (0.01, 2, 1.1, "found"),
    ],
)
def test_with_noise_a_found_kernel_must_cost_less_than_no_blur(
    seen, monkeypatch, level, of_no_blur, overshoots, verdict
):
    monkeypatch.setattr("daep_prior.blind.several_starts.overshoot", lambda *_: overshoots)
    y = measured(discs(), LINE, level)
    found = find_blur(y, darker, SETTINGS, 2, cost=lambda _, kernel: 2 if len(kernel) == 5 else of_no_blur)
    assert found.verdict == verdict and len(found.kernel) == (5 if verdict == "found" else 1)
