"""Options that several commands share."""

from typing import Annotated

import typer

#: Those of :mod:`daep_prior.schedules`, whose import takes seconds.
PRESETS = ["annealed", "fast", "best", "paper", "paper-sr"]

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
    ),
]
Iterations = Annotated[int | None, typer.Option(metavar="N", min=1, help="Number of iterations; default the preset's.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of all random numbers; the same seed gives the same image.")]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, ...; default the GPU if there is one.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")]
