"""A tiny network, small pictures, and the command line as a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daep_cli.main import main
from daep_prior import ConvDAE, save_dae


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line left on the screen."""

    status: int
    out: str
    err: str


@pytest.fixture
def daep(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """``daep("restore", ...)`` in this process."""

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        status = main([str(a) for a in arguments])
        screen = capfd.readouterr()
        return Outcome(status, screen.out, screen.err)

    return run


@pytest.fixture
def refused(daep: Callable[..., Outcome]) -> Callable[..., str]:
    """Run, expect exit status 2 and exactly one line on stderr and nothing on stdout; returns that line."""

    def run(*arguments: object) -> str:
        outcome = daep(*arguments)
        assert outcome.status == 2
        assert outcome.out == ""
        assert outcome.err.startswith("daep: error: ")
        assert outcome.err.count("\n") == 1
        assert "Traceback" not in outcome.err
        return outcome.err

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two layers for noise level 25; untrained."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_dae(ConvDAE(depth=2, width=4), path)
    return path


def _scene(height: int = 24, width: int = 32, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    """A smooth picture (H, W, C) that uses the whole range of its type, different in each channel."""
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(0.3 * x + c) * np.cos(0.2 * y + 2 * c) for c in range(channels)]
    return ((np.stack(planes, -1) + 1) / 2 * np.iinfo(dtype).max).round().astype(dtype)


@pytest.fixture(scope="session")
def scene() -> Callable[..., np.ndarray]:
    """``scene(height, width, channels, dtype)``: a smooth picture."""
    return _scene


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """An RGB PNG of 32 x 24 pixels."""
    path = tmp_path / "in.png"
    Image.fromarray(_scene()).save(path)
    return path
