"""Read kernels from files of numbers: ``.npy``, ``.npz``, ``.txt`` and ``.csv``. A hostile file can neither run code
nor fill the memory."""

import io
import math
import textwrap
import warnings
import zipfile
from pathlib import Path

import numpy as np

from daep_cli.photographs.photo import Array

NUMBER_SUFFIXES = (".npy", ".npz", ".txt", ".csv")
#: Number of bytes of the largest file, and of the arrays in an archive. No blur kernel needs as many.
MAX_BYTES = 64 * 2**20


class _Ambiguous(ValueError):
    """The archive is intact, and contains several kernels or none."""


def read_numbers(path: Path, key: str = "") -> Array:
    """The array in a file. ``key`` is its name in an archive; it may be empty if the archive contains one array.

    :raises ValueError: damaged, more than ``MAX_BYTES``, or no array of that name.
    """
    suffix = path.suffix.lower()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("larger than any blur kernel")
        if suffix == ".npz":
            return _array_of_archive(path, key)
        if suffix == ".npy":
            return _array(path.read_bytes())
        return _table(path.read_bytes().decode("utf-8-sig"))
    except (_Ambiguous, PermissionError):
        raise
    except Exception as error:  # the header of an array is a Python literal: damage raises errors of many types
        reason = textwrap.shorten(str(error), 200) or type(error).__name__
        raise ValueError(f"{path}: not a readable {suffix} file, or damaged ({reason}); write it again.") from error


def _table(text: str) -> Array:
    """A table of numbers, separated by spaces, tabs, semicolons or commas. Semicolons: commas are decimal points."""
    if ";" in text:
        text = text.replace(",", ".").replace(";", " ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about empty files, which are refused later
        return np.loadtxt(io.StringIO(text.replace(",", " ")), ndmin=2, dtype=np.float64)


def _array_of_archive(path: Path, key: str) -> Array:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise ValueError("it unpacks to more than any blur kernel needs")
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if not key and len(names) == 1:
            key = names[0]
        if key not in names:
            example = f"{path}:{names[0]}" if names else "another file"
            raise _Ambiguous(f"{path}: contains {', '.join(names) or 'nothing'}; name one, as in {example}.")
        return _array(archive.read(archive.namelist()[names.index(key)]))


def _array(data: bytes) -> Array:
    """The array of an ``.npy`` file. Objects, and a header that claims more than the file contains, are errors."""
    file = io.BytesIO(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd headers
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    values = np.frombuffer(data, dtype, math.prod(shape), file.tell())
    return values.reshape(shape, order="F" if fortran else "C")
