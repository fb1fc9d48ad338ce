"""Arguments that Python would take silently, or refuse with a sentence of its own, are refused by name."""

import numpy as np
import pytest
import torch

from daep_prior import MeanShiftPrior, load_dae
from daep_prior.arguments import check_switch, checked_device, checked_seeds, whole_number


@pytest.mark.parametrize("value", [True, False, np.True_, 1, 0])
def test_true_and_false_are_switches(value):
    check_switch("early_stop", value)


@pytest.mark.parametrize("value", ["no", None, 2, 0.5, torch.ones(2)])
def test_nothing_else_is_a_switch(value):
    with pytest.raises(TypeError, match=r"early_stop: got .*; expected True or False"):
        check_switch("early_stop", value)


def test_a_device_that_does_not_exist_is_refused():
    assert checked_device("cpu") == torch.device("cpu")
    for device in ("gpu", 1.5, "cuda:99"):
        with pytest.raises(ValueError, match=f"device: got {device!r}"):
            checked_device(device)
    with pytest.raises(ValueError, match="device: got 'gpu'"):
        load_dae("dae-sigma25", device="gpu")


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, "1", True, 0.5, [0, 2**70]])
def test_a_seed_is_a_whole_number_that_torch_takes(seed):
    with pytest.raises(ValueError, match="seed: got"):
        checked_seeds(seed)


def test_the_extreme_seeds_are_taken():
    prior, x = MeanShiftPrior(lambda x, sigma: 0 * x, sigma=0.1, jacobian=False), torch.zeros(1, 3, 4, 4)
    for seed in (2**64 - 1, -(2**63)):
        assert bool(prior.restarted(seed).gradient(x).isfinite().all())


def test_large_whole_numbers_keep_their_last_digit():
    assert checked_seeds(2**53 + 1) == whole_number("seed", 2**53 + 1) == 2**53 + 1


def test_options_of_the_prior_are_checked_by_name():
    x = torch.rand(1, 3, 4, 4)
    prior = MeanShiftPrior(lambda x, sigma: 0 * x)
    with pytest.raises(TypeError, match="jacobian: got 'no'"):
        MeanShiftPrior(lambda x, sigma: x, jacobian="no")
    with pytest.raises(TypeError, match="transform: got 'x'; expected a ChannelTransform"):
        MeanShiftPrior(lambda x, sigma: x, transform="x")
    with pytest.raises(TypeError, match="sigma: got 'wide'; expected a number"):
        prior.denoise(x, "wide")
    with pytest.raises(ValueError, match=r"x: got shape \(1, 3, 4, 0\), which contains no pixel"):
        prior.denoise(x[..., :0], 0.1)
    for weight in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="weight: got"):
            prior.prox(x, weight, 0.1)
