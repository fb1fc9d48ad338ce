"""Every table and figure of the paper by one command.

    python benchmarks/paper.py table3 --data FOLDER             # 2 of the 32 cases of each cell
    python benchmarks/paper.py table3 --data FOLDER --cases all
    python benchmarks/paper.py all --data FOLDER --cases all --methods dae --again

table1, table2: super-resolution, Set5 and Set14; table3: deblurring, Levin et al.; figure6: deblurring, Kodak; figure7:
missing pixels and noise; stochastic: with and without eq. 8; figure2: the spiral; figure3: the prior alone; figure8:
convergence; seconds: the running time of Table 3; all: everything.

The methods are ``authors`` (the authors' network under the paper's preset), ``dae-sigma25`` (ours, the same preset),
``dae`` (ours, default preset) and, in some tables, peers. Cases in ``cases.csv`` are not measured again, so an
interrupted command is simply repeated. ``--again`` measures again the methods named, after a change of a network or a
preset. Tables with their protocol are written to ``benchmarks/results/paper``, pictures to ``docs/images/paper``.

The data folder holds ``set5/``, ``set14/``, ``kodak24/``, ``levin/``, ``kernels/levin.npz`` and
``reference/DAE_sigma25.caffemodel``. ``--download`` fetches those that deepinv offers.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import torch
from protocol import data_folder
from reproduction import download, figure2, figure3, figure7, figure8, plots, running_time, summary
from reproduction.methods import METHODS
from reproduction.run import Run, measure
from reproduction.studies import STUDIES
from rich.console import Console
from rich.table import Table as Printed

ROOT = Path(__file__).resolve().parent.parent


def run_study(name: str, run: Run, console: Console) -> None:
    """Measure, write, draw and print one table."""
    study = STUDIES[name]
    measure(study, run, console)
    store = run.store()
    summary.write(study, run, store)
    if name == "figure7":
        figure7.figure7_picture(run)
    else:
        plots.dots(study, store, run.pictures / f"{name}.png")
    head, *body = summary.grid(study, store)
    printed = Printed(*head, title=study.title, caption=study.protocol)
    for row in body:
        printed.add_row(*row)
    console.print(printed)


#: Figures that are no tables: the function that measures and draws, and the title.
FIGURES: dict[str, tuple[Callable[[Run, Console], None], str]] = {
    "figure2": (figure2.figure2, figure2.TITLE),
    "figure3": (figure3.figure3, figure3.TITLE),
    "figure8": (figure8.figure8, figure8.TITLE),
    "seconds": (running_time.seconds, running_time.TITLE),
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
    """A device of this machine."""
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
        download.fetch(Path(given.data))
    run = Run(
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
                make, title = FIGURES[name]
                make(run, console)
                summary.write_note(name, title, make.__doc__ or "", run)
        except FileNotFoundError as error:
            raise SystemExit(f"{error.filename}: no such file. {download.WHERE}") from error


if __name__ == "__main__":
    main()
