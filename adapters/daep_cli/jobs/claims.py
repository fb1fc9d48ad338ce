"""``Claim``: which of several processes restores an image of a folder."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout


class Claim:
    """The right to make one result. Only one process has it at a time.

    It is a lock of the operating system, which is released when its process ends in any way. Lock and incomplete result
    are hidden files beside the result. Links are never followed.

    :param Path result: the result; its folder exists.
    """

    def __init__(self, result: Path):
        # a digest, because the name of a result may already have the maximum of 255 bytes
        token = hashlib.sha256(os.fsencode(result.name)).hexdigest()[:16]
        #: Where to write the result until it is complete. What a killed process left there is removed.
        self.temporary = result.with_name(f".daep-{token}.tmp")
        self._lock = FileLock(result.with_name(f".daep-{token}.lock"), thread_local=False)

    def take(self, wait: bool = False) -> bool:
        """Take the claim if it is free, or ``wait`` until it is. Returns whether this process has it now."""
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        self.temporary.unlink(missing_ok=True)
        return True

    def clean(self) -> None:
        """Remove the lock file of a process that was killed after the result was complete."""
        if os.path.lexists(self._lock.lock_file) and self.take():
            self.release()

    def release(self) -> None:
        """Release the claim and remove its files. A process that waits finds no lock file, and makes a new one."""
        with suppress(OSError):  # Windows does not delete open files
            os.unlink(self._lock.lock_file)
        self._lock.release()


def state(result: Path) -> tuple[int, int, int] | None:
    """Distinguishes a result from its replacement; ``None``: there is no result. A link is not followed."""
    try:
        found = os.lstat(result)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
