"""Blind deblurring: found kernels beside true ones.

    python benchmarks/blind.py --data FOLDER [--set levin|training|hard|soft|limits|wide|jpeg] [--cases N] [--starts 5]
                               [--preset fast] [--again]

* Sets: see ``blind_cases.py``. One setting for all. Settings are chosen on ``training``, ``hard`` and ``soft``;
  ``docs/unknown-blur-measured.md`` names what was chosen after the kernels of ``levin`` had been looked at.
* PSNR: 15 pixels cropped from each side, the best shift in quarter pixels within 12 pixels, by Fourier
  interpolation.
* Error ratio: the squared error with the found kernel over that with the true kernel, both restored in the same way.
* Gap: PSNR with the true kernel minus that with the found one. ``gap, exact shift``: both at their best shift, which is
  no multiple of a quarter pixel. A kernel and its image are known only up to a shift; in sharp images, an eighth of a
  pixel costs up to 1 dB.

Writes ``results/blind-SET.csv``, ``.md``, ``.npz``, the kernels, and ``.png``, beside the true ones. Cases in the file
are not measured again.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from blind_cases import BlindCase, hard, jpeg, levin, limits, soft, training, wide
from csv_table import Table
from protocol import data_folder, eight_bits
from rich.console import Console
from scipy.optimize import minimize
from torch import Tensor

from daep_deepinv import BlindDAEP
from daep_deepinv.blind.kernels import STARTS
from daep_deepinv.blind.restoration import deblurred
from daep_prior.blind import similarity

RESULTS = Path(__file__).parent / "results"
#: Frame without PSNR, and largest shift, pixels; number of quarter pixels in a pixel.
FRAME, REACH, QUARTERS = 15, 12, 4
#: Side of the first simplex of the search for the best shift, and its tolerance, pixels; that of the squared error.
SIMPLEX, SHIFT_TOLERANCE, ERROR_TOLERANCE = 0.1, 0.005, 1e-10
#: Largest distance to the PSNR with the true kernel of a kernel that counts as found, dB.
FOUND = 3.0
SETS = {"levin": levin, "training": training, "hard": hard, "soft": soft, "limits": limits, "wide": wide, "jpeg": jpeg}


def squared_error(x: Tensor, sharp: Tensor) -> float:
    """Mean squared error of ``x`` against ``sharp``, both (1, C, H, W), at the best shift in quarter pixels."""
    return _best_quarters(x, sharp)[0]


def squared_errors(x: Tensor, sharp: Tensor) -> tuple[float, float]:
    """:func:`squared_error`, and that at the best of all shifts (Nelder-Mead)."""
    error, *start = _best_quarters(x, sharp)
    simplex = np.array(start) + SIMPLEX * np.array([[0, 0], [1, 0], [0, 1]])
    options = {"initial_simplex": simplex, "xatol": SHIFT_TOLERANCE, "fatol": ERROR_TOLERANCE}
    found = minimize(
        lambda shift: _inner_error(shifted(x, *shift), sharp), start, method="Nelder-Mead", options=options
    )
    return error, min(error, float(found.fun))


def _best_quarters(x: Tensor, sharp: Tensor) -> tuple[float, float, float]:
    """The least mean squared error, and its shift in quarter pixels, see :func:`shifted`."""
    whole = [(a, b) for a in range(-REACH, REACH + 1) for b in range(-REACH, REACH + 1)]
    row, column = min(whole, key=lambda shift: _inner_error(_rolled(x, shift), sharp))
    near = [n / QUARTERS for n in range(-QUARTERS, QUARTERS + 1)]
    shifts = [(row + a, column + b) for a in near for b in near]
    return min((_inner_error(shifted(x, *shift), sharp), *shift) for shift in shifts)


def shifted(x: Tensor, down: float, right: float) -> Tensor:
    """``x`` (1, C, H, W) moved up by ``down`` and left by ``right`` pixels, a phase in the Fourier domain.

    Others soften the image: after half a pixel by cubic convolution, a sharp photograph of fine texture has 32 dB.
    """
    height, width = x.shape[-2:]
    wide = F.pad(x, (FRAME,) * 4, mode="reflect")
    rows, columns = torch.fft.fftfreq(wide.shape[-2])[:, None], torch.fft.rfftfreq(wide.shape[-1])
    phase = torch.exp(2j * math.pi * (rows * down + columns * right))
    moved = torch.fft.irfft2(torch.fft.rfft2(wide) * phase, s=wide.shape[-2:])
    return moved[..., FRAME : FRAME + height, FRAME : FRAME + width]


def _rolled(x: Tensor, shift: tuple[int, int]) -> Tensor:
    return x.roll((-shift[0], -shift[1]), (-2, -1))


def _inner_error(x: Tensor, sharp: Tensor) -> float:
    """Mean squared error without the frame, which shifts do not reach."""
    return float((x - sharp)[..., FRAME:-FRAME, FRAME:-FRAME].square().mean())


def measured(case: BlindCase, starts: int, preset: str) -> tuple[dict[str, str], Tensor]:
    """The row of a case, and its kernel."""
    model, began = BlindDAEP(size=case.size, starts=starts, preset=preset), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the row has the verdict and the confidence
        x = model(case.y)
    seconds = time.perf_counter() - began
    known = deblurred(case.y, square(case.kernel), None, preset, model.prior.denoiser)
    pairs = [squared_errors(eight_bits(image), case.sharp) for image in (x, known)]
    errors = [squared_error(eight_bits(case.y), case.sharp), *(in_quarters for in_quarters, _ in pairs)]
    exact = [error for _, error in pairs]
    blurred, found, true = (-10 * math.log10(error) for error in errors)
    row = {
        "case": case.name,
        "blurred": f"{blurred:.2f}",
        "psnr": f"{found:.2f}",
        "psnr, true kernel": f"{true:.2f}",
        "error ratio": f"{errors[1] / errors[2]:.2f}",
        "gap, exact shift": f"{10 * math.log10(exact[0] / exact[1]):.2f}",
        "similarity": f"{similarity(model.kernel[0, 0], case.kernel):.3f}",
        "confidence": f"{model.confidence[0]:.3f}",
        "verdict": model.verdict[0],
        "seconds": f"{seconds:.1f}",
    }
    return row, model.kernel[0, 0]


def square(kernel: Tensor) -> Tensor:
    """A kernel (h, w) in a square with an odd side."""
    height, width = kernel.shape
    side = max(height, width) | 1
    rows, columns = side - height, side - width
    return F.pad(kernel, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


def measure_missing(cases: Sequence[BlindCase], base: Path, again: bool, starts: int, preset: str) -> None:
    """Measure the cases that ``base.csv`` does not contain; write it, ``.npz``, ``.md`` and ``.png`` beside it."""
    table, console = Table(base.with_suffix(".csv"), "case"), Console()
    if again:
        table.drop(lambda row: True)
    store = base.with_suffix(".npz")
    store.parent.mkdir(parents=True, exist_ok=True)
    found = dict(np.load(store)) if store.exists() and not again else {}
    for case in cases:
        if table.find(case.name) is None:
            row, kernel = measured(case, starts, preset)
            found[_stored(case)] = kernel.numpy()
            np.savez_compressed(store, **found)
            table.add(row)
            console.print("  ".join(row.values()), highlight=False)
    drawn = [
        (c.name.replace(", ", "\n"), c.kernel, torch.as_tensor(found[_stored(c)])) for c in cases if _stored(c) in found
    ]
    draw(drawn, base.with_suffix(".png"))
    base.with_suffix(".md").write_text(summary(table.rows))
    console.print(summary(table.rows), highlight=False)


def _stored(case: BlindCase) -> str:
    """Name of the kernel of a case in the ``.npz``."""
    return case.name.replace("/", " ")


def summary(rows: list[dict[str, str]]) -> str:
    """Means as a Markdown table."""

    def mean(column: str) -> float:
        return sum(float(row[column]) for row in rows) / len(rows)

    ratios = [float(row["error ratio"]) for row in rows]
    gaps = [float(row["psnr, true kernel"]) - float(row["psnr"]) for row in rows]
    return (
        "| cases | blurred | found kernel | true kernel | error ratio, mean | median | ratio <= 2 | "
        "gap, mean | gap <= 3 dB | gap, exact shift |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n"
        f"| {len(rows)} | {mean('blurred'):.2f} | {mean('psnr'):.2f} | {mean('psnr, true kernel'):.2f} | "
        f"{mean('error ratio'):.2f} | {statistics.median(ratios):.2f} | {sum(ratio <= 2 for ratio in ratios)} | "
        f"{sum(gaps) / len(gaps):.2f} | {sum(gap <= FOUND for gap in gaps)} | "
        f"{mean('gap, exact shift'):.2f} |\n"
    )


def draw(pairs: list[tuple[str, Tensor, Tensor]], path: Path) -> None:
    """True and found kernels side by side; the square root makes faint parts visible."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(8, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    figure, axes = plt.subplots(rows, 2 * columns, figsize=(1.2 * 2 * columns, 1.4 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, (name, true, found) in enumerate(pairs):
        for offset, (title, kernel) in enumerate(((name, true), ("found", found))):
            axis = axes[number // columns, 2 * (number % columns) + offset]
            axis.imshow(kernel.clamp_min(0).sqrt(), cmap="gray")
            axis.set_title(title, fontsize=7)
    figure.savefig(path, dpi=60, bbox_inches="tight")
    plt.close(figure)


def main() -> None:
    """Measure the missing cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--set", choices=tuple(SETS), default="levin")
    parser.add_argument("--cases", type=int, help="the first so many; default all")
    parser.add_argument("--starts", type=int, default=STARTS)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    cases = list(SETS[arguments.set](data_folder(arguments.data)))[: arguments.cases]
    base = arguments.results / f"blind-{arguments.set}"
    measure_missing(cases, base, arguments.again, arguments.starts, arguments.preset)


if __name__ == "__main__":
    main()
