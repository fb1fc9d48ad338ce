"""Blind deblurring with ``dae``: the error ratio of a found kernel, before and after it is refined, and corrected.

    python benchmarks/blind_refinement.py --data FOLDER [--rounds 16] [--again]

Twenty crops of the sets ``soft``, ``training`` and ``hard`` of ``blind_cases.py``, at most three starts; the error
ratio is that of ``blind.py``. Writes ``results/blind-refinement.csv``. Cases in the file are not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from blind import square, squared_error
from blind_cases import BlindCase, hard, soft, training
from csv_table import Table
from protocol import data_folder, eight_bits
from rich.console import Console
from torch import Tensor

from daep_deepinv import DAEPrior
from daep_deepinv.blind.arguments import checked_size
from daep_deepinv.blind.restoration import deblurred
from daep_prior.blind import BlindSettings, find_blur
from daep_prior.blind.correction import corrected
from daep_prior.blind.noise import less_noise, noise_level
from daep_prior.blind.refinement import refined
from daep_prior.blind.settings import LITTLE_NOISE

RESULTS = Path(__file__).parent / "results"
#: Numbers of the crops in their sets: all kinds of noise, and found kernels with error ratios from 1.2 to 6.5.
SOFT, TRAINING, HARD = (0, 1, 3, 4, 6, 7, 8, 9, 10, 11), (3, 4, 6, 8), (0, 1, 2, 3, 7, 9)
STARTS = 3


def crops(data: Path) -> Iterator[BlindCase]:
    """The twenty crops."""
    sets = (("soft", SOFT, soft(data)), ("training", TRAINING, training(data)), ("hard", HARD, hard(data)))
    for name, numbers, cases in sets:
        for number, case in enumerate(islice(cases, max(numbers) + 1)):
            if number in numbers:
                yield replace(case, name=f"{name} {case.name}")


def measured(case: BlindCase, rounds: int) -> dict[str, str]:
    """The row of a crop."""
    prior, grey = DAEPrior("dae"), case.y.mean(1, keepdim=True)
    noise = noise_level(grey)
    settings = replace(BlindSettings(), size=checked_size(None, case.y), refining_rounds=0, arm_steps=0, corrections=0)
    found = find_blur(case.y, prior.denoise, settings, STARTS)
    settings = replace(BlindSettings(), size=settings.size, refining_rounds=rounds)
    settings = settings.for_noise(noise)
    quieter = less_noise(grey, prior.denoise, noise, settings.denoised_share, settings)
    better = refined(quieter, prior.denoise, found.kernel, settings)
    last = corrected(grey, prior.denoise, better, noise, settings) if noise < LITTLE_NOISE else better

    def error(kernel: Tensor) -> float:
        return squared_error(eight_bits(deblurred(case.y, kernel, None, "fast", prior.denoiser)), case.sharp)

    true = error(square(case.kernel))
    return {
        "case": case.name,
        "rounds": str(rounds),
        "noise, of 255": f"{255 * noise:.1f}",
        "confidence": f"{found.confidence:.3f}",
        "error ratio, found": f"{error(found.kernel) / true:.2f}",
        "error ratio, refined": f"{error(better) / true:.2f}",
        "error ratio, corrected": f"{error(last) / true:.2f}",
        "taken": str(better is not found.kernel),
    }


def main() -> None:
    """Measure the missing crops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--rounds", type=int, default=BlindSettings().refining_rounds)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    table = Table(arguments.results / "blind-refinement.csv", "case", "rounds")
    if arguments.again:
        table.drop(lambda row: row["rounds"] == str(arguments.rounds))
    for case in crops(data_folder(arguments.data)):
        if table.find(case.name, str(arguments.rounds)) is None:
            table.add(measured(case, arguments.rounds))
            Console().print("  ".join(table.rows[-1].values()), highlight=False)


if __name__ == "__main__":
    main()
