"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


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
