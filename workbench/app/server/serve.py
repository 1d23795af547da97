"""Command ``python -m workbench.app.server.serve``: serve the dashboard with Voila, for one user or for many."""

import argparse
import errno
import ipaddress
import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
NOTEBOOK = ROOT / "notebooks" / "dashboard.ipynb"
ADDRESS = "127.0.0.1"
ALONE = HERE / "jupyter"
"""Voila's settings for one person, and the page's template."""
CLASS = ROOT / "deploy" / "class"
"""Voila's settings for many; they go over those for one."""
LIMITS = {"WORKBENCH_MEMORY_MIB": "8192", "WORKBENCH_UPLOAD_MIB": "256"}
"""What holds for a class unless the environment says otherwise."""
SHORTEST = 12
"""Characters of a token, at least: nothing slows down somebody who tries many."""


def main(arguments: list[str] | None = None) -> int:
    """Check what is asked for, then become Voila. Returns an exit status only if that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m workbench.app.server.serve", description=__doc__)
    parser.add_argument("--port", default="8866", help="port to listen on (default 8866)")
    parser.add_argument("--address", default=ADDRESS, help="address to listen on (default: this machine only)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--class",
        dest="many",
        nargs="?",
        const=CLASS,
        type=Path,
        metavar="FOLDER",
        help="for many: a token, standby kernels, limits (deploy/class); what is in FOLDER/voila.json goes over that",
    )
    options = parser.parse_args(arguments)
    many = options.many is not None
    folders = list(dict.fromkeys([ALONE, CLASS, options.many])) if many else [ALONE]
    environment = {**(LIMITS if many else {}), **os.environ}
    try:
        token = token_of(environment) if wants_token(folders) else ""
        problem = address_problem(options.address, guarded=bool(token)) or port_problem(options.port, options.address)
        problem = problem or limit_memory(environment.get("WORKBENCH_MEMORY_MIB", ""))
    except ValueError as error:
        problem = str(error)
    if problem:
        print(problem, file=sys.stderr)
        return 1
    what = "for a class" if many else "dashboard"
    chosen = environment.get("JUPYTER_TOKEN") or environment.get("JUPYTER_TOKEN_FILE")
    query = f"?token={token}" if token and not chosen else ""  # whoever chose it knows it, and the log need not
    print(f"Workbench {what}: http://{options.address}:{options.port}/{query}  (Ctrl-C stops it)", flush=True)
    command, environment = voila_command(
        int(options.port),
        browser=not options.no_browser and not many,
        address=options.address,
        folders=folders,
        environment={**environment, "JUPYTER_TOKEN": token} if token else environment,
    )
    os.execve(command[0], command, environment)


def settings(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Voila's settings, class -> option -> value; those of a later folder go over those of an earlier one.

    Raises
    ------
    ValueError : if a folder has no voila.json, or one that cannot be read; in one sentence.
    """
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        path = folder / "voila.json"
        try:
            for name, options in json.loads(path.read_text(encoding="utf-8")).items():
                found[name] = {**found.get(name, {}), **options}
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"{path} is not a JSON object of classes and their options: {error}.") from None
    return found


def wants_token(folders: Sequence[Path]) -> bool:
    """Whether the server lets nobody in without one."""
    return bool(settings(folders).get("Voila", {}).get("auto_token"))


def token_of(environment: Mapping[str, str]) -> str:
    """The token: ``$JUPYTER_TOKEN``, or what is in the file ``$JUPYTER_TOKEN_FILE``, or a new one.

    Raises
    ------
    ValueError : if the file cannot be read, or the token is too easy to guess.
    """
    token, file = environment.get("JUPYTER_TOKEN", ""), environment.get("JUPYTER_TOKEN_FILE", "")
    if not token and not file:
        return secrets.token_urlsafe(24)
    if not token:
        try:
            token = Path(file).read_text(encoding="utf-8").strip()  # an editor ends it with a line feed
        except (OSError, ValueError) as error:
            raise ValueError(f"The token file {file} cannot be read: {error}.") from None
    if len(token) < SHORTEST or not token.isprintable():
        raise ValueError(f"The token must have at least {SHORTEST} characters, all of them printable.")
    return token


def address_problem(address: str, *, guarded: bool) -> str:
    """One sentence if that is no address, or one that others reach although no token guards it; else ""."""
    try:
        loopback = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return f"--address {address} is no address of a machine: take {ADDRESS}, or 0.0.0.0 for all of its own."
    if loopback or guarded:
        return ""
    return f"At {address} others could reach the dashboard, and no token guards it: take --class, or {ADDRESS}."


def port_problem(text: str, address: str = ADDRESS) -> str:
    """One sentence if the dashboard cannot listen there, else ""."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        return f"PORT={text} is not a port: take a number from 1 to 65535, like make dashboard PORT=8866."
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, int(text)))
        except PermissionError:
            return f"Port {text} may only be used by the administrator: try make dashboard PORT=8866."
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return f"{address} is no address of this machine: take {ADDRESS}, or 0.0.0.0 for all of its own."
            free = free_port()
            return f"Port {text} is taken: stop what listens there, or try make dashboard PORT={free}."
    return ""


def free_port() -> int:
    """A port that is free just now."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def limit_memory(text: str) -> str:
    """Limit the address space of this process and of each that it starts; one sentence if that cannot be, else "".

    Parameters
    ----------
    text : mebibytes for each process, so for each kernel; "" for no limit.
    """
    if not text:
        return ""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        return f"WORKBENCH_MEMORY_MIB={text} is not a whole number above 0."
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(text) * 2**20,) * 2)
    except (ImportError, ValueError, OSError) as error:
        return f"This system cannot limit the memory of a process ({error}): unset WORKBENCH_MEMORY_MIB."
    return ""


def voila_command(
    port: int,
    *,
    browser: bool,
    address: str = ADDRESS,
    folders: Sequence[Path] = (ALONE,),
    environment: Mapping[str, str] = os.environ,
    notebook: Path = NOTEBOOK,
) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of the Voila server.

    Parameters
    ----------
    folders : of Voila's settings; a later one goes over an earlier one.
    environment : what the server and its kernels are to find in theirs, besides ours.
    """
    command = [
        sys.executable,
        "-m",
        "workbench.app.server.voila",
        str(notebook),
        f"--port={port}",
        f"--Voila.ip={address}",
    ]
    command += [f"--Voila.config_file_paths={folder}" for folder in reversed(folders)]
    if sys.platform == "linux":  # on macOS the folder for temporary files makes the sockets' names too long
        command.append("--KernelManager.transport=ipc")
    if not browser:
        command.append("--no-browser")
    paths = [str(ALONE), environment.get("JUPYTER_PATH", "")]
    own = {
        "JUPYTER_PATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": environment.get("WORKBENCH_THREADS", "1"),
    }
    return command, {**environment, **own}


if __name__ == "__main__":
    sys.exit(main())
