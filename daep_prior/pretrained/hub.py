"""Download weights from a repository of the Hugging Face Hub, for names that begin with ``hf:`` only."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

__all__ = ["PREFIX", "fetch"]

#: Names that begin with this are repositories.
PREFIX = "hf:"
#: The file if none is named, by the convention of the Hub.
DEFAULT_FILE = "model.safetensors"
_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(/(?P<file>[\w./-]+))?(@(?P<revision>[\w./-]+))?")


def fetch(name: str) -> Path:
    """The local copy of a weight file of the Hub, downloaded at the first call into the Hub's own cache.

    :param str name: ``hf:owner/repository``, ``hf:owner/repository/file.safetensors`` (default file:
        ``model.safetensors``), or either with a branch, tag or commit: ``...@revision``.
    :return: path of the ``.safetensors`` file.
    :raises ValueError: not such a name, or a file that is not ``.safetensors``.
    :raises ImportError: the library huggingface_hub is missing.
    :raises ConnectionError: no network, or no such repository, file or revision.
    """
    match = _NAME.fullmatch(name.removeprefix(PREFIX))
    if match is None:
        raise ValueError(
            f"{name}: expected hf:OWNER/REPOSITORY, hf:OWNER/REPOSITORY/FILE.safetensors, or with @REVISION."
        )
    file = match["file"] or DEFAULT_FILE
    if not file.endswith(".safetensors"):
        raise ValueError(f"{name}: only .safetensors files are fetched; others can run code when opened.")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ImportError(f"{name}: fetching weights needs huggingface_hub: pip install 'daep-prior[hub]'.") from error
    try:
        return Path(hf_hub_download(match["repository"], file, revision=match["revision"]))
    except Exception as error:  # of the Hub, of its HTTP library, or of the file system
        reason = textwrap.shorten(str(error), 200) or type(error).__name__
        raise ConnectionError(f"{name}: cannot be fetched; check the name and the network ({reason}).") from error
