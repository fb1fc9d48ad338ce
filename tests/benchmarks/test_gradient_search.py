"""``benchmarks/gradient_search.py``: the derivatives are right, and they lead upwards."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gradient_search import gradient_search, restored_error
from protocol import blurred
from skimage import data

from daep_deepinv import DAEDenoiser
from daep_prior import MeanShiftPrior
from daep_prior.networks import UNetDAE
from daep_prior.schedules import FastSettings, shipped_settings


@pytest.fixture
def network():
    return DAEDenoiser("dae")


@pytest.fixture(params=["valid", "circular"])
def case(request):
    pixels = data.astronaut()[60:108, 200:248].copy()
    clean = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return blurred("", clean, np.full((1, 5), 0.2), 10 / 255, border=request.param)


def test_the_derivatives_are_those_of_the_restoration(case):
    torch.manual_seed(0)
    prior = MeanShiftPrior(UNetDAE(widths=(4, 6), blocks=1).eval().requires_grad_(False).double())
    case = replace(case, clean=case.clean.double(), measurement=case.measurement.double())
    case.physics.double()
    settings = shipped_settings().at(10 / 255)
    start = {name: torch.tensor(getattr(settings.fast, name)).double() for name in ("widths", "weights", "steps")}
    free = {name: value.log() for name, value in start.items()} | {"momentum": torch.tensor([0.2, 0.5]).double()}
    free["final"] = torch.tensor(5.0).double().log()
    for value in free.values():
        value.requires_grad_()
    restored_error(case, free, prior).backward()
    for name, value in free.items():
        errors = []
        with torch.no_grad():
            for change in (1e-4, -1e-4):
                value.view(-1)[-1] += change
                errors.append(float(restored_error(case, free, prior)))
                value.view(-1)[-1] -= change
        expected = (errors[0] - errors[1]) / 2e-4
        assert float(value.grad.view(-1)[-1]) == pytest.approx(expected, rel=0.03, abs=1e-7), name


def test_the_search_moves_bad_numbers_to_better_ones(case, network):
    good = shipped_settings().at(10 / 255)
    bad = FastSettings(replace(good.fast, weights=(0.1, 0.05)), 25.0)
    lines = []
    found = gradient_search(bad, [case], network, 4, lines.append)
    assert found.fast.weights[1] > 0.05
    first, last = (float(line.split(": ")[1].split(" dB")[0]) for line in (lines[0], lines[-1]))
    assert last > first + 0.1
