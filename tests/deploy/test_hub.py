"""JupyterHub on this machine with two users: each has a page of their own, and both read one catalog."""

import asyncio
import os
import re
import shutil
import subprocess
import sys

import psutil
import pytest

from benchmarks._browser import served
from tests.helpers.serving import close, connect, wait_until
from workbench.app.server.serve import ROOT, free_port
from workbench.app.server.voila import DashboardServer

pytestmark = pytest.mark.slow

PASSWORD = CULLER_TOKEN = "of-tests-and-of-nothing-else"  # noqa: S105
USERS = ("alice", "bob")
CONFIGURATION = """
load_subconfig({ours!r})
c = get_config()
c.JupyterHub.bind_url, c.JupyterHub.hub_port = "http://127.0.0.1:{port}", {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.JupyterHub.authenticator_class, c.JupyterHub.spawner_class = "shared-password", "simple"
c.SharedPasswordAuthenticator.user_password = {password!r}
c.Authenticator.allow_all = True
c.SimpleLocalProcessSpawner.home_dir_template = {home!r}
c.JupyterHub.last_activity_interval = 1
c.JupyterHub.services[0] |= {{"api_token": {token!r}}}
"""
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && ! touch "$0/written" 2>/dev/null && exec "$@"'


class User:
    """A browser of a user who has logged in."""

    def __init__(self, address, name):
        self.address, self.name = address.rstrip("/"), name
        self.session = pytest.importorskip("requests").Session()
        wait_until(lambda: self.session.get(f"{self.address}/hub/login").ok, 60)  # the proxy is there before the hub
        form = {"username": name, "password": PASSWORD, "_xsrf": self.session.cookies.get("_xsrf", path="/hub/")}
        assert self.session.post(f"{self.address}/hub/login", data=form).ok

    def page(self):
        """The user's dashboard, once its server has started."""
        path = f"/user/{self.name}/"
        wait_until(lambda: (answer := self.get(path)).ok and answer.url == self.address + path, 150)
        return self.get(path)

    def get(self, path):
        return self.session.get(self.address + path, timeout=120)

    async def connect(self, owner, kernel):
        """A websocket to a kernel of the owner's server, or the status with which it is refused."""
        path = f"/user/{owner}/api/kernels/{kernel}/channels"
        prepared = self.session.prepare_request(pytest.importorskip("requests").Request("GET", self.address + path))
        cookies = prepared.headers.get("Cookie", "")
        return await connect(self.address + path, {"Cookie": cookies, "Origin": self.address})


@pytest.fixture
def hub(short_folder):
    pytest.importorskip("jupyterhub", reason="JupyterHub is not installed: pip install -e '.[jupyterhub]'")
    if not shutil.which("configurable-http-proxy"):
        pytest.skip("JupyterHub's proxy is not installed: npm install --global configurable-http-proxy")
    folder = short_folder
    (folder / "catalog").mkdir()
    ports = {name: free_port() for name in ("port", "hub_port", "proxy_port")}
    ours = {"ours": str(ROOT / "deploy" / "hub" / "jupyterhub_config.py"), "home": str(folder / "{username}")}
    text = CONFIGURATION.format(password=PASSWORD, token=CULLER_TOKEN, **ports, **ours)
    (folder / "config.py").write_text(text)
    command = [sys.executable, "-m", "jupyterhub", "--config", str(folder / "config.py")]
    command += [f"--JupyterHub.{name}={folder / name}" for name in ("cookie_secret_file", "pid_file")]
    command += [f"--JupyterHub.db_url=sqlite:///{folder / 'hub.sqlite'}"]
    if os.geteuid():
        (folder / "catalog").chmod(0o555)
    elif shutil.which("unshare"):
        command = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(folder / "catalog"), *command]
    variables = {"WORKBENCH_DATASETS": str(folder / "catalog"), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    variables |= {"JUPYTER_RUNTIME_DIR": "", "JUPYTER_TOKEN": "", "WORKBENCH_HOSTS": ""}
    with served(command, f"http://127.0.0.1:{ports['port']}/", "hub/login", folder / "log", variables) as server:
        yield server, ports["hub_port"]


def test_two_users(hub, short_folder):
    (server, hub_port), folder = hub, short_folder

    async def run():
        users = [await asyncio.to_thread(User, server.address, name) for name in USERS]
        pages = await asyncio.gather(*(asyncio.to_thread(user.page) for user in users))
        assert not any("error when executing" in page.text for page in pages)
        assert all("frame-ancestors 'self'" in page.headers["Content-Security-Policy"] for page in pages)
        kernels = [re.search(r'"kernelId": "([\w-]+)"', page.text)[1] for page in pages]
        sockets = [await user.connect(user.name, kernel) for user, kernel in zip(users, kernels, strict=True)]
        for user, other, kernel in zip(users, USERS[::-1], kernels[::-1], strict=True):
            for path in ("", f"api/kernels/{kernel}"):
                answer = await asyncio.to_thread(user.get, f"/user/{other}/{path}")
                assert answer.status_code == 403, path
            assert await user.connect(other, kernel) == 403
        stores = [folder / name / "workbench" / "runs.sqlite" for name in USERS]
        await asyncio.to_thread(wait_until, lambda: all(store.exists() for store in stores), 90, folder / "log")
        for kernel in server.kernel_processes():
            assert kernel.rlimit(psutil.RLIMIT_AS)[1] == 8192 * 2**20
            variables = kernel.environ()
            assert (variables["OMP_NUM_THREADS"], variables["WORKBENCH_DATASETS"]) == ("1", str(folder / "catalog"))
            assert variables["HOME"] in {str(folder / name) for name in USERS}
        for socket in sockets:
            await close(socket)
        for user in users:
            user.session.close()

    asyncio.run(run())
    assert "Read-only" not in (folder / "log").read_text()
    culled(server, hub_port)


def culled(server, hub_port):
    """The culler, as the configuration starts it but for the time, ends servers that nobody uses."""
    variables = {"JUPYTERHUB_API_TOKEN": CULLER_TOKEN, "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub_port}/hub/api"}
    command = [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=2", "--cull-every=1"]
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)}
    culler = subprocess.Popen(command, env=environment)
    try:
        wait_until(lambda: not server.kernels(), 60)  # a kernel without a page would end by itself, after two minutes
    finally:
        culler.terminate()
        culler.wait(10)


def test_it_has_the_settings_of_a_class_and_no_standby_kernels(monkeypatch):
    hub = pytest.importorskip("workbench.app.server.hub", reason="JupyterHub is not installed", exc_type=ImportError)
    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1:8866")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/alice/")
    monkeypatch.delenv("WORKBENCH_MEMORY_MIB", raising=False)
    hub.main()
    ((_, command, _),) = started
    server = DashboardServer()
    server.initialize(command[3:])
    assert "frame-ancestors 'self'" in server.tornado_settings["headers"]["Content-Security-Policy"]
    kernels = server.config.MappingKernelManager
    assert kernels.allow_tracebacks is False
    assert kernels.kernel_manager_class.endswith("KernelWithoutTracebacks")
    assert (server.voila_configuration.preheat_kernel, server.voila_configuration.file_allowlist) == (False, [])
    assert server.identity_provider_class.__name__ == "HubIdentityProvider"


def test_without_a_hub_it_says_who_starts_it():
    pytest.importorskip("jupyterhub")
    command = [sys.executable, "-m", "workbench.app.server.hub"]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTERHUB")}
    found = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr.count("\n")) == (1, 1)
    assert found.stderr.startswith("JUPYTERHUB_SERVICE_URL is not set")
