"""Figure 3 of the paper: descending the prior alone."""

from __future__ import annotations

import torch
from csv_table import Table
from protocol import Case, noisy, read
from rich.console import Console

from daep_deepinv import DAEPrior
from daep_prior.schedules import PAPER_ITERATIONS, PAPER_MOMENTUM, PAPER_STEP, PAPER_WIDTH
from daep_prior.solvers import MomentumState, heavy_ball_step
from reproduction import plots
from reproduction.methods import METHODS, network
from reproduction.run import Run, keep, kept

TITLE = "Figure 3: descending the prior alone, from an image with noise 25/255"
#: Iterations shown.
STAGES = (0, 10, 50, 300)
#: Rows and columns of the image.
BOX = (64, 192, 64, 192)


def figure3(run: Run, console: Console) -> None:
    """Descending the prior alone: 300 iterations of the paper's heavy ball from a noisy image, without a data term.

    The image is rows and columns 64 to 191 of Set5's butterfly with noise of 25 of 255 (seed 0, clipped). The step is
    0.1, the momentum 0.9. The energy is computed with one fixed noise field, every ten iterations.
    """
    case = noisy(run.data / "set5" / "butterfly.png", PAPER_WIDTH, BOX)
    table = Table(run.results / "figure3.csv", "method", "iteration")
    methods = run.chosen(("authors", "dae-sigma25"), console)
    if run.again:
        table.drop(lambda row: row["method"] in methods)
    for name in methods:
        if table.find(name, str(PAPER_ITERATIONS)) and all(kept(run, "figure3", f"{k}", name).exists() for k in STAGES):
            continue
        table.drop(lambda row, name=name: row["method"] == name)  # type: ignore[misc]
        _descend(name, case, run, table, console)
    pictures = []
    for name in methods:
        rows = [(k, table.find(name, str(k))) for k in STAGES]
        short = METHODS[name].label.split(",")[0]
        pictures.append(
            [
                (
                    f"{short}\n{k} iterations: energy {float(row['energy']):.1f}",
                    read(kept(run, "figure3", f"{k}", name)),
                )
                for k, row in rows
                if row
            ]
        )
    if pictures:
        plots.images(pictures, TITLE, run.pictures / "figure3.png", side=2.3)


def _descend(name: str, case: Case, run: Run, table: Table, console: Console) -> None:
    prior = DAEPrior(network(METHODS[name].network or "", run.data, run.device))
    state = MomentumState.at_rest(case.measurement.to(run.device))
    for k in range(PAPER_ITERATIONS + 1):
        x = state.x
        if k % 10 == 0:
            with torch.no_grad():
                energy = float(prior(x, PAPER_WIDTH))
            row = {"method": name, "iteration": str(k), "energy": f"{energy:.3f}", "psnr": f"{case.psnr(x.cpu()):.2f}"}
            table.add(row)
            console.print(*row.values())
        if k in STAGES:
            keep(x.cpu(), run, "figure3", f"{k}", name)
        state = heavy_ball_step(state, lambda x: prior.grad(x, PAPER_WIDTH), PAPER_STEP, PAPER_MOMENTUM)
