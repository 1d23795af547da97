"""Write files atomically and durably: readers, also after a crash, find the old or the new content, never a part."""

import errno
import os
import secrets
from pathlib import Path


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file beside the target, flush it to the disk, and rename it to the target.

    A new file gets the permissions of the umask, a replaced one keeps its own.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(temporary, path.stat().st_mode & 0o777)
        move_durably(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def move_durably(source: Path, target: Path) -> None:
    """Rename a file to a target on the same file system, replacing that, and flush the target's folder to the disk."""
    os.replace(source, target)
    try:
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EINVAL):  # Windows, and file systems that cannot flush folders
            raise
