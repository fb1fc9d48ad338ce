"""``daep restore`` on a folder: an image that fails stops no other, and a job that was killed can be continued.

Images of equal size are restored in batches. Several processes may work on the same folder.
"""

import errno
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from daep_cli.errors import Interrupted, complaint, one_line
from daep_cli.jobs.claims import Claim, state
from daep_cli.jobs.job import Job
from daep_cli.jobs.measurement import Measurement
from daep_cli.jobs.parts import restore_stack
from daep_cli.jobs.progress import Bar, progress_bar
from daep_cli.paths import check_output_file
from daep_cli.photographs.photo import READABLE, WRITABLE, Photo
from daep_cli.photographs.reading import count_pages, layout, read_photo
from daep_cli.photographs.writing import check_writable_as, encode
from daep_cli.screen import about, complain, say
from daep_cli.whole_files import put_in_place, write_whole
from daep_deepinv import Plan

#: Errors after which nothing more can be written. They end the job.
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass
class Tally:
    """Number of images restored here and elsewhere, skipped and failed, and of files that are no images."""

    restored: int = 0
    elsewhere: int = 0
    skipped: int = 0
    failed: int = 0
    ignored: int = 0

    def __str__(self) -> str:
        others = {
            "restored by another process meanwhile": self.elsewhere,
            "skipped because their result exists (--overwrite replaces)": self.skipped,
            "failed": self.failed,
            "ignored because not named as an image": self.ignored,
        }
        return f"{self.restored} restored" + "".join(f", {number} {text}" for text, number in others.items() if number)


@dataclass(eq=False)
class _Item:
    """One image of the folder and its result.

    :param tuple before: :func:`daep_cli.jobs.claims.state` of the result when the job began.
    :param tuple layout: (width, height, mode), see :func:`daep_cli.photographs.reading.layout`.
    :param float seconds: that the search for its noise and blur took.
    """

    source: Path
    result: Path
    before: tuple[int, int, int] | None
    layout: tuple[int, int, str]
    claim: Claim
    seconds: float = 0.0

    @property
    def pixels(self) -> int:
        """The work of this image, for the progress bar."""
        return max(1, self.layout[0] * self.layout[1])


_Batch: TypeAlias = list[tuple[_Item, Measurement]]


def find_images(folder: Path) -> tuple[list[Path], int]:
    """Images directly in ``folder``, sorted by name, and the number of other files. Hidden files are left out.

    :raises ValueError: there is no image.
    """
    files = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    found = [file for file in files if file.suffix.lower() in READABLE]
    if not found:
        raise ValueError(
            f"{folder}: contains no PNG, JPEG, TIFF, FITS or raw image (subfolders are not searched); name another."
        )
    return found, len(files) - len(found)


def results_of(images: list[Path], folder: Path) -> list[Path]:
    """Where the results go: under their names, ``a.nef`` as ``a.tif``; as ``a.nef.tif`` if another image is that."""
    names = [image.name if image.suffix.lower() in WRITABLE else f"{image.stem}.tif" for image in images]
    often = Counter(names)
    return [
        folder / (name if often[name] == 1 or name == image.name else f"{image.name}.tif")
        for image, name in zip(images, names, strict=True)
    ]


def restore_folder(source: Path, output: Path, job: Job, overwrite: bool) -> Tally:
    """Restore every image of a folder into another folder, under the same name.

    A result that exists is complete, because results are written whole or not at all. At the end, each image has its
    result, made by this process or another, or its error has been printed.

    :raises ValueError: no images, or unusable weights.
    :raises OSError: the disk is full, or can no longer be written to.
    :raises Interrupted: Ctrl-C; the message says how many are done.
    """
    found, ignored = find_images(source)
    tally, todo = Tally(ignored=ignored), []
    for image, result in zip(found, results_of(found, output), strict=True):
        before = state(result)
        if before is None or overwrite:
            todo.append(_Item(image, result, before, layout(image), Claim(result)))
            continue
        tally.skipped += 1
        with suppress(OSError):  # not important
            Claim(result).clean()
    if not todo:
        return tally
    _ = job.network  # unusable weights are one error, not one an image
    output.mkdir(exist_ok=True)
    # equal sizes together; the largest first, so that a lack of memory shows at once
    todo.sort(key=lambda item: (-item.pixels, item.layout))
    try:
        with progress_bar(sum(item.pixels for item in todo)) as bar:
            _FolderRun(job, overwrite, bar, tally).restore(todo)
    except KeyboardInterrupt as error:
        raise Interrupted(f"after {tally}; the same command continues from here.") from error
    return tally


