"""Every table and figure of the paper as one command.

    python benchmarks/paper.py table3 --data FOLDER             # 2 of the 32 cases of each cell
    python benchmarks/paper.py table3 --data FOLDER --cases all
    python benchmarks/paper.py all --data FOLDER --cases all --methods dae --again

table1, table2: super-resolution, Set5 and Set14; table3: Levin et al.; figure6: Kodak; figure7: missing pixels and
noise; stochastic: eq. 8 against none; figure2: the spiral; figure3: the prior alone; figure8: convergence; seconds: the
running time of Table 3; all: everything.

Tables go through the methods ``authors`` (the authors' network under the paper's preset), ``dae-sigma25`` (ours, the
same preset) and ``dae`` (ours, default preset). What has been measured is in ``cases.csv`` and is not measured again,
so an interrupted command is simply repeated. ``--again`` forgets the methods named: for when a network or a preset has
changed.
Tables and their protocol are written to ``benchmarks/results/paper``, pictures to ``docs/images/paper``.

The data folder holds ``set5/``, ``set14/``, ``kodak24/``, ``levin/``, ``kernels/levin.npz`` and
``reference/DAE_sigma25.caffemodel``; with ``--download``, deepinv fetches what it has of these.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import paper_data
import paper_figures
import paper_plots
import paper_tables
import torch
from paper_methods import METHODS
from paper_studies import STUDIES
from protocol import data_folder
from rich.console import Console
from rich.table import Table as Printed

ROOT = Path(__file__).resolve().parent.parent


def run_study(name: str, run: paper_tables.Run, console: Console) -> None:
    """Measure, write, draw and print one table."""
    study = STUDIES[name]
    paper_tables.measure(study, run, console)
    store = run.store()
    paper_tables.write(study, run, store)
    if name == "figure7":
        paper_figures.figure7_picture(run)
    else:
        paper_plots.dots(study, store, run.pictures / f"{name}.png")
    head, *body = paper_tables.grid(study, store)
    printed = Printed(*head, title=study.title, caption=study.protocol)
    for row in body:
        printed.add_row(*row)
    console.print(printed)


FIGURES: dict[str, Callable[[paper_tables.Run, Console], None]] = {
    "figure2": paper_figures.figure2,
    "figure3": paper_figures.figure3,
    "figure8": paper_figures.figure8,
    "seconds": paper_figures.seconds,
}
COMMANDS = (*STUDIES, *FIGURES)


def count(text: str) -> int | None:
    """``all`` or a number."""
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}; expected a number, or all")
    return int(text)


def device(text: str) -> torch.device:
    """A device that is there."""
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(f"got {text!r}; expected a device of this machine: {error}") from error
    return torch.device(text)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=(*COMMANDS, "all"), metavar="COMMAND", help=", ".join((*COMMANDS, "all")))
    parser.add_argument("--data", help="data folder; default DAEP_DATA")
    parser.add_argument("--download", action="store_true", help="fetch missing test images into the data folder")
    parser.add_argument("--cases", type=count, default=2, metavar="N", help="cases of each cell, or all; default 2")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--only", default="", metavar="TEXT", help="cells whose name contains this: x3, 7.65, ...")
    parser.add_argument("--again", action="store_true", help="measure the methods again")
    parser.add_argument("--device", type=device, default="cpu", help="cpu, cuda, ...")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "paper")
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs" / "images" / "paper")
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "paper", help="restored images for pictures")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run one command, or all."""
    given = parse(arguments)
    if given.download:
        given.data = given.data or os.environ.get("DAEP_DATA", "data")
        paper_data.fetch(Path(given.data))
    run = paper_tables.Run(
        data_folder(given.data),
        given.results,
        given.pictures,
        given.scratch,
        given.device,
        given.cases,
        given.methods,
        given.only,
        given.again,
    )
    console = Console()
    for name in COMMANDS if given.command == "all" else (given.command,):
        try:
            if name in STUDIES:
                run_study(name, run, console)
            else:
                FIGURES[name](run, console)
                paper_tables.write_note(name, FIGURES[name].__doc__ or "", run)
        except FileNotFoundError as error:
            raise SystemExit(f"{error.filename}: no such file. {paper_data.WHERE}") from error


if __name__ == "__main__":
    main()
