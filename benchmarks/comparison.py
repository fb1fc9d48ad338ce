"""DAEP beside its peers with the same network on Kodak24, when the model is exact and when it is a little wrong.

    python benchmarks/comparison.py --data FOLDER [--images 24] [--size 256] [--methods annealed,pnp-hqs,...]
                                    [--measurements "2.55" ...] [--device cuda --results FOLDER]

The Kodak images are cropped (rows and columns 100 to 100 + size; ``--size 0``: whole) and blurred by Levin's kernels,
image n by kernel 1 + (n - 1) mod 8; noise from a generator seeded with the image's number. PSNR and SSIM under the
protocol of ``protocol.py``; seconds an image from the same run, one method after another. On a GPU they end when it
is done, and each image is restored once more before, which does not count. ``estimate`` is the default preset
that is told no noise level and finds it out. Peers are those of :mod:`daep_compare.peers` with the parameters that
``tune_peers.py`` found on training images.

Every case is a row of ``results/comparison/cases.csv``, from which a run goes on where it was stopped; images are taken
in an order that goes through the kernels, so that any prefix is a fair subset. Means over the same images for all
methods of a row are written to ``results/comparison.csv``, their PSNR to ``results/comparison.md``.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from protocol import Case, Table, blurred, data_folder, eight_bits, levin_kernel, read
from rich.console import Console
from scipy.ndimage import rotate
from torch import Tensor, nn

from daep_compare.peers import Peer
from daep_deepinv import DAEP, DAEDenoiser
from daep_deepinv.presets import PRESETS

RESULTS = Path(__file__).parent / "results"
METHODS = ("annealed", "fast", "best", "estimate", "pnp-hqs", "pnp-hqs-24", "pnp-admm", "red", "gs-pnp")
#: Of a case, with the digits of their means.
FIGURES = {"psnr": 2, "ssim": 4, "seconds": 1}
#: First one image for each kernel, from all over the set, then the next eight.
ORDER = tuple(1 + 8 * ((k + turn) % 3) + k for turn in range(3) for k in range(8))


@dataclass(frozen=True)
class Measurement:
    """How an image is measured, standard deviations of 255.

    :param float noise: in the measurement.
    :param float told: to the solvers.
    :param str kind: ``independent``, ``grey`` (the same in all channels), ``correlated`` (averaged over 3 x 3 pixels,
        then brought back to the stated standard deviation).
    :param int jpeg: quality at which the measurement is stored; 0: not stored.
    :param float turned: degrees by which the true kernel is turned against the one that is told.
    """

    noise: float
    told: float
    kind: str = "independent"
    jpeg: int = 0
    turned: float = 0.0


MEASUREMENTS = {
    "2.55": Measurement(2.55, 2.55),
    "7.65": Measurement(7.65, 7.65),
    "12.75": Measurement(12.75, 12.75),
    "5.1, told 2.55": Measurement(5.1, 2.55),
    "2.55, told 5.1": Measurement(2.55, 5.1),
    "2.55, the same in all channels": Measurement(2.55, 2.55, "grey"),
    "2.55, correlated (3 x 3)": Measurement(2.55, 2.55, "correlated"),
    "2.55, stored as JPEG 90": Measurement(2.55, 2.55, jpeg=90),
    "2.55, kernel turned by 2 degrees": Measurement(2.55, 2.55, turned=2.0),
}


def measure(clean: Tensor, number: int, kernel: np.ndarray, how: Measurement) -> Case:
    """The degraded image, with the physics and the noise level that the solvers are told."""
    told = blurred(f"kodak {number}", clean, kernel, 0.0)
    y = told.measurement
    if how.turned:
        true = rotate(kernel, how.turned, reshape=False, order=1).clip(0)
        y = blurred("", clean, true / true.sum(), 0.0).measurement
    rng = torch.Generator().manual_seed(number)
    if how.kind == "grey":
        field = torch.randn([1, 1, *y.shape[2:]], generator=rng)
    elif how.kind == "correlated":
        rows, cols = (n + 2 for n in y.shape[2:])
        field = 3 * nn.functional.avg_pool2d(torch.randn([1, 3, rows, cols], generator=rng), 3, 1)
    else:
        field = torch.randn(y.shape, generator=rng)
    y = y + how.noise / 255 * field
    if how.jpeg:
        y = stored_as_jpeg(y, how.jpeg)
    return replace(told, measurement=y, sigma=how.told / 255)


def stored_as_jpeg(y: Tensor, quality: int) -> Tensor:
    """``y`` (1, 3, H, W) as it is read back from a JPEG file."""
    pixels = (eight_bits(y)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    back = np.array(Image.open(file).convert("RGB"))
    return torch.from_numpy(back).permute(2, 0, 1)[None].float() / 255


def restore(method: str, case: Case, network: nn.Module) -> Tensor:
    """The restored image."""
    if method == "estimate":
        model: Callable[..., Tensor] = DAEP("estimate", denoiser=network)
    elif method in PRESETS:
        model = DAEP(case.sigma, method, network)
    else:
        model = Peer(method, case.sigma, network)
    return model(case.measurement, case.physics)


def on_device(case: Case, device: torch.device) -> Case:
    """The case where it is solved and judged."""
    clean, measurement = (x.to(device) for x in (case.clean, case.measurement))
    return replace(case, clean=clean, measurement=measurement, physics=case.physics.to(device))


def summary(table: Table) -> list[dict[str, str]]:
    """Means of each method over the images that all methods of a row have done.

    A row for each measurement and number of images: first the methods that have done most, then with those that have
    done fewer, over these few.
    """
    rows = []
    for name in MEASUREMENTS:
        done: dict[str, dict[str, dict[str, str]]] = {}
        for row in table.rows:
            if row["measurement"] == name:
                done.setdefault(row["method"], {})[row["image"]] = row
        for count in sorted({len(cases) for cases in done.values()}, reverse=True):
            methods = [method for method in METHODS if len(done.get(method, ())) >= count]
            common = set.intersection(*(set(done[method]) for method in methods))
            if not common:
                continue
            row = {"measurement": name, "images": str(len(common))}
            for method in methods:
                for figure, digits in FIGURES.items():
                    mean = math.fsum(float(done[method][image][figure]) for image in common) / len(common)
                    row[f"{method} {figure}"] = f"{mean:.{digits}f}"
            rows.append(row)
    return sorted(rows, key=lambda row: -int(row["images"]))


def markdown(rows: list[dict[str, str]]) -> str:
    """PSNR alone, the best of a row in bold; the table of the README."""
    methods = [method for method in METHODS if any(f"{method} psnr" in row for row in rows)]
    lines = [["noise, of 255 (images)", *methods], ["---"] * (len(methods) + 1)]
    for row in rows:
        figures = [row.get(f"{method} psnr", "") for method in methods]
        best = max(filter(None, figures), key=float, default="")
        told = ", as told" if row["measurement"].replace(".", "").isdigit() else ""
        lines.append(
            [f"{row['measurement']}{told} ({row['images']})", *(f"**{f}**" if f and f == best else f for f in figures)]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Measure what is missing, and write the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--denoiser", default="dae")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--measurements", nargs="+", default=list(MEASUREMENTS), choices=list(MEASUREMENTS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    arguments = parser.parse_args()
    data, console = data_folder(arguments.data), Console()
    methods = arguments.methods.split(",")
    table = Table(arguments.results / "comparison" / "cases.csv", "measurement", "image", "method")
    network = DAEDenoiser(arguments.denoiser, arguments.device)
    box = (100, 100 + arguments.size, 100, 100 + arguments.size) if arguments.size else None
    for number in ORDER[: arguments.images]:
        kernel = levin_kernel(data, 1 + (number - 1) % 8)
        clean = read(data / "kodak24" / f"kodim{number:02d}.png", box)
        warm = arguments.device.type == "cpu"
        for name in arguments.measurements:
            case = on_device(measure(clean, number, kernel, MEASUREMENTS[name]), arguments.device)
            for method in methods:
                if table.find(name, str(number), method):
                    continue
                if not warm:
                    restore("fast", case, network)
                    warm = True
                began = time.perf_counter()
                restored = restore(method, case, network)
                if restored.is_cuda:
                    torch.cuda.synchronize(restored.device)
                seconds = time.perf_counter() - began
                figures = {"psnr": f"{case.psnr(restored):.3f}", "ssim": f"{case.ssim(restored):.4f}"}
                table.add(
                    {
                        "measurement": name,
                        "image": str(number),
                        "method": method,
                        **figures,
                        "seconds": f"{seconds:.2f}",
                    }
                )
                console.print(f"{name:34} kodim{number:02d} {method:10} {figures['psnr']} dB {seconds:.1f} s")
    rows = summary(table)
    names = [f"{method} {figure}" for method in METHODS for figure in FIGURES]
    with (arguments.results / "comparison.csv").open("w", newline="") as file:
        used = [name for name in names if any(name in row for row in rows)]
        writer = csv.DictWriter(file, fieldnames=["measurement", "images", *used])
        writer.writeheader()
        writer.writerows(rows)
    (arguments.results / "comparison.md").write_text(markdown(rows))


if __name__ == "__main__":
    main()
