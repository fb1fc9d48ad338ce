"""CSV files of results that an interrupted benchmark continues."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path


class Table:
    """Rows of a CSV file. Each row is appended when it is measured, so an interrupted benchmark can continue.

    :param Path path: the file. Its folder is made with the first row.
    :param str key: the columns that identify a row.
    """

    def __init__(self, path: Path, *key: str):
        self.path, self.key = path, key
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="") as file:
                self.rows = list(csv.DictReader(file))

    def find(self, *key: str) -> dict[str, str] | None:
        """The row with that key; ``None`` if it has not been measured."""
        return next((row for row in self.rows if tuple(row[column] for column in self.key) == key), None)

    def add(self, row: dict[str, str]) -> None:
        """Append a row to the file."""
        self.rows.append(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if len(self.rows) == 1:
            write_rows(self.path, self.rows)
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, fieldnames=list(self.rows[0])).writerow(row)

    def drop(self, unwanted: Callable[[dict[str, str]], bool]) -> None:
        """Remove rows, to measure them again."""
        kept = [row for row in self.rows if not unwanted(row)]
        if len(kept) < len(self.rows):
            fields, self.rows = list(self.rows[0]), kept
            write_rows(self.path, kept, fields)


def write_rows(path: Path, rows: list[dict[str, str]], fields: list[str] | None = None) -> None:
    """Write a CSV file.

    :param list fields: the columns; default those of the first row.
    """
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=fields or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
