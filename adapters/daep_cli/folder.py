"""``daep restore`` on a folder: one bad file stops nothing, and a killed run can be started again."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from daep_cli.errors import explain, one_line
from daep_cli.images import SUFFIXES
from daep_cli.outputs import check_output_folder
from daep_cli.restore import Job, restore_file

__all__ = ["Tally", "find_images", "restore_folder"]


@dataclass
class Tally:
    """How many images of a folder were restored, stood there already, or failed; and files that are no images."""

    restored: int = 0
    skipped: int = 0
    failed: int = 0
    ignored: int = 0

    def __str__(self) -> str:
        parts = [f"{self.restored} restored"]
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
        raise ValueError(f"{folder}: holds no PNG, JPEG or TIFF image (subfolders are not searched).")
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

    A result that exists is taken for finished, because results are written whole or not at all.

    :param Path source: folder of images.
    :param Path output: folder of results; created if its parent exists.
    :param Callable report: called with one line for each finished image.
    :param Callable complain: called with one line for each image that failed.
    :raises ValueError: unusable folders, or weights that no image could be restored with.
    """
    check_output_folder(output, source)
    found, ignored = find_images(source)
    tally = Tally(ignored=ignored)
    todo = []
    for image in found:
        if not overwrite and os.path.lexists(output / image.name):
            tally.skipped += 1
        else:
            todo.append(image)
    if not todo:
        return tally
    _ = job.model  # unusable weights are one error, not one for each image
    output.mkdir(exist_ok=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not Console(stderr=True).is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # a pipe must get its lines
    )
    with bar:
        task = bar.add_task("", total=len(todo))
        for image in todo:
            bar.update(task, description=one_line(image.name))
            try:
                # a bare name is appended, so no result can land outside the folder
                report(restore_file(image, output / image.name, job, overwrite))
                tally.restored += 1
            except Exception as error:
                reason = explain(error)
                if reason is None:
                    raise
                complain(reason if image.name in reason else f"{one_line(str(image))}: {reason}")
                tally.failed += 1
            bar.advance(task)
    return tally
