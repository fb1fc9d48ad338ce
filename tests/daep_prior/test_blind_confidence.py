"""The confidence of a kernel follows from the start that confirms it, beside its own."""

import math

import pytest
import torch

from daep_prior.blind import Estimate, similarity
from daep_prior.blind.confidence import NEAR, OFFSET, SLOPE, UNCERTAIN, confidence, confirmation


def line(angle: int):
    """A line of seven pixels: across, or down."""
    kernel = torch.zeros(7, 7)
    kernel[3] = 1 / 7
    return kernel.T if angle else kernel


def starts(*kernels):
    return [Estimate(kernel, 0.01) for kernel in kernels]


ACROSS, DOWN = line(0), line(90)
SHORT = torch.zeros(7, 7)
SHORT[3, 1:6] = 0.2


def test_one_start_confirms_nothing():
    assert confidence(ACROSS, starts(ACROSS)) == 0
    with pytest.raises(ValueError, match="estimates: got 1; expected those of at least two starts"):
        confirmation(ACROSS, starts(ACROSS))


def test_the_start_beside_its_own_confirms_a_kernel():
    assert confirmation(ACROSS, starts(DOWN, ACROSS, SHORT, DOWN)) == similarity(ACROSS, SHORT)
    assert confirmation(ACROSS, starts(ACROSS, DOWN)) == similarity(ACROSS, DOWN)


def test_the_probability_is_a_logistic_function_of_the_digits_that_are_confirmed():
    confirmed = similarity(ACROSS, SHORT)
    digits = -math.log10(1 + NEAR - confirmed)
    expected = 1 / (1 + math.exp(-(OFFSET + SLOPE * digits)))
    assert confidence(ACROSS, starts(ACROSS, SHORT)) == pytest.approx(expected)


def test_the_better_it_is_confirmed_the_more_likely_it_is_right():
    values = [confidence(ACROSS, starts(ACROSS, other)) for other in (DOWN, SHORT, ACROSS)]
    assert 0 < values[0] < UNCERTAIN < 0.9 < values[2] < 1 and values == sorted(values)


@pytest.mark.parametrize("doubt", [1.01, 2.0])
def test_a_kernel_whose_restoration_overshoots_is_uncertain(doubt):
    assert confidence(ACROSS, starts(ACROSS, ACROSS), doubt) == UNCERTAIN / doubt
    assert confidence(ACROSS, starts(ACROSS, DOWN), doubt) == confidence(ACROSS, starts(ACROSS, DOWN))
