"""Means of a study and what is written about it: a CSV file and a Markdown table."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version

from csv_table import Table, write_rows

from reproduction.methods import METHODS
from reproduction.run import Run, machine
from reproduction.studies import Cell, Study

#: Columns of a study's own CSV file, see :func:`summary`.
SUMMARY = ("cell", "source", "method", "psnr", "cases", "of", "difference", "rival", "gain", "shared")


@dataclass(frozen=True)
class Entry:
    """Result of one method in one cell.

    :param float psnr: mean over ``count`` of ``total`` cases, dB.
    :param float gain: mean difference to the method's rival over the ``shared`` cases of both, dB.
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
    """Result of ``method`` in ``cell``; ``None`` if no case has been measured."""
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
    """The rows of ``<study>.csv``, one a cell and method, the paper's first.

    ``difference`` is ours minus the paper's for the same method, only if all cases have been run. ``gain`` is the mean
    difference to ``rival`` over the ``shared`` cases.
    """
    rows = []
    for cell in study.cells:
        blank = dict.fromkeys(SUMMARY, "")
        for name, reported in cell.published.items():
            rows.append(blank | {"cell": cell.name, "source": "paper", "method": name, "psnr": f"{reported:.2f}"})
        for name in study.methods:
            found = entry(cell, name, store)
            if found is None:
                continue
            row = blank | {"cell": cell.name, "source": "here", "method": name, "psnr": f"{found.psnr:.2f}"}
            row |= {"cases": str(found.count), "of": str(found.total)}
            reported = published_psnr(cell, name)
            if reported is not None and found.complete:
                row["difference"] = signed(found.psnr - reported)
            if found.gain is not None:
                row |= {"rival": METHODS[name].rival or "", "gain": signed(found.gain), "shared": str(found.shared)}
            rows.append(row)
    return rows


def published_psnr(cell: Cell, method: str) -> float | None:
    """The paper's number for the same method on the same images, if there is one."""
    return cell.published.get(METHODS[method].published or "") if cell.same_images else None


def grid(study: Study, store: Table) -> list[list[str]]:
    """The table in the form of the paper: one row a method, one column a cell; the paper's rows first."""
    head = ["PSNR, dB", *(cell.column for cell in study.cells)]
    rows = [
        [f"paper: {name}", *(f"{cell.published[name]:.2f}" for cell in study.cells)]
        for name in study.cells[0].published
    ]
    for name in study.methods:
        entries = [entry(cell, name, store) for cell in study.cells]
        if any(entries):
            reported = [published_psnr(cell, name) for cell in study.cells]
            rows.append([METHODS[name].label, *map(_text, entries, reported)])
            if any(found and found.gain is not None for found in entries):
                rival = METHODS[METHODS[name].rival or ""].label
                rows.append([f"  minus {rival}, same cases", *map(_gain_text, entries)])
    return [head, *rows]


def signed(value: float) -> str:
    """Two decimals with a sign; never ``-0.00``."""
    return f"{round(value, 2) + 0.0:+.2f}"


def _text(found: Entry | None, reported: float | None) -> str:
    if found is None:
        return ""
    if not found.complete:
        return f"{found.psnr:.2f} ({found.count} of {found.total})"
    difference = "" if reported is None else f"; {signed(found.psnr - reported)}"
    return f"{found.psnr:.2f} (all {found.total}{difference})"


def _gain_text(found: Entry | None) -> str:
    return "" if found is None or found.gain is None else f"{signed(found.gain)} ({found.shared})"


BRACKETS = (
    "In brackets: number of cases in the mean. If it is all cases, the difference to the same method in the paper "
    "follows. A mean over fewer cases cannot be compared with the paper."
)


def write(study: Study, run: Run, store: Table) -> None:
    """``<study>.csv`` and ``<study>.md``."""
    run.results.mkdir(parents=True, exist_ok=True)
    write_rows(run.results / f"{study.name}.csv", summary(study, store))
    head, *body = grid(study, store)
    names = {cell.name for cell in study.cells}
    machines = sorted({row["machine"] for row in store.rows if row["cell"] in names and row["machine"]})
    table = (f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body))
    command = provenance(f"python benchmarks/paper.py {study.name}", machines)
    lines = [f"# {study.title}", "", study.protocol, "", BRACKETS, "", *table, "", command, ""]
    (run.results / f"{study.name}.md").write_text("\n".join(lines))


def write_note(name: str, title: str, protocol: str, run: Run) -> None:
    """``<name>.md`` for a figure: title, protocol (a docstring), files, command."""
    text = inspect.cleandoc(protocol).replace("``", "`")
    command = provenance(f"python benchmarks/paper.py {name}", [machine(run.device)])
    lines = [f"# {title}", "", text, "", f"Numbers: `{name}.csv`; picture: `{name}.png`.", "", command, ""]
    (run.results / f"{name}.md").write_text("\n".join(lines))


def provenance(command: str, machines: Sequence[str]) -> str:
    """One sentence: command, date, versions, hardware."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("deepinv", "torch"))
    return f"`{command}`; {date.today().isoformat()}; {versions}; {'; '.join(machines) or 'nothing measured'}."
