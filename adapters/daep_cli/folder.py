"""``daep restore`` on a folder: one bad file stops nothing, and a killed run can be started again.

Reading, restoring and writing overlap, images of equal size go through the network together, and any number of
processes may work on the same folder.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daep_cli.claims import Claim, state
from daep_cli.errors import Interrupted, explain, one_line
from daep_cli.images import SUFFIXES, Photo, check_writable_as, encode, layout, read_photo
from daep_cli.outputs import check_output_file, check_output_folder, write_whole
from daep_cli.progress import Bar, progress_bar
from daep_cli.restore import Job, Measurement

__all__ = ["Tally", "find_images", "restore_folder"]

#: After one of these nothing more can be written, so nothing more is computed.
HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass
class Tally:
    """How many images of a folder were restored, stood there already, or failed; and files that are no images."""

    restored: int = 0
    elsewhere: int = 0
    skipped: int = 0
    failed: int = 0
    ignored: int = 0

    def __str__(self) -> str:
        parts = [f"{self.restored} restored"]
        if self.elsewhere:
            parts.append(f"{self.elsewhere} restored by another process meanwhile")
        if self.skipped:
            parts.append(f"{self.skipped} skipped because their result exists (--overwrite replaces)")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.ignored:
            parts.append(f"{self.ignored} ignored because not named as PNG, JPEG or TIFF")
        return ", ".join(parts)


def find_images(folder: Path) -> tuple[list[Path], int]:
    """Images directly in ``folder`` by name, and the number of other files; no hidden files, no subfolders.

    :raises ValueError: no image there.
    """
    files = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    found = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not found:
        raise ValueError(
            f"{folder}: holds no PNG, JPEG or TIFF image (subfolders are not searched); give the folder of the images."
        )
    return found, len(files) - len(found)


def restore_folder(
    source: Path,
    output: Path,
    job: Job,
    overwrite: bool,
    report: Callable[[str], None],
    complain: Callable[[str], None],
) -> Tally:
    """Restore every image of a folder into another one, under the same names.

    A result that exists is taken for finished, because results are written whole or not at all. When this returns,
    every image has its result or has been complained about, whichever process made it.

    :param Path source: folder of images.
    :param Path output: folder of results; created if its parent exists.
    :param Callable report: called with one line for each finished image.
    :param Callable complain: called with one line for each image that failed.
    :raises ValueError: unusable folders, or weights that no image could be restored with.
    :raises OSError: the disk is full or can no longer be written.
    :raises Interrupted: Ctrl-C; the message says how far it came.
    """
    check_output_folder(output, source, SUFFIXES)
    found, ignored = find_images(source)
    tally = Tally(ignored=ignored)
    todo = []
    for image in found:
        result = output / image.name  # a bare name is appended, so no result can land outside the folder
        before = state(result)
        if before is not None and not overwrite:
            tally.skipped += 1
            with suppress(OSError):  # no harm, if it cannot be
                Claim(result).clean()
        else:
            todo.append(_Item(image, result, before, *layout(image)))
    if not todo:
        return tally
    _ = job.model  # unusable weights are one error, not one for each image
    output.mkdir(exist_ok=True)
    # equal sizes side by side, and the largest first: if they do not fit into memory, that is known at once
    todo.sort(key=lambda item: (-item.width * item.height, item.width, item.kind))
    try:
        with progress_bar() as bar, _FolderRun(job, overwrite, bar, tally, report, complain) as run:
            run.restore(todo)
    except KeyboardInterrupt as error:
        raise Interrupted(f"after {tally}; the same command goes on from here.") from error
    return tally


class _Item:
    """One image of the folder and its result.

    :param tuple before: :func:`daep_cli.claims.state` of the result when the run began.
    """

    def __init__(
        self,
        source: Path,
        result: Path,
        before: tuple[int, int, int] | None,
        width: int,
        height: int,
        kind: str,
    ):
        self.source, self.result, self.before = source, result, before
        self.width, self.height, self.kind = width, height, kind
        self.claim = Claim(result)

    @property
    def work(self) -> float:
        """For the progress bar: pixels."""
        return max(1, self.width * self.height)


class _FolderRun:
    """The pipeline: this thread claims, restores and keeps the books; one thread reads ahead, one writes behind."""

    def __init__(
        self,
        job: Job,
        overwrite: bool,
        bar: Bar,
        tally: Tally,
        report: Callable[[str], None],
        complain: Callable[[str], None],
    ):
        self.job, self.overwrite, self.bar, self.tally = job, overwrite, bar, tally
        self.report, self.complain = report, complain
        self.batch_pixels = job.batch_pixels
        self.held: list[_Item] = []
        self.writing: deque[tuple[_Item, str, Future[None]]] = deque()

    def __enter__(self) -> _FolderRun:
        self.reader, self.writer = ThreadPoolExecutor(1, "read"), ThreadPoolExecutor(1, "write")
        return self

    def __exit__(self, *_: object) -> None:
        # what is restored is written, also after Ctrl-C; what is only read is dropped
        self.reader.shutdown(wait=True, cancel_futures=True)
        self.writer.shutdown(wait=True)
        try:
            self._collect(0)
        finally:
            for item in list(self.held):
                self._let_go(item)

    def restore(self, todo: list[_Item]) -> None:
        """Restore all of ``todo``, or see to it that others have."""
        self.bar.extend(sum(item.work for item in todo))
        while todo:
            busy: list[_Item] = []
            for batch in self._batches(self._read(todo, busy)):
                self._restore(batch)
            self._collect(0)
            if busy:  # other processes are at these: they finish them, or end and leave them to us
                self.bar.tell(f"{busy[0].source.name}: another process is at it")
                busy[0].claim.take(wait=True)
                busy[0].claim.release()
            todo = busy

    # -- claiming and reading ------------------------------------------------------------------------------------------

    def _read(self, todo: list[_Item], busy: list[_Item]) -> Iterator[tuple[_Item, Measurement]]:
        """Images that are claimed, read and usable, in order; those that others have claimed go to ``busy``."""
        reading: deque[tuple[_Item, Future[Measurement]]] = deque()
        for item in todo:
            try:
                taken = item.claim.take()
            except OSError as error:
                self._fail(item, error)
                continue
            if not taken:
                busy.append(item)
                continue
            self.held.append(item)
            if state(item.result) != item.before:
                self.tally.elsewhere += 1
                self.bar.advance(item.work)
                self._let_go(item)
                continue
            reading.append((item, self.reader.submit(self._measure, item)))
            # two batches ahead, and one image if it is larger
            while len(reading) > 1 and sum(self._pixels(item) for item, _ in reading) > 2 * self.batch_pixels:
                yield from self._finish_reading(reading)
        while reading:
            yield from self._finish_reading(reading)

    def _finish_reading(self, reading: deque[tuple[_Item, Future[Measurement]]]) -> Iterator[tuple[_Item, Measurement]]:
        """The oldest of what is being read, if it is usable."""
        item, future = reading.popleft()
        try:
            measured = future.result()
        except Exception as error:
            self._fail(item, error)
            self.bar.advance(item.work)
        else:
            yield item, measured

    def _pixels(self, item: _Item) -> int:
        return max(1, self.job.pixels(item.width, item.height))

    def _measure(self, item: _Item) -> Measurement:
        check_output_file(item.result, SUFFIXES, (item.source, *self.job.files), self.overwrite)
        photo = read_photo(item.source)
        check_writable_as(photo, item.result)
        return self.job.measure(photo)

    # -- restoring -----------------------------------------------------------------------------------------------------

    def _batches(self, images: Iterator[tuple[_Item, Measurement]]) -> Iterator[list[tuple[_Item, Measurement]]]:
        """Neighbours that can be restored together, as many as memory is meant for."""
        batch: list[tuple[_Item, Measurement]] = []
        for item, measured in images:
            pixels = self.job.pixels(*measured.photo.size)
            full = (len(batch) + 1) * pixels > self.batch_pixels
            if batch and (full or not self.job.together(batch[-1][1], measured)):
                yield batch
                batch = []
            batch.append((item, measured))
        if batch:
            yield batch

    def _restore(self, batch: list[tuple[_Item, Measurement]]) -> None:
        work = sum(item.work for item, _ in batch)
        names = batch[0][0].source.name + (f" and {len(batch) - 1} more" if len(batch) > 1 else "")
        self.bar.tell(names)
        done = 0.0

        def advance(share: float) -> None:
            nonlocal done
            done += share
            self.bar.advance(share * work)

        began = time.perf_counter()
        try:
            results = self.job.run([measured for _, measured in batch], advance)
        except Exception as error:
            self.bar.advance(-done * work)
            if len(batch) > 1:  # whichever it was, the others shall not suffer
                for one in batch:
                    self._restore([one])
                return
            self._fail(batch[0][0], error)
            self.bar.advance(work)
            return
        self.bar.advance((1 - done) * work)
        seconds = (time.perf_counter() - began) / len(batch)
        for index, ((item, _), photo) in enumerate(zip(batch, results, strict=True)):
            width, height = photo.size
            what = f"{width} x {height} pixels in {seconds:.1f} s ({self.job.describe(index)})"
            self.writing.append((item, f"{item.result}: {what}", self.writer.submit(self._write, item, photo)))
        self._collect(len(batch))

    # -- writing and the books -----------------------------------------------------------------------------------------

    def _write(self, item: _Item, photo: Photo) -> None:
        write_whole(item.result, encode(photo, item.result.suffix), self.overwrite, item.claim.temporary)

    def _collect(self, most: int) -> None:
        """Note what has been written, and wait until no more than ``most`` images are still to be."""
        while self.writing and (len(self.writing) > most or self.writing[0][2].done()):
            item, line, future = self.writing[0]  # stays there until it is known, in case of Ctrl-C meanwhile
            try:
                future.result()
            except Exception as error:
                self.writing.popleft()
                if isinstance(error, OSError) and error.errno in HOPELESS:
                    raise
                self._fail(item, error)
            else:
                self.writing.popleft()
                self.tally.restored += 1
                self._let_go(item)
                self.report(line)

    def _fail(self, item: _Item, error: Exception) -> None:
        """Tell the user, or pass a bug on."""
        reason = explain(error)
        if reason is None:
            raise error
        name = item.source.name
        self.complain(reason if name in reason else f"{one_line(os.fspath(item.source))}: {reason}")
        self.tally.failed += 1
        self._let_go(item)

    def _let_go(self, item: _Item) -> None:
        if item in self.held:
            self.held.remove(item)
            item.claim.release()
