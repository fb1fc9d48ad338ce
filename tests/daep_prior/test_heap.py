"""Freed memory that is kept: counted in page faults, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys
from mmap import PAGESIZE

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="needs Linux with the GNU C library"
)

#: Prints the pages that are faulted in by eight blocks of ``int(argv[2])`` bytes, time after time, and what is kept at
#: the end.
PROGRAM = """
import resource, sys, torch
from contextlib import nullcontext
from daep_prior.inference.heap import keep_freed_memory, kept_bytes, working_memory
assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    with nullcontext() if sys.argv[1] == "keep" else working_memory():
        blocks = [torch.zeros(int(sys.argv[2]) // 4) for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, kept_bytes())
"""


def faults_and_kept(how: str, block: int) -> tuple[int, int]:
    command = [sys.executable, "-c", PROGRAM, how, str(block)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    faults, kept = map(int, done.stdout.split())
    return faults, kept


def pages(block: int) -> float:
    """Of eight blocks."""
    return 8 * block / PAGESIZE


def test_a_block_that_is_freed_is_used_again() -> None:
    faults, kept = faults_and_kept("keep", 2**24)
    assert faults < 2 * pages(2**24), "ten times as many if each turn faulted them in anew"
    assert kept >= 2**26, "the eight blocks are 2**27 bytes"


def test_a_large_block_is_kept_where_a_network_works_and_only_there() -> None:
    inside, kept = faults_and_kept("work", 2**26)
    outside, not_kept = faults_and_kept("keep", 2**26)
    assert inside < 2 * pages(2**26) < 9 * pages(2**26) < outside
    assert kept >= 2**28 > 2 * not_kept
