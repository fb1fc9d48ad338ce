"""DAEP beside its peers with the same network on Kodak24, with exact and with wrong models.

    python benchmarks/comparison.py --data FOLDER [--images 24] [--size 256] [--methods annealed,pnp-hqs,...]
                                    [--measurements "2.55" ...] [--device cuda --results FOLDER]

* Images: Kodak24, rows and columns 100 to 100 + size; ``--size 0``: whole images. Image n is blurred by Levin's kernel
  1 + (n - 1) mod 8, in the rows of random kernels by one that no search has used. The number of the image is the seed
  of its noise.
* Measurements: see ``measurements.py``; metrics: see ``protocol.py``. These are test images: they choose no setting.
* Methods: presets of DAEP; ``estimate``, the default preset with an estimated noise level; the peers of
  :mod:`daep_compare.peers` with the parameters that ``tune_peers.py`` found on training images; ``dpir``, DPIR as
  deepinv has it, but with this network.
* Seconds: one method after another in the same run. On a GPU one restoration before the first is not counted.

Every case is a row of ``results/comparison/cases.csv``; an interrupted run continues there. The order of the images
goes through the kernels, so the first images are a fair subset. ``results/comparison.csv`` holds the means over the
images that all methods of a row have done, ``results/comparison.md`` their PSNR.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from csv_table import Table, write_rows
from measurements import MEASUREMENTS, measure, restore
from protocol import Case, data_folder, levin_kernel, read
from rich.console import Console
from torch import nn
from training_crops import kernel as random_kernel

from daep_deepinv import DAEDenoiser

RESULTS = Path(__file__).parent / "results"
METHODS = ("annealed", "fast", "best", "estimate", "pnp-hqs", "pnp-hqs-24", "pnp-admm", "red", "gs-pnp", "dpir")
#: Metric -> digits of its mean.
DIGITS = {"psnr": 2, "ssim": 4, "seconds": 1}
#: Number of the first random kernel, a multiple of 8. The searches and ``training_crops.py`` use other kernels.
RANDOM_KERNELS = 2000
#: One image for each kernel, from all over the set, then the next eight.
ORDER = tuple(1 + 8 * ((k + turn) % 3) + k for turn in range(3) for k in range(8))


def on_device(case: Case, device: torch.device) -> Case:
    """The case on the device where it is restored and judged."""
    clean, measurement = (x.to(device) for x in (case.clean, case.measurement))
    return replace(case, clean=clean, measurement=measurement, physics=case.physics.to(device))


def measured(method: str, case: Case, network: nn.Module) -> dict[str, str]:
    """PSNR, SSIM and seconds of one restoration, as text."""
    began = time.perf_counter()
    restored = restore(method, case, network)
    if restored.is_cuda:
        torch.cuda.synchronize(restored.device)
    seconds = time.perf_counter() - began
    return {"psnr": f"{case.psnr(restored):.3f}", "ssim": f"{case.ssim(restored):.4f}", "seconds": f"{seconds:.2f}"}


def summary(table: Table) -> list[dict[str, str]]:
    """Means of each method over the images that all methods of a row have done.

    One row for each measurement and number of images: the methods that have done most images, then all that have done
    fewer, over these.
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
                for metric, digits in DIGITS.items():
                    mean = math.fsum(float(done[method][image][metric]) for image in common) / len(common)
                    row[f"{method} {metric}"] = f"{mean:.{digits}f}"
            rows.append(row)
    return sorted(rows, key=lambda row: -int(row["images"]))


def markdown(rows: list[dict[str, str]]) -> str:
    """PSNR alone, the best of a row in bold; the table of the README."""
    methods = [method for method in METHODS if any(f"{method} psnr" in row for row in rows)]
    lines = [["noise, of 255 (images)", *methods], ["---"] * (len(methods) + 1)]
    for row in rows:
        values = [row.get(f"{method} psnr", "") for method in methods]
        best = max(filter(None, values), key=float, default="")
        exact = ", as assumed" if row["measurement"].replace(".", "").isdigit() else ""
        lines.append(
            [f"{row['measurement']}{exact} ({row['images']})", *(f"**{v}**" if v and v == best else v for v in values)]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--denoiser", default="dae")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--measurements", nargs="+", default=list(MEASUREMENTS), choices=list(MEASUREMENTS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    return parser.parse_args()


def main() -> None:
    """Measure the missing cases and write the means."""
    arguments = parse()
    data, console = data_folder(arguments.data), Console()
    table = Table(arguments.results / "comparison" / "cases.csv", "measurement", "image", "method")
    network = DAEDenoiser(arguments.denoiser, arguments.device)
    box = (100, 100 + arguments.size, 100, 100 + arguments.size) if arguments.size else None
    for number in ORDER[: arguments.images]:
        kernels = {"levin": levin_kernel(data, 1 + (number - 1) % 8), "random": random_kernel(RANDOM_KERNELS + number)}
        clean = read(data / "kodak24" / f"kodim{number:02d}.png", box)
        warm = arguments.device.type == "cpu"
        for name in arguments.measurements:
            how = MEASUREMENTS[name]
            case = on_device(measure(clean, number, kernels[how.kernels], how), arguments.device)
            for method in arguments.methods.split(","):
                if table.find(name, str(number), method):
                    continue
                if not warm:
                    restore("fast", case, network)
                    warm = True
                row = measured(method, case, network)
                table.add({"measurement": name, "image": str(number), "method": method, **row})
                console.print(f"{name:34} kodim{number:02d} {method:10} {row['psnr']} dB {row['seconds']} s")
    rows = summary(table)
    columns = [f"{method} {metric}" for method in METHODS for metric in DIGITS]
    used = [column for column in columns if any(column in row for row in rows)]
    write_rows(arguments.results / "comparison.csv", rows, ["measurement", "images", *used])
    (arguments.results / "comparison.md").write_text(markdown(rows))


if __name__ == "__main__":
    main()
