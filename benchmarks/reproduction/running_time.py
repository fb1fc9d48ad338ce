"""The running time of Table 3 of the paper."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

from csv_table import Table
from protocol import Case, blurred, levin_kernel, read
from rich.console import Console
from torch import Tensor

from reproduction import plots, published
from reproduction.methods import METHODS, Method, build
from reproduction.run import Run, machine

TITLE = "Table 3: running time"
REPEATS = 3


def seconds(run: Run, console: Console) -> None:
    """Seconds to deblur a 128 x 128 image (Table 3, last column): measured region 128 x 128, kernel 1, noise 2.55.

    Median of three runs after one of two iterations: wall clock, and processor time, which depends less on other
    programs. ``load`` is the system's mean load of the last minute; if it exceeds the number of cores, ignore the wall
    clock. The picture shows the smaller of the two.
    """
    psf = levin_kernel(run.data, 1)
    clean = read(run.data / "levin" / "im1.png", (50, 50 + 127 + psf.shape[0], 50, 50 + 127 + psf.shape[1]))
    case = blurred("128 x 128", clean, psf, 2.55 / 255, one_field=True)
    table = Table(run.results / "seconds.csv", "method", "machine")
    methods = run.chosen(("authors", "dae-sigma25", "dae"), console)
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
    values = {f"paper: {name}\n(Titan X)": (reported, True) for name, reported in published.SECONDS.items()}
    for row in table.rows:
        smaller = min(float(row["seconds"]), float(row["processor seconds"]))
        values[f"{METHODS[row['method']].label}\n({row['machine']})"] = (smaller, False)
    plots.bars(values, "seconds for a 128 x 128 image", TITLE, run.pictures / "seconds.png")


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
