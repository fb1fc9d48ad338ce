"""The photograph of the README restored through deepinv, pyproximal and scico: the same prior, three toolkits.

    python benchmarks/toolkits.py [--size 256] [--photograph astronaut]

The degradation is that of ``daep demo``: ``valid`` motion blur, noise of 2.55 of 255. Every toolkit starts from the
measurement padded by replication, draws the same noise of eq. 8, and computes the proximal step of the data term by its
own solver. PSNR in dB within the measured region. Writes ``results/toolkits.csv``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pylops
import scico.numpy as snp
import torch
from csv_table import Table
from deepinv.loss.metric import PSNR
from deepinv.physics import Blur, GaussianNoise
from rich.console import Console
from scico import linop
from torch import Tensor

import daep_pyproximal
import daep_scico
from daep_cli.demonstration.scene import NOISE, PHOTOGRAPHS, motion_kernel, photograph_crop
from daep_cli.photographs.tensors import centre
from daep_deepinv import DAEP, starting_point

RESULTS = Path(__file__).parent / "results"


def by_deepinv(y: Tensor, physics: Blur) -> Tensor:
    """By ``DAEP``."""
    restored: Tensor = DAEP(NOISE)(y, physics)
    return restored


def by_pyproximal(y: Tensor, physics: Blur) -> Tensor:
    """PyLops pads the image by zeros and convolves; the valid part is kept."""
    start, kernel = starting_point(y, physics)[0].numpy(), physics.filter[0, 0].numpy()
    margin = kernel.shape[0] // 2
    options = {"offset": (margin, margin), "axes": (-2, -1), "dtype": "float32"}
    blur = pylops.signalprocessing.Convolve2D(start.shape, kernel, **options)
    keep = pylops.Pad(y.shape[1:], ((0, 0), (margin, margin), (margin, margin)), dtype="float32").H
    found = daep_pyproximal.restore(keep @ blur, y[0].numpy(), NOISE, x0=start)
    return torch.from_numpy(found).view(1, *start.shape)


def by_scico(y: Tensor, physics: Blur) -> Tensor:
    """scico convolves by Fourier transforms; the part without wrap-around is kept."""
    start, kernel = starting_point(y, physics)[0].movedim(0, -1), physics.filter[0, 0].numpy()
    margin = kernel.shape[0] // 2
    blur = linop.CircularConvolve(snp.array(kernel[..., None]), tuple(start.shape), h_center=(margin, margin, 0))
    A = linop.Crop(((margin, margin), (margin, margin), (0, 0)), blur.output_shape) @ blur
    found = daep_scico.restore(A, snp.array(y[0].movedim(0, -1).numpy()), NOISE, x0=snp.array(start.numpy()))
    return torch.from_numpy(np.array(found)).movedim(-1, 0)[None]


METHODS: dict[str, Callable[[Tensor, Blur], Tensor]] = {
    "deepinv": by_deepinv,
    "pyproximal": by_pyproximal,
    "scico": by_scico,
}


def main() -> None:
    """Restore through all toolkits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photograph", choices=list(PHOTOGRAPHS), default="astronaut")
    parser.add_argument("--size", type=int, default=256, help="height and width of the measurement, pixels")
    arguments = parser.parse_args()
    scene = photograph_crop(arguments.photograph, arguments.size)
    noise = GaussianNoise(NOISE, rng=torch.Generator().manual_seed(0))
    physics = Blur(filter=motion_kernel(), padding="valid", noise_model=noise)
    y = physics(scene)
    console, table = Console(), Table(RESULTS / "toolkits.csv", "photograph", "size", "toolkit")
    table.drop(lambda row: row["photograph"] == arguments.photograph and row["size"] == str(arguments.size))
    for name, method in METHODS.items():
        restored = centre(method(y, physics), y).clamp(0, 1)
        row = {
            "photograph": arguments.photograph,
            "size": str(arguments.size),
            "toolkit": name,
            "psnr": f"{float(PSNR()(restored, centre(scene, y))):.2f}",
        }
        table.add(row)
        console.print(row)


if __name__ == "__main__":
    main()
