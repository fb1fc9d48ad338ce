"""Figures of a comparison: the images side by side, and PSNR after every iteration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from daep_compare.results import Comparison

__all__ = ["convergence", "interesting_crop", "pictures"]

#: Panels a row, and the size of one in inches.
COLUMNS, PANEL = 5, 2.1
#: The crop is this share of the shorter side, and at least this many pixels.
CROP_SHARE, SMALLEST_CROP = 0.3, 24
DPI = 130


def interesting_crop(comparison: Comparison, size: int) -> tuple[int, int]:
    """Upper left corner (row, column) of the square in the judged part where the methods differ most.

    :param int size: side of the square, pixels.
    """
    images = [comparison.judged(result.image) for result in comparison.results if result.image is not None]
    clean = comparison.judged(comparison.clean)
    difference = sum(((image - clean).square() for image in images), clean.new_zeros(clean.shape))
    if len(images) > 1:
        mean = sum(images[1:], images[0]) / len(images)
        difference = sum(((image - mean).square() for image in images), clean.new_zeros(clean.shape))
    score = F.avg_pool2d(difference.mean(1, keepdim=True), size, stride=1)[0, 0]
    best = int(score.argmax())
    return best // score.shape[1], best % score.shape[1]


def pictures(comparison: Comparison) -> Figure:
    """The original and the measurement, then one crop of each and of every result.

    :return: a matplotlib figure; ``figure.savefig(path)`` writes it.
    """
    judged = comparison.judged
    clean, start = judged(comparison.clean), judged(comparison.start).clamp(0, 1)
    size = min(max(SMALLEST_CROP, round(CROP_SHARE * min(clean.shape[-2:]))), *clean.shape[-2:])
    row, column = interesting_crop(comparison, size)

    def crop(x: Tensor) -> Tensor:
        return x[..., row : row + size, column : column + size]

    panels = [(clean, "original"), (start, "measurement"), (crop(clean), "original, crop")]
    panels.append((crop(start), f"measurement, crop\n{comparison.psnr(comparison.start):.2f} dB"))
    for result in comparison.results:
        if result.image is not None:
            panels.append((crop(judged(result.image)), f"{result.method}\n{result.psnr:.2f} dB"))
    rows = math.ceil(len(panels) / COLUMNS)
    figure = Figure(figsize=(COLUMNS * PANEL, rows * (PANEL + 0.45)), layout="constrained", dpi=DPI)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, (image, title) in zip(grid.flat, panels, strict=False):
        axes.imshow(_pixels(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=9)
    for axes in grid.flat[:2]:
        frame = Rectangle((column - 0.5, row - 0.5), size, size, fill=False, edgecolor="red", linewidth=1.2)
        axes.add_patch(frame)
    return figure


def convergence(comparison: Comparison) -> Figure:
    """PSNR after every iteration, against network evaluations and against time. A dot marks the result.

    :return: a matplotlib figure.
    """
    figure = Figure(figsize=(11, 5.2), layout="constrained", dpi=DPI)
    by_work, by_time = figure.subplots(1, 2, sharey=True)
    start = comparison.psnr(comparison.start)
    lowest = start
    for number, result in enumerate(comparison.results):
        if result.psnr is None or result.seconds is None:
            continue
        lowest = min(lowest, result.psnr)
        style = {"color": f"C{number % 10}", "linestyle": ("-", "--", ":")[number // 10 % 3]}
        if result.evaluations:
            work = result.evaluations + result.jacobian_products
            _line(by_work, [(step.evaluations, step.psnr) for step in result.path], (work, result.psnr), style)
        path = [(step.seconds, step.psnr) for step in result.path]
        _line(by_time, path, (result.seconds, result.psnr), style, f"{result.method}  {result.psnr:.2f} dB")
    for axes in (by_work, by_time):
        axes.axhline(start, color="0.6", linewidth=0.8)
        axes.set_xscale("log")
        axes.grid(alpha=0.25)
    by_work.set_ylim(bottom=lowest - 1)  # the first iterations of some methods are far below
    by_work.set_xlabel("network evaluations and Jacobian products")
    by_work.set_ylabel("PSNR, dB (grey line: the measurement)")
    by_time.set_xlabel("seconds")
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def _line(
    axes: Axes,
    path: list[tuple[float, float]],
    end: tuple[float, float],
    style: dict[str, Any],
    label: str | None = None,
) -> None:
    horizontal, vertical = zip(*path, end, strict=True)
    axes.plot(horizontal, vertical, **style, linewidth=1.3, label=label)
    axes.plot(*end, marker="o", markersize=4, color=style["color"])


def _pixels(x: Tensor) -> npt.NDArray[np.float32]:
    image: npt.NDArray[np.float32] = x[0].detach().cpu().permute(1, 2, 0).numpy()
    return image[..., 0] if image.shape[-1] == 1 else image