class _FolderRun:
    """The steps of the job, one after another: claim, read, restore in batches, write."""

    def __init__(self, job: Job, overwrite: bool, bar: Bar, tally: Tally):
        self.job, self.overwrite, self.bar, self.tally = job, overwrite, bar, tally
        self.claimed: list[_Item] = []

    def restore(self, todo: list[_Item]) -> None:
        """Restore all of ``todo``, or wait until other processes have."""
        try:
            while todo:
                busy: list[_Item] = []
                for batch in self._batches(self._read(todo, busy)):
                    self._restore(batch)
                if busy:  # other processes have claimed these; they finish them, or end and leave them
                    self.bar(description=one_line(f"{busy[0].source.name}: another process restores it"))
                    busy[0].claim.take(wait=True)
                    busy[0].claim.release()
                todo = busy
        finally:
            for item in list(self.claimed):
                self._release(item)

    def _read(self, todo: list[_Item], busy: list[_Item]) -> Iterator[tuple[_Item, Measurement]]:
        """Claim and read the images in order. Those that other processes have claimed go to ``busy``."""
        for item in todo:
            try:
                if not item.claim.take():
                    busy.append(item)
                    continue
                self.claimed.append(item)
                if state(item.result) != item.before:
                    self.tally.elsewhere += 1
                    self.bar(advance=item.pixels)
                    self._release(item)
                    continue
                check_output_file(item.result, WRITABLE, (item.source, *self.job.options.files), self.overwrite)
                pages = count_pages(item.source)
                if pages > 1:
                    with about(item.source.name):
                        what = restore_stack(item.source, item.result, pages, self.job, item.claim.temporary)
                    put_in_place(item.claim.temporary, item.result, self.overwrite)
                    self._done(item, what)
                    self.bar(advance=item.pixels)
                    continue
                measured = self._measured(item)
            except Exception as error:
                self._fail(item, error)
                self.bar(advance=item.pixels)
            else:
                yield item, measured

    def _measured(self, item: _Item) -> Measurement:
        with about(item.source.name):
            photo = read_photo(item.source)
            check_writable_as(photo, item.result, self.job.options.format)
            began = time.perf_counter()
            measured = self.job.measure(photo)
            item.seconds = time.perf_counter() - began
        return measured

    def _batches(self, images: Iterator[tuple[_Item, Measurement]]) -> Iterator[_Batch]:
        """Consecutive images that can be restored together, as many as the memory is meant for."""
        batch: _Batch = []
        for item, measured in images:
            pixels = (len(batch) + 1) * self.job.pixels(*measured.photo.size)
            if batch and (pixels > self.job.batch_pixels or not batch[-1][1].alike(measured)):
                yield batch
                batch = []
            batch.append((item, measured))
        if batch:
            yield batch

    def _restore(self, batch: _Batch) -> None:
        work, done = sum(item.pixels for item, _ in batch), 0.0
        more = f" and {len(batch) - 1} more" if len(batch) > 1 else ""
        names = batch[0][0].source.name + more
        self.bar(description=one_line(names))

        def follow(plan: Plan, iteration: int, images: Tensor) -> None:
            nonlocal done
            step = work * len(images) / len(batch) / len(plan.schedule)
            done += step
            self.bar(advance=step)

        began = time.perf_counter()
        try:
            with about(names):
                results = self.job.run([measured for _, measured in batch], follow)
        except Exception as error:
            if len(batch) > 1:  # one image must not stop the others, whichever it is
                self.bar(advance=-done)
                for one in batch:
                    self._restore([one])
            else:
                self._fail(batch[0][0], error)
                self.bar(advance=work - done)
            return
        self.bar(advance=work - done)
        seconds = (time.perf_counter() - began) / len(batch)
        for (item, measured), (photo, plan) in zip(batch, results, strict=True):
            width, height = photo.size
            what = f"{width} x {height} pixels in {item.seconds + seconds:.1f} s ({self.job.summary(plan, measured)})"
            self._write(item, photo, what)

    def _write(self, item: _Item, photo: Photo, what: str) -> None:
        path = item.result
        try:
            write_whole(path, encode(photo, path.suffix), self.overwrite, item.claim.temporary)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise
            self._fail(item, error)
            return
        self._done(item, what)

    def _done(self, item: _Item, what: str) -> None:
        self.tally.restored += 1
        self._release(item)
        say(f"{item.result}: {what}")

    def _fail(self, item: _Item, error: Exception) -> None:
        """Report an expected error; a bug is raised again."""
        complain(complaint(error, item.source))
        self.tally.failed += 1
        self._release(item)

    def _release(self, item: _Item) -> None:
        if item in self.claimed:
            self.claimed.remove(item)
            item.claim.release()
