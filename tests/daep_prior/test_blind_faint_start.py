"""The start that keeps faint arms: made after the others, taken if it costs less."""

import pytest
import torch
from blind_scene import discs, measured

from daep_prior.blind import BlindSettings, Estimate, find_blur
from daep_prior.blind.confidence import confidence
from daep_prior.blind.kernel_shape import cleaned

SETTINGS = BlindSettings(size=13, rounds=1, coarse_rounds=1)
MODULE = "daep_prior.blind.several_starts."


def bright_end(arm):
    """A bright pixel at the end of an arm of seven pixels with ``arm`` of the light, (13, 13)."""
    kernel = torch.zeros(13, 13)
    kernel[6, 6], kernel[6, 7:] = 1 - arm, arm / 6
    return kernel


BRIGHT, ARMED = bright_end(0.0), bright_end(0.3)


@pytest.fixture
def search(monkeypatch):
    """``search(costs, ...)``: usual starts find ``usual``, the other one ``faint``; the result and all settings."""

    def run(usual=BRIGHT, faint=ARMED, costs=(2.0, 1.0), starts=2, sharpen=lambda x, s: x, overshoots=0.5):
        asked, doubts = [], (0.5, overshoots)

        def estimate(y, denoise, settings, *_):
            asked.append(settings)
            return Estimate(faint if settings.edges_from == 0 else usual, 0.01, settings.factor)

        def cost(y, kernel):
            return costs[0] if torch.equal(kernel, usual) else costs[1]

        monkeypatch.setattr(MODULE + "one_estimate", estimate)
        monkeypatch.setattr(MODULE + "overshoot", lambda y, denoise, kernel, *_: doubts[torch.equal(kernel, faint)])
        monkeypatch.setattr(MODULE + "sharpness", lambda *_: 0.0)
        monkeypatch.setattr(MODULE + "core", lambda *_: 0.0)
        monkeypatch.setattr(MODULE + "improved_kernel", lambda y, denoise, found, *_: found)
        y = measured(discs(), torch.eye(3) / 3, 0.02)
        found = find_blur(y, lambda x, s: x, SETTINGS, starts, 0, None, sharpen, cost if costs else None)
        return found, [settings.edges_from == 0 for settings in asked]

    return run


def test_it_is_taken_if_it_costs_less_and_must_agree(search):
    found, faint = search()
    assert faint == [False, False, True, True, True]  # it does not agree, so there is one for each factor
    assert torch.equal(found.kernel, ARMED)
    assert found.confidence == confidence(ARMED, found.estimates)


@pytest.mark.parametrize("options", [{"costs": (1.0, 2.0)}, {"overshoots": 1.5}], ids=["costs more", "overshoots"])
def test_otherwise_it_changes_nothing(search, options):
    found, faint = search(**options)
    assert faint == [False, False, True, True, True]
    assert torch.equal(found.kernel, BRIGHT) and found.confidence > 0.95
    assert len(found.estimates) == 5


def test_one_that_agrees_is_enough(search):
    found, faint = search(faint=bright_end(0.01))
    assert faint == [False, False, True]
    assert torch.equal(found.kernel, bright_end(0.01)) and found.confidence > 0.95


@pytest.mark.parametrize("options", [{"starts": 1}, {"costs": ()}, {"sharpen": None}], ids=str)
def test_it_needs_a_second_start_a_cost_and_a_sharpener(search, options):
    found, faint = search(**options)
    assert not any(faint) and torch.equal(found.kernel, BRIGHT)


@pytest.mark.parametrize("last", [False, True])
def test_its_settings_keep_a_faint_arm_in_all_rounds(last):
    kernel = bright_end(0.08)
    usual = BlindSettings().with_sharpener(0.01)
    kept = [
        float(cleaned(kernel, least, 0, None, typical)[6, 8:].sum()) > 0
        for least, typical in (usual.smallest(last), usual.for_faint_arms().smallest(last))
    ]
    assert kept == [last, True]
