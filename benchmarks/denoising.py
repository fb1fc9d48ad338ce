"""Denoising by our networks and by published ones of their size, the same noise for all.

    python benchmarks/denoising.py --data FOLDER [--images 24] [--ours FILE ...]

PSNR in dB, mean over the images, results clipped to [0, 1] and not rounded; noise from a generator seeded with the
image's number. Networks: ours as shipped (and once more in float32), the paper authors' ``DAE_sigma25``, and the
DnCNN authors' ``fdncnn_color`` and ``cdncnn_sigma25``. Writes ``benchmarks/results/denoising.csv``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from deepinv.loss.metric import PSNR
from peers import ConvPeer
from protocol import Table, data_folder, read
from rich.console import Console
from torch import Tensor, nn

from daep_prior import load_dae

RESULTS = Path(__file__).parent / "results"
LEVELS = (5, 15, 25, 50)


def networks(data: Path, ours: list[str]) -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]:
    """Name -> (loader, levels it is for)."""

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
    table["fdncnn_color"] = (lambda: ConvPeer(data / "peers" / "fdncnn_color.safetensors"), LEVELS)
    table["cdncnn_sigma25"] = (lambda: ConvPeer(data / "peers" / "cdncnn_sigma25.safetensors"), (25,))
    return table


def mean_psnr(network: nn.Module, images: list[Tensor], level: float) -> float:
    """Mean PSNR in dB of denoising ``images`` at ``level`` (of 255)."""
    total = 0.0
    for number, clean in enumerate(images):
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(number))
        with torch.no_grad():
            out = network(clean + level / 255 * noise, level / 255).clamp(0, 1)
        total += float(PSNR()(out, clean))
    return total / len(images)


def main() -> None:
    """Measure what is missing and print it."""
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
