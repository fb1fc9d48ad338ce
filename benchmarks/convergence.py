"""PSNR against network evaluations of every solver with one network: one deblurring, one plot.

    python benchmarks/convergence.py --data FOLDER [--image 21] [--kernel 1] [--noise 2.55] [--size 160]

A crop of a Kodak image (from row and column 100), blurred by one of Levin's kernels. All solvers use the network
``dae``; the paper's solver takes 300 evaluations at width 25/255. The first panel counts a Jacobian product as one
evaluation, the second is in seconds. Writes ``docs/images/convergence.png`` and ``results/convergence.csv``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from csv_table import write_rows
from protocol import data_folder, levin_kernel, read
from rich.console import Console

from daep_compare import compare
from daep_compare.figures import convergence
from daep_deepinv import degradation

HERE = Path(__file__).parent
METHODS = (
    *("daep-annealed", "daep-fast", "daep-best", "daep-paper"),
    *("pnp-hqs", "pnp-hqs-24", "pnp-admm", "red", "gs-pnp", "dmsp"),
)


def main() -> None:
    """Run all solvers and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--image", type=int, default=21)
    parser.add_argument("--kernel", type=int, default=1)
    parser.add_argument("--noise", type=float, default=2.55, help="standard deviation, white is 255")
    parser.add_argument("--size", type=int, default=160, help="height and width of the crop, pixels")
    arguments = parser.parse_args()
    data = data_folder(arguments.data)
    end = 100 + arguments.size
    clean = read(data / "kodak24" / f"kodim{arguments.image:02d}.png", (100, end, 100, end))
    physics = degradation(levin_kernel(data, arguments.kernel), sigma=arguments.noise / 255)
    found = compare(clean, physics, METHODS, lpips=False)
    convergence(found).savefig(HERE.parent / "docs" / "images" / "convergence.png")
    for result in found.results:
        Console().print(f"{result.method:14} {result.psnr} dB, {result.evaluations} evaluations {result.remark}")
    rows = [
        {"method": result.method, "evaluations": str(step.evaluations), "psnr": f"{step.psnr:.2f}"}
        for result in found.results
        for step in result.path
    ]
    write_rows(HERE / "results" / "convergence.csv", rows)


if __name__ == "__main__":
    main()
