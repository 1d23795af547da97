"""Download one file with progress and a checksum: the whole file, or none."""

import hashlib
import os
import tempfile
from pathlib import Path

from workbench.files import move_durably
from workbench.progress import Progress, reporter
from workbench.tables import quantity

CHUNK_BYTES = 2**18
TIMEOUT_S = 20.0  # seconds without a byte after which a download fails
MAX_DOWNLOAD_BYTES = 8 * 2**30
"""Bytes of a file, said or sent, at which a download fails: a server may send without end."""


class DownloadError(OSError):
    """A file that cannot be downloaded; the sentence says why."""


def checksum_of(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file; "" if there is no such file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fetch(
    url: str, target: Path, *, checksum: str = "", algorithm: str = "sha256", progress: Progress | bool | None = None
) -> Path:
    """Download a file beside its target, compare its checksum, then rename it to the target.

    `checksum` is the first digits of the hexadecimal digest, "" if it is not known. A cancelled or failed download
    leaves nothing, and an older file in its place. DownloadError says why it failed.
    """
    import pooch  # takes a quarter of a second, and most sessions download nothing

    bar = _ProgressBar(target.name, reporter(progress))
    download = pooch.HTTPDownloader(bar, CHUNK_BYTES, timeout=TIMEOUT_S, headers={"Accept-Encoding": "identity"})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = Path(file.name)
    except OSError as error:
        raise DownloadError(f"{target.parent} cannot be written to: {error.strerror or error}") from None
    try:
        download(url, str(temporary), None)
        found = checksum_of(temporary, algorithm)
        if not found.startswith(checksum):
            raise DownloadError(f"{target.name} is damaged or another file: its {algorithm} is {found[:12]}...")
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        move_durably(temporary, target)
    except DownloadError:
        raise
    except OSError as error:  # requests' errors are OSErrors, too
        what = f"broke off after {quantity(bar.done, 'B')}" if bar.done else "cannot be downloaded"
        raise DownloadError(f"{target.name} {what}: {_reason(error)}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return target


class _ProgressBar:
    """Progress of a download, in the form that pooch calls."""

    total = 0

    def __init__(self, name: str, report: Progress) -> None:
        self.name, self.report, self.done = name, report, 0

    def update(self, count: int) -> None:
        """Count bytes that were written."""
        self.done = min(self.done + count, self.total) if self.total else self.done + count
        if max(self.done, self.total) > MAX_DOWNLOAD_BYTES:
            raise DownloadError(f"{self.name} is larger than {quantity(MAX_DOWNLOAD_BYTES, 'B')}, the most there is")
        share = self.done / self.total if self.total else 0.0
        size = quantity(self.total, "B") if self.total else "an unknown size"
        self.report(share, f"downloading {self.name}: {quantity(self.done, 'B')} of {size}")

    def reset(self) -> None:
        """Do nothing; pooch calls it before the last update, and after it."""

    close = reset


def _reason(error: OSError) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"its server answers {response.status_code} {response.reason}"
    if error.errno is not None:
        return error.strerror or str(error)
    return "its server is not reached from here, as where there is no network"
