"""The command line that all benchmarks share, and how they write their results."""

import argparse
import json
from pathlib import Path
from typing import Any

from workbench.files import write_atomically


def parser(description: str | None) -> argparse.ArgumentParser:
    """Argument parser with ``--json FILE``."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--json", type=Path, help="write the results to this file")
    return result


def report(results: dict[str, Any], path: Path | None) -> None:
    """Print the results, and write them whole if a file was named."""
    text = json.dumps(results, indent=2)
    print(text)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (text + "\n").encode())
