"""Download one file completely or not at all, with progress and a checksum."""

import hashlib
import os
import tempfile
from pathlib import Path

from workbench.files import move_durably
from workbench.progress import Progress, reporter
from workbench.tables import quantity

CHUNK_BYTES = 2**18
TIMEOUT_S = 20.0  # longest wait for the next byte
MAX_DOWNLOAD_BYTES = 8 * 2**30
"""Largest accepted file, announced or sent: a server may send without end."""


class DownloadError(OSError):
    """A file that cannot be downloaded; the message says why."""


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

    `checksum` is the first digits of the hexadecimal digest, "" if unknown. A cancelled or failed download leaves no
    partial file and keeps an older target. DownloadError says why it failed.
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
        digest = checksum_of(temporary, algorithm)
        if not digest.startswith(checksum):
            raise DownloadError(f"{target.name} is damaged or another file: its {algorithm} is {digest[:12]}...")
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        move_durably(temporary, target)
    except DownloadError:
        raise
    except OSError as error:  # requests' errors are OSErrors, too
        failure = f"broke off after {quantity(bar.received, 'B')}" if bar.received else "cannot be downloaded"
        raise DownloadError(f"{target.name} {failure}: {_reason(error)}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return target


class _ProgressBar:
    """Progress of a download, in the form that pooch calls."""

    total = 0

    def __init__(self, name: str, report: Progress) -> None:
        self.name, self.report, self.received = name, report, 0

    def update(self, count: int) -> None:
        """Count received bytes."""
        self.received = min(self.received + count, self.total) if self.total else self.received + count
        if max(self.received, self.total) > MAX_DOWNLOAD_BYTES:
            raise DownloadError(f"{self.name} is larger than {quantity(MAX_DOWNLOAD_BYTES, 'B')}, the accepted maximum")
        share = self.received / self.total if self.total else 0.0
        size = quantity(self.total, "B") if self.total else "an unknown size"
        self.report(share, f"downloading {self.name}: {quantity(self.received, 'B')} of {size}")

    def reset(self) -> None:
        """Do nothing; pooch calls it before the last update, and after it."""

    close = reset


def _reason(error: OSError) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"its server answers {response.status_code} {response.reason}"
    if error.errno is not None:
        return error.strerror or str(error)
    return "its server is not reached from here; is there an internet connection?"
