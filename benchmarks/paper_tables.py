"""Running a study case by case, and what is written about it: a CSV, a Markdown table and a picture."""

from __future__ import annotations

import csv
import inspect
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from paper_methods import METHODS, available, restore
from paper_studies import Cell, Study
from protocol import Table, eight_bits
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor
from torchvision.utils import save_image

#: One file for all studies, because some share cases; one row a cell, case and method.
CASES_FILE = "cases.csv"
#: Columns of a study's own CSV file, see :func:`summary`.
SUMMARY = ("cell", "source", "method", "psnr", "cases", "of", "difference", "rival", "gain", "shared")


@dataclass(frozen=True)
class Run:
    """Where things are, and how much is done of a study.

    :param Path data: see ``protocol.data_folder``.
    :param Path results: gets the CSV and Markdown files.
    :param Path pictures: gets the PNG files.
    :param Path scratch: gets restored images that a picture needs; may be thrown away at any time.
    :param int cases: at most so many of a cell; ``None``: all.
    :param list methods: of those of the study; ``None``: all.
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
        """All that has been measured."""
        return Table(self.results / CASES_FILE, "cell", "case", "method")


def machine(device: torch.device) -> str:
    """What computed, for the reader of a number of seconds."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability}, {threads} thread{'s' if threads > 1 else ''}"


def measure(study: Study, run: Run, console: Console) -> None:
    """Restore what is missing of ``study`` and append it to the CSV file of cases.

    The first case of every cell, then the second, ...: wherever this is interrupted, all cells are about equally far.
    """
    store = run.store()
    methods = [name for name in study.methods if run.methods is None or name in run.methods]
    for name in [name for name in methods if not available(METHODS[name], run.data)]:
        console.print(f"{METHODS[name].label}: not in {run.data}, left out.", style="yellow")
        methods.remove(name)
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
    """Where the restored image is, if it is still there."""
    return run.scratch / f"{cell} {case} {method}.png".replace("/", "-").replace(" ", "_")


def keep(image: Tensor, run: Run, cell: str, case: str, method: str) -> None:
    """Write a restored image, as the PSNR sees it, for a picture to be made later."""
    run.scratch.mkdir(parents=True, exist_ok=True)
    save_image(eight_bits(image), kept(run, cell, case, method))


@dataclass(frozen=True)
class Entry:
    """What one method reached in one cell: ``psnr`` is the mean over ``count`` of ``total`` cases.

    ``gain`` is the mean difference to the method's rival over the ``shared`` cases that both have.
    """

    psnr: float
    count: int
    total: int
    gain: float | None = None
    shared: int = 0

    @property
    def complete(self) -> bool:
        return self.count == self.total


def entry(cell: Cell, method: str, store: Table) -> Entry | None:
    """What has been measured, ``None`` if nothing."""
    psnr = _by_case(cell, method, store)
    if not psnr:
        return None
    rival = METHODS[method].rival
    other = _by_case(cell, rival, store) if rival else {}
    shared = psnr.keys() & other.keys()
    gain = sum(psnr[case] - other[case] for case in shared) / len(shared) if shared else None
    return Entry(sum(psnr.values()) / len(psnr), len(psnr), len(cell.cases), gain, len(shared))


def _by_case(cell: Cell, method: str, store: Table) -> dict[str, float]:
    rows = ((case, store.find(cell.name, case, method)) for case in cell.cases)
    return {case: float(row["psnr"]) for case, row in rows if row}


