"""Figures 2, 3, 7 and 8 of the paper, and the running time of Table 3."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence

import paper_plots
import paper_published as published
import spiral
import torch
from paper_methods import METHODS, Method, available, build, network, restore
from paper_studies import STUDIES
from paper_tables import Run, keep, kept, machine
from protocol import Case, Table, blurred, kodak, levin_kernel, noisy, read
from rich.console import Console
from torch import Tensor

from daep_deepinv import DAEPrior
from daep_deepinv.start import measured_region
from daep_prior.schedules import PAPER_GAMMA, PAPER_ITERATIONS, PAPER_MOMENTUM, PAPER_STEP, PAPER_WIDTH
from daep_prior.solvers import heavy_ball_step

#: The methods of Figures 3 and 8 and of the running time.
SOLVERS = ("authors", "dae-sigma25", "dae")


def chosen(run: Run, console: Console, names: Sequence[str] = SOLVERS) -> list[str]:
    """The methods asked for whose network is there."""
    found = []
    for name in names:
        if run.methods is not None and name not in run.methods:
            continue
        if available(METHODS[name], run.data):
            found.append(name)
        else:
            console.print(f"{METHODS[name].label}: not in {run.data}, left out.", style="yellow")
    return found


# -- Figure 2 --------------------------------------------------------------------------------------------------------


def figure2(run: Run, console: Console, training_steps: int = 4000) -> None:
    """Mean-shift fields of a spiral density in the plane: exact, by a trained DAE, and by eq. 8.

    The CSV has, for every field, its difference to the exact one (see ``spiral.compare``), the points of a grid
    weighted by the density; and for eq. 8 with the optimal DAE the same at several widths.
    """
    density, width = spiral.Spiral(), spiral.WIDTH
    wide = 2**0.5 * width
    dae = spiral.train(density, width, training_steps)
    grid = spiral.plane(41)
    table = Table(run.results / "figure2.csv", "field", "width")
    table.drop(lambda row: True)  # seconds to compute: always anew

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

    half, fine = 1.15, spiral.plane(200)
    shades = {at: density.log_density(fine, at).exp().reshape(200, 200) for at in (0.0, width, wide)}
    points = spiral.plane(27)
    points = points[density.log_density(points, wide).exp() > 0.02 * float(shades[wide].max())]
    samples = density.sample(600, torch.Generator().manual_seed(1)).flatten(1)
    disturbed = samples + width * torch.randn(samples.shape, generator=torch.Generator().manual_seed(2))
    exact = {at: density.field(points, at).flatten(1) for at in (width, wide)}
    shift = (dae(points, width) - points).flatten(1)
    stochastic = spiral.stochastic_field(dae, points, width).flatten(1)
    paper_plots.fields(
        [
            ("(a) density $p$, and samples", shades[0.0], samples),
            ("(b) smoothed, $g_{s^2} * p$, and noisy samples", shades[width], disturbed),
        ],
        [
            ("(c) exact: $s^2\\,\\nabla\\log\\,(g_{s^2} * p)$", exact[width], shades[width]),
            (f"(d) a trained DAE: $A_s(x) - x$\nagainst (c): {learned}", shift, shades[width]),
            ("(e) exact at the width $\\sqrt{2}\\,s$", exact[wide], shades[wide]),
            (f"(f) eq. 8: $2\\,(E\\,A_s(x - \\epsilon) - x)$\nagainst (e): {approximated}", stochastic, shades[wide]),
        ],
        points.flatten(1),
        half,
        "Figure 2: a denoising autoencoder learns the mean-shift field",
        run.pictures / "figure2.png",
    )


# -- Figure 3 --------------------------------------------------------------------------------------------------------

#: Iterations shown.
STAGES = (0, 10, 50, 300)
#: Rows and columns of the image.
BOX = (64, 192, 64, 192)


def figure3(run: Run, console: Console) -> None:
    """Descending the prior alone: 300 iterations of the paper's heavy ball from a noisy image, without a data term.

    The image is rows and columns 64 to 191 of Set5's butterfly with noise of 25 of 255 (seed 0, clipped). The step is
    0.1, the momentum 0.9, the energy is taken with one fixed noise field every ten iterations.
    """
    case = noisy(run.data / "set5" / "butterfly.png", PAPER_WIDTH, BOX)
    table = Table(run.results / "figure3.csv", "method", "iteration")
    methods = chosen(run, console, ("authors", "dae-sigma25"))
    if run.again:
        table.drop(lambda row: row["method"] in methods)
    for name in methods:
        if table.find(name, str(PAPER_ITERATIONS)) and all(kept(run, "figure3", f"{k}", name).exists() for k in STAGES):
            continue
        table.drop(lambda row, name=name: row["method"] == name)  # type: ignore[misc]
        _descend(name, case, run, table, console)
    rows = []
    for name in methods:
        labels = [(k, table.find(name, str(k))) for k in STAGES]
        rows.append(
            [
                (
                    f"{METHODS[name].label.split(',')[0]}\n{k} iterations: energy {float(row['energy']):.1f}",
                    read(kept(run, "figure3", f"{k}", name)),
                )
                for k, row in labels
                if row
            ]
        )
    if rows:
        title = "Figure 3: descending the prior alone, from an image with noise 25/255"
        paper_plots.images(rows, title, run.pictures / "figure3.png", side=2.3)


def _descend(name: str, case: Case, run: Run, table: Table, console: Console) -> None:
    weights = METHODS[name].network
    assert weights is not None
    prior = DAEPrior(network(weights, run.data, run.device))
    x = origin = case.measurement.to(run.device)
    for k in range(PAPER_ITERATIONS + 1):
        if k % 10 == 0:
            with torch.no_grad():
                energy = float(prior(x, PAPER_WIDTH))
            row = {"method": name, "iteration": str(k), "energy": f"{energy:.3f}", "psnr": f"{case.psnr(x.cpu()):.2f}"}
            table.add(row)
            console.print(*row.values())
        if k in STAGES:
            keep(x.cpu(), run, "figure3", f"{k}", name)
        gradient = prior.grad(x, PAPER_WIDTH)
        x, origin = heavy_ball_step(x, origin, gradient, PAPER_STEP, PAPER_MOMENTUM)


# -- Figure 7 --------------------------------------------------------------------------------------------------------


def figure7_picture(run: Run, image: str = "butterfly") -> None:
    """The picture of Figure 7, from the image that is restored first; restores again what has been thrown away."""
    study, store, rows = STUDIES["figure7"], run.store(), []
    for cell in study.cells:
        if image not in cell.cases:
            continue
        case = cell.cases[image](run.data)
        row = [("original", case.clean)]
        for name in study.methods:
            measured = store.find(cell.name, image, name)
            if measured is None:
                continue
            path = kept(run, cell.name, image, name)
            if not path.exists():
                keep(restore(METHODS[name], case, run.data, run.device), run, cell.name, image, name)
            label = cell.column if name == "measurement" else METHODS[name].label.replace(", ", ",\n")
            row.append((f"{label}\n{float(measured['psnr']):.2f} dB", read(path)))
        rows.append(row)
    paper_plots.images(rows, study.title, run.pictures / "figure7.png", side=2.3)


# -- Figure 8 --------------------------------------------------------------------------------------------------------

#: Kodak 21 cut to 128 x 128 measured pixels under kernel 1 (19 x 19).
CONVERGENCE_BOX = (100, 246, 100, 246)


def figure8(run: Run, console: Console) -> None:
    """Energy and PSNR at every iteration, Kodak 21, 128 x 128 measured pixels, kernel 1, noise 2.55.

    The energy is eq. 7 with the paper's weight and kernel width, its prior at one fixed noise field and over the
    measured pixels, on which alone it acts; so it is the same function for both networks of the paper's preset, up to
    the network. The default preset changes its objective from iteration to iteration, so only its PSNR is shown: of
    what would be returned without the last denoising, the mean of its iterates so far, which stays where it is until
    the descent by the gradient adds to it. PSNR: protocol of Table 3, the last image included.
    """
    case = kodak(run.data, 21, 1, 2.55 / 255, CONVERGENCE_BOX)
    table = Table(run.results / "figure8.csv", "method", "iteration")
    methods = chosen(run, console)
    if run.again:
        table.drop(lambda row: row["method"] in methods)
    for name in methods:
        if any(row["method"] == name for row in table.rows):
            continue
        for row in _converge(name, case, run):
            table.add(row)
        console.print(f"{METHODS[name].label}: {table.rows[-1]['psnr']} dB")

    def curve(name: str, column: str) -> paper_plots.Curve:
        rows = [row for row in table.rows if row["method"] == name and row[column]]
        return [int(row["iteration"]) for row in rows], [float(row[column]) for row in rows]

    if methods:
        panels = {
            "energy (eq. 7)": {METHODS[n].label: curve(n, "energy") for n in methods if METHODS[n].preset == "paper"},
            "PSNR, dB": {METHODS[n].label: curve(n, "psnr") for n in methods},
        }
        panels = {quantity: lines for quantity, lines in panels.items() if lines}
        title = "Figure 8: convergence, Kodak 21, kernel 1, noise 2.55"
        paper_plots.curves(panels, title, run.pictures / "figure8.png", logarithmic=["energy (eq. 7)"])


def _converge(name: str, case: Case, run: Run) -> list[dict[str, str]]:
    method = METHODS[name]

    def psnr(history: list[float], previous: Tensor, x: Tensor) -> float:
        return case.psnr(x[None].cpu())

    measurement, physics = case.measurement.to(run.device), case.physics.to(run.device)
    region = measured_region(measurement, physics)
    dae, width = network(method.network or "", run.data, run.device), PAPER_WIDTH
    field = width * torch.randn(case.clean.shape, generator=torch.Generator().manual_seed(0)).to(run.device)
    weight = 2 * PAPER_GAMMA / width**2

    def energy(history: list[float], previous: Tensor, x: Tensor) -> float:
        image = x[None]
        with torch.no_grad():
            shift = (region * (image - dae(image - field, width))).square().sum()
            error = (physics.A(image) - measurement).square().sum()
        return float(error / case.sigma**2 + weight * shift) / 2

    wanted = {"protocol": psnr, **({"objective": energy} if method.preset == "paper" else {})}
    model = build(method, case, run.data, run.device, custom_metrics=wanted)
    restored, metrics = model(measurement, physics, compute_metrics=True)
    energies = metrics["objective"][0] if method.preset == "paper" else []
    rows = [
        {
            "method": name,
            "iteration": str(k),
            "psnr": f"{value:.3f}",
            "energy": f"{energies[k - 1]:.6g}" if energies else "",
        }
        for k, value in enumerate(metrics["protocol"][0], 1)
    ]
    rows[-1]["psnr"] = f"{case.psnr(restored.cpu()):.3f}"
    return rows


# -- the running time of Table 3 -------------------------------------------------------------------------------------

REPEATS = 3


def seconds(run: Run, console: Console) -> None:
    """Seconds to deblur a 128 x 128 image (Table 3, last column): measured region 128 x 128, kernel 1, noise 2.55.

    Median of three runs after one of two iterations; wall clock, and processor time, which other programs on the
    machine disturb less. ``load`` is the system's mean load of the last minute: above the number of cores, wall clock
    means nothing. The picture shows the smaller of the two.
    """
    psf = levin_kernel(run.data, 1)
    clean = read(run.data / "levin" / "im1.png", (50, 50 + 127 + psf.shape[0], 50, 50 + 127 + psf.shape[1]))
    case = blurred("128 x 128", clean, psf, 2.55 / 255, one_field=True)
    table = Table(run.results / "seconds.csv", "method", "machine")
    methods = chosen(run, console)
    if run.again:
        table.drop(lambda row: row["method"] in methods and row["machine"] == machine(run.device))
    for name in methods:
        if table.find(name, machine(run.device)):
            continue
        wall, cpu = _time(METHODS[name], case, run)
        row = {"method": name, "seconds": f"{wall:.2f}", "processor seconds": f"{cpu:.2f}"}
        row |= {"load": f"{os.getloadavg()[0]:.1f}", "machine": machine(run.device)}
        table.add(row)
        console.print(*row.values())
    values = {f"paper: {name}\n(Titan X)": (figure, True) for name, figure in published.SECONDS.items()}
    for row in table.rows:
        undisturbed = min(float(row["seconds"]), float(row["processor seconds"]))
        values[f"{METHODS[row['method']].label}\n({row['machine']})"] = (undisturbed, False)
    label = "seconds for a 128 x 128 image"
    paper_plots.bars(values, label, "Table 3: running time", run.pictures / "seconds.png")


def _time(method: Method, case: Case, run: Run) -> tuple[float, float]:
    y, physics = case.measurement.to(run.device), case.physics.to(run.device)

    def clock(model: Callable[..., Tensor]) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        model(y, physics).cpu()  # waits for the device
        return time.perf_counter() - wall, time.process_time() - cpu

    clock(build(method, case, run.data, run.device, max_iter=2))
    model = build(method, case, run.data, run.device)
    walls, cpus = zip(*(clock(model) for _ in range(REPEATS)), strict=True)
    return statistics.median(walls), statistics.median(cpus)
