"""The confidence of a kernel follows from the start that confirms it, with another factor than its own."""

import math

import pytest
import torch

from daep_prior.blind import Estimate, similarity
from daep_prior.blind.confidence import NEAR, OFFSET, SLOPE, UNCERTAIN, confidence, confirmation

ACROSS = torch.zeros(7, 7)
ACROSS[3] = 1 / 7
DOWN, SHORT = ACROSS.T, torch.zeros(7, 7)
SHORT[3, 1:6] = 0.2


def starts(*kernels, factors=(2.0, 1.5)):
    """Starts with these factors in turn."""
    return [Estimate(kernel, 0.01, factors[n % len(factors)]) for n, kernel in enumerate(kernels)]


@pytest.mark.parametrize("estimates", [[], starts(ACROSS), starts(ACROSS, ACROSS, factors=(2.0,))], ids=len)
def test_starts_with_one_factor_confirm_nothing(estimates):
    assert confidence(ACROSS, estimates) == 0
    with pytest.raises(ValueError, match=f"estimates: got {len(estimates)} with one factor; expected starts with two"):
        confirmation(ACROSS, estimates)


def test_the_most_similar_start_with_another_factor_confirms_a_kernel():
    assert confirmation(ACROSS, starts(DOWN, ACROSS, SHORT, DOWN)) == similarity(ACROSS, SHORT)
    # the third start has the factor of the first, from which the kernel comes
    assert confirmation(ACROSS, starts(ACROSS, DOWN, ACROSS)) == similarity(ACROSS, DOWN)


def test_the_probability_is_a_logistic_function_of_the_digits_that_are_confirmed():
    digits = -math.log10(1 + NEAR - similarity(ACROSS, SHORT))
    expected = 1 / (1 + math.exp(-(OFFSET + SLOPE * digits)))
    assert confidence(ACROSS, starts(ACROSS, SHORT)) == pytest.approx(expected)


def test_the_better_it_is_confirmed_the_more_likely_it_is_right():
    values = [confidence(ACROSS, starts(ACROSS, other)) for other in (DOWN, SHORT, ACROSS)]
    assert 0 < values[0] < UNCERTAIN < 0.9 < values[2] < 1 and values == sorted(values)
