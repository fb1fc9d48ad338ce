"""Rows about one gradient of the prior: ``port``, ``types``, ``batch``, ``size``, ``throughput``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from daep_deepinv import DAEP
from daep_prior import load_dae
from daep_prior.inference import fast_dtype
from timing.plain_port import PlainPort
from timing.race import NOISE, Figure, Row, figure, gradient, image, photograph, race, singly

NETWORKS = ("dae", "dae-sigma25")


def port(a: argparse.Namespace) -> Iterator[Row]:
    """Our network against the plain port, for one gradient; PSNR of a restoration by each."""

    def measure(size: int) -> Figure:
        x = image(size, a.device)
        works = gradient(load_dae("dae-sigma25", a.device), x), gradient(PlainPort("dae-sigma25", a.device), x)
        return figure(*race(a.device, a.turns, *works), "s a gradient", "plain port against ours")

    def psnr() -> Figure:
        case, networks = photograph(128), (load_dae("dae-sigma25"), PlainPort("dae-sigma25", torch.device("cpu")))
        restored = [DAEP(NOISE, dae, "paper", max_iter=30)(case.measurement, case.physics) for dae in networks]
        return figure(*map(case.psnr, restored), "dB", "PSNR after 30 iterations")

    for size in (128, 256):
        yield f"port | gradient, {size} x {size}", partial(measure, size)
    yield "port | restored photograph, 128 x 128", psnr


def types(a: argparse.Namespace) -> Iterator[Row]:
    """The number type chosen for this processor against the other one."""
    ours = fast_dtype(a.device)
    other = torch.float32 if ours == torch.bfloat16 else torch.bfloat16
    names = [str(dtype).removeprefix("torch.") for dtype in (other, ours)]

    def measure(name: str) -> Figure:
        networks = [load_dae(name, a.device) for _ in (ours, other)]
        for dae, dtype in zip(networks, (ours, other), strict=True):
            dae.compute_dtype = dtype
        times = race(a.device, a.turns, *(gradient(dae, image(256, a.device)) for dae in networks))
        return figure(*times, "s a gradient", f"{names[0]} against {names[1]}")

    for name in NETWORKS:
        yield f"types | {name}, 256 x 256", partial(measure, name)


def batch(a: argparse.Namespace) -> Iterator[Row]:
    """An image in a batch against alone."""

    def measure(count: int) -> Figure:
        dae = load_dae("dae", a.device)
        works = gradient(dae, image(128, a.device, count)), gradient(dae, image(128, a.device))
        many, one = race(a.device, a.turns, *works)
        return figure(many / count, one, "s an image and gradient", "alone against in the batch")

    for count in (2, 4, 8):
        yield f"batch | {count} images, 128 x 128", partial(measure, count)


def size(a: argparse.Namespace) -> Iterator[Row]:
    """A pixel of an image against one of an image of 256 x 256."""

    def measure(side: int) -> Figure:
        dae = load_dae("dae", a.device)
        works = gradient(dae, image(side, a.device)), gradient(dae, image(256, a.device))
        this, reference = race(a.device, a.turns if side <= 512 else 2, *works)
        times = 1e6 * this / side**2, 1e6 * reference / 256**2
        return figure(*times, "s a megapixel and gradient", "256 x 256 against this")

    for side in a.sizes:
        yield f"size | {side} x {side}", partial(measure, side)


def throughput(a: argparse.Namespace) -> Iterator[Row]:
    """The gradient's convolutions alone against the whole gradient."""
    side = 256 if a.device.type == "cpu" else 1024

    def measure(name: str) -> Figure:
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

    for name in NETWORKS:
        yield f"throughput | {name}, {side} x {side}", partial(measure, name)


class Convolutions(TorchDispatchMode):
    """Records the convolutions that run inside, with their arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "convolution" in str(func):
            self.calls.append((func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def flops(work: Callable[[], object]) -> int:
    """Operations of its convolutions; a multiplication and an addition are two."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())
