"""Denoising by our networks and by published networks of their size, with the same noise.

    python benchmarks/denoising.py --data FOLDER [--images 24] [--ours FILE ...]

PSNR in dB, mean over the images; results are clipped to [0, 1] and not rounded. The number of the image is the seed of
its noise. Networks: ours as shipped and in float32, the paper authors' ``DAE_sigma25``, and the DnCNN authors'
``fdncnn_color`` and ``cdncnn_sigma25``. Kodak24 at all levels, Set14 at 25. Writes ``results/denoising.csv``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from csv_table import Table
from deepinv.loss.metric import PSNR
from dncnn import DnCNN
from protocol import data_folder, read
from rich.console import Console
from torch import Tensor, nn

from daep_prior import load_dae

RESULTS = Path(__file__).parent / "results"
#: Noise levels, of 255.
LEVELS = (5, 15, 25, 50)


def networks(data: Path, ours: list[str]) -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]:
    """Name -> (loader, noise levels it is trained for)."""

    def exact(name: str) -> nn.Module:
        network = load_dae(name)
        network.compute_dtype = torch.float32
        return network

    table: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {}
    for name in ours:
        levels = LEVELS if load_dae(name).conditional else (25,)
        table[Path(name).stem] = (lambda name=name: load_dae(name), levels)  # type: ignore[misc]
        table[f"{Path(name).stem} (float32)"] = (lambda name=name: exact(name), levels)  # type: ignore[misc]
    table["authors' DAE_sigma25"] = (lambda: load_dae(data / "reference" / "DAE_sigma25.caffemodel"), (25,))
    table["fdncnn_color"] = (lambda: DnCNN(data / "peers" / "fdncnn_color.safetensors"), LEVELS)
    table["cdncnn_sigma25"] = (lambda: DnCNN(data / "peers" / "cdncnn_sigma25.safetensors"), (25,))
    return table


def mean_psnr(network: nn.Module, images: list[Tensor], level: float) -> float:
    """Mean PSNR in dB of the denoised ``images``; ``level`` is of 255."""
    total = 0.0
    for number, clean in enumerate(images):
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(number))
        with torch.no_grad():
            out = network(clean + level / 255 * noise, level / 255).clamp(0, 1)
        total += float(PSNR()(out, clean))
    return total / len(images)


def main() -> None:
    """Measure the missing rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--images", type=int, default=24, help="images of each set, the first by name")
    parser.add_argument("--ours", nargs="*", default=["dae-sigma25", "dae"])
    arguments = parser.parse_args()
    data, console = data_folder(arguments.data), Console()
    table = Table(RESULTS / "denoising.csv", "key")
    compared = networks(data, arguments.ours)
    for folder in ("kodak24", "set14"):
        images = [read(path) for path in sorted((data / folder).glob("*.png"))[: arguments.images]]
        for name, (load, levels) in compared.items():
            network = load()
            for level in levels if folder == "kodak24" else [s for s in levels if s == 25]:
                key = f"{folder}({len(images)}) s={level} {name}"
                if table.find(key):
                    continue
                began = time.perf_counter()
                psnr = mean_psnr(network, images, level)
                seconds = f"{(time.perf_counter() - began) / len(images):.2f}"
                table.add({"key": key, "psnr": f"{psnr:.3f}", "seconds an image": seconds})
                console.print(f"{key:50} {psnr:.3f} dB  {seconds} s an image", highlight=False)


if __name__ == "__main__":
    main()
