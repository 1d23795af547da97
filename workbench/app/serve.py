"""``python -m workbench.app.serve``: the dashboard in Voila, on this machine only, offline."""

import argparse
import os
import socket
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE.parents[1] / "notebooks" / "dashboard.ipynb"
ADDRESS = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    """Check the port, then become Voila. Returns an exit status only if that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m workbench.app.serve", description=__doc__)
    parser.add_argument("--port", default="8866", help="port to listen on (default 8866)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    options = parser.parse_args(arguments)
    problem = port_problem(options.port)
    if problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"Workbench dashboard: http://{ADDRESS}:{options.port}/  (Ctrl-C stops it)", flush=True)
    command, environment = voila_command(int(options.port), browser=not options.no_browser)
    os.execve(command[0], command, environment)


def port_problem(text: str) -> str:
    """One sentence if the dashboard cannot listen there, else ""."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        return f"PORT={text} is not a port: take a number from 1 to 65535, like make dashboard PORT=8866."
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, int(text)))
        except PermissionError:
            return f"Port {text} may only be used by the administrator: try make dashboard PORT=8866."
        except OSError:
            free = free_port()
            return f"Port {text} is taken: stop what listens there, or try make dashboard PORT={free}."
    return ""


def free_port() -> int:
    """A port that is free just now."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def voila_command(port: int, *, browser: bool) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of the Voila server."""
    settings = HERE / "jupyter"
    command = [sys.executable, "-m", "voila", str(NOTEBOOK), f"--port={port}"]
    command.append(f"--Voila.config_file_paths={settings}")
    if not browser:
        command.append("--no-browser")
    threads = os.environ.get("WORKBENCH_THREADS", "1")
    paths = [str(settings), os.environ.get("JUPYTER_PATH", "")]
    own = {"JUPYTER_PATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": threads}
    return command, {**os.environ, **own}


if __name__ == "__main__":
    sys.exit(main())
