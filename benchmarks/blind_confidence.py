"""How often are kernels right that were found with a confidence? Random photographs, and the constants that follow.

    python benchmarks/blind_confidence.py --data FOLDER [--cases N] [--again]

Crops of training images, see :func:`photograph`: 160, 224 and 288 pixels, colour and grey, under camera shake, trails,
straight motion, defocus, Gaussian blur and compositions, noise of 0 to 5 %, some stored as JPEG. One blur in ten is
1.5 times as wide, so four of 142 are wider than ``size``. ``OFFSET`` and ``SLOPE`` of ``daep_prior.blind.confidence``
are fitted to the found kernels: is the similarity to the true one at least ``RIGHT``? In the table, the confidences of
each third of the photographs are from constants that are fitted to the others (cross-validation). Writes
``results/blind-confidence.csv``. Cases in the file are not measured again.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from blind import square, squared_error
from blind_cases import BlindCase, blurred, shake, trail
from csv_table import Table
from PIL import Image
from protocol import as_jpeg, as_tensor, data_folder
from rich.console import Console
from scipy.signal import convolve2d
from scipy.special import expit
from torch import Tensor

from daep_cli.kernels.shapes import disk, gaussian, motion
from daep_deepinv.blind.arguments import checked_size
from daep_deepinv.blind.kernels import STARTS, found_blurs
from daep_deepinv.blind.prior import BlindPrior, as_blind_prior
from daep_deepinv.blind.restoration import deblurred
from daep_prior.blind import FoundBlur, similarity
from daep_prior.blind.confidence import RIGHT, confirmation, confirmed_digits

RESULTS = Path(__file__).parent / "results"
CASES = 142
SEED, TRAIL_SEED = 911, 912
SIDES = (160, 224, 288)
KINDS = ("shake", "trail", "trail", "shake", "motion", "defocus", "gaussian", "composed")
NOISES = (0.0, 0.003, 0.005, 0.01, 0.01, 0.02, 0.03, 0.05)
#: Quality of JPEG; 0: not stored as JPEG.
QUALITIES = (0, 0, 0, 0, 95, 90, 75)
#: Number of parts of the cross-validation: case modulo 3.
PARTS = 3
#: Limits of the confidence in the table.
LIMITS = (0.0, 0.5, 0.95, 1.0)
#: Weight of the squared constants in the fit.
RIDGE = 1e-3

Rows = Sequence[dict[str, str]]


def photograph(number: int, files: Sequence[Path]) -> BlindCase:
    """A blurred crop of a random training image; 40 % are first reduced to 3/4, as the files are soft."""
    rng = np.random.default_rng((SEED, number))
    side = int(rng.choice(SIDES))
    default = checked_size(None, torch.empty(1, 1, side, side))
    given = bool(rng.random() < 0.35)
    size = 2 * (int(default * (1.4 if given else 1)) // 2) + 1
    kind, kernel = _blur(rng, size)
    noise, quality = float(rng.choice(NOISES)), int(rng.choice(QUALITIES))
    grey, reduced = bool(rng.random() < 0.35), bool(rng.random() < 0.4)
    x = random_crop(rng, files, side + kernel.shape[0] - 1, reduced)
    name = f"{number}: {kind} {kernel.shape[0]}, {'grey' if grey else 'colour'}, side {side}, noise {noise:g}, "
    name += f"quality {quality or 'none'}"
    case = blurred(name, x.mean(1, keepdim=True) if grey else x, kernel, noise, number)
    return replace(case, y=as_jpeg(case.y, quality) if quality else case.y, size=size if given else None)


def _blur(rng: np.random.Generator, size: int) -> tuple[str, Tensor]:
    """Kind and kernel (n, n) of at most ``size`` pixels; in one of ten cases it is 1.5 times as wide as otherwise."""
    kind, extent = str(rng.choice(KINDS)), float(rng.uniform(5, size))
    if rng.random() < 0.1:
        extent *= 1.5
    odd, seed = 2 * round((extent - 1) / 2) + 1, int(rng.integers(1e6))
    if kind == "shake":
        kernel = shake(odd, float(rng.choice([0.2, 0.3, 0.5])), float(rng.choice([0.25, 0.35, 0.5])), seed)
    elif kind == "trail":
        kernel = trail(odd, (TRAIL_SEED, seed))
    elif kind == "motion":
        kernel = torch.as_tensor(motion(min(extent, 30.0), float(rng.uniform(0, 180)))).float()
    elif kind == "defocus":
        kernel = torch.as_tensor(disk(min(extent / 2, 7.0))).float()
    elif kind == "gaussian":
        kernel = torch.as_tensor(gaussian(min(max(extent / 6, 0.8), 3.0))).float()
    else:
        short = trail(max(5, odd // 2 * 2 - 5), (TRAIL_SEED, seed))
        kernel = torch.as_tensor(convolve2d(short, (gaussian(1.0), disk(2))[int(rng.integers(2))])).float()
    return kind, square(kernel)


def random_crop(rng: np.random.Generator, files: Sequence[Path], wide: int, reduced: bool) -> Tensor:
    """A square of (1, 3, wide, wide) pixels of a random file that is large enough."""
    while True:
        image = Image.open(files[int(rng.integers(len(files)))]).convert("RGB")
        if reduced:
            image = image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS)
        if min(image.size) >= wide:
            top, left = int(rng.integers(image.height - wide + 1)), int(rng.integers(image.width - wide + 1))
            return as_tensor(image)[..., top : top + wide, left : left + wide]


def measured(case: BlindCase, prior: BlindPrior) -> dict[str, str]:
    """The row of a photograph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the row has the verdict and the confidence
        (found,) = found_blurs(case.y, case.size, prior, STARTS, 0, whole=False)
    true = square(case.kernel)
    results = (deblurred(case.y, kernel, None, "fast", prior.denoiser) for kernel in (found.kernel, true))
    errors = [squared_error(x, case.sharp) for x in (*results, case.y)]
    return row_of(case, found, errors)


