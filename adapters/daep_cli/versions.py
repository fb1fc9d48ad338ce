"""Versions of installed packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["installed"]


def installed(name: str) -> str:
    """The version of a package, or that it is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"
