"""Check the input and output paths of a command before anything is computed."""

import os
from collections.abc import Iterable
from pathlib import Path


def check_output_file(
    path: Path,
    suffixes: Iterable[str],
    inputs: Iterable[Path | None],
    overwrite: bool,
    source: Path | None = None,
    *,
    option: str = "-o",
) -> None:
    """Refuse an output file that cannot be written, or that would replace a file of the user.

    :param suffixes: suffixes, in lower case, of the formats that can be written.
    :param inputs: files that are read; they are never replaced, whatever ``overwrite`` is.
    :param Path source: the file that is restored, for the name that is suggested.
    :param str option: that names the file.
    :raises ValueError: with what to do instead.
    """
    suffixes = sorted(suffixes)
    inside = None
    if source is not None:
        inside = path / (source.name if source.suffix.lower() in suffixes else f"{source.stem}.png")
    if path.is_dir():
        example = f", such as {inside}" if inside else ""
        raise ValueError(f"{option} {path}: is a folder; give the name of a file{example}.")
    if path.suffix.lower() not in suffixes:
        folder = "" if inside is None or path.suffix else f" (in a folder, {inside})"
        endings = ", ".join(suffixes)
        raise ValueError(f"{option} {path}: cannot write this format; use a name that ends in {endings}{folder}.")
    for other in inputs:
        if other is not None and _same_file(path, other):
            raise ValueError(f"{option} {path}: is also an input, which is never replaced; choose another name.")
    _check_parent(path, option)
    if path.exists():
        if not overwrite:
            raise ValueError(f"{option} {path}: exists already; give --overwrite to replace it.")
        if not os.access(path, os.W_OK):
            raise ValueError(f"{option} {path}: exists and is write-protected; choose another name.")


def check_output_folder(path: Path, source: Path, suffixes: Iterable[str] = ()) -> None:
    """Refuse an output folder that is the input itself, is a file, or cannot be created or written.

    :param suffixes: suffixes, in lower case, that mean a file; a new folder must not have one.
    :raises ValueError: with what to do instead.
    """
    if _same_file(path, source):
        raise ValueError(f"-o {path}: is the input itself; choose another folder.")
    if path.exists() or path.is_symlink():
        if not path.is_dir():
            raise ValueError(f"-o {path}: is not a folder; name a folder for the results.")
        if not os.access(path, os.W_OK | os.X_OK):
            raise ValueError(f"-o {path}: the folder cannot be written to; choose another one.")
    elif path.suffix.lower() in suffixes:
        raise ValueError(f"-o {path}: is the name of a file, but the input {source} is a folder; name a folder.")
    else:
        _check_parent(path)


def _same_file(a: Path, b: Path) -> bool:
    """Whether two paths are one file or folder, also through links."""
    try:
        return a.samefile(b)
    except OSError:  # at least one does not exist
        return a.resolve() == b.resolve()


def _check_parent(path: Path, option: str = "-o") -> None:
    parent = path.parent
    if not parent.is_dir():
        raise ValueError(f"{option} {path}: the folder {parent} does not exist; create it first.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {path}: the folder {parent} cannot be written to; choose another one.")
