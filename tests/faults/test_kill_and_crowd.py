"""Folders whose restoration is killed or shared; more of both with ``python tests/faults/run.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_nothing_is_half_written_lost_or_made_twice(environment) -> None:
    program = Path(__file__).with_name("run.py")
    options = ["--kills", "8", "--crowds", "4", "--images", "24"]
    run = subprocess.run(
        [sys.executable, str(program), *options], capture_output=True, text=True, env=environment, timeout=900
    )
    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    assert lines[-1] == "nothing half-written, nothing lost, nothing restored twice"
    assert sum("processes at once" in line for line in lines) == 4
    (killed,) = (line for line in lines if "processes killed" in line)
    assert int(killed.split(", ")[1].split()[0]) > 0  # else no kill came at an interesting moment
