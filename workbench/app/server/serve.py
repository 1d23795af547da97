"""``workbench``, or ``python -m workbench.app.server.serve``: serve the dashboard to one user or to a class."""

import argparse
import ipaddress
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[3]
LESSON = ROOT / "notebooks" / "0_five_times_smaller.ipynb"  # not in an installed wheel
ADDRESS = "127.0.0.1"
ONE_USER = Path(__file__).resolve().parent / "jupyter"  # Voila's settings for one user, and the page's template
NOTEBOOK = ONE_USER / "dashboard.ipynb"
CLASS = ROOT / "deploy" / "class"  # settings for a class, which replace those for one user
CLASS_LIMITS = {"WORKBENCH_MEMORY_MIB": "8192", "WORKBENCH_UPLOAD_MIB": "256"}  # unless the environment says otherwise
MIN_TOKEN_CHARACTERS = 12


def main(arguments: list[str] | None = None) -> int:
    """Check the arguments and the environment, then replace this process by Voila; return 1 if something is invalid."""
    parser = argparse.ArgumentParser(prog="workbench", description="Serve the dashboard, to one user or to a class.")
    parser.add_argument("--port", default="8866", help="port to listen on (default 8866)")
    parser.add_argument("--address", default=ADDRESS, help="address to listen on (default: this machine only)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument("--lesson", action="store_true", help="open lesson 0 in place of the dashboard")
    hint = "serve a class: standby kernels, limits (deploy/class); FOLDER/voila.json replaces single settings"
    parser.add_argument("--class", dest="settings", nargs="?", const=CLASS, type=Path, metavar="FOLDER", help=hint)
    options = parser.parse_args(arguments)
    for_class = options.settings is not None
    folders = list(dict.fromkeys([ONE_USER, CLASS, options.settings])) if for_class else [ONE_USER]
    environment = {**(CLASS_LIMITS if for_class else {}), **os.environ}
    try:
        token = read_token(environment) if read_settings(folders).get("Voila", {}).get("auto_token") else ""
        check_address(options.address, may_be_public=for_class and bool(token))
        check_port(options.port, options.address)
        limit_memory(environment.get("WORKBENCH_MEMORY_MIB", ""))
        if options.lesson and not LESSON.is_file():
            raise ValueError(f"{LESSON.name} is in a checkout only, not in the installed package.")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    user_token = environment.get("JUPYTER_TOKEN") or environment.get("JUPYTER_TOKEN_FILE")
    url = page_url(options.address, options.port, "" if user_token else token)  # never log the user's own token
    print(f"Workbench {'for a class' if for_class else 'dashboard'}: {url}  (Ctrl-C stops it)", flush=True)
    if token:
        environment["JUPYTER_TOKEN"] = token
    browser = not options.no_browser and not for_class
    command, environment = voila_command(
        int(options.port),
        browser=browser,
        address=options.address,
        folders=folders,
        environment=environment,
        notebook=LESSON if options.lesson else NOTEBOOK,
    )
    os.execve(command[0], command, environment)


def page_url(address: str, port: int | str, token: str) -> str:
    """Return the URL of the page; the token is needed once, then the server sets a cookie."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}/" + (f"?token={quote(token)}" if token else "")


def read_settings(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return Voila's settings, class -> option -> value; a later folder's options replace an earlier one's."""
    settings: dict[str, dict[str, Any]] = {}
    for folder in folders:
        path = folder / "voila.json"
        try:
            for name, options in json.loads(path.read_text(encoding="utf-8")).items():
                settings[name] = {**settings.get(name, {}), **options}
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"{path} is not a JSON object of classes and their options: {error}.") from None
    return settings


def read_token(environment: Mapping[str, str]) -> str:
    """Return the token: ``$JUPYTER_TOKEN``, or the content of the file ``$JUPYTER_TOKEN_FILE``, or a new one."""
    token, file = environment.get("JUPYTER_TOKEN", ""), environment.get("JUPYTER_TOKEN_FILE", "")
    if not token and not file:
        return secrets.token_urlsafe(24)
    try:
        token = token or Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ValueError(f"The token file {file} cannot be read: {error}.") from None
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isprintable():  # the server does not limit the rate of guesses
        raise ValueError(f"The token must have at least {MIN_TOKEN_CHARACTERS} characters, all of them printable.")
    return token


def check_address(address: str, *, may_be_public: bool) -> None:
    """Raise ValueError for an invalid IP address, or a public one unless it `may_be_public`."""
    try:
        loopback = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise ValueError(f"--address {address} is no address of a machine: take {ADDRESS}, or 0.0.0.0.") from None
    if not loopback and not may_be_public:
        raise ValueError(f"At {address} others could reach the dashboard: take --class with a token, or {ADDRESS}.")


def check_port(text: str, address: str = ADDRESS) -> None:
    """Raise ValueError if the server cannot listen at this port and address."""
    if not 0 < whole_number(text) < 65536:
        raise ValueError(f"{text} is not a port: take a number from 1 to 65535, like 8866.")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, int(text)))
        except OSError as error:
            problem = f"Port {text} of {address} cannot be used ({error.strerror})"
            raise ValueError(f"{problem}: take another, like {free_port()}.") from None


def whole_number(text: str) -> int:
    """Return the positive number that these digits spell, or 0 if they spell none."""
    return int(text) if text.isascii() and text.isdecimal() else 0


def setting(name: str, default: int) -> int:
    """Return the positive number in an environment variable, or the default, with a warning if it is invalid."""
    text = os.environ.get(name, "")
    number = whole_number(text)
    if text and not number:
        logging.getLogger(__name__).warning("%s=%s is not a whole number above 0: using %d.", name, text, default)
    return number or default


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def limit_memory(mebibytes: str) -> None:
    """Limit the address space of this process and its children, kernels included; "" sets no limit."""
    if not mebibytes:
        return
    if not whole_number(mebibytes):
        raise ValueError(f"WORKBENCH_MEMORY_MIB={mebibytes} is not a whole number above 0.")
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(mebibytes) * 2**20,) * 2)
    except (ImportError, ValueError, OSError) as error:
        problem = f"This system cannot limit the memory of a process ({error}): unset WORKBENCH_MEMORY_MIB."
        raise ValueError(problem) from None


def voila_command(
    port: int,
    *,
    browser: bool,
    address: str = ADDRESS,
    folders: Sequence[Path] = (ONE_USER,),
    environment: Mapping[str, str] = os.environ,
    notebook: Path = NOTEBOOK,
) -> tuple[list[str], dict[str, str]]:
    """Return command line and environment of the Voila server; a later folder's settings replace an earlier one's."""
    command = [sys.executable, "-m", "workbench.app.server.voila", str(notebook)]
    command += [f"--port={port}", f"--Voila.ip={address}"]
    command += [f"--Voila.config_file_paths={folder}" for folder in reversed(folders)]
    if sys.platform == "linux":  # macOS's folder for temporary files makes the sockets' names too long
        command.append("--KernelManager.transport=ipc")
    if not browser:
        command.append("--no-browser")
    return command, {
        **environment,
        "JUPYTER_PATH": os.pathsep.join(filter(None, [str(ONE_USER), environment.get("JUPYTER_PATH", "")])),
        "OMP_NUM_THREADS": environment.get("WORKBENCH_THREADS", "1"),
    }


if __name__ == "__main__":
    sys.exit(main())