def summary(study: Study, store: Table) -> list[dict[str, str]]:
    """One row a cell and method, the paper's first; the columns of ``<study>.csv``.

    ``difference`` is ours minus the paper's where it is the same method, and only where all cases have been run: a mean
    over other cases says nothing. ``gain`` is the mean difference to ``rival`` over the ``shared`` cases.
    """
    rows = []
    for cell in study.cells:
        blank = dict.fromkeys(SUMMARY, "")
        for name, figure in cell.published.items():
            rows.append(blank | {"cell": cell.name, "source": "paper", "method": name, "psnr": f"{figure:.2f}"})
        for name in study.methods:
            found = entry(cell, name, store)
            if found is None:
                continue
            row = blank | {"cell": cell.name, "source": "here", "method": name, "psnr": f"{found.psnr:.2f}"}
            row |= {"cases": str(found.count), "of": str(found.total)}
            figure = published_figure(cell, name)
            if figure is not None and found.complete:
                row["difference"] = signed(found.psnr - figure)
            if found.gain is not None:
                row |= {"rival": METHODS[name].rival or "", "gain": signed(found.gain), "shared": str(found.shared)}
            rows.append(row)
    return rows


def published_figure(cell: Cell, method: str) -> float | None:
    """The paper's figure for what ``method`` repeats on the same images, if there is one."""
    return cell.published.get(METHODS[method].published or "") if cell.same_images else None


def grid(study: Study, store: Table) -> list[list[str]]:
    """The table as the paper lays it out: a row a method, a column a cell; the paper's rows first."""
    head = ["PSNR, dB", *(cell.column for cell in study.cells)]
    rows = [
        [f"paper: {name}", *(f"{cell.published[name]:.2f}" for cell in study.cells)]
        for name in study.cells[0].published
    ]
    for name in study.methods:
        entries = [entry(cell, name, store) for cell in study.cells]
        if any(entries):
            figures = [published_figure(cell, name) for cell in study.cells]
            rows.append([METHODS[name].label, *map(_text, entries, figures)])
            if any(found and found.gain is not None for found in entries):
                rival = METHODS[METHODS[name].rival or ""].label
                rows.append([f"  minus {rival}, same cases", *map(_gain_text, entries)])
    return [head, *rows]


def signed(value: float) -> str:
    """Two decimals with a sign, and no ``-0.00``."""
    return f"{round(value, 2) + 0.0:+.2f}"


def _text(found: Entry | None, figure: float | None) -> str:
    if found is None:
        return ""
    if not found.complete:
        return f"{found.psnr:.2f} ({found.count} of {found.total})"
    difference = "" if figure is None else f"; {signed(found.psnr - figure)}"
    return f"{found.psnr:.2f} (all {found.total}{difference})"


def _gain_text(found: Entry | None) -> str:
    return "" if found is None or found.gain is None else f"{signed(found.gain)} ({found.shared})"


def write(study: Study, run: Run, store: Table) -> None:
    """``<study>.csv`` and ``<study>.md``."""
    rows = summary(study, store)
    run.results.mkdir(parents=True, exist_ok=True)
    with (run.results / f"{study.name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    head, *body = grid(study, store)
    names = {cell.name for cell in study.cells}
    machines = sorted({row["machine"] for row in store.rows if row["cell"] in names and row["machine"]})
    lines = [
        f"# {study.title}",
        "",
        study.protocol,
        "",
        "In brackets the number of cases that a mean is over and, where that is all of them, the difference to the "
        "same method in the paper. A mean over only some of the cases cannot be set beside the paper's.",
        "",
        *(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)),
        "",
        provenance(f"python benchmarks/paper.py {study.name}", machines),
        "",
    ]
    (run.results / f"{study.name}.md").write_text("\n".join(lines))


def write_note(name: str, protocol: str, run: Run) -> None:
    """``<name>.md`` for a figure: the protocol (a docstring), where its numbers and its picture are, and by what."""
    text = inspect.cleandoc(protocol).replace("``", "`")
    command = provenance(f"python benchmarks/paper.py {name}", [machine(run.device)])
    lines = [f"# {name}", "", text, "", f"Numbers: `{name}.csv`; picture: `{name}.png`.", "", command, ""]
    (run.results / f"{name}.md").write_text("\n".join(lines))


def provenance(command: str, machines: Sequence[str]) -> str:
    """One sentence: command, date, versions, hardware."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("deepinv", "torch"))
    return f"`{command}`; {date.today().isoformat()}; {versions}; {'; '.join(machines) or 'nothing measured'}."
