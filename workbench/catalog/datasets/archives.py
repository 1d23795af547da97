"""Unpack ZIP files of images."""

import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path, PurePosixPath

from workbench.catalog.datasets.decoding import SUFFIXES
from workbench.catalog.datasets.imagenet import LabelsError
from workbench.catalog.datasets.labels import OWN_TABLE, stays_inside

MAX_UNPACKED_BYTES = 2 * 2**30
"""Bytes of all files of an archive, unpacked, that are accepted: a small file may claim any number."""


def unpack(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Unpack the images and tables of a ZIP file, and return the folder and a sentence on each file left out.

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
    _FOLDERS.append(folder)
    skipped = []
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise LabelsError(f"{path.name} would unpack to more than {MAX_UNPACKED_BYTES / 2**30:.0f} GiB")
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename)
                hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
                if entry.is_dir() or hidden:
                    continue
                if not stays_inside(entry.filename):
                    skipped.append(f"{entry.filename} leads out of the folder")
                elif name.suffix.lower() in SUFFIXES or name.name == OWN_TABLE:
                    target = Path(folder.name, *name.parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(entry))
                else:
                    skipped.append(f"{entry.filename} is no image")
    except LabelsError:
        raise
    except Exception as error:  # the reader raises anything on damaged and hostile files
        raise LabelsError(f"{path.name} is no sound ZIP file: {error}") from None
    root = Path(folder.name)
    inner = list(root.iterdir())
    while len(inner) == 1 and inner[0].is_dir() and any(child.is_dir() for child in inner[0].iterdir()):
        root, inner = inner[0], list(inner[0].iterdir())  # an archive of one folder, with those of the classes in it
    return root, tuple(skipped)


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
