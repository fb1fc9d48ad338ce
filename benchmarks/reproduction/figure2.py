"""Figure 2 of the paper: mean-shift fields in the plane."""

from __future__ import annotations

import spiral
import torch
from csv_table import Table
from rich.console import Console
from torch import Tensor

from reproduction import plots
from reproduction.run import Run

TITLE = "Figure 2: a denoising autoencoder learns the mean-shift field"
#: Half the side of the square shown.
HALF = 1.15
#: Arrows are drawn where the density exceeds this share of its maximum.
VISIBLE = 0.02


def figure2(run: Run, console: Console, training_steps: int = 4000) -> None:
    """Mean-shift fields of a spiral density in the plane: exact, by a trained DAE, and by eq. 8.

    The CSV has the difference of every field to the exact one (see ``spiral.compare``), the points of a grid weighted
    by the density; for eq. 8 with the optimal DAE at several widths.
    """
    density, width = spiral.Spiral(), spiral.WIDTH
    dae = spiral.train(density, width, training_steps)
    table = Table(run.results / "figure2.csv", "field", "width")
    table.drop(lambda row: True)  # takes seconds, so it is computed again each time
    grid, wide = spiral.plane(41), 2**0.5 * width

    def record(name: str, field: Tensor, at: float) -> str:
        found = spiral.compare(field, density.field(grid, at), density.log_density(grid, at).exp())
        table.add({"field": name, "width": f"{at:.4f}", **{key: f"{value:.3f}" for key, value in found.items()}})
        console.print(name, f"width {at:.3f}", {key: round(value, 3) for key, value in found.items()})
        return f"cosine {found['cosine']:.2f}, best scale {found['scale']:.2f}"

    learned = record("DAE", dae(grid, width) - grid, width)
    approximated = record("eq. 8 with the DAE", spiral.stochastic_field(dae, grid, width), wide)
    for ratio in (0.125, 0.25, 0.5, 1.0, 2.0):
        at = ratio * spiral.THICKNESS
        record("eq. 8 with the optimal DAE", spiral.stochastic_field(density.denoise, grid, at), 2**0.5 * at)
    _draw(run, density, dae, learned, approximated)


def _draw(run: Run, density: spiral.Spiral, dae: spiral.PointDAE, learned: str, approximated: str) -> None:
    width, wide, fine = spiral.WIDTH, 2**0.5 * spiral.WIDTH, spiral.plane(200)
    shades = {at: density.log_density(fine, at).exp().reshape(200, 200) for at in (0.0, width, wide)}
    points = spiral.plane(27)
    points = points[density.log_density(points, wide).exp() > VISIBLE * float(shades[wide].max())]
    samples = density.sample(600, torch.Generator().manual_seed(1)).flatten(1)
    noisy = samples + width * torch.randn(samples.shape, generator=torch.Generator().manual_seed(2))
    exact = {at: density.field(points, at).flatten(1) for at in (width, wide)}
    shift = (dae(points, width) - points).flatten(1)
    stochastic = spiral.stochastic_field(dae, points, width).flatten(1)
    plots.fields(
        [
            ("(a) density $p$, and samples", shades[0.0], samples),
            ("(b) smoothed, $g_{s^2} * p$, and noisy samples", shades[width], noisy),
        ],
        [
            ("(c) exact: $s^2\\,\\nabla\\log\\,(g_{s^2} * p)$", exact[width], shades[width]),
            (f"(d) a trained DAE: $A_s(x) - x$\nagainst (c): {learned}", shift, shades[width]),
            ("(e) exact at the width $\\sqrt{2}\\,s$", exact[wide], shades[wide]),
            (f"(f) eq. 8: $2\\,(E\\,A_s(x - \\epsilon) - x)$\nagainst (e): {approximated}", stochastic, shades[wide]),
        ],
        points.flatten(1),
        HALF,
        TITLE,
        run.pictures / "figure2.png",
    )
