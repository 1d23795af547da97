"""Unpack ZIP files of images."""

import atexit
import shutil
import stat
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path, PurePosixPath

from workbench.network.images.decoding import SUFFIXES
from workbench.network.images.labels import OWN_TABLE, LabelsError, is_hidden, stays_inside

MAX_UNPACKED_BYTES = 2 * 2**30
"""Bytes of all files of an archive, unpacked, that are accepted: a small file may claim any number."""

MAX_ENTRIES = 500_000
"""Files of an archive that are accepted."""


def unpack(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Unpack the images and the table of a ZIP file, and return the folder and a sentence on each file left out.

    The folder is removed when the process ends; the same file is unpacked once.

    Raises
    ------
    LabelsError : a ValueError, if it is no sound ZIP file, or too large.
    """
    status = path.stat()
    return _unpacked(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _unpacked(path: Path, changed: int, size: int) -> tuple[Path, tuple[str, ...]]:
    folder = tempfile.TemporaryDirectory(prefix="workbench-", ignore_cleanup_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            skipped = _extract(archive, path.name, Path(folder.name))
    except BaseException as error:
        folder.cleanup()
        if isinstance(error, LabelsError) or not isinstance(error, Exception):
            raise
        # the reader raises anything on damaged and hostile files
        reason = str(error).replace(folder.name, "it") or type(error).__name__
        raise LabelsError(f"{path.name} is no sound ZIP file: {reason}") from None
    atexit.register(folder.cleanup)
    return Path(folder.name), tuple(skipped)


def _extract(archive: zipfile.ZipFile, name: str, folder: Path) -> list[str]:
    """Write the images and the table of an archive into a folder; no entry is written elsewhere, or as a link."""
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise LabelsError(f"{name} would unpack to more than {MAX_UNPACKED_BYTES / 2**30:.0f} GiB")
    if len(entries) > MAX_ENTRIES:
        raise LabelsError(f"{name} has {len(entries)} files, more than the {MAX_ENTRIES} that are unpacked")
    skipped = []
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if entry.is_dir() or any(is_hidden(part) for part in path.parts):
            continue
        if not stays_inside(entry.filename):
            skipped.append(f"{entry.filename} leads out of the folder")
        elif stat.S_ISLNK(entry.external_attr >> 16):
            skipped.append(f"{entry.filename} is a link")
        elif path.suffix.lower() in SUFFIXES or path.name == OWN_TABLE:
            target = folder.joinpath(*path.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
        else:
            skipped.append(f"{entry.filename} is no image")
    return skipped
