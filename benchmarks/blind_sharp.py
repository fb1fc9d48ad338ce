"""Sharp photographs given to the blind deblurring: do they come back as they were?

    python benchmarks/blind_sharp.py --data FOLDER [--again]

The 24 Kodak images, whole, and the middle 255 x 255 pixels of each, in colour. PSNR of the result against the
photograph itself; ``inf``: unchanged. Writes ``results/blind-sharp.csv``. Cases in the file are not measured again.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

from csv_table import Table
from protocol import data_folder, read
from rich.console import Console
from torch import Tensor

from daep_deepinv import BlindDAEP

RESULTS = Path(__file__).parent / "results"
#: Side of a crop, pixels.
SIDE = 255


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


def main() -> None:
    """Measure the missing photographs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    table = Table(arguments.results / "blind-sharp.csv", "photograph")
    if arguments.again:
        table.drop(lambda row: True)
    for name, x in sharp_photographs(data_folder(arguments.data)):
        if table.find(name) is None:
            table.add(measured(name, x))
            Console().print("  ".join(table.rows[-1].values()), highlight=False)


if __name__ == "__main__":
    main()