def row_of(case: BlindCase, found: FoundBlur, errors: Sequence[float]) -> dict[str, str]:
    """The row of a photograph with the errors of its result, the one with the true kernel, and its own."""
    is_found = found.verdict == "found"
    digits = f"{confirmed_digits(confirmation(found.kernel, found.estimates)):.4f}" if is_found else ""
    return {
        "case": case.name,
        "size": str(checked_size(case.size, case.y)),
        "verdict": found.verdict,
        "starts": str(len(found.estimates)),
        "confirmed digits": digits,
        "overshoot": f"{found.doubt:.3f}",
        "similarity": f"{similarity(found.kernel, case.kernel):.4f}",
        "gap": f"{10 * math.log10(errors[0] / errors[1]):.2f}",
        "gap of the photograph": f"{10 * math.log10(errors[2] / errors[1]):.2f}",
    }


def found_kernels(rows: Rows) -> list[dict[str, str]]:
    """The rows of the photographs whose kernel is found."""
    return [row for row in rows if row["verdict"] == "found"]


def is_right(rows: Rows) -> np.ndarray:
    """Whether each kernel is right."""
    return np.array([float(row["similarity"]) >= RIGHT for row in rows])


def fitted(rows: Rows) -> tuple[float, float]:
    """``OFFSET`` and ``SLOPE``: logistic regression by Newton's method."""
    inputs = np.array([[1.0, float(row["confirmed digits"])] for row in rows])
    right, weights = is_right(rows).astype(float), np.zeros(2)
    for _ in range(50):
        likely = expit(inputs @ weights)
        curvature = (inputs * (likely * (1 - likely))[:, None]).T @ inputs + RIDGE * np.eye(2)
        weights -= np.linalg.solve(curvature, inputs.T @ (likely - right) + RIDGE * weights)
    return float(weights[0]), float(weights[1])


def probabilities(rows: Rows, offset: float, slope: float) -> np.ndarray:
    """The confidence of each kernel for two constants."""
    return expit(offset + slope * np.array([float(row["confirmed digits"]) for row in rows]))


def cross_validated(rows: Rows) -> np.ndarray:
    """The confidence of each kernel, with the constants that are fitted to the other parts."""
    part = np.array([int(row["case"].split(":")[0]) % PARTS for row in rows])
    likely = np.zeros(len(rows))
    for one in np.unique(part):
        others = [row for row, other in zip(rows, part != one, strict=True) if other]
        likely[part == one] = probabilities(rows, *fitted(others))[part == one]
    return likely


def table(rows: Rows, likely: np.ndarray) -> str:
    """Of kernels in ranges of the confidence: how many there are, are right, restore within 3 dB, and gain."""
    columns = ("confidence", "kernels", "mean confidence", "right", "at most 3 dB from the true kernel", "gains")
    lines = ["| " + " | ".join(columns) + " |", "|---|---|---|---|---|---|"]
    right = is_right(rows)
    gap, before = (np.array([float(row[name]) for row in rows]) for name in ("gap", "gap of the photograph"))
    for low, high in zip(LIMITS, LIMITS[1:], strict=False):
        here = (likely >= low) & ((likely < high) | (high == 1))
        shares = (likely, right, gap <= 3, gap < before)
        means = [f"{share[here].mean():.2f}" if here.any() else "" for share in shares]
        lines.append(f"| {low:g} to {high:g} | {here.sum()} | " + " | ".join(means) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure the missing photographs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    files = sorted((data_folder(arguments.data) / "train").glob("*/*.jpg"))
    rows, prior = Table(arguments.results / "blind-confidence.csv", "case"), as_blind_prior("dae")
    if arguments.again:
        rows.drop(lambda row: True)
    for number in range(arguments.cases):
        case = photograph(number, files)
        if rows.find(case.name) is None:
            rows.add(measured(case, prior))
            Console().print("  ".join(rows.rows[-1].values()), highlight=False)
    found = found_kernels(rows.rows)
    offset, slope = fitted(found)
    Console().print(f"OFFSET, SLOPE = {offset:.2f}, {slope:.2f}\ncross-validated:", highlight=False)
    Console().print(table(found, cross_validated(found)), highlight=False)


if __name__ == "__main__":
    main()
