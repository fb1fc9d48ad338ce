"""Every operator of deepinv x noise x kind of image: DAEP beside deepinv's own algorithms with the same network.

    python benchmarks/physics_matrix.py [--only PATTERN] [--part K/N] [--again] [--list] [--results FILE] [--page]

* Images: crops of scikit-image's photographs, 64 x 64 pixels, or 32 x 32 for an operator that is a large matrix; see
  ``physics_matrix_images.py``.
* Operators and noise: every class of ``deepinv.physics`` that runs without a download, see
  ``physics_matrix_operators.py``. A row whose operator needs a package that is not installed is left out.
* Methods: ``DAEP(level)`` with the true noise level, ``DAEP()``, ``DAEP("estimate")``; DPIR, plug-and-play by proximal
  gradient descent, total variation and the pseudo-inverse of deepinv, see ``physics_matrix_methods.py``. Plug-and-play
  and total variation have three settings; the best counts, chosen with the clean image.
* PSNR for a peak of 1 and at most 60 dB, without the border that a ``valid`` blur does not measure. Phase retrieval is
  compared up to a global phase, unwrapping up to a constant.
* Verdict on ``DAEP()``, which reads the noise of the physics, against the best peer: ``better`` by more than 0.15 dB,
  ``level``, ``worse``; ``refused`` with a sentence; ``failed`` with another error.

Every row is written to ``results/physics_matrix.csv`` as soon as it is measured; an interrupted run continues there.
``--only`` is a regular expression for ``operator, noise, kind``; ``--again`` measures these rows again. ``--part 2/3``
takes every third row from the second on, so several processes may share the work, each with a file of its own
(``--results``). ``--page`` writes ``docs/physics-matrix.md`` and measures nothing.
"""

import argparse
import importlib.util
import re
from pathlib import Path

import torch
from csv_table import Table
from physics_matrix_images import image
from physics_matrix_methods import OURS, PEERS, Outcome, Problem, measured
from physics_matrix_operators import OPERATORS, Operator, add_noise, true_level
from physics_matrix_page import write_page
from rich.console import Console
from torch import nn

from daep_deepinv import DAEPrior

RESULTS = Path(__file__).parent / "results" / "physics_matrix.csv"
PAGE = Path(__file__).parents[1] / "docs" / "physics-matrix.md"
KEY = ("operator", "noise", "kind")
#: Differences in dB that count as level.
LEVEL = 0.15


def rows(only: str = "", part: tuple[int, int] = (1, 1)) -> list[tuple[Operator, str, str]]:
    """Operator, noise and kind of image of each row that can be measured here.

    :param str only: a regular expression, searched in ``operator, noise, kind``.
    :param tuple part: (k, n): every n-th row from the k-th on.
    """
    here = [row for row in every_row() if available(row[0])]
    return [row for row in here if re.search(only, f"{row[0].name}, {row[1]}, {row[2]}")][part[0] - 1 :: part[1]]


def every_row() -> list[tuple[Operator, str, str]]:
    """Operator, noise and kind of image of each row, with those whose package is not installed."""
    return [(o, noise, kind) for o in OPERATORS for kind in o.kinds for noise in o.noises]


def available(operator: Operator) -> bool:
    """Whether the package that the operator needs is installed."""
    return not operator.needs or importlib.util.find_spec(operator.needs) is not None


def problem_of(operator: Operator, noise: str, kind: str) -> Problem | None:
    """The measurement of a row; ``None``: a measurement with negative values has no Poisson noise."""
    x = image(kind, operator.size)
    torch.manual_seed(0)
    physics = operator.make(x)
    if not add_noise(physics, x, noise):
        return None
    torch.manual_seed(1)  # deepinv's noise models without a generator
    with torch.no_grad():
        y = physics(x)
    return Problem(x, y, physics, true_level(physics, x, y), operator.ambiguity, operator.border)


def verdict(outcomes: dict[str, Outcome]) -> str:
    """One word on ``DAEP()``; see the head of this file."""
    ours, peers = outcomes["stated"], [outcomes[name].psnr for name in PEERS]
    best = max((psnr for psnr in peers if psnr is not None), default=None)
    if ours.psnr is None:
        return "refused" if ours.refused else "failed"
    if best is None or ours.psnr > best + LEVEL:
        return "better"
    return "level" if ours.psnr >= best - LEVEL else "worse"


def measured_row(operator: Operator, noise: str, kind: str, network: nn.Module) -> dict[str, str] | None:
    """A row of the table; ``None``: there is no such measurement."""
    problem = problem_of(operator, noise, kind)
    if problem is None:
        return None
    outcomes = {name: measured(run, problem, network) for name, run in (OURS | PEERS).items()}
    row = dict(zip(KEY, (operator.name, noise, kind), strict=True))
    row |= {"level": f"{problem.sigma:.4g}", "verdict": verdict(outcomes)}
    row |= {name: "" if o.psnr is None else f"{o.psnr:.2f}" for name, o in outcomes.items()}
    row |= {f"{name} s": f"{o.seconds:.2f}" for name, o in outcomes.items()}
    row["warned"] = "; ".join(f"{name}: {o.warned}" for name, o in outcomes.items() if name in OURS and o.warned)
    row["errors"] = "; ".join(f"{name}: {o.error}" for name, o in outcomes.items() if o.error)
    return row


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a regular expression for 'operator, noise, kind'")
    parser.add_argument("--part", default="1/1", help="K/N: every N-th row from the K-th on")
    parser.add_argument("--again", action="store_true", help="measure rows again")
    parser.add_argument("--list", action="store_true", help="show the rows and measure nothing")
    parser.add_argument("--page", action="store_true", help="write the page of the documentation and measure nothing")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if not re.fullmatch(r"[1-9]\d*/[1-9]\d*", arguments.part):
        parser.error(f"--part: got {arguments.part!r}; expected K/N, for example 1/3.")
    return arguments


def main() -> None:
    """Measure the missing rows, or write the page."""
    arguments, console = parse(), Console(width=200, highlight=False)
    table = Table(arguments.results, *KEY)
    if arguments.page:
        found = [(row, table.find(row[0].name, *row[1:])) for row in every_row()]
        missing = sum(known is None and available(row[0]) and problem_of(*row) is not None for row, known in found)
        measured_rows = [known for _, known in found if known is not None]
        write_page(PAGE, measured_rows, len(measured_rows) + missing)
        return
    number, count = (int(n) for n in arguments.part.split("/"))
    chosen = rows(arguments.only, (number, count))
    names = {(o.name, noise, kind) for o, noise, kind in chosen}
    if arguments.list:
        for name in sorted(names):
            console.print(", ".join(name))
        return
    if arguments.again:
        table.drop(lambda row: tuple(row[column] for column in KEY) in names)
    network = DAEPrior().denoiser
    for operator, noise, kind in chosen:
        if table.find(operator.name, noise, kind):
            continue
        row = measured_row(operator, noise, kind, network)
        if row is not None:
            table.add(row)
            console.print(summary(row))


def summary(row: dict[str, str]) -> str:
    """A row as one line of the screen."""
    values = " ".join(f"{name} {row[name] or '-'}" for name in OURS | PEERS)
    return f"{row['verdict']:8}{', '.join(row[column] for column in KEY):60}{values}  {row['errors'][:90]}"


if __name__ == "__main__":
    main()
