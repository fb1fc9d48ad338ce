"""Rows about the proximal step of the data: ``data``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from unittest.mock import patch

import torch
from physics_matrix import problem_of
from physics_matrix_operators import OPERATORS
from torch import Tensor

from daep_deepinv import DAEP
from daep_deepinv.data_terms import least_squares, weighted
from daep_prior import load_dae
from timing.race import Figure, Row, figure, race

#: Rows of ``physics_matrix.py``: operator, noise and kind of image. The fan beam is one that gains nothing.
CASES = (
    ("Tomography", "gaussian", "grey"),
    ("Tomography", "poisson", "grey"),
    ("Tomography colour", "gaussian", "colour"),
    ("Tomography fan beam", "gaussian", "grey"),
    ("SpaceVaryingBlur circular", "gaussian", "grey"),
    ("SpaceVaryingBlur circular", "poisson", "grey"),
    ("Blur 3-D", "gaussian", "volume"),
    ("CompressiveSpectralImaging ss", "gaussian", "spectral"),
    ("CompressiveSpectralImaging sd", "gaussian", "spectral"),
)


def data(a: argparse.Namespace) -> Iterator[Row]:
    """A restoration with what is known of ``K K^T`` and ``K^T K``, against conjugate gradients without.

    Each has a new physics, so the time has that of the trial which finds it.
    """

    def measure(operator: str, noise: str, kind: str) -> Figure:
        (chosen,) = (o for o in OPERATORS if o.name == operator and kind in o.kinds and noise in o.noises)
        model, found, restored = DAEP(denoiser=load_dae("dae", a.device)), problem_of(chosen, noise, kind), {}
        assert found is not None

        def run(name: str) -> None:
            problem = problem_of(chosen, noise, kind)
            assert problem is not None
            restored[name] = model(problem.y.to(a.device), problem.physics.to(a.device))

        def plain() -> None:
            nothing = {"circulant_of": unknown, "gram_diagonal": unknown}
            with patch.multiple(least_squares, **nothing), patch.multiple(weighted, **nothing):
                run("plain")

        with torch.no_grad():
            times = race(a.device, a.turns, partial(run, "ours"), plain)
        change = found.psnr(restored["ours"].cpu()) - found.psnr(restored["plain"].cpu())
        return figure(*times, "s a restoration", f"without the operator's structure against with; {change:+.2f} dB")

    for case in CASES:
        yield f"data | {', '.join(case)}", partial(measure, *case)


def unknown(*_: object) -> Tensor | None:
    """Nothing is known of an operator."""
    return None
