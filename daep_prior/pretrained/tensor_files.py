"""Read and write ``.safetensors`` files; a file is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

__all__ = ["read_safetensors", "write_safetensors"]


def write_safetensors(tensors: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: dict[str, str]) -> None:
    """Write tensors and metadata; after a failure or a kill the file has its old content."""
    path = Path(path)
    # no reader needs the step counters of batch normalisation
    kept = {k: v.detach().cpu().contiguous() for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(save(kept, metadata))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and the metadata of a ``.safetensors`` file.

    :raises FileNotFoundError: no such file.
    :raises ValueError: not a safetensors file, truncated or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weight file; check its name and folder.")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        reason = textwrap.shorten(str(error), 200)
        raise ValueError(f"{path}: not a readable .safetensors file ({reason}); it may be truncated.") from error
