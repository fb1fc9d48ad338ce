"""Rows about whole restorations: ``overhead``, ``gpu``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from deepinv.optim import HQS, PGD, PnP
from deepinv.optim.data_fidelity import L2
from deepinv.physics import GaussianNoise, Inpainting, LinearPhysics
from torch import Tensor, nn

from daep_deepinv import DAEP, DAEDenoiser, degradation
from daep_prior import DAE, load_dae
from timing.playback import Tape
from timing.race import NOISE, WIDTH, Figure, Row, figure, gradient, image, photograph, race, singly

SIZE, ITERATIONS = 256, 30
#: Seconds for Table 3 of the paper, 128 x 128, 300 iterations.
PAPER_SECONDS = 11.19
PHYSICS = ("circular blur", "valid blur", "inpainting", "bicubic x2")
SOLVERS = ("DAEP", "deepinv PGD", "deepinv HQS")


def overhead(a: argparse.Namespace) -> Iterator[Row]:
    """The part of an iteration outside the network, by playing back the network's outputs."""

    def measure(kind: str, name: str) -> Figure:
        operator = physics(kind, a.device)
        y = operator(photograph(SIZE).clean.to(a.device))
        x0 = operator.A_adjoint(y)
        dae, played = load_dae("dae", a.device), load_dae("dae", a.device)
        played.body = tape = Tape(played.body)
        with torch.no_grad():
            model, again = solver(name, dae), solver(name, played)
            restored = again(y, operator, init=x0)

            def play() -> Tensor:
                tape.rewind()
                out: Tensor = again(y, operator, init=x0)
                return out

            assert torch.equal(play(), restored)
            whole, rest = race(a.device, a.turns, lambda: model(y, operator, init=x0), play)
        ratio = "iteration against all but the network"
        row = figure(rest / ITERATIONS, whole / ITERATIONS, "s an iteration", ratio)
        return {**row, "is": f"{row['is']}: {100 * rest / whole:.1f} %"}

    for kind in PHYSICS:
        for name in SOLVERS:
            yield f"overhead | {kind}, {SIZE} x {SIZE} | {name}", partial(measure, kind, name)


def physics(kind: str, device: torch.device) -> LinearPhysics:
    """One of :data:`PHYSICS`."""
    kernel, shape = np.eye(19), (3, SIZE, SIZE)
    made: dict[str, Callable[[], LinearPhysics]] = {
        "circular blur": lambda: degradation(kernel, 1, NOISE, padding="circular", img_size=shape, device=device),
        "valid blur": lambda: degradation(kernel, 1, NOISE, device=device),
        "inpainting": lambda: Inpainting(shape, 0.5, device=device, noise_model=GaussianNoise(NOISE)),
        "bicubic x2": lambda: degradation(None, 2, NOISE, img_size=shape, device=device),
    }
    return made[kind]()


def solver(name: str, network: DAE) -> nn.Module:
    """One of :data:`SOLVERS`."""
    denoiser = DAEDenoiser(network)
    if name == "DAEP":
        return DAEP(NOISE, denoiser=denoiser, max_iter=ITERATIONS)
    plug = {"prior": PnP(denoiser), "data_fidelity": L2(), "g_param": WIDTH, "stepsize": 0.5}
    return (PGD if name == "deepinv PGD" else HQS)(max_iter=ITERATIONS, **plug)


def gpu(a: argparse.Namespace) -> Iterator[Row]:
    """CUDA graphs against kernels started singly, and Table 3's case against the paper's seconds; CUDA only."""
    if a.device.type != "cuda":
        return

    def restoration(against: str) -> Figure:
        case = photograph(128)
        model = DAEP(NOISE, preset="paper", max_iter=300, device=a.device)
        work = partial(model, case.measurement.to(a.device), case.physics.to(a.device))
        times = race(a.device, a.turns, work, singly(work))
        if against == "paper":
            ratio = "the paper's Table 3 (other hardware) against ours"
            return figure(times[0], PAPER_SECONDS, "s, 300 evaluations", ratio)
        return figure(*times, "s, 300 evaluations", "kernels started singly against CUDA graphs")

    def one_gradient(name: str, side: int) -> Figure:
        work = gradient(load_dae(name, a.device), image(side, a.device))
        times = race(a.device, a.turns, work, singly(work))
        return figure(*times, "s a gradient", "kernels started singly against CUDA graphs")

    for against in ("paper", "kernels singly"):
        yield f"gpu | restored photograph, 128 x 128, {against}", partial(restoration, against)
    for name in ("dae", "dae-sigma25"):
        for side in (128, 256, 512):
            yield f"gpu | gradient, {name}, {side} x {side}", partial(one_gradient, name, side)
