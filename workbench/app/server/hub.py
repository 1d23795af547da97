"""``python -m workbench.app.server.hub``: the dashboard as the server of one user; JupyterHub's spawners start it.

JupyterHub sets the address, the prefix of the URL and the user in the environment, and authenticates requests.
"""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.utils import url_path_join
from jupyterhub.singleuser.extension import JupyterHubIdentityProvider

from workbench.app.server.serve import CLASS, ONE_USER, limit_memory, read_settings, voila_command


class HubIdentityProvider(JupyterHubIdentityProvider):  # type: ignore[misc]
    """Admits only the user of this server, whom JupyterHub authenticates."""

    def get_handlers(self) -> list[Any]:
        """Return JupyterHub's handlers below the user's prefix; Voila, unlike Jupyter Server, does not add it."""
        server: Any = self.parent
        return [(url_path_join(server.base_url, path), *rest) for path, *rest in super().get_handlers()]


def main() -> int:
    """Replace this process by Voila at the address that JupyterHub expects; return 1 if the environment is invalid."""
    environment = {"WORKBENCH_RUNS": str(Path.home() / "workbench" / "runs.sqlite"), **os.environ}
    try:
        service, prefix = urlsplit(environment["JUPYTERHUB_SERVICE_URL"]), environment["JUPYTERHUB_SERVICE_PREFIX"]
        limit_memory(environment.get("WORKBENCH_MEMORY_MIB", ""))
        read_settings([CLASS])  # Voila ignores a missing file, and with it the security headers
    except (KeyError, ValueError) as error:
        message = f"{error.args[0]} is not set: this is started by JupyterHub, see docs/operators.md."
        print(message if isinstance(error, KeyError) else error, file=sys.stderr)
        return 1
    command, environment = voila_command(
        service.port or 80,
        browser=False,
        address=service.hostname or "",
        folders=[ONE_USER, CLASS],
        environment=environment,
    )
    provider = "workbench.app.server.hub.HubIdentityProvider"  # this module is __main__ here
    command += [f"--Voila.base_url={prefix}", f"--Voila.identity_provider_class={provider}"]
    command.append("--VoilaConfiguration.preheat_kernel=False")  # the server has one user
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    sys.exit(main())
