"""Kill ``daep restore`` on a folder at random moments, and let several of it loose on the same folder.

    python tests/faults/run.py --kills 200 --crowds 20

After every death: each result that is there is complete and is the one that an undisturbed run makes, results that were
there before are untouched, and no input has changed. At the end: every image has its result, made once, and nothing
else lies in the folder. A process is killed by SIGKILL, which no program can see coming; the moments come from a seed.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image
from tqdm import tqdm

import daep_cli.jobs.folder  # noqa: F401 (imported before the fork, so that it takes no time of a forked process)
from daep_cli.jobs.job import Job
from daep_cli.main import main as daep
from daep_prior import ConvDAE, save_dae

# deepinv's progress bar has a lock for processes, which forked ones share: one that is killed while it holds it would
# stop all others. Processes that a shell starts share nothing of the kind.
tqdm.set_lock(threading.RLock())

#: Seconds after which a run that should long have ended is taken for hung.
PATIENCE = 300
#: Results may differ by this much (of 255): images of a batch are rounded another way than images alone.
ROUNDING = 1


#: One image of so many is a stack of three pages.
STACKS = 12
#: Pixels that go through the network together: two or three images, so that a run makes its results one by one.
BATCH_PIXELS = 600
Job.batch_pixels = property(lambda job: BATCH_PIXELS)  # type: ignore[assignment,method-assign]


@dataclass(frozen=True)
class Outcome:
    """How a process ended: exit status (minus the signal's number) and what it wrote."""

    status: int
    text: str


class Process:
    """``daep`` with some arguments in a process of its own; forked, so that it starts at once."""

    def __init__(self, arguments: list[str], log: Path):
        self.log, self.began = log, time.monotonic()
        sys.stdout.flush()
        log.touch()
        self.id = os.fork()
        if self.id == 0:
            status = 70
            try:
                handle = os.open(log, os.O_WRONLY | os.O_APPEND)
                os.dup2(handle, 1)
                os.dup2(handle, 2)
                status = daep(arguments)
                sys.stdout.flush()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)

    def kill(self) -> None:
        os.kill(self.id, signal.SIGKILL)
        self.wait()

    def wait_until_results(self, folder: Path, count: int) -> None:
        """Until there are more than ``count`` files, or the process has ended."""
        while os.waitid(os.P_PID, self.id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if folder.exists() and len(os.listdir(folder)) > count:
                break
            time.sleep(0.001)

    def wait(self) -> Outcome:
        while time.monotonic() < self.began + PATIENCE:
            found, status = os.waitpid(self.id, os.WNOHANG)
            if found:
                return Outcome(os.waitstatus_to_exitcode(status), self.log.read_text(errors="replace"))
            time.sleep(0.005)
        os.kill(self.id, signal.SIGKILL)
        os.waitpid(self.id, 0)
        raise AssertionError(f"hung: {self.log.read_text(errors='replace')[-1000:]}")


class Album:
    """A folder of tiny images of ten sizes, some of them stacks, a tiny network, and what an undisturbed run makes."""

    def __init__(self, folder: Path, images: int):
        self.folder, self.source, self.outputs = folder, folder / "in", 0
        self.source.mkdir()
        rng = np.random.default_rng(0)
        for i in range(images):
            pixels = rng.integers(0, 256, (8 + i % 10, 16, 3), dtype=np.uint8)
            if i % STACKS == STACKS - 1:
                tifffile.imwrite(self.source / f"{i:03d}.tif", np.moveaxis(pixels, -1, 0), photometric="minisblack")
            else:
                Image.fromarray(pixels).save(self.source / f"{i:03d}.png")
        self.weights = folder / "tiny.safetensors"
        save_dae(ConvDAE(depth=2, width=4), self.weights)
        self.names = sorted(os.listdir(self.source))
        self.inputs = contents(self.source)
        single = ["restore", str(self.source / self.names[0]), "-o", str(folder / "warm.png"), "--noise", "10"]
        assert daep([*single, "--denoiser", str(self.weights), "--iterations", "1", "--device", "cpu"]) == 0
        reference = self.new_output()
        began = time.monotonic()
        outcome = self.start(reference).wait()
        assert outcome.status == 0, outcome.text
        self.reference = {path.name: pixels_of(path) for path in reference.iterdir()}
        assert sorted(self.reference) == self.names, sorted(self.reference)
        self.seconds = time.monotonic() - began

    def new_output(self) -> Path:
        self.outputs += 1
        return self.folder / f"out{self.outputs}"

    def start(self, output: Path, *more: str) -> Process:
        self.outputs += 1
        options = ["--noise", "10", "--denoiser", str(self.weights), "--iterations", "1", "--device", "cpu", *more]
        return Process(["restore", str(self.source), "-o", str(output), *options], self.folder / f"log{self.outputs}")

    def check_results(self, output: Path, before: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        """That what is there is right, and that what was there before is the same file.

        :return: inode and time of each result.
        """
        now = {}
        for path in output.iterdir() if output.exists() else ():
            if path.name.startswith("."):  # a lock, or what a killed process had not finished
                continue
            assert path.name in self.reference, f"{path.name} is no result"
            difference = np.abs(pixels_of(path) - self.reference[path.name]).max()
            assert difference <= ROUNDING, f"{path.name} is off by {difference}"
            found = path.stat()
            now[path.name] = (found.st_ino, found.st_mtime_ns)
        for name, known in before.items():
            assert now.get(name) == known, f"{name} was lost or made again"
        return now

    def check_end(self, output: Path) -> None:
        """That every image has its result, nothing else is left, and the inputs are as they were."""
        assert sorted(os.listdir(output)) == self.names, sorted(set(os.listdir(output)) ^ set(self.names))
        assert contents(self.source) == self.inputs


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def pixels_of(path: Path) -> np.ndarray:
    if path.suffix == ".tif":
        pages = tifffile.imread(path).astype(int)
        assert len(pages) == 3, f"{path.name} has {len(pages)} pages"
        return pages
    with Image.open(path) as file:
        return np.array(file).astype(int)  # decodes all of it: a truncated file raises


def reported(outcome: Outcome) -> list[str]:
    """Names of the results that a run says it has made."""
    return [
        Path(line.split(": ")[0]).name
        for line in outcome.text.splitlines()
        if " pixels in " in line or " pages in " in line
    ]


# -- the two trials ----------------------------------------------------------------------------------------------------


def killed_and_started_again(album: Album, rng: random.Random, kills: int) -> int:
    """One folder, a run killed ``kills`` times and then left to end.

    :return: how many of the killed had made some of the results and not all.
    """
    output, results, midway = album.new_output(), {}, 0
    for _ in range(kills):
        process = album.start(output)
        moment, wanted = rng.uniform(0, album.seconds), rng.randrange(len(album.names))
        if rng.random() < 0.5:
            time.sleep(moment)
        else:  # soon after some number of results, wherever the machine's load has moved that to
            process.wait_until_results(output, wanted)
            time.sleep(moment / 100)
        process.kill()
        before, results = len(results), album.check_results(output, results)
        midway += before < len(results) < len(album.names)
        if len(results) == len(album.names):
            output, results = album.new_output(), {}
    before, last = len(results), album.start(output).wait()
    assert last.status == 0, last.text
    album.check_results(output, results)
    album.check_end(output)
    assert len(reported(last)) == len(album.names) - before, last.text
    return midway


def crowd(album: Album, rng: random.Random, processes: int, kill_one: bool) -> list[int]:
    """One folder and several processes, one of them perhaps killed.

    :return: how many images each has restored.
    """
    output = album.new_output()
    running = [album.start(output) for _ in range(processes)]
    if kill_one:
        time.sleep(rng.uniform(0, album.seconds))
        running.pop().kill()
    outcomes = [process.wait() for process in running]
    for outcome in outcomes:
        assert outcome.status == 0, outcome.text
    made = collections.Counter(name for outcome in outcomes for name in reported(outcome))
    assert not made or max(made.values()) == 1, f"made twice: {made.most_common(3)}"
    if not kill_one:
        assert sorted(made) == album.names, sorted(set(album.names) - set(made))
    album.check_results(output, {})
    if kill_one and sorted(os.listdir(output)) != album.names:  # what the killed one left, the next run takes away
        assert {name for name in os.listdir(output) if not name.startswith(".")} == set(album.names)
        assert album.start(output).wait().status == 0
    album.check_end(output)
    return [len(reported(outcome)) for outcome in outcomes]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="processes that are killed, four to a folder")
    parser.add_argument("--crowds", type=int, default=20, help="folders that two to four processes restore at once")
    parser.add_argument("--images", type=int, default=100, help="images in the folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        album = Album(Path(folder), arguments.images)
        print(f"{arguments.images} images, {album.seconds:.2f} s undisturbed, seed {arguments.seed}")
        midway = 0
        for first in range(0, arguments.kills, 4):
            midway += killed_and_started_again(album, rng, min(4, arguments.kills - first))
        print(f"{arguments.kills} processes killed, {midway} of them between the first result and the last")
        for number in range(arguments.crowds):
            processes, kill_one = 2 + number % 3, number % 4 == 3
            shares = crowd(album, rng, processes, kill_one)
            print(f"{processes} processes at once{', one killed' * kill_one}: restored {shares}")
    print("nothing half-written, nothing lost, nothing restored twice")
    return 0


if __name__ == "__main__":
    sys.exit(main())
