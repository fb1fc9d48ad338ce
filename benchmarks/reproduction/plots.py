"""The pictures: results as dots, images side by side, curves, bars, and the fields of Figure 2."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from csv_table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from reproduction.methods import METHODS
from reproduction.studies import Study
from reproduction.summary import entry

DPI = 110
#: Height of a line of a label, inches.
LINE = 0.16
PAPER_COLOUR, OUR_COLOUR = "0.45", "tab:blue"


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of at most 256 colours, a quarter of the size with no visible loss; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = io.BytesIO()
    figure.savefig(canvas, dpi=DPI)
    Image.open(canvas).convert("RGB").quantize(256).save(path, optimize=True)


def dots(study: Study, store: Table, path: Path) -> None:
    """One panel a cell, one line a method. An open ring: not all cases have been run."""
    methods = [name for name in study.methods if any(entry(cell, name, store) for cell in study.cells)]
    published = list(study.cells[0].published)
    labels = [f"paper: {name}" for name in published] + [METHODS[name].label for name in methods]
    figure = Figure(figsize=(3.2 + 2.1 * len(study.cells), 1.1 + 0.32 * len(labels)), layout="constrained")
    panels = figure.subplots(1, len(study.cells), sharey=True, squeeze=False)[0]
    for axes, cell in zip(panels, study.cells, strict=True):
        for line, name in enumerate(published):
            _dot(axes, cell.published[name], line, f"{cell.published[name]:.2f}", PAPER_COLOUR, True)
        for line, name in enumerate(methods, len(published)):
            found = entry(cell, name, store)
            if found is not None:
                text = f"{found.psnr:.2f}" + ("" if found.complete else f" ({found.count}/{found.total})")
                _dot(axes, found.psnr, line, text, OUR_COLOUR, found.complete)
        axes.set_title(cell.column, fontsize=10)
        axes.set_yticks(range(len(labels)), labels, fontsize=9)
        axes.set_ylim(len(labels) - 0.4, -0.8)
        axes.margins(x=0.35)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="x", alpha=0.3)
    figure.suptitle(study.title, fontsize=11)
    figure.supxlabel("PSNR, dB; open rings: not all cases", fontsize=9)
    save(figure, path)


def _dot(axes: Axes, x: float, line: int, text: str, colour: str, filled: bool) -> None:
    axes.plot(x, line, "o", color=colour, markerfacecolor=colour if filled else "white", markersize=6)
    axes.annotate(text, (x, line), (0, 5), textcoords="offset points", ha="center", fontsize=7.5, color=colour)


def images(rows: Sequence[Sequence[tuple[str, Tensor]]], title: str, path: Path, side: float = 1.9) -> None:
    """Images (1, 3, H, W) in rows of (label, image)."""
    columns, lines = max(map(len, rows)), max(label.count("\n") + 1 for row in rows for label, _ in row)
    height = (side + 0.1 + LINE * lines) * len(rows) + 0.45
    figure = Figure(figsize=(side * columns + 0.2, height), layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(panels, rows, strict=True):
        for axes in line:
            axes.axis("off")
        for axes, (label, image) in zip(line, row, strict=False):
            axes.imshow(image[0].clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
            axes.set_title(label, fontsize=8)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


Curve = tuple[Sequence[float], Sequence[float]]


def curves(panels: Mapping[str, Mapping[str, Curve]], title: str, path: Path, logarithmic: Sequence[str] = ()) -> None:
    """One panel a quantity, one curve a method, against the iteration."""
    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    for axes, (quantity, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for label, (x, y) in lines.items():
            axes.plot(x, y, label=label, linewidth=1.4)
        axes.set_xlabel("iteration", fontsize=9)
        axes.set_ylabel(quantity, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        if quantity in logarithmic:
            axes.set_yscale("log")
        axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


def bars(values: Mapping[str, tuple[float, bool]], label: str, title: str, path: Path) -> None:
    """One bar a name. Those marked ``True`` are the paper's."""
    figure = Figure(figsize=(6.4, 1.1 + 0.36 * len(values)), layout="constrained")
    axes = figure.subplots()
    colours = [PAPER_COLOUR if reported else OUR_COLOUR for _, reported in values.values()]
    drawn = axes.barh(list(values), [value for value, _ in values.values()], color=colours)
    axes.bar_label(drawn, fmt="%.2f", padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.tick_params(labelsize=8)
    axes.set_xlabel(label, fontsize=9)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


def fields(
    densities: Sequence[tuple[str, Tensor, Tensor | None]],
    arrows: Sequence[tuple[str, Tensor, Tensor]],
    points: Tensor,
    half: float,
    title: str,
    path: Path,
) -> None:
    """Figure 2: densities as shades with samples, then vector fields over a density.

    :param list densities: (label, density on a square grid (n, n), samples (m, 2) or ``None``).
    :param list arrows: (label, field (N, 2) at ``points``, density (n, n) behind it).
    :param torch.Tensor points: (N, 2).
    :param float half: half the side of the square shown.
    """
    columns = 3
    rows = -(-(len(densities) + len(arrows)) // columns)
    figure = Figure(figsize=(3.3 * columns, 3.6 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    extent = (-half, half, -half, half)
    for axes, (label, density, samples) in zip(panels, densities, strict=False):
        axes.imshow(density.numpy(), origin="lower", extent=extent, cmap="Blues")
        if samples is not None:
            axes.plot(*samples.T.numpy(), ".", color="tab:red", markersize=1.5)
        axes.set_title(label, fontsize=9)
    for axes, (label, field, density) in zip(panels[len(densities) :], arrows, strict=False):
        axes.imshow(density.numpy(), origin="lower", extent=extent, cmap="Blues", alpha=0.5)
        x, y = points.T.numpy()
        u, v = field.T.numpy()
        axes.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=1.0, width=0.0035)
        axes.set_title(label, fontsize=9)
    for axes in panels:
        axes.set(xlim=(-half, half), ylim=(-half, half), xticks=np.array([-1, 0, 1]), yticks=np.array([-1, 0, 1]))
        axes.tick_params(labelsize=7)
        axes.set_aspect("equal")
    figure.suptitle(title, fontsize=11)
    save(figure, path)
