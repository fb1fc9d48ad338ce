"""Running a study case by case."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from csv_table import Table
from protocol import eight_bits
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor
from torchvision.utils import save_image

from reproduction.methods import METHODS, available, restore
from reproduction.studies import Study

#: One file for all studies, because some share cases; one row a cell, case and method.
CASES_FILE = "cases.csv"


@dataclass(frozen=True)
class Run:
    """Folders, and how much of a study is run.

    :param Path data: see ``protocol.data_folder``.
    :param Path results: for the CSV and Markdown files.
    :param Path pictures: for the PNG files.
    :param Path scratch: for restored images that a picture needs; may be deleted at any time.
    :param int cases: at most so many of a cell; ``None``: all.
    :param list methods: some of those of the study; ``None``: all.
    :param str only: only cells whose name contains this.
    :param bool again: measure these cells and methods again.
    """

    data: Path
    results: Path
    pictures: Path
    scratch: Path
    device: torch.device
    cases: int | None = None
    methods: Sequence[str] | None = None
    only: str = ""
    again: bool = False

    def store(self) -> Table:
        """All cases measured so far."""
        return Table(self.results / CASES_FILE, "cell", "case", "method")

    def chosen(self, names: Sequence[str], console: Console) -> list[str]:
        """Those of the methods that are asked for and whose network is there."""
        found = [name for name in names if self.methods is None or name in self.methods]
        for name in [name for name in found if not available(METHODS[name], self.data)]:
            console.print(f"{METHODS[name].label}: not in {self.data}, left out.", style="yellow")
            found.remove(name)
        return found


def machine(device: torch.device) -> str:
    """The hardware that a number of seconds was measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability}, {threads} thread{'s' if threads > 1 else ''}"


def measure(study: Study, run: Run, console: Console) -> None:
    """Restore the missing cases of ``study`` and append them to the CSV file.

    The order is the first case of every cell, then the second, ...: an interrupted run has about as many cases of every
    cell.
    """
    store, methods = run.store(), run.chosen(study.methods, console)
    cells = [cell for cell in study.cells if run.only in cell.name]
    if run.again:
        names = {cell.name for cell in cells}
        store.drop(lambda row: row["cell"] in names and row["method"] in methods)
    todo = [(cell, case, method) for cell in cells for case in list(cell.cases)[: run.cases] for method in methods]
    todo = [item for item in todo if not store.find(item[0].name, item[1], item[2])]
    todo.sort(key=lambda item: list(item[0].cases).index(item[1]))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(study.name, total=len(todo))
        for cell, name, method in todo:
            progress.update(task, description=f"{cell.name} {name}, {METHODS[method].label}")
            case = cell.cases[name](run.data)
            began = time.perf_counter()
            restored = restore(METHODS[method], case, run.data, run.device)
            seconds = time.perf_counter() - began
            row = {
                "cell": cell.name,
                "case": name,
                "method": method,
                "psnr": f"{case.psnr(restored):.3f}",
                "seconds": f"{seconds:.1f}",
                "machine": machine(run.device),
            }
            keep(restored, run, cell.name, name, method)
            store.add(row)
            console.print(f"{cell.name} {name}, {METHODS[method].label}: {row['psnr']} dB, {row['seconds']} s")
            progress.advance(task)


def kept(run: Run, cell: str, case: str, method: str) -> Path:
    """The file of a restored image, which may have been deleted."""
    return run.scratch / f"{cell} {case} {method}.png".replace("/", "-").replace(" ", "_")


def keep(image: Tensor, run: Run, cell: str, case: str, method: str) -> None:
    """Write a restored image in 8 bits, for a picture."""
    run.scratch.mkdir(parents=True, exist_ok=True)
    save_image(eight_bits(image), kept(run, cell, case, method))
