"""The solver files for deepinv's benchmark suite, driven as benchopt and the suite's objectives drive them."""

import importlib.util
import sys
import types

import deepinv as dinv
import pytest
import torch
from torch.utils.data import DataLoader

SOLVERS = ("daep", "dmsp")


class StandIn:
    """In place of ``benchopt.BaseSolver``: parameters become attributes."""

    def __init__(self, **parameters):
        self.__dict__.update(parameters)


@pytest.fixture(params=SOLVERS)
def solver_class(request, root, monkeypatch):
    installed = importlib.util.find_spec("benchopt")
    if installed is None or installed.origin is None:  # benchmarks/benchopt is not the package
        benchopt = types.ModuleType("benchopt")
        benchopt.BaseSolver = StandIn
        monkeypatch.setitem(sys.modules, "benchopt", benchopt)
    path = root / "benchmarks" / "benchopt" / "solvers" / f"{request.param}.py"
    spec = importlib.util.spec_from_file_location(f"solver_{request.param}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Solver


def instance(solver_class):
    """The first combination of parameters, made as benchopt makes it where benchopt is installed."""
    first = {name: values[0] for name, values in solver_class.parameters.items()}
    make = getattr(solver_class, "get_instance", solver_class)
    return make(**first)


@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_the_suites_evaluation_runs_and_the_image_gets_better(solver_class, sigma):
    noise = dinv.physics.GaussianNoise(sigma) if sigma else dinv.physics.ZeroNoise()
    rng = torch.Generator().manual_seed(0)
    physics = dinv.physics.Inpainting((3, 16, 16), mask=0.6, rng=rng, noise_model=noise)
    ramp = torch.linspace(0.2, 0.8, 16).expand(1, 3, 16, 16).contiguous()
    dataset = list(ramp)
    solver = instance(solver_class)
    solver.set_objective(train_dataset=dataset, physics=physics)
    solver.run(None)
    model = solver.get_result()["model"]
    assert model.device == "cpu"
    torch.manual_seed(0)
    results = dinv.test(
        model,
        DataLoader(dataset),
        physics.to(model.device),
        online_measurements=True,
        device=model.device,
        metrics=[dinv.loss.PSNR()],
        compare_no_learning=True,
        verbose=False,
        show_progress_bar=False,
    )
    assert results["PSNR"] > results["PSNR no learning"] + 3


def test_every_preset_in_the_parameters_exists(solver_class):
    from daep_prior.schedules import PRESETS

    assert set(solver_class.parameters.get("preset", [])) <= set(PRESETS)
