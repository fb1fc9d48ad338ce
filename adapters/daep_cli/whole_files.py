"""Write a file whole or not at all."""

import os
import secrets
from pathlib import Path


def put_in_place(temporary: Path, path: Path, overwrite: bool) -> None:
    """Give a complete file in the same folder its name.

    :raises ValueError: ``path`` has been created meanwhile, and ``overwrite`` is not set.
    """
    if path.exists():
        if not overwrite:
            raise ValueError(f"{path}: was created during the run and is not replaced; choose another name.")
        os.chmod(temporary, path.stat().st_mode & 0o777)
    os.replace(temporary, path)


def write_whole(path: Path, content: bytes, overwrite: bool = False, temporary: Path | None = None) -> None:
    """Write a file such that ``path`` contains all of ``content``, or what it contained before.

    A new file gets the permissions of any new file of the user; a replaced one keeps its own.

    :param Path temporary: new file in the same folder, for the content until it is complete; default: a random name.
    :raises ValueError: ``path`` has been created meanwhile, and ``overwrite`` is not set.
    :raises OSError: the file cannot be written.
    """
    # short, because the name of a result may already have the maximum of 255 bytes
    temporary = temporary or path.with_name(f".daep-{secrets.token_hex(8)}.tmp")
    try:
        # os.open respects the umask, tempfile does not
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            put_in_place(temporary, path, overwrite)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None  # the temporary name means nothing to the user
        raise
