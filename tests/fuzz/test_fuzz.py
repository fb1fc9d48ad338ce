"""A few hundred damaged files for every reader; ten thousand with ``python tests/fuzz/run.py --cases 10000``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("google.protobuf")

HERE = Path(__file__).parent
#: Readers that do what no reader may, each in its own way, and one that does nothing wrong.
BAD = """
import sys, time

from targets import Target

def lookup(path): return {}["key"]
def talk(path): print("warning: odd file", file=sys.stderr)
def hang(path): time.sleep(60)
def swell(path): bytearray(2**33)
def hidden(path):
    try: bytearray(2**33)
    except MemoryError as error: raise ValueError(f"{path}: damaged") from error
def die(path):
    import os, signal
    os.kill(os.getpid(), signal.SIGSEGV)
def vague(path): raise ValueError("damaged")
def long(path): raise ValueError(f"{path}: " + 1000 * "x")
def unusable(path): return 3
def fine(path): return 4

READERS = (fine, lookup, talk, hang, swell, hidden, die, vague, long, unusable)
TARGETS = {r.__name__: Target({"a.bin": b"0123456789"}, r, lambda result: result in (None, 4)) for r in READERS}
"""


def fuzz(environment: dict[str, str], *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "run.py"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)


def test_damaged_files_end_in_one_clear_sentence(environment):
    run = fuzz(environment, "--cases", 450, "--seed", 1)
    assert run.returncode == 0, run.stdout + run.stderr
    total = run.stdout.splitlines()[-3].split()
    assert total[:2] == ["all", "450"]
    assert int(total[3]) > 300  # most damage is noticed


def test_the_fuzzer_notices_every_kind_of_failure(environment, tmp_path):
    (tmp_path / "bad.py").write_text(BAD)
    environment = {**environment, "PYTHONPATH": f"{tmp_path}:{HERE}:{environment['PYTHONPATH']}"}
    run = fuzz(environment, "--cases", 10, "--targets", "bad", "--timeout", 2, "--keep", tmp_path)
    assert run.returncode == 1, run.stderr
    said = dict(line.split(": ", 1) for line in run.stdout.splitlines() if line.startswith("case "))
    signs = {
        "lookup": "KeyError('key')",
        "talk": "wrote to the screen",
        "hang": "hung",
        "swell": "MemoryError",
        "hidden": "MemoryError behind",
        "die": "killed the process (status -11)",
        "vague": "unclear: 'damaged'",
        "long": "unclear",
        "unusable": "not usable",
    }
    assert {line.split("(")[1].rstrip(")") for line in said} == set(signs)
    for line, why in said.items():
        assert signs[line.split("(")[1].rstrip(")")] in why, (line, why)
    assert len(list(tmp_path.glob("* a.bin"))) == len(signs)


def test_a_case_is_the_same_file_every_time_and_another_one_each_time(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    import mutate
    import run
    import targets

    files = {number: run.case(targets.TARGETS, 0, number) for number in range(40)}
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert files == {number: run.case(targets.TARGETS, 0, number) for number in range(40)}
    assert len({content for _, _, content in files.values()}) == 40
    assert files[3] != run.case(targets.TARGETS, 1, 3)
    png = targets.TARGETS["png"].seeds["exif.png"]
    assert mutate.repair_png(png) == png
    assert mutate.repair_png(png[:60] + b"x" + png[61:]) != png[:60] + b"x" + png[61:]
    weights = targets.TARGETS["safetensors"].seeds["conv.safetensors"]
    assert mutate.repair_safetensors(bytes(8) + weights[8:]).rstrip() == weights.rstrip()


def test_every_file_that_damage_starts_from_is_good(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(HERE))
    import targets

    for name, target in targets.TARGETS.items():
        for file, content in target.seeds.items():
            path = tmp_path / file
            path.write_bytes(content if target.wrap is None else target.wrap(content))
            assert target.good(target.read(path)), (name, file)
