"""The command-line options that all benchmarks share, and the output of their results."""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from workbench.files import write_atomically

T = TypeVar("T")


def parser(description: str | None, *, shared: str = "") -> argparse.ArgumentParser:
    """Argument parser with ``--json FILE``, and with ``--shared FOLDER`` if `shared` describes the folder."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--json", type=Path, help="write the results to this file")
    if shared:
        default = os.environ.get("WORKBENCH_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
        result.add_argument("--shared", type=Path, default=Path(default), help=f"folder with {shared}")
    return result


def timed(function: Callable[[], T]) -> tuple[float, T]:
    """Seconds and result of a call."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def report(results: dict[str, Any], path: Path | None) -> None:
    """Print the results, and write them to a file if a path is given."""
    text = json.dumps(results, indent=2)
    print(text)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (text + "\n").encode())
