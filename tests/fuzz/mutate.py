"""Seeded damage: the same generator and the same file always give the same damaged file."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

__all__ = ["damage", "repair_png", "repair_safetensors", "rezip"]

#: Where readers of sizes and offsets go wrong.
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
NUMBERS = (b"0", b"-1", b"1", b"65536", b"4294967296", b"99999999999999999999", b"1e999", b"NaN", b"null", b'""', b"[]")
Damage = Callable[[bytearray, np.random.Generator], None]


def _place(data: bytearray, rng: np.random.Generator) -> int:
    """A position, early ones more often: that is where headers are."""
    return int(len(data) * rng.random() ** 3)


def _span(data: bytearray, rng: np.random.Generator) -> slice:
    begin = _place(data, rng)
    return slice(begin, begin + 1 + int(rng.integers(1 + min(64, len(data)))))


def _flip_bits(data: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 9))):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))


def _overwrite(data: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 17))):
        data[_place(data, rng)] = int(rng.integers(256))


def _integer(data: bytearray, rng: np.random.Generator) -> None:
    place, size = _place(data, rng), int(rng.choice([1, 2, 4, 8]))
    value = INTERESTING[int(rng.integers(len(INTERESTING)))] % 256**size
    data[place : place + size] = value.to_bytes(size, "little" if rng.random() < 0.5 else "big")


def _number(data: bytearray, rng: np.random.Generator) -> None:
    """Replace a number that is written in digits."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(data[:4096])))
    if found:
        match = found[int(rng.integers(len(found)))]
        data[match.start() : match.end()] = NUMBERS[int(rng.integers(len(NUMBERS)))]


def _truncate(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(len(data))) :]


def _remove(data: bytearray, rng: np.random.Generator) -> None:
    del data[_span(data, rng)]


def _duplicate(data: bytearray, rng: np.random.Generator) -> None:
    span = _span(data, rng)
    data[span.start : span.start] = data[span] * int(rng.integers(1, 40))


def _insert(data: bytearray, rng: np.random.Generator) -> None:
    place = _place(data, rng)
    data[place:place] = rng.bytes(int(rng.integers(1, 64)))


def _swap(data: bytearray, rng: np.random.Generator) -> None:
    a, b = _span(data, rng), _span(data, rng)
    data[a], data[b] = data[b], data[a]


def _blank(data: bytearray, rng: np.random.Generator) -> None:
    span = _span(data, rng)
    data[span] = bytes([int(rng.choice([0, 255]))]) * len(data[span])


KINDS: tuple[Damage, ...] = (
    _flip_bits,
    _overwrite,
    _integer,
    _integer,
    _number,
    _truncate,
    _remove,
    _duplicate,
    _insert,
    _swap,
    _blank,
)


def damage(content: bytes, rng: np.random.Generator, other: bytes = b"") -> bytes:
    """``content`` after one to four random kinds of damage; now and then its end is that of ``other``."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if not data:
            break
        KINDS[int(rng.integers(len(KINDS)))](data, rng)
    if other and rng.random() < 0.05:
        del data[int(rng.integers(1 + len(data))) :]
        data += other[int(rng.integers(len(other))) :]
    return bytes(data)


# -- making the outermost checks pass, so that the damage reaches what lies behind them --------------------------------


def repair_png(data: bytes) -> bytes:
    """Right check sums for all chunks that can be found."""
    out, place = bytearray(data), 8
    while place + 12 <= len(out):
        (length,) = struct.unpack_from(">I", out, place)
        end = place + 8 + length
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[place + 4 : end]))
        place = end + 4
    return bytes(out)


def repair_safetensors(data: bytes) -> bytes:
    """The length of the header in front set to where the header's braces close."""
    depth = 0
    for place in range(8, len(data)):
        depth += (data[place : place + 1] == b"{") - (data[place : place + 1] == b"}")
        if depth == 0:
            return struct.pack("<Q", place - 7) + data[8:]
    return data


def rezip(members: dict[str, bytes], compressed: bool) -> bytes:
    """An intact archive of members that may be damaged, the same at any time of day."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, archive.compression)
    return buffer.getvalue()
