"""DAEP against plug-and-play HQS with the same network, when the model is exact and when it is a little wrong.

    python benchmarks/robustness.py --data FOLDER [--denoiser NAME] [--size 256]

Four crops of Kodak images (1, 8, 13, 23 from row and column 100) blurred by Levin's kernels 2, 6, 3, 8; noise as said
in the first column; mean PSNR in dB under the protocol of ``protocol.py``, and seconds an image from the same run.
PnP-HQS is deepinv's DPIR (8 evaluations, lambda 0.23) with our network. Writes ``benchmarks/results/robustness.csv``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from deepinv.optim import DPIR
from protocol import Case, Table, blurred, data_folder, eight_bits, levin_kernel, read
from rich.console import Console
from torch import Tensor, nn

from daep_deepinv import DAEP, DAEDenoiser, starting_point

RESULTS = Path(__file__).parent / "results"
CROPS = ((1, 2), (8, 6), (13, 3), (23, 8))
#: name -> (true noise, noise told, how the noise is distributed), of 255
MEASUREMENTS = {
    "2.55, as told": (2.55, 2.55, "independent"),
    "7.65, as told": (7.65, 7.65, "independent"),
    "12.75, as told": (12.75, 12.75, "independent"),
    "5.1, told 2.55": (5.1, 2.55, "independent"),
    "2.55, told 5.1": (2.55, 5.1, "independent"),
    "2.55, the same in all channels": (2.55, 2.55, "grey"),
    "2.55, correlated (3 x 3)": (2.55, 2.55, "correlated"),
    "2.55, stored in 8 bits": (2.55, 2.55, "stored"),
}


def measure(clean: Tensor, number: int, kernel: int, data: Path, noise: tuple[float, float, str]) -> Case:
    """The degraded crop; the case is told the second noise level."""
    true, told, kind = noise
    case = blurred(f"kodak {number}/k{kernel}", clean, levin_kernel(data, kernel), 0.0)
    shape = list(case.measurement.shape)
    rng = torch.Generator().manual_seed(number)
    if kind == "grey":
        field = torch.randn([1, 1, *shape[2:]], generator=rng)
    elif kind == "correlated":  # averaged over 3 x 3 pixels, then brought back to the stated standard deviation
        field = 3 * nn.functional.avg_pool2d(torch.randn([1, 3, shape[2] + 2, shape[3] + 2], generator=rng), 3, 1)
    else:
        field = torch.randn(shape, generator=rng)
    case.measurement = case.measurement + true / 255 * field
    if kind == "stored":
        case.measurement = eight_bits(case.measurement)
    case.sigma = told / 255
    return case


def methods(denoiser: str) -> dict[str, Callable[[Case], Tensor]]:
    """Name -> restoration."""
    network = DAEDenoiser(denoiser)

    def hqs(case: Case) -> Tensor:
        model = DPIR(sigma=case.sigma, denoiser=network)
        out: Tensor = model(case.measurement, case.physics, init=starting_point(case.measurement, case.physics))
        return out

    def annealed(case: Case) -> Tensor:
        out: Tensor = DAEP(case.sigma, denoiser=network)(case.measurement, case.physics)
        return out

    return {"PnP-HQS": hqs, "DAEP annealed": annealed}


def main() -> None:
    """Measure what is missing and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--denoiser", default="dae")
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    data, console = data_folder(arguments.data), Console()
    table = Table(RESULTS / "robustness.csv", "key")
    end = 100 + arguments.size
    clean = {n: read(data / "kodak24" / f"kodim{n:02d}.png", (100, end, 100, end)) for n, _ in CROPS}
    restorations = methods(arguments.denoiser)
    for description, noise in MEASUREMENTS.items():
        for name, restore in restorations.items():
            key = f"{description} | {name}"
            if table.find(key):
                continue
            cases = [measure(clean[n], n, k, data, noise) for n, k in CROPS]
            began = time.perf_counter()
            restored = [restore(case) for case in cases]
            seconds = (time.perf_counter() - began) / len(cases)
            psnr = sum(case.psnr(x) for case, x in zip(cases, restored, strict=True)) / len(cases)
            table.add({"key": key, "psnr": f"{psnr:.2f}", "seconds an image": f"{seconds:.1f}"})
            console.print(f"{key:48} {psnr:.2f} dB  {seconds:.1f} s", highlight=False)


if __name__ == "__main__":
    main()
