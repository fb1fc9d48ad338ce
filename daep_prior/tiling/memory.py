"""The free memory, and the memory that a computation takes: from these the size of a tile is chosen."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from daep_prior.inference.cuda_graphs import free_gpu_memory
from daep_prior.inference.heap import kept_bytes

__all__ = ["free_memory", "peak_bytes"]

#: Assumed free memory of a device that does not report it, bytes. Chosen by hand: a small device.
ASSUMED_FREE = 4 * 2**30

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on ``device``.

    On a GPU: the free memory of the driver plus that of torch's cache. On Linux: the least of the system's available
    memory and the remainders of the limits of control groups (container, batch job), plus the freed memory that the
    process keeps. On other devices: :data:`ASSUMED_FREE`.
    """
    if device.type == "cuda":
        return free_gpu_memory(device)
    if device.type != "cpu":
        return ASSUMED_FREE
    system = _field(PROC / "meminfo", "MemAvailable:", unit=1024)
    bounds = [value for value in (system, *_left_in_control_groups()) if value is not None]
    return max(0, min(bounds, default=ASSUMED_FREE)) + kept_bytes()


def _left_in_control_groups() -> list[int]:
    """The remainders of the memory limits of this process's control groups, version 1 or 2, and of their parents."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            names, root = ("memory.max", "memory.current", "inactive_file"), CGROUPS
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = CGROUPS / "memory"
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if root not in (folder, *folder.parents):
                break
            limit, used = _number(folder / names[0]), _number(folder / names[1])
            if limit is not None and used is not None:
                # cached files count as used, but are dropped when memory is needed
                left.append(limit - used + (_field(folder / "memory.stat", names[2]) or 0))
    return left


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file; or "max", no limit
        return None


def _field(path: Path, name: str, unit: int = 1) -> int | None:
    """The number after ``name`` in a file of lines ``name number``."""
    try:
        for line in path.read_text().splitlines():
            words = line.split()
            if words and words[0] == name:
                return int(words[1]) * unit
    except (OSError, ValueError):
        pass
    return None


def peak_bytes(computation: Callable[[], object]) -> int:
    """The peak memory, in bytes, of the tensors that ``computation`` makes, without workspaces inside of kernels."""
    with _LiveBytes() as meter:
        computation()
    return meter.peak


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that are made, until each is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {
            t.untyped_storage()._cdata for t in tree_leaves((args, kwargs or {})) if isinstance(t, Tensor)
        } - self._known
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage(), given)
        return out

    def _add(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known or key in given:  # a view of a known or of an older storage
            return
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size
