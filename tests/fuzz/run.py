"""Feed damaged files to every reader of files; only clear errors may come out.

    python tests/fuzz/run.py --cases 10000

The readers run in a process of their own, with a bound on its memory and on the time of a case. A case fails when the
reader raises anything but ``ValueError`` or ``OSError``, when the sentence that the command line would print is not a
short one that names the file, when something else is written to the screen, when what was read is not usable, when
memory runs out, and when the process hangs or dies. Case ``n`` of a seed is always the same file: ``--first n --cases 1
--keep DIR`` makes it again and keeps it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mutate
import numpy as np

#: An image of the largest size that is read takes half a gigabyte in 16 bits; a reader may hold a few copies of it.
MEMORY = 3 * 2**30
#: Seconds for one case; on an idle machine most take a millisecond.
TIMEOUT = 20.0
LONGEST_SENTENCE = 500
#: Exit status of a worker whose case took too long (faulthandler's).
TIMED_OUT = 1


# -- the worker --------------------------------------------------------------------------------------------------------


def case(targets: dict[str, Any], seed: int, number: int) -> tuple[str, str, bytes]:
    """Name of the reader, name and content of the damaged file of case ``number``."""
    names = list(targets)
    name = names[number % len(names)]
    target, rng = targets[name], np.random.default_rng([seed, number])
    files = list(target.seeds)
    file, other = (files[int(rng.integers(len(files)))] for _ in range(2))
    content = mutate.damage(target.seeds[file], rng, target.seeds[other])
    if target.repair is not None and rng.random() < 0.5:
        content = target.repair(content)
    if target.wrap is not None:
        content = target.wrap(content)
    return name, file, content


def judge(target: Any, path: Path) -> tuple[str, str]:
    """("read" | "refused" | "failed", why)."""
    from daep_cli.errors import explain

    try:
        result = target.read(path)
    except (ValueError, OSError) as error:
        sentence = explain(error)
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, (MemoryError, RecursionError)):
                return "failed", f"{type(cause).__name__} behind {error!r}"
            cause = cause.__cause__ or cause.__context__
        if sentence is None or len(sentence) > LONGEST_SENTENCE or path.name not in sentence:
            return "failed", f"unclear: {sentence!r}"
        return "refused", sentence
    except Exception as error:
        return "failed", repr(error)
    return ("read", "") if target.good(result) else ("failed", "what was read is not usable")


def work(targets: dict[str, Any], seed: int, numbers: range, folder: Path, timeout: float, memory: int) -> None:
    """Run cases and print one line of JSON for each."""
    import torch

    torch.set_num_threads(1)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    lines, alarm = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(2), "w")
    with tempfile.TemporaryFile() as screen:
        os.dup2(screen.fileno(), 1)
        os.dup2(screen.fileno(), 2)
        for number in numbers:
            name, file, content = case(targets, seed, number)
            path = folder / file
            path.write_bytes(content)
            faulthandler.dump_traceback_later(timeout, exit=True, file=alarm)
            began = time.perf_counter()
            outcome, why = judge(targets[name], path)
            seconds = time.perf_counter() - began
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.flush()
            sys.stderr.flush()
            if outcome != "failed" and screen.tell() and not targets[name].talks:
                screen.seek(0)
                outcome, why = "failed", f"wrote to the screen: {screen.read()[:300]!r}"
            screen.seek(0)
            screen.truncate()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            print(json.dumps([number, outcome, why, seconds, peak]), file=lines, flush=True)


# -- the parent --------------------------------------------------------------------------------------------------------


def outcomes(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[int, str, str, float, float]]:
    """(case, outcome, why, seconds, peak memory in bytes) of all cases; a worker that dies is replaced."""
    number, last = arguments.first, arguments.first + arguments.cases
    while number < last:
        options = [f"--{key}={getattr(arguments, key)}" for key in ("seed", "timeout", "memory", "targets")]
        command = [sys.executable, __file__, f"--first={number}", f"--cases={last - number}", *options]
        worker = subprocess.Popen(
            [*command, f"--worker={folder}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None and worker.stderr is not None
        started = number
        for line in worker.stdout:
            number, outcome, why, seconds, peak = json.loads(line)
            yield number, outcome, why, seconds, peak
            number += 1
        trace, status = worker.stderr.read(), worker.wait()
        if number < last:
            if number == started and "Timeout" not in trace and status > 0:
                raise SystemExit(f"the worker does not start:\n{trace}")
            kind = "hung" if status == TIMED_OUT else f"killed the process (status {status})"
            yield number, "failed", f"{kind}: {' '.join(trace.split())[-600:]}", arguments.timeout, 0.0
            number += 1


def table(targets: dict[str, Any], results: list[tuple[int, str, str, float, float]]) -> Iterator[str]:
    """One line a reader."""
    yield f"{'reader':22}{'cases':>8}{'read':>8}{'refused':>9}{'failed':>8}{'slowest':>10}"
    names = list(targets)
    for i, name in enumerate([*names, "all"]):
        mine = [r for r in results if name == "all" or r[0] % len(names) == i]
        count = {kind: sum(r[1] == kind for r in mine) for kind in ("read", "refused", "failed")}
        slowest = max((r[3] for r in mine), default=0.0)
        yield f"{name:22}{len(mine):8}{count['read']:8}{count['refused']:9}{count['failed']:8}{slowest:8.2f} s"
    yield f"peak memory {max((r[4] for r in results), default=0) / 2**20:.0f} MiB, the libraries included"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for one case")
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes the readers may reserve")
    parser.add_argument("--keep", type=Path, help="folder for the files of failed cases (of all, for a single case)")
    parser.add_argument("--targets", default="targets", help="module with TARGETS")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.path.append(str(Path(__file__).resolve().parent.parent / "helpers"))  # the good files
    targets = __import__(arguments.targets).TARGETS
    if arguments.worker:
        numbers = range(arguments.first, arguments.first + arguments.cases)
        work(targets, arguments.seed, numbers, arguments.worker, arguments.timeout, arguments.memory)
        return 0
    began, results = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        for result in outcomes(arguments, Path(folder)):
            results.append(result)
            number, outcome, why, _, _ = result
            if outcome == "failed":
                print(f"case {number} ({list(targets)[number % len(targets)]}): {why}")
            if arguments.keep and (outcome == "failed" or arguments.cases == 1):
                name, file, content = case(targets, arguments.seed, number)
                (arguments.keep / f"{number} {file}").write_bytes(content)
    print(*table(targets, results), sep="\n")
    print(f"seed {arguments.seed}, {time.perf_counter() - began:.0f} s")
    return int(any(outcome == "failed" for _, outcome, *_ in results))


if __name__ == "__main__":
    sys.exit(main())
