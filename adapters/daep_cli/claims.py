"""Who works on which result of a folder, when several processes restore the same one."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["Claim", "state"]


class Claim:
    """The right to make one result; no two processes hold it at once.

    It is a lock that the operating system gives back when its holder ends, however that ends, so a killed process
    blocks nobody. Lock and unfinished result stand beside the result as hidden files; neither ever follows a link.

    :param Path result: the file to be made; its folder exists.
    """

    def __init__(self, result: Path):
        # a name beside one of 255 bytes may not be longer, hence the digest
        token = hashlib.sha256(os.fsencode(result.name)).hexdigest()[:16]
        #: Where to write before the result is complete; whatever a killed holder left there is gone.
        self.temporary = result.with_name(f".daep-{token}.tmp")
        self._lock = FileLock(result.with_name(f".daep-{token}.lock"), thread_local=False)

    def take(self, wait: bool = False) -> bool:
        """Take it if it is free, or ``wait`` until it is.

        :return: whether it is held now.
        :raises OSError: the folder refuses.
        """
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        self.temporary.unlink(missing_ok=True)
        return True

    def clean(self) -> None:
        """Remove what a process left that was killed after the result was complete."""
        if os.path.lexists(self._lock.lock_file) and self.take():
            self.release()

    def release(self) -> None:
        """Give it back and leave no file; whoever waits sees that the lock's file is gone, and makes a new one."""
        with suppress(OSError):  # Windows does not delete what is open
            os.unlink(self._lock.lock_file)
        self._lock.release()


def state(result: Path) -> tuple[int, int, int] | None:
    """What tells a result from the one that replaces it; ``None``: there is none. A link is not followed."""
    try:
        found = os.lstat(result)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
