"""Measuring two or more computations in turn, and the rows of the table."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import skimage
import torch
from PIL import Image
from protocol import Case, as_tensor, blurred
from torch import Tensor, nn

import daep_prior.inference.cuda_graphs
from daep_prior import NoiseSource, energy_gradient

#: Noise level and kernel width, images in [0, 1].
NOISE, WIDTH = 2.55 / 255, 25 / 255

#: A row of the table without its key.
Figure = dict[str, Any]
#: Key of a row, and the function that measures it.
Row = tuple[str, Callable[[], Figure]]
#: The rows of one subject, for the arguments ``device``, ``turns`` and ``sizes``.
Rows = Callable[[argparse.Namespace], Iterator[Row]]


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time of one call: processor time on a CPU; on a GPU, wall clock until the GPU is done."""
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
    """The least time of each. They are measured in turn, so that all meet the same state of the machine."""
    for work in works:
        work()
    times = [[seconds(work, device) for work in works] for _ in range(turns)]
    return [min(column) for column in zip(*times, strict=True)]


def figure(ours: float, other: float, unit: str, ratio: str) -> Figure:
    """Two times (or sizes), and what their ratio other / ours is, in words."""
    return {
        "ours": f"{ours:.5g}",
        "other": f"{other:.5g}",
        "unit": unit,
        "other / ours": f"{other / ours:.3g}",
        "is": ratio,
    }


def conditions(device: torch.device) -> str:
    """The hardware, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capabilities = torch.cpu.get_capabilities()
    names = ("amx_bf16", "avx512_bf16", "avx512_f", "avx2")
    best = next((name for name in names if capabilities.get(name)), "no vector extension known")
    name = capabilities.get("cpu_name", "CPU")
    return f"{name} with {best}, 1 thread, processor time; other programs ran at the same time"


# -- what is measured --------------------------------------------------------------------------------------------------


def gradient(dae: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """One stochastic gradient of the prior, with its noise."""
    noise = NoiseSource(0)
    return lambda: energy_gradient(dae, x, WIDTH, noise.draw(x))


def image(size: int, device: torch.device, count: int = 1) -> Tensor:
    """Random images (count, 3, size, size); the time does not depend on their content."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)


def photograph(size: int) -> Case:
    """scikit-image's astronaut, blurred along a diagonal."""
    path = Path(skimage.__file__).parent / "data" / "astronaut.png"
    x = as_tensor(Image.open(path).convert("RGB"))[..., 30 : 30 + size, 160 : 160 + size]
    return blurred("astronaut", x, np.eye(9), NOISE)


def singly(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The same work without CUDA graphs."""

    def other() -> Tensor:
        with patch.object(daep_prior.inference.cuda_graphs, "LARGEST", 0):
            return work()

    return other
