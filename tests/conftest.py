"""What all tests share."""

from __future__ import annotations

import faulthandler
import os
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


#: Time in seconds that Python may take to end after the last test.
END_WITHIN = 120


def pytest_unconfigure(config: pytest.Config) -> None:
    """If Python does not end after the last test, print where each thread waits, and fail.

    A worker of pytest-xdist waits for the others and is ended by force, so this holds for tests in one process alone.
    """
    if hasattr(config, "workerinput"):
        return
    faulthandler.dump_traceback_later(END_WITHIN, exit=True, file=sys.__stderr__)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The images of the tests are tiny: several threads mostly wait for each other (7 times slower on a busy one)."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Public images and reference networks, which are not part of the repository; the test is skipped without them."""
    folder = Path(os.environ.get("DAEP_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "reference").is_dir():
        pytest.skip(f"needs the data folder (DAEP_DATA), not found at {folder}")
    return folder


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Environment for a Python subprocess that shall import what this process can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
