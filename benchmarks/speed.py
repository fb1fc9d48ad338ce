"""How fast the prior is, each figure as a ratio of two things measured in turn in one run.

    python benchmarks/speed.py [--rows port types overhead batch size memory throughput gpu] [--sizes 128 256 ...]

* ``port``: our path against a plain port of the authors' program (their network with its normalisation as layers, fp32,
  contiguous, autograd), for one gradient; and the PSNR of a restoration by each;
* ``types``: the gradient in the number type that this processor is given (``daep_prior.inference.fast_dtype``) against
  the other of bf16 and float32;
* ``lean``: the gradient with one bit an activation (``daep_prior/inference/lean.py``) against autograd's;
* ``overhead``: what of the 30 iterations of a restored photograph is not the network, found by playing back what the
  network said; for ``DAEP`` and for deepinv's own optimizers with the same denoiser;
* ``batch``: time of a gradient an image, in a batch against alone; on a CPU the network sees one after another;
* ``size``: time of a gradient a pixel against one image of 256 x 256;
* ``memory``: peak memory of a gradient a pixel, in a process of its own (Linux);
* ``throughput``: the time that the gradient's convolutions take alone, as a share of the gradient's;
* ``gpu``: CUDA graphs against kernels that are started singly, for gradients and for Table 3's case, 128 x 128 and 300
  evaluations, and that beside the paper's 11.19 s (CUDA only).

On the CPU it counts the processor time of one thread, not the clock: other programs that run at the same time then
disturb the figures little, though they still share caches. The least of several turns counts. Memory that is freed is
kept for the next turn (``daep_prior/inference/heap.py``), by all that is compared, as the command line does. Rows that
are in ``benchmarks/results/speed.csv`` are not measured again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import skimage
import torch
from deepinv.models.base import Denoiser
from deepinv.optim import HQS, PGD, PnP
from deepinv.optim.data_fidelity import L2
from deepinv.physics import GaussianNoise, Inpainting, LinearPhysics
from PIL import Image
from protocol import Case, Table, blurred
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import daep_prior.inference.cuda_graphs
import daep_prior.inference.frozen
from daep_deepinv import DAEP, DAEDenoiser, degradation
from daep_prior import DAE, NoiseSource, energy_gradient, load_dae
from daep_prior.inference import fast_dtype
from daep_prior.inference.heap import keep_freed_memory
from daep_prior.networks import ConvDAE

RESULTS = Path(__file__).parent / "results"
NOISE, WIDTH = 2.55 / 255, 25 / 255
#: Table 3 of the paper, 128 x 128, 300 iterations, in seconds.
PAPER_SECONDS = 11.19
ROWS = ("port", "types", "lean", "overhead", "batch", "size", "memory", "throughput", "gpu")


# -- measuring -------------------------------------------------------------------------------------------------------


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Processor time of one call on the CPU; time until the GPU is done on a GPU."""
    if device.type == "cpu":
        began = time.process_time()
        work()
        return time.process_time() - began
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - began


def race(device: torch.device, turns: int, *works: Callable[[], object]) -> list[float]:
    """The least time of each, measured in turn so that all meet the same machine."""
    for work in works:
        work()
    times = [[seconds(work, device) for work in works] for _ in range(turns)]
    return [min(column) for column in zip(*times, strict=True)]


