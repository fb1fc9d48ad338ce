"""The paper's solver with the authors' network, against figures measured with a port of the authors' own program.

    python benchmarks/paper_cases.py --data FOLDER [--denoiser FILE] [--only levin]

Prints one row a case and writes ``benchmarks/results/paper_cases.csv``; run again, it measures only what is missing.
The
reference column was measured with another draw of the measurement noise; a difference of 0.15 dB is expected from that.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from protocol import Case, Table, data_folder, kodak, levin, reduced
from rich.console import Console

from daep_deepinv import DAEP

RESULTS = Path(__file__).parent / "results"
SIGMA = 2.55 / 255
CROP = (100, 400, 100, 400)
#: dB, from a port of the authors' program with their network; ``None``: no figure for that image alone.
REFERENCE: dict[str, float | None] = {
    "levin 1/k1": 32.33,
    "levin 3/k4": 29.71,
    "kodak 21/k1": 29.03,
    "kodak 5/k4": 26.25,
    "baby x3": None,
    "bird x3": 35.03,
    "butterfly x3": 27.16,
    "head x3": 30.76,
    "woman x3": 30.48,
}
#: The paper's Table 1, DAEP, Set5 x3.
PAPER_SET5_X3 = 31.44


def cases(data: Path) -> Iterator[tuple[str, Callable[[], Case]]]:
    """(name, how to make it), cheap ones first."""
    yield "levin 1/k1", lambda: levin(data, 1, 1, SIGMA)
    yield "levin 3/k4", lambda: levin(data, 3, 4, SIGMA)
    yield "kodak 21/k1", lambda: kodak(data, 21, 1, SIGMA, CROP)
    yield "kodak 5/k4", lambda: kodak(data, 5, 4, SIGMA, CROP)
    for name in ("butterfly", "head", "bird", "woman", "baby"):
        yield f"{name} x3", lambda name=name: reduced(data / "set5" / f"{name}.png", 3)  # type: ignore[misc]


def main() -> None:
    """Measure what is missing, then print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with levin/, kodak24/, set5/ and kernels/")
    parser.add_argument("--denoiser", help="weight file or shipped name; default the authors' network in the data")
    parser.add_argument("--only", default="", help="measure only cases whose name contains this")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    data = data_folder(arguments.data)
    denoiser = arguments.denoiser or data / "reference" / "DAE_sigma25.caffemodel"
    console = Console()
    table = Table(RESULTS / f"paper_cases{'' if arguments.denoiser is None else '_' + Path(denoiser).stem}.csv", "case")
    for name, make in cases(data):
        if arguments.only not in name or table.find(name):
            continue
        case = make()
        model = DAEP(case.sigma, "paper" if case.sigma else "paper-sr", denoiser, device=arguments.device)
        began = time.perf_counter()
        restored = model(case.measurement, case.physics)
        seconds = time.perf_counter() - began
        reference = REFERENCE[name]
        row = {
            "case": name,
            "psnr": f"{case.psnr(restored):.2f}",
            "reference": "" if reference is None else f"{reference:.2f}",
            "difference": "" if reference is None else f"{case.psnr(restored) - reference:+.2f}",
            "seconds": f"{seconds:.0f}",
        }
        table.add(row)
        console.print("  ".join(row.values()))
    set5 = [float(row["psnr"]) for row in table.rows if row["case"].endswith("x3")]
    if len(set5) == 5:
        mean = sum(set5) / 5
        console.print(f"Set5 x3 mean {mean:.2f}, the paper {PAPER_SET5_X3:.2f}, difference {mean - PAPER_SET5_X3:+.2f}")


if __name__ == "__main__":
    main()
