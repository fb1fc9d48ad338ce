"""Options that several commands share."""

from typing import Annotated

import typer

#: Those of :mod:`daep_prior.schedules`, whose import takes seconds.
PRESETS = ["annealed", "fast", "best", "paper", "paper-sr"]

#: Seeds of torch's generators are 64 bits.
SEEDS = 2**63


def _checked_preset(name: str | None) -> str | None:
    if name is not None and name not in PRESETS:
        raise ValueError(f"--preset {name}: expected one of {', '.join(PRESETS)}.")
    return name


def _checked_seed(seed: int) -> int:
    if not 0 <= seed < SEEDS:
        raise ValueError(f"--seed {seed}: expected a whole number from 0 to 2^63 - 1.")
    return seed


Denoiser = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="Network: a shipped one (see `daep info`) or a .safetensors file."),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"Solver and schedule: {', '.join(PRESETS)}; default {PRESETS[0]}.",
        autocompletion=lambda: PRESETS,
        callback=_checked_preset,
    ),
]
Iterations = Annotated[int | None, typer.Option(metavar="N", min=1, help="Number of iterations; default the preset's.")]
Seed = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Seed of all random numbers; the same seed gives the same result.",
        callback=_checked_seed,
    ),
]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, ...; default the GPU if there is one.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")]