def gradient(dae: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """One stochastic gradient of the prior, noise and all."""
    noise = NoiseSource(0)
    return lambda: energy_gradient(dae, x, WIDTH, noise.draw(x))


def image(size: int, device: torch.device, count: int = 1) -> Tensor:
    """Random images; the work does not depend on what they show."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)


class Played(torch.autograd.Function):
    """A body that is asked, or played back: forward and vector-Jacobian product."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, tape: Tape) -> Tensor:
        ctx.tape = tape
        if tape.recorded:
            return tape.next().clone()
        with torch.enable_grad():
            ctx.z = z.detach().requires_grad_()
            ctx.out = tape.body(ctx.z)
        return tape.keep(ctx.out.detach())

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        if ctx.tape.recorded:
            return ctx.tape.next().clone(), None
        return ctx.tape.keep(torch.autograd.grad(ctx.out, ctx.z, *grad)[0]), None


class Tape(nn.Module):
    """In the place of a network's body: records what it says in one run, and says it again without work in the next.

    The solver then goes the same way, with as many inner iterations.
    """

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body, self.said, self.at, self.recorded = body, list[Tensor](), 0, False

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = Played.apply(z, self)
        return out

    def __deepcopy__(self, memo: object) -> Tape:
        """Itself: the network computes with a copy of its body."""
        return self

    def keep(self, t: Tensor) -> Tensor:
        self.said.append(t.clone())
        return t

    def next(self) -> Tensor:
        self.at += 1
        return self.said[self.at - 1]

    def rewind(self) -> None:
        self.recorded, self.at = True, 0


class PlainPort(Denoiser):
    """The paper's network as one would port it: fp32, the library's default layout, normalisation as layers.

    The shipped network was trained without normalisation; it is given layers here that change nothing but the time.
    """

    def __init__(self, name: str, device: torch.device):
        super().__init__()
        self.body = ConvDAE(sigma=WIDTH).eval().requires_grad_(False).body
        folded = (layer for layer in load_dae(name).body if isinstance(layer, torch.nn.Conv2d))
        layers = list(self.body)
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(layer, torch.nn.Conv2d):
                source = next(folded)
                layer.weight.copy_(source.weight)
                if isinstance(following, torch.nn.BatchNorm2d):
                    following.bias.copy_(source.bias)
                    following.running_var.fill_(1 - following.eps)
                else:
                    layer.bias.copy_(source.bias)
        self.body.to(device)
        self.sigma, self.in_channels = WIDTH, 3

    def forward(self, x: Tensor, sigma: Any = None, **kwargs: object) -> Tensor:
        """Denoise (B, 3, H, W)."""
        out: Tensor = x + self.body(x)
        return out


# -- the rows: each yields what to measure as (key, function that measures it) -----------------------------------------

Figure = dict[str, Any]
Row = tuple[str, Callable[[], Figure]]


def figure(ours: float, other: float, unit: str, ratio: str) -> Figure:
    """Two times (or sizes), and in words what their ratio other / ours is."""
    return {
        "ours": f"{ours:.5g}",
        "other": f"{other:.5g}",
        "unit": unit,
        "other / ours": f"{other / ours:.3g}",
        "is": ratio,
    }


def port(a: argparse.Namespace) -> Iterator[Row]:
    for size in (128, 256):

        def measure(size: int = size) -> Figure:
            x = image(size, a.device)
            works = gradient(load_dae("dae-sigma25", a.device), x), gradient(PlainPort("dae-sigma25", a.device), x)
            return figure(*race(a.device, a.turns, *works), "s a gradient", "plain port against ours")

        yield f"port | gradient, {size} x {size}", measure

    def psnr() -> Figure:
        case = photograph(128)
        ours = DAEP(NOISE, "paper", load_dae("dae-sigma25"), max_iter=30)(case.measurement, case.physics)
        plain = DAEP(NOISE, "paper", PlainPort("dae-sigma25", torch.device("cpu")), max_iter=30)
        return figure(
            case.psnr(ours), case.psnr(plain(case.measurement, case.physics)), "dB", "PSNR after 30 iterations"
        )

    yield "port | restored photograph, 128 x 128", psnr


def photograph(size: int) -> Case:
    """The astronaut that scikit-image ships, blurred by a slanted line."""
    path = Path(skimage.__file__).parent / "data" / "astronaut.png"
    pixels = np.array(Image.open(path).convert("RGB"))[30 : 30 + size, 160 : 160 + size]
    return blurred("astronaut", torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, np.eye(9), NOISE)


def types(a: argparse.Namespace) -> Iterator[Row]:
    ours = fast_dtype(a.device)
    other = torch.float32 if ours == torch.bfloat16 else torch.bfloat16
    names = [str(dtype).removeprefix("torch.") for dtype in (other, ours)]
    for name in ("dae", "dae-sigma25"):

        def measure(name: str = name) -> Figure:
            networks = [load_dae(name, a.device) for _ in (ours, other)]
            for dae, dtype in zip(networks, (ours, other), strict=True):
                dae.compute_dtype = dtype
            times = race(a.device, a.turns, *(gradient(dae, image(256, a.device)) for dae in networks))
            return figure(*times, "s a gradient", f"{names[0]} against {names[1]}")

        yield f"types | {name}, 256 x 256", measure


def lean(a: argparse.Namespace) -> Iterator[Row]:
    for name in ("dae", "dae-sigma25"):

        def measure(name: str = name) -> Figure:
            work = gradient(load_dae(name, a.device), image(256, a.device))
            return figure(*race(a.device, a.turns, work, by_autograd(work)), "s a gradient", "autograd against bits")

        yield f"lean | {name}, 256 x 256", measure


def by_autograd(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The same work with autograd's own backward pass."""
    return patched(work, daep_prior.inference.frozen, "lean", lambda z, chain, body: body(z))


def singly(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The same work without CUDA graphs."""
    return patched(work, daep_prior.inference.cuda_graphs, "LARGEST", 0)


def patched(work: Callable[[], Tensor], module: ModuleType, name: str, value: object) -> Callable[[], Tensor]:
    """The same work with something else under a name of a module."""

    def other() -> Tensor:
        with patch.object(module, name, value):
            return work()

    return other


def overhead(a: argparse.Namespace) -> Iterator[Row]:
    size, iterations = 256, 30
    case = photograph(size)

    def physics(name: str) -> LinearPhysics:
        kernel, shape = np.eye(19), (3, size, size)
        made: dict[str, Callable[[], LinearPhysics]] = {
            "circular blur": lambda: degradation(kernel, 1, NOISE, padding="circular", img_size=shape, device=a.device),
            "valid blur": lambda: degradation(kernel, 1, NOISE, device=a.device),
            "inpainting": lambda: Inpainting(shape, 0.5, device=a.device, noise_model=GaussianNoise(NOISE)),
            "bicubic x2": lambda: degradation(None, 2, NOISE, img_size=shape, device=a.device),
        }
        return made[name]()

    def solvers(network: DAE) -> dict[str, nn.Module]:
        denoiser = DAEDenoiser(network)
        plug = {"prior": PnP(denoiser), "data_fidelity": L2(), "g_param": WIDTH, "stepsize": 0.5}
        return {
            "DAEP": DAEP(NOISE, denoiser=denoiser, max_iter=iterations),
            "deepinv PGD": PGD(max_iter=iterations, **plug),
            "deepinv HQS": HQS(max_iter=iterations, **plug),
        }

    for kind in ("circular blur", "valid blur", "inpainting", "bicubic x2"):
        for solver in ("DAEP", "deepinv PGD", "deepinv HQS"):

            def measure(kind: str = kind, solver: str = solver) -> Figure:
                operator = physics(kind)
                y = operator(case.clean.to(a.device))
                x0 = operator.A_adjoint(y)
                dae, played = load_dae("dae", a.device), load_dae("dae", a.device)
                played.body = tape = Tape(played.body)
                with torch.no_grad():
                    model, again = solvers(dae)[solver], solvers(played)[solver]
                    restored = again(y, operator, init=x0)

                    def play() -> Tensor:
                        tape.rewind()
                        return again(y, operator, init=x0)

                    assert torch.equal(play(), restored)
                    whole, rest = race(a.device, a.turns, lambda: model(y, operator, init=x0), play)
                row = figure(
                    rest / iterations, whole / iterations, "s an iteration", "iteration against all but the network"
                )
                return {**row, "is": f"{row['is']}: {100 * rest / whole:.1f} %"}

            yield f"overhead | {kind}, {size} x {size} | {solver}", measure


def batch(a: argparse.Namespace) -> Iterator[Row]:
    for count in (2, 4, 8):

        def measure(count: int = count) -> Figure:
            dae = load_dae("dae", a.device)
            works = gradient(dae, image(128, a.device, count)), gradient(dae, image(128, a.device))
            many, one = race(a.device, a.turns, *works)
            return figure(many / count, one, "s an image and gradient", "alone against in the batch")

        yield f"batch | {count} images, 128 x 128", measure


def size(a: argparse.Namespace) -> Iterator[Row]:
    for side in a.sizes:

        def measure(side: int = side) -> Figure:
            dae = load_dae("dae", a.device)
            works = gradient(dae, image(side, a.device)), gradient(dae, image(256, a.device))
            this, reference = race(a.device, a.turns if side <= 512 else 2, *works)
            return figure(
                1e6 * this / side**2, 1e6 * reference / 256**2, "s a megapixel and gradient", "256 x 256 against this"
            )

        yield f"size | {side} x {side}", measure


def memory(a: argparse.Namespace) -> Iterator[Row]:
    side = 512
    for name in ("dae", "dae-sigma25"):

        def measure(name: str = name) -> Figure:
            ours, other = (peak(name, side, plain) / side**2 for plain in (False, True))
            return figure(ours, other, "bytes a pixel at the peak", "autograd against bits")

        yield f"memory | {name}, {side} x {side}", measure


def peak(name: str, side: int, plain: bool) -> int:
    """Bytes that a gradient adds to the peak of a fresh process."""
    command = [sys.executable, __file__, "--peak", name, str(side), str(int(plain))]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(run.stdout.split()[-1])


def print_peak(name: str, side: int, plain: bool) -> None:
    """What :func:`peak` runs."""
    torch.set_num_threads(1)
    dae = load_dae(name)

    def run(size: int) -> int:
        work = gradient(dae, image(size, torch.device("cpu")))
        (by_autograd(work) if plain else work)()
        # not ru_maxrss, which a program takes over from the one that has started it
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

    small = run(64)  # libraries and weights
    print(run(side) - small)


def throughput(a: argparse.Namespace) -> Iterator[Row]:
    side = 256 if a.device.type == "cpu" else 1024
    for name in ("dae", "dae-sigma25"):

        def measure(name: str = name) -> Figure:
            work = gradient(load_dae(name, a.device), image(side, a.device))
            with Convolutions() as seen, torch.no_grad():
                singly(work)()

            def alone() -> None:
                for function, arguments, keywords in seen.calls:
                    function(*arguments, **keywords)

            whole, part = race(a.device, a.turns, work, alone)
            row = figure(whole, part, "s a gradient", "its convolutions alone against the gradient")
            work_done = flops(alone) / 1e9
            return {**row, "is": f"{row['is']}; {work_done / whole:.0f} of {work_done / part:.0f} GFlop/s"}

        yield f"throughput | {name}, {side} x {side}", measure


class Convolutions(TorchDispatchMode):
    """The convolutions of what runs under it, with their arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "convolution" in str(func):
            self.calls.append((func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def flops(work: Callable[[], object]) -> int:
    """Operations of its convolutions, a multiplication and an addition counted as two."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def gpu(a: argparse.Namespace) -> Iterator[Row]:
    if a.device.type != "cuda":
        return

    def measure(against: str) -> Figure:
        case = photograph(128)
        y, operator = case.measurement.to(a.device), case.physics.to(a.device)
        model = DAEP(NOISE, "paper", max_iter=300, device=a.device)
        restoration = partial(model, y, operator)
        times = race(a.device, a.turns, restoration, singly(restoration))
        if against == "paper":
            return figure(
                times[0], PAPER_SECONDS, "s, 300 evaluations", "the paper's Table 3 (other hardware) against ours"
            )
        return figure(*times, "s, 300 evaluations", "kernels started singly against CUDA graphs")

    for against in ("paper", "kernels singly"):
        yield f"gpu | restored photograph, 128 x 128, {against}", partial(measure, against)

    def race_gradients(name: str, side: int) -> Figure:
        work = gradient(load_dae(name, a.device), image(side, a.device))
        return figure(
            *race(a.device, a.turns, work, singly(work)), "s a gradient", "kernels started singly against CUDA graphs"
        )

    for name in ("dae", "dae-sigma25"):
        for side in (128, 256, 512):
            yield f"gpu | gradient, {name}, {side} x {side}", partial(race_gradients, name, side)


# -- all of it -------------------------------------------------------------------------------------------------------


def conditions(device: torch.device) -> str:
    """Where the figures come from."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capabilities = torch.cpu.get_capabilities()
    names = ("amx_bf16", "avx512_bf16", "avx512_f", "avx2")
    best = next((name for name in names if capabilities.get(name)), "no vector extension known")
    name = capabilities.get("cpu_name", "CPU")
    return f"{name} with {best}, 1 thread, processor time; other programs ran at the same time"


def main() -> None:
    """Measure what is missing and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 512, 1024, 2048, 4096])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        name, side, plain = arguments.peak
        return print_peak(name, int(side), plain == "1")
    torch.set_num_threads(1)
    keep_freed_memory()
    table = Table(RESULTS / ("speed.csv" if arguments.device.type == "cpu" else "speed-gpu.csv"), "key")
    for rows in arguments.rows:
        for key, measure in globals()[rows](arguments):
            if table.find(key) is None:
                table.add({"key": key, **measure(), "where": conditions(arguments.device)})
                row = table.rows[-1]
                print(
                    f"{key:48} {row['ours']:>8} {row['other']:>8} {row['unit']:28} {row['other / ours']:>6} {row['is']}"
                )


if __name__ == "__main__":
    main()
