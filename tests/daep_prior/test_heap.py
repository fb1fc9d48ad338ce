"""Freed memory that is kept: counted in page faults, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="needs Linux with the GNU C library"
)

#: Prints the pages that are faulted in by eight blocks of 16 MiB, time after time, and what is kept at the end.
PROGRAM = """
import resource, sys, torch
from daep_prior.heap import keep_freed_memory, kept_bytes
if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    blocks = [torch.zeros(2**22) for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, kept_bytes())
"""


def faults_and_kept(how: str) -> tuple[int, int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    faults, kept = map(int, done.stdout.split())
    return faults, kept


def test_a_block_that_is_freed_is_used_again() -> None:
    faults, kept = faults_and_kept("keep")
    plain_faults, _ = faults_and_kept("plain")
    assert faults < plain_faults / 3
    assert kept >= 2**26, "the eight blocks are 2**27 bytes"
