"""One file from the network: in pieces, with progress, and whole or not at all."""

import hashlib
import os
import socket
import tempfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

PIECE = 2**18
TIMEOUT = 20.0
"""Seconds without a byte after which a server counts as gone."""

LARGEST = 8 * 2**30
"""Bytes that are accepted at most."""


class DownloadError(OSError):
    """A file that did not come, or not as it should be; the sentence says why."""


def is_whole(path: Path, checksum: str, algorithm: str = "sha256") -> bool:
    """Whether a file is there and its checksum begins with the given digits (any, if there are none)."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest().startswith(checksum)


def fetch(
    url: str,
    target: Path,
    *,
    checksum: str = "",
    algorithm: str = "sha256",
    progress: Callable[[float, str], None] | None = None,
) -> Path:
    """Download a file next to its target under another name, compare its checksum, then rename it.

    Parameters
    ----------
    url : http or https.
    target : where it is to be; its folder is made. A file of that name is replaced only by a whole one.
    checksum : first digits of the `algorithm`'s hexadecimal digest; "" if it is not known.
    progress : called with (share done, what) after every piece; what it raises ends the download, and nothing of it
        stays.

    Raises
    ------
    DownloadError : if there is no network, the server refuses, breaks off, or sends something else.
    ValueError : on another kind of address.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{url} is no address of the web")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise DownloadError(f"{target.parent} cannot be written to: {error.strerror or error}") from None
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            found = _receive(url, file, target.name, algorithm, progress)
        if not found.startswith(checksum):
            raise DownloadError(f"{target.name} is damaged or another file: its {algorithm} is {found[:12]}...")
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _receive(
    url: str, file: IO[bytes], name: str, algorithm: str, progress: Callable[[float, str], None] | None
) -> str:
    """Write what comes, and return its digest; what `progress` raises is not mistaken for the network's failure."""
    digest, done = hashlib.new(algorithm, usedforsecurity=False), 0
    try:
        response = urlopen(Request(url, headers={"User-Agent": "workbench"}), timeout=TIMEOUT)  # noqa: S310 - see fetch
    except (OSError, HTTPException) as error:
        raise DownloadError(f"{name} cannot be downloaded: {_why(error)}") from None
    with response:
        size = int(response.headers.get("Content-Length") or 0)
        while True:
            try:
                piece = response.read(PIECE)
                file.write(piece)
            except (OSError, HTTPException) as error:
                raise DownloadError(f"{name} broke off after {_size(done)}: {_why(error)}") from None
            if not piece:
                break
            digest.update(piece)
            done += len(piece)
            if max(done, size) > LARGEST:
                raise DownloadError(f"{name} is larger than {_size(LARGEST)}, which is the most that is taken")
            if progress:
                progress(done / size if size else 0.0, f"downloading {name}: {_size(done)} of {_size(size)}")
    if size and done != size:
        raise DownloadError(f"{name} broke off after {_size(done)} of {_size(size)}")
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()


def _why(error: BaseException) -> str:
    reason = getattr(error, "reason", "") or error
    if isinstance(reason, socket.gaierror):
        return "its server is not found from here, as where there is no network"
    return " ".join(str(reason).split()) or type(error).__name__


def _size(count: int) -> str:
    if not count:
        return "an unknown size"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
