"""Sharp photographs given to the blind deblurring: do they come back as they were?

    python benchmarks/blind_sharp.py --data FOLDER [--set kodak|training|noisy] [--again]

The 24 Kodak images, whole, and the middle 255 x 255 pixels of each, in colour. PSNR of the result against the
photograph itself; ``inf``: unchanged. Writes ``results/blind-sharp.csv``.

``training``: the number that decides, :func:`daep_prior.blind.sharpness.sharpness`, of sharp and blurred crops of
training images (``sharpness``, ``hard`` and ``training`` of ``blind_cases.py``). Its limit is chosen here. Writes
``results/blind-sharpness.csv``.

``noisy``: random sharp crops of training images, 160 and 224 pixels, colour and grey, noise of 3 and 5 %. PSNR against
the crop without noise, of the photograph and of the result. Writes ``results/blind-sharp-noisy.csv``. Cases in the
files are not measured again.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from blind import squared_error
from blind_cases import BlindCase, blurred, hard, training
from blind_cases import sharpness as slightly_blurred
from blind_confidence import random_crop
from csv_table import Table
from protocol import data_folder, read
from rich.console import Console
from torch import Tensor

from daep_deepinv import BlindDAEP, DAEPrior
from daep_prior.blind import BlindSettings
from daep_prior.blind.noise import less_noise, noise_level
from daep_prior.blind.sharpness import sharpness

RESULTS = Path(__file__).parent / "results"
#: Set -> name of its file.
FILES = {"kodak": "blind-sharp", "training": "blind-sharpness", "noisy": "blind-sharp-noisy"}
#: Side of a crop, pixels.
SIDE = 255
#: Sets of training crops.
CROPS = (slightly_blurred, hard, training)
#: Seed and number of the noisy crops.
NOISY_SEED, NOISY = 913, 120


def sharp_photographs(data: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and photographs (1, 3, h, w)."""
    for path in sorted((data / "kodak24").glob("*.png")):
        x = read(path)
        top, left = (x.shape[-2] - SIDE) // 2, (x.shape[-1] - SIDE) // 2
        yield path.stem, x
        yield f"{path.stem}, middle", x[..., top : top + SIDE, left : left + SIDE]


def noisy(data: Path) -> Iterator[BlindCase]:
    """Sharp crops of random training images, with noise."""
    files = sorted((data / "train").glob("*/*.jpg"))
    for number in range(NOISY):
        rng = np.random.default_rng((NOISY_SEED, number))
        side, noise, grey = int(rng.choice((160, 224))), float(rng.choice((0.03, 0.05))), bool(rng.random() < 0.5)
        x = random_crop(rng, files, side, reduced=bool(rng.random() < 0.4))
        name = f"{number}: {'grey' if grey else 'colour'}, side {side}, noise {noise:g}"
        yield blurred(name, x.mean(1, keepdim=True) if grey else x, torch.ones(1, 1), noise, number)


def restored(case: BlindCase) -> dict[str, str]:
    """The row of a noisy crop."""
    model = BlindDAEP()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x = model(case.y)
    before, after = (-10 * math.log10(squared_error(image, case.sharp)) for image in (case.y, x))
    return {
        "crop": case.name,
        "verdict": model.verdict[0],
        "kernel": str(model.kernel.shape[-1]),
        "photograph": f"{before:.2f}",
        "result": f"{after:.2f}",
        "confidence": f"{model.confidence[0]:.3f}",
        "warned": str(bool(caught)),
    }


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
    parser.add_argument("--set", choices=FILES, default="kodak")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data, prior = data_folder(arguments.data), DAEPrior("dae")
    table = Table(
        arguments.results / f"{FILES[arguments.set]}.csv", "photograph" if arguments.set == "kodak" else "crop"
    )
    if arguments.again:
        table.drop(lambda row: True)
    if arguments.set == "kodak":
        rows = ((name, partial(measured, name, x)) for name, x in sharp_photographs(data))
    elif arguments.set == "training":
        rows = ((case.name, partial(tested, case, prior)) for make in CROPS for case in make(data))
    else:
        rows = ((case.name, partial(restored, case)) for case in noisy(data))
    for name, row in rows:
        if table.find(name) is None:
            table.add(row())
            Console().print("  ".join(table.rows[-1].values()), highlight=False)


if __name__ == "__main__":
    main()
