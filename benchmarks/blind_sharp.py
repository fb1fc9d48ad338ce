"""Sharp photographs given to the blind deblurring: do they come back as they were?

    python benchmarks/blind_sharp.py --data FOLDER [--set kodak|training] [--again]

The 24 Kodak images, whole, and the middle 255 x 255 pixels of each, in colour. PSNR of the result against the
photograph itself; ``inf``: unchanged. Writes ``results/blind-sharp.csv``.

``training``: the number that decides, :func:`daep_prior.blind.sharpness.sharpness`, of sharp and blurred crops of
training images (``sharpness``, ``hard`` and ``training`` of ``blind_cases.py``). Its limit is chosen here. Writes
``results/blind-sharpness.csv``. Cases in the files are not measured again.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from blind_cases import BlindCase, hard, training
from blind_cases import sharpness as slightly_blurred
from csv_table import Table
from protocol import data_folder, read
from rich.console import Console
from torch import Tensor

from daep_deepinv import BlindDAEP, DAEPrior
from daep_prior.blind import BlindSettings
from daep_prior.blind.noise import less_noise, noise_level
from daep_prior.blind.sharpness import sharpness

RESULTS = Path(__file__).parent / "results"
#: Side of a crop, pixels.
SIDE = 255
#: Sets of training crops.
CROPS = (slightly_blurred, hard, training)


def sharp_photographs(data: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and photographs (1, 3, h, w)."""
    for path in sorted((data / "kodak24").glob("*.png")):
        x = read(path)
        top, left = (x.shape[-2] - SIDE) // 2, (x.shape[-1] - SIDE) // 2
        yield path.stem, x
        yield f"{path.stem}, middle", x[..., top : top + SIDE, left : left + SIDE]


def measured(name: str, x: Tensor) -> dict[str, str]:
    """The row of a photograph."""
    model = BlindDAEP()
    error = float((model(x) - x).square().mean())
    return {
        "photograph": name,
        "verdict": model.verdict[0],
        "kernel": str(model.kernel.shape[-1]),
        "psnr": f"{-10 * math.log10(error):.2f}" if error else "inf",
        "confidence": f"{model.confidence[0]:.3f}",
    }


def tested(case: BlindCase, prior: DAEPrior) -> dict[str, str]:
    """The row of a training crop."""
    grey = case.y.mean(1, keepdim=True)
    noise = noise_level(grey)
    settings = BlindSettings().for_noise(noise)
    with torch.no_grad():
        clean = less_noise(grey, prior.denoise, noise, 1.0, settings)
        return {"crop": case.name, "sharpness": f"{sharpness(clean, prior.denoise, settings):.3f}"}


def main() -> None:
    """Measure the missing photographs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--set", choices=("kodak", "training"), default="kodak")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    kodak, data = arguments.set == "kodak", data_folder(arguments.data)
    key, file = ("photograph", "blind-sharp.csv") if kodak else ("crop", "blind-sharpness.csv")
    table, prior = Table(arguments.results / file, key), DAEPrior("dae")
    if arguments.again:
        table.drop(lambda row: True)
    cases = sharp_photographs(data) if kodak else ((case.name, case) for make in CROPS for case in make(data))
    for name, case in cases:
        if table.find(name) is None:
            table.add(tested(case, prior) if isinstance(case, BlindCase) else measured(name, case))
            Console().print("  ".join(table.rows[-1].values()), highlight=False)


if __name__ == "__main__":
    main()
