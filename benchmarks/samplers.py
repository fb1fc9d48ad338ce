"""Posterior samplers of deepinv beside ``DAEP.sample``: PSNR of the mean, time. Same network.

    python benchmarks/samplers.py --data FOLDER [--count 2] [--samples 4] [--only TEXT]

* Images: crops of 64 x 64 pixels of training images. Tasks: deblurring and missing pixels of ``calibration.py``, with
  deepinv's ``BlurFFT`` and ``Inpainting``, which have the singular values that DDRM needs.
* All have the network ``"dae"``, also beyond the noise of 75/255 that it is trained for: it scales with its input.
* Samples of DiffPIR, DDRM and DPS are drawn in one batch. ULA and SKRock are chains from the restoration of
  ``preset="fast"``: their means are over all states after the first fifth.
* Settings: DiffPIR with its default lambda = 7 and the zeta of ``demo_diffpir``, in 30 steps as there and the default
  100; DDRM with the 100 levels from 1 to 0 of ``demo_ddrm``, and with 50 and 20; DPS with its default weight, in 100 of
  its 1000 steps. ULA and SKRock with the denoiser level 10/255 and the largest safe step: half of
  1 / (1/sigma^2 + 1/s^2), ten times that for SKRock. The step 0.01 sigma^2 of ``demo_sampling`` would need 5000
  evaluations.
* The SDE and flow matching start where the network is trained: at a restoration of ``preset="fast"`` with noise of
  75/255, in 25 Euler steps, with the annealed guidance of DPS and its weight 1. From pure noise they need levels above.

Writes ``results/samplers.csv``. Rows in the file are not measured again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deepinv as dinv
import numpy as np
import torch
from calibration import SEED, TASKS
from csv_table import Table
from deepinv.optim import ScorePrior
from deepinv.optim.data_fidelity import L2
from deepinv.physics import GaussianNoise, Physics
from deepinv.sampling import (
    DDRM,
    DPS,
    ULA,
    DiffPIR,
    DPSDataFidelity,
    EulerSolver,
    FlowMatching,
    PosteriorDiffusion,
    SKRock,
    VarianceExplodingDiffusion,
)
from gallery import images
from protocol import data_folder
from rich.console import Console
from torch import Tensor

from daep_deepinv import DAEP, DAEDenoiser

RESULTS = Path(__file__).parent / "results"
NOISE = 2.55 / 255
#: Denoiser level of the chains.
LEVEL = 10 / 255
#: Highest level that the network is trained for, for images in [-1, 1] as those of deepinv's SDEs.
TRAINED = 2 * 75 / 255
#: Steps of the SDEs.
STEPS = 25
#: (measurement, physics, number of samples, network) to the mean of the samples.
Mean = Callable[[Tensor, Physics, int, DAEDenoiser], Tensor]


def blur(shape: tuple[int, ...], number: int) -> Physics:
    """Gaussian blur of 1.6 pixels, circular."""
    kernel = dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6))
    return dinv.physics.BlurFFT(shape, filter=kernel, noise_model=GaussianNoise(NOISE))


PROBLEMS: dict[str, Callable[[tuple[int, ...], int], Any]] = {
    "deblurring": blur,
    "missing pixels": TASKS["missing pixels"][0],
}


def mean_of_ours(y: Tensor, physics: Physics, n: int, network: DAEDenoiser) -> Tensor:
    """``DAEP.sample``: the restored image, but for values that are cut off."""
    return DAEP(NOISE, network, check_noise=False).sample(y, physics, n=n, seed=SEED).mean(0)


def in_one_batch(make: Callable[[DAEDenoiser], Any]) -> Mean:
    """A sampler that draws one image for each measurement."""

    def mean(y: Tensor, physics: Physics, n: int, network: DAEDenoiser) -> Tensor:
        torch.manual_seed(SEED)
        return make(network)(y.repeat(n, 1, 1, 1), physics).mean(0, keepdim=True)

    return mean


def dps(network: DAEDenoiser, steps: int) -> Any:
    """DPS in float32, as the network is."""
    return DPS(network, num_steps=steps, dtype=torch.float32, rng=torch.Generator().manual_seed(SEED))


def from_restoration(make: Callable[[], Any], time: float) -> Mean:
    """An SDE of deepinv from the time at which its noise is ``TRAINED``."""

    def mean(y: Tensor, physics: Physics, n: int, network: DAEDenoiser) -> Tensor:
        sde, generator = make(), torch.Generator().manual_seed(SEED)
        restored = DAEP(NOISE, network, "fast", check_noise=False)(y, physics).repeat(n, 1, 1, 1)
        noisy = 2 * restored - 1 + TRAINED * torch.randn(restored.shape, generator=generator)
        solver = EulerSolver(timesteps=torch.linspace(time, 0.001, STEPS), rng=generator)
        fidelity = DPSDataFidelity(network, clip=(-1, 1), guidance="annealed")
        model = PosteriorDiffusion(fidelity, network, sde, solver, dtype=torch.float32)
        start = float(sde.scale_t(time)) * noisy
        return model(y.repeat(n, 1, 1, 1), physics, x_init=start, seed=SEED + 1).mean(0, keepdim=True)

    return mean


def exploding() -> Any:
    """The SDE of ``demo_diffusion_sde``, with a highest level that the network knows."""
    return VarianceExplodingDiffusion(sigma_min=0.02, sigma_max=TRAINED, alpha=0.5, dtype=torch.float32)


def chain(sampler: type, step: float, **options: Any) -> Mean:
    """A Markov chain from the restoration of the fast preset; it has its own number of states."""

    def mean(y: Tensor, physics: Physics, n: int, network: DAEDenoiser) -> Tensor:
        size = step / (1 / NOISE**2 + 1 / LEVEL**2)
        f = sampler(ScorePrior(network), L2(sigma=NOISE), step_size=size, sigma=LEVEL, thinning=1, **options)
        start = DAEP(NOISE, network, "fast", check_noise=False)(y, physics)
        found: Tensor = f(y, physics, seed=SEED + 1, x_init=start)[0]
        return found

    return mean


METHODS: dict[str, Mean] = {
    "DAEP.sample": mean_of_ours,
    "DiffPIR, 30 steps": in_one_batch(lambda network: DiffPIR(network, L2(), sigma=NOISE, max_iter=30, zeta=0.3)),
    "DiffPIR, 100 steps": in_one_batch(lambda network: DiffPIR(network, L2(), sigma=NOISE, max_iter=100, zeta=0.3)),
    "DDRM, 20 levels": in_one_batch(lambda network: DDRM(network, sigmas=np.linspace(1, 0, 20))),
    "DDRM, 50 levels": in_one_batch(lambda network: DDRM(network, sigmas=np.linspace(1, 0, 50))),
    "DDRM, 100 levels": in_one_batch(lambda network: DDRM(network, sigmas=np.linspace(1, 0, 100))),
    "DPS, 100 steps": in_one_batch(lambda network: dps(network, 100)),
    "SDE from 75/255": from_restoration(exploding, 1.0),
    "flow matching from 75/255": from_restoration(lambda: FlowMatching(dtype=torch.float32), TRAINED / (1 + TRAINED)),
    "ULA, 400 steps": chain(ULA, 0.5, max_iter=400),
    "SKRock, 40 steps of 10": chain(SKRock, 5.0, max_iter=40, inner_iter=10),
}


def measured(method: Mean, problem: str, clean: list[Tensor], n: int, network: DAEDenoiser) -> tuple[float, float]:
    """PSNR in dB and seconds, means over the crops."""
    total, seconds = 0.0, 0.0
    for number, x in enumerate(clean):
        physics = PROBLEMS[problem](tuple(x.shape[1:]), number)
        y = physics.A(x)
        y = y + NOISE * torch.randn(y.shape, generator=torch.Generator().manual_seed(number))
        y = y * physics.mask if problem == "missing pixels" else y
        began = time.perf_counter()
        found = method(y, physics, n, network)
        seconds += time.perf_counter() - began
        total += float(dinv.metric.PSNR()(found.clamp(0, 1).float(), x))
    return total / len(clean), seconds / len(clean)


def main() -> None:
    """Measure the methods."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    clean, console, network = (
        images(data_folder(arguments.data), "train", arguments.count),
        Console(),
        DAEDenoiser("dae"),
    )
    table = Table(arguments.results / "samplers.csv", "task", "method", "crops", "samples")
    for problem in PROBLEMS:
        for name, method in METHODS.items():
            key = (problem, name, str(len(clean)), str(arguments.samples))
            if arguments.only not in name or table.find(*key):
                continue
            psnr, seconds = measured(method, problem, clean, arguments.samples, network)
            row = dict(zip(table.key, key, strict=True)) | {"psnr": f"{psnr:.2f}", "seconds": f"{seconds:.2f}"}
            table.add(row)
            console.print("  ".join(row.values()))


if __name__ == "__main__":
    main()
