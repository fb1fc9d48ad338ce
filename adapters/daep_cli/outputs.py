"""Where results go: refusing what would lose a file of the user's, and writing whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

__all__ = ["check_output_file", "check_output_folder", "same_file", "write_whole"]


def same_file(a: Path, b: Path) -> bool:
    """Whether two paths mean one file or folder, also through links."""
    try:
        return a.samefile(b)
    except OSError:  # at least one does not exist
        return a.resolve() == b.resolve()


def _check_parent(path: Path, option: str) -> None:
    parent = path.parent
    if not parent.is_dir():
        raise ValueError(f"{option} {path}: the folder {parent} does not exist; create it first.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {path}: the folder {parent} cannot be written to; choose another one.")


def check_output_file(
    path: Path,
    suffixes: Iterable[str],
    inputs: Iterable[Path | None],
    overwrite: bool,
    option: str = "-o",
    source: Path | None = None,
) -> None:
    """Refuse an output file that could not be written, or that would replace something unasked.

    :param Path path: file to be written later.
    :param suffixes: endings, in lower case, of the formats that can be written.
    :param inputs: files that are read and must survive, whatever ``overwrite`` says.
    :param bool overwrite: whether an existing file may be replaced.
    :param str option: its name in messages.
    :param Path source: the file that this one is made of, to suggest a name like its own.
    :raises ValueError: with what to do instead.
    """
    suffixes = sorted(suffixes)
    inside = None if source is None else path / _like(source, suffixes)
    if path.is_dir():
        raise ValueError(
            f"{option} {path}: is a folder; give the name of a file" + (f", such as {inside}." if inside else ".")
        )
    if path.suffix.lower() not in suffixes:
        folder = "" if inside is None or path.suffix else f" (in a folder, {inside})"
        endings = ", ".join(suffixes)
        raise ValueError(f"{option} {path}: cannot write this format; use a name that ends in {endings}{folder}.")
    for other in inputs:
        if other is not None and same_file(path, other):
            raise ValueError(f"{option} {path}: is also an input and would be lost; choose another name.")
    _check_parent(path, option)
    if path.exists():
        if not overwrite:
            raise ValueError(f"{option} {path}: exists already; give --overwrite to replace it.")
        if not os.access(path, os.W_OK):
            raise ValueError(f"{option} {path}: exists and is write-protected; choose another name.")


def _like(source: Path, suffixes: list[str]) -> str:
    """The name of ``source``, in a format that can be written."""
    return source.name if source.suffix.lower() in suffixes else f"{source.stem}.png"


def check_output_folder(path: Path, source: Path, suffixes: Iterable[str] = (), option: str = "-o") -> None:
    """Refuse an output folder that is the source itself, is a file, or cannot be made or written.

    :param suffixes: endings, in lower case, that no new folder has, because a file was meant.
    :raises ValueError: with what to do instead.
    """
    if same_file(path, source):
        raise ValueError(f"{option} {path}: is the input folder itself; choose another one.")
    if path.exists() or path.is_symlink():
        if not path.is_dir():
            raise ValueError(f"{option} {path}: is not a folder, but the input {source} is one; name a folder.")
        if not os.access(path, os.W_OK | os.X_OK):
            raise ValueError(f"{option} {path}: the folder cannot be written to; choose another one.")
    elif path.suffix.lower() in suffixes:
        raise ValueError(f"{option} {path}: is the name of a file, but the input {source} is a folder; name a folder.")
    else:
        _check_parent(path, option)


def write_whole(path: Path, content: bytes, overwrite: bool = False, temporary: Path | None = None) -> None:
    """Write a file so that, whatever happens, ``path`` holds what it held before or all of ``content``.

    A new file gets the permissions that any new file of the user's gets; a replaced one keeps those it had.

    :param Path temporary: file in the same folder, not there yet, that holds the content until it is complete;
        default one of a random name.
    :raises ValueError: ``path`` has come into being meanwhile and ``overwrite`` is not set.
    """
    # short, because a name beside one of 255 bytes may not be longer
    temporary = temporary or path.with_name(f".daep-{secrets.token_hex(8)}.tmp")
    try:
        # os.open, not tempfile: it honours the umask, so the result is as readable as the user's other files
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                if not overwrite:
                    raise ValueError(f"{path}: came into being during the run and is left alone; choose another name.")
                os.chmod(temporary, path.stat().st_mode & 0o777)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None  # the user knows no other name
        raise
