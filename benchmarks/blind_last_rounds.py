"""Blind deblurring with ``dae-blind``: error ratios of starts, after both refinements, and with faint arms.

    python benchmarks/blind_last_rounds.py --data FOLDER [--set textured] [--again]

``usual`` is the best of at most two starts, five for ``textured``; ``start`` is the best with those that keep faint
arms. It is refined (``short``, ``long``), and improved as ``BlindDAEP`` does (``taken``). The sets are
``training`` and ``mixed`` of ``blind_synthetic.py``; two of the middle 300 x 300 pixels of the photographs of
``training``, which are first reduced to 3/4, as the files are softer than good photographs; and every sixteenth
photograph of BSDS, which has fine texture.

* ``reduced`` and ``textured``: under the twelve kernels in turn.
* ``arms``: all under the shake of 41 pixels, which has most of its light at one end and faint long arms.

Writes ``results/blind-last-rounds-SET.csv``. Cases in the file are not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from blind import square, squared_error
from blind_cases import BlindCase, blurred
from blind_synthetic import NOISE, SIDE, SIZE, cases, kernels, middle, mixed, photographs, read
from csv_table import Table
from PIL import Image
from protocol import as_tensor, data_folder
from rich.console import Console
from torch import Tensor

from daep_deepinv.blind.arguments import checked_size
from daep_deepinv.blind.prior import BlindPrior, as_blind_prior
from daep_deepinv.blind.restoration import deblurred
from daep_prior.blind import BlindSettings, find_blur
from daep_prior.blind.chosen_kernel import improved_kernel
from daep_prior.blind.kernel_shape import spread
from daep_prior.blind.noise import less_noise, noise_level
from daep_prior.blind.refinement import refined

RESULTS = Path(__file__).parent / "results"
#: Side of the reduced photographs' crops, pixels, what they are reduced to, and the seeds of the first noise fields.
REDUCED_SIDE, REDUCED, SEEDS = 300, 0.75, {"reduced": 5000, "arms": 6000, "textured": 7000}
#: Number of textured photographs, and which of BSDS: every sixteenth.
TEXTURED, EVERY = 24, 16
#: Kernel of the set ``arms``.
ARMS = "shake 41"
STARTS = {"textured": 5}
FEW_STARTS = 2


def reduced(data: Path, which: str) -> Iterator[BlindCase]:
    """The middle of each reduced photograph under one of the kernels in turn, or under :data:`ARMS`."""
    blurs = [(name, kernel) for name, kernel in kernels().items() if which == "reduced" or name == ARMS]
    for number, path in enumerate(photographs(data, "training")):
        name, kernel = blurs[number % len(blurs)]
        image = Image.open(path).convert("RGB")
        size = (round(REDUCED * image.width), round(REDUCED * image.height))
        x = as_tensor(image.resize(size, Image.Resampling.LANCZOS))
        yield middle(x, f"{path.stem}, {name}", kernel, SEEDS[which] + number, REDUCED_SIDE)


def textured(data: Path) -> Iterator[BlindCase]:
    """Photographs of BSDS, up to 384 pixels wide, under one of the kernels in turn."""
    blurs = list(kernels().items())
    for number, path in enumerate(sorted((data / "train" / "bsds").glob("*.jpg"))[::EVERY][:TEXTURED]):
        name, kernel = blurs[number % len(blurs)]
        x = read(path)
        x = x.transpose(-1, -2) if x.shape[-2] > x.shape[-1] else x
        width = min(SIDE + kernel.shape[1] - 1, x.shape[-1])
        left = (x.shape[-1] - width) // 2
        x = x[..., left : left + width]
        yield replace(blurred(f"{path.stem}, {name}", x, kernel, NOISE, SEEDS["textured"] + number), size=SIZE)


def measured(case: BlindCase, prior: BlindPrior, starts: int) -> dict[str, str]:
    """The row of a crop."""
    grey = case.y.mean(1, keepdim=True)
    settings = replace(BlindSettings(), size=checked_size(case.size, case.y))
    none = replace(settings, refining_rounds=0, arm_steps=0, corrections=0)
    networks = {"sharpen": prior.sharpen, "cost": prior.prediction_error}
    usual = find_blur(case.y, prior.judge, replace(none, faint_start=False), starts, **networks)
    found = find_blur(case.y, prior.judge, none, starts, **networks)
    level = noise_level(grey)
    settings = settings.for_noise(level)
    short = settings.with_sharpener(level)
    quieter = less_noise(grey, prior.judge, level, settings.denoised_share, settings)
    ways = {"usual": usual.kernel, "start": found.kernel}
    for name, way in (("short", short), ("long", short.with_long_refinement())):
        ways[name] = refined(quieter, prior.judge, found.kernel, way, sharpen=prior.sharpen)
    costs = {name: prior.prediction_error(grey, kernel) for name, kernel in ways.items()}
    predicts_best = min(costs, key=costs.__getitem__)
    options = (level, settings, 0, None, prior.sharpen, partial(prior.prediction_error, grey))
    ways["taken"] = improved_kernel(quieter, prior.judge, found.kernel, costs["start"], *options)
    costs["taken"] = prior.prediction_error(grey, ways["taken"])

    def error(kernel: Tensor) -> float:
        return squared_error(deblurred(case.y, kernel, None, "fast", prior.denoiser), case.sharp)

    true = error(square(case.kernel))
    return {
        "case": case.name,
        "verdict": found.verdict,
        "spread": f"{spread(found.kernel):.1f}",
        **{f"error ratio {name}": f"{error(kernel) / true:.2f}" for name, kernel in ways.items()},
        **{f"prediction error {name}": f"{cost:.9f}" for name, cost in costs.items()},
        "predicts best": predicts_best,
    }


def main() -> None:
    """Measure the missing crops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--set", choices=("training", "mixed", "reduced", "arms", "textured"), default="reduced")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data, prior = data_folder(arguments.data), as_blind_prior("dae")
    table = Table(arguments.results / f"blind-last-rounds-{arguments.set}.csv", "case")
    if arguments.again:
        table.drop(lambda row: True)
    made = {
        "training": lambda: cases(data, "training", False),
        "mixed": lambda: mixed(data),
        "textured": lambda: textured(data),
    }
    for case in made.get(arguments.set, lambda: reduced(data, arguments.set))():
        if table.find(case.name) is None:
            table.add(measured(case, prior, STARTS.get(arguments.set, FEW_STARTS)))
            Console().print("  ".join(table.rows[-1].values()), highlight=False)


if __name__ == "__main__":
    main()
