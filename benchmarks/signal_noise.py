"""Noise that depends on the signal, on crops of training images: Poisson noise of gain g, and read noise.

    python benchmarks/signal_noise.py --data FOLDER [--crops 8]

* Images: the crops of ``training_crops.py``, their middle 128 x 128 pixels; in colour, or the mean of the channels.
* Denoising, and deblurring of a circular motion blur with ``"fast"``.
* ``one level``: the root mean square of the noise is given; the level is right, its dependence on the signal is not.
* ``Anscombe``: deepinv's ``AnscombeDenoiser`` with the same network.
* ``stated``: ``DAEP()`` reads gain and read noise from the physics. ``estimated``: ``DAEP("estimate")`` finds them.

Writes the mean PSNR to ``results/signal_noise.csv``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from csv_table import Table
from deepinv.models import AnscombeDenoiser
from deepinv.physics import BlurFFT, Denoising, LinearPhysics, PoissonGaussianNoise
from protocol import data_folder
from rich.console import Console
from torch import Tensor
from training_crops import RESULTS, crops, kernel

from daep_deepinv import DAEP, DAEDenoiser, as_filter

#: Side of an image, pixels.
SIZE = 128
#: Gain and standard deviation of the read noise, images in [0, 1].
NOISE = ((0.01, 0.02), (0.05, 0.01), (0.2, 0.0))
METHODS = ("one level", "Anscombe", "stated", "estimated")


def physics_of(task: str, number: int, channels: int, gain: float, sigma: float) -> LinearPhysics:
    """The operator of a task with its noise."""
    model = PoissonGaussianNoise(gain, sigma, clip_positive=True)
    if task == "denoising":
        return Denoising(model)
    return BlurFFT((channels, SIZE, SIZE), as_filter(kernel(number)), noise_model=model)


def restored(method: str, y: Tensor, physics: LinearPhysics, x: Tensor, network: DAEDenoiser) -> Tensor | None:
    """The image by a method; ``None``: it does not restore this."""
    gain, sigma = float(physics.noise_model.gain), float(physics.noise_model.sigma)
    preset = "annealed" if isinstance(physics, Denoising) else "fast"
    if method == "Anscombe":
        return AnscombeDenoiser(network)(y, sigma=sigma, gain=gain) if isinstance(physics, Denoising) else None
    level = float(gain * physics.A(x).mean() + sigma**2) ** 0.5
    noise: dict[str, float | str | None] = {"one level": level, "stated": None, "estimated": "estimate"}
    return DAEP(noise[method], preset=preset, check_noise=method != "one level")(y, physics)


def mean_psnr(clean: list[Tensor], task: str, noise: tuple[float, float], restore: Callable[..., Tensor | None]) -> str:
    """Over the images, two digits; empty: the method does not restore this."""
    total = 0.0
    for number, x in enumerate(clean):
        physics = physics_of(task, number, x.shape[1], *noise)
        torch.manual_seed(number)
        found = restore(physics(x), physics, x)
        if found is None:
            return ""
        total -= 10 * float((found.clamp(0, 1) - x).square().mean().log10())
    return f"{total / len(clean):.2f}"


def main() -> None:
    """Measure the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--crops", type=int, default=8)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    colour = [
        x[..., 26 : 26 + SIZE, 26 : 26 + SIZE] for x in crops(data_folder(arguments.data) / "train", arguments.crops)
    ]
    table = Table(arguments.results / "signal_noise.csv", "task", "channels", "gain", "read noise", "crops")
    console, network = Console(), DAEDenoiser("dae")
    for task in ("denoising", "motion blur"):
        for name, clean in (("colour", colour), ("grey", [x.mean(1, keepdim=True) for x in colour])):
            for noise in NOISE:
                key = (task, name, *map(str, noise), str(len(clean)))
                if table.find(*key):
                    continue
                row = {"task": task, "channels": name, "gain": key[2], "read noise": key[3], "crops": key[4]}
                for method in METHODS:
                    with torch.no_grad():
                        row[method] = mean_psnr(
                            clean, task, noise, lambda y, physics, x, m=method: restored(m, y, physics, x, network)
                        )
                table.add(row)
                console.print(row)


if __name__ == "__main__":
    main()
