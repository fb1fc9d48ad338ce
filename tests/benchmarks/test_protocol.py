"""The degradations of ``benchmarks/protocol.py``."""

import pytest
import torch
from protocol import levin, masked, noisy


def test_levins_noise_is_the_same_in_the_three_channels(data):
    case = levin(data, 1, 2, 0.05)
    noise = case.measurement - case.physics.A(case.clean)
    torch.testing.assert_close(noise[:, 0], noise[:, 1])
    assert float(noise.std()) == pytest.approx(0.05, rel=0.1)
    assert case.margin == (2, 2)


def test_pixels_are_missing_in_all_channels_and_the_rest_is_exact(data):
    case = masked(data / "set5" / "bird.png", 0.7)
    known = case.measurement != 0
    torch.testing.assert_close(case.measurement[known], case.clean[known])
    mask = case.physics.mask
    assert bool((mask == mask[:, :1]).all())
    assert 1 - float(mask.mean()) == pytest.approx(0.7, abs=0.03)


def test_noise_is_clipped_to_the_range_of_an_image(data):
    case = noisy(data / "set5" / "bird.png", 0.5)
    assert float(case.measurement.min()) == 0 and float(case.measurement.max()) == 1
