"""Warnings name the line of the user, not one of the library or of torch."""

import warnings

import pytest
import torch
from deepinv.physics import Denoising, GaussianNoise
from torch import nn

from daep_deepinv import DAEP, BlindDAEP, estimate_kernel
from daep_deepinv.caller_warnings import warn_caller


class Warner(nn.Module):
    def forward(self, x):
        warn_caller("something")
        return x


FLAT = torch.full((1, 1, 40, 40), 0.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: warn_caller("something"),
        lambda: BlindDAEP(size=9, starts=1)(FLAT),
        lambda: BlindDAEP(size=9, starts=1, varying=True)(FLAT),
        lambda: estimate_kernel(FLAT, size=9, starts=1),
        lambda: DAEP(2.0, max_iter=1)(FLAT, Denoising(GaussianNoise(2.0))),
    ],
    ids=["itself", "model", "varying", "function", "plan"],
)
def test_the_line_that_calls_the_library_is_named(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert caught
    assert {warning.filename for warning in caught} == {__file__}


def test_a_module_of_the_user_between_counts():
    with pytest.warns(UserWarning, match="something") as caught:
        nn.Sequential(Warner())(FLAT)
    assert caught[0].filename == __file__
