"""Figure 8 of the paper: convergence."""

from __future__ import annotations

from typing import Any

import torch
from csv_table import Table
from protocol import Case, kodak
from rich.console import Console
from torch import Tensor

from daep_deepinv.starts.starting_point import measured_region
from daep_prior.schedules import PAPER_GAMMA, PAPER_WIDTH
from reproduction import plots
from reproduction.methods import METHODS, build, network
from reproduction.run import Run

TITLE = "Figure 8: convergence, Kodak 21, kernel 1, noise 2.55"
#: Rows and columns of Kodak 21: 128 x 128 measured pixels under kernel 1 (19 x 19).
BOX = (100, 246, 100, 246)


def figure8(run: Run, console: Console) -> None:
    """Energy and PSNR at every iteration, Kodak 21, 128 x 128 measured pixels, kernel 1, noise 2.55.

    The energy is eq. 7 with the paper's weight and kernel width, for one fixed noise field and over the measured
    pixels, on which alone the prior acts. Up to the network it is the same function for both networks under the paper's
    preset. The default preset has another objective in every iteration, so only its PSNR is shown. The PSNR is that of
    the running mean of its iterates, before the last denoising; the mean is constant until the descent by the gradient
    adds to it. PSNR: protocol of Table 3; the last value is that of the result.
    """
    case = kodak(run.data, 21, 1, 2.55 / 255, BOX)
    table = Table(run.results / "figure8.csv", "method", "iteration")
    methods = run.chosen(("authors", "dae-sigma25", "dae"), console)
    if run.again:
        table.drop(lambda row: row["method"] in methods)
    for name in methods:
        if any(row["method"] == name for row in table.rows):
            continue
        for row in _converge(name, case, run):
            table.add(row)
        console.print(f"{METHODS[name].label}: {table.rows[-1]['psnr']} dB")

    def curve(name: str, column: str) -> plots.Curve:
        rows = [row for row in table.rows if row["method"] == name and row[column]]
        return [int(row["iteration"]) for row in rows], [float(row[column]) for row in rows]

    if methods:
        panels = {
            "energy (eq. 7)": {METHODS[n].label: curve(n, "energy") for n in methods if METHODS[n].preset == "paper"},
            "PSNR, dB": {METHODS[n].label: curve(n, "psnr") for n in methods},
        }
        panels = {quantity: lines for quantity, lines in panels.items() if lines}
        plots.curves(panels, TITLE, run.pictures / "figure8.png", logarithmic=["energy (eq. 7)"])


def _converge(name: str, case: Case, run: Run) -> list[dict[str, str]]:
    """The rows of one method; ``energy`` under the paper's preset only."""
    method = METHODS[name]
    y, physics = case.measurement.to(run.device), case.physics.to(run.device)
    region = measured_region(y, physics)
    dae, width = network(method.network or "", run.data, run.device), PAPER_WIDTH
    field = width * torch.randn(case.clean.shape, generator=torch.Generator().manual_seed(0)).to(run.device)
    weight = 2 * PAPER_GAMMA / width**2
    rows: list[dict[str, str]] = []

    def energy(image: Tensor) -> float:
        with torch.no_grad():
            shift = (region * (image - dae(image - field, width))).square().sum()
            error = (physics.A(image) - y).square().sum()
        return float(error / case.sigma**2 + weight * shift) / 2

    def record(plan: Any, iteration: int, image: Tensor) -> None:
        value = f"{energy(image):.6g}" if method.preset == "paper" else ""
        psnr = f"{case.psnr(image.cpu()):.3f}"
        rows.append({"method": name, "iteration": str(iteration + 1), "psnr": psnr, "energy": value})

    restored = build(method, case, run.data, run.device)(y, physics, callback=record)
    rows[-1]["psnr"] = f"{case.psnr(restored.cpu()):.3f}"
    return rows
