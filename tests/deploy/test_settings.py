"""Every option in our configuration files is an option of the installed classes, and takes the value."""

import json
import re
from importlib.util import find_spec

import pytest
import yaml
from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
from traitlets import HasTraits
from traitlets.config import PyFileConfigLoader
from voila.app import Voila
from voila.configuration import VoilaConfiguration
from voila.execute import VoilaExecutor

from workbench.app.server import serve

CLASSES = (Voila, VoilaConfiguration, VoilaExecutor, IdentityProvider, MappingKernelManager)
HUB = serve.ROOT / "deploy" / "hub"
CONTAINER = (serve.CLASS / "Containerfile").read_text()
KNOWN = {kind.__name__: kind for kind in CLASSES}


def options(folder):
    for name, values in json.loads((folder / "voila.json").read_text()).items():
        yield from ((name, option, value) for option, value in values.items())


def check(kind, option, value):
    """It is an option of a class, and takes the value."""
    assert option in kind.class_trait_names(config=True)
    holder = type("Holder", (HasTraits,), {option: kind.class_traits()[option]})()
    setattr(holder, option, value)  # raises TraitError if it cannot be


ALL = [*options(serve.ONE_USER), *options(serve.CLASS)]
SETTINGS = serve.read_settings([serve.ONE_USER, serve.CLASS])


@pytest.mark.parametrize(("name", "option", "value"), ALL, ids=lambda v: v if isinstance(v, str) else "")
def test_it_is_an_option_and_takes_the_value(name, option, value):
    check(KNOWN[name], option, value)


@pytest.mark.parametrize("settings", [serve.read_settings([serve.ONE_USER]), SETTINGS], ids=["one user", "class"])
def test_what_both_servers_must_never_lose(settings):
    configuration, server = settings["VoilaConfiguration"], settings["Voila"]
    assert configuration["strip_sources"] is True
    assert configuration["show_tracebacks"] is False
    assert configuration["allow_template_override"] == "NO"
    assert (server["auto_token"], server["ip"]) == (True, serve.ADDRESS)
    assert "token" not in server
    assert settings["VoilaExecutor"]["iopub_timeout"] >= 300
    assert "disable_check_xsrf" not in json.dumps(settings)


def test_what_a_class_must_never_lose():
    assert SETTINGS["VoilaConfiguration"]["file_allowlist"] == []
    assert SETTINGS["MappingKernelManager"]["allow_tracebacks"] is False
    assert SETTINGS["MappingKernelManager"]["cull_idle_timeout"] > 0
    policy = SETTINGS["Voila"]["tornado_settings"]["headers"]["Content-Security-Policy"]
    assert "http" not in policy
    assert "*" not in policy


def test_the_hub_s_settings_are_options_that_take_the_values():
    pytest.importorskip("jupyterhub", reason="JupyterHub is not installed: pip install -e '.[jupyterhub]'")
    from jupyterhub.app import JupyterHub
    from jupyterhub.auth import PAMAuthenticator
    from jupyterhub.spawner import LocalProcessSpawner

    known = {"JupyterHub": JupyterHub, "Spawner": LocalProcessSpawner, "LocalAuthenticator": PAMAuthenticator}
    config = PyFileConfigLoader("jupyterhub_config.py", path=str(HUB)).load_config()
    for name, values in config.items():
        for option, value in values.items():
            check(known[name], option, value)


KINDS = {
    "hub": {"config": dict, "activeServerLimit": int, "concurrentSpawnLimit": int},
    "proxy": {"service": {"type": str}},
    "ingress": {"enabled": bool, "hosts": list, "tls": list},
    "singleuser": {
        "image": {"name": str, "tag": str},
        "cmd": list,
        "uid": int,
        "fsGid": int,
        "startTimeout": int,
        "cpu": {"guarantee": float, "limit": int},
        "memory": {"guarantee": str, "limit": str},
        "extraEnv": dict,
        "storage": {"capacity": str, "homeMountPath": str, "extraVolumes": list, "extraVolumeMounts": list},
    },
    "cull": {"enabled": bool, "timeout": int, "every": int},
}
"""Keys of zero-to-jupyterhub's schema that we use, with their types; `dict` takes any keys.

The schema (jupyterhub/values.schema.yaml of jupyterhub/zero-to-jupyterhub-k8s) refuses other keys; no package has it.
"""


def kinds(values, wanted):
    """Types of values, of nested ones where they are wanted."""
    if isinstance(values, dict) and isinstance(wanted, dict):
        return {key: kinds(value, wanted.get(key)) for key, value in values.items()}
    return type(values)


def test_the_values_for_kubernetes():
    values = yaml.safe_load((HUB / "values.yaml").read_text())
    assert kinds(values, KINDS) == KINDS
    one = values["singleuser"]
    assert find_spec(one["cmd"][2])
    assert f"uid {one['uid']}" in CONTAINER
    assert f"VOLUME {one['storage']['homeMountPath']}" in CONTAINER
    assert all(entry["readOnly"] for entry in one["storage"]["extraVolumeMounts"])
    assert one["extraEnv"]["WORKBENCH_HOSTS"] in values["ingress"]["hosts"]
    assert all(isinstance(value, str) for value in one["extraEnv"].values())
    assert "--timeout={timeout}".format(**values["cull"]) in (HUB / "jupyterhub_config.py").read_text()


def test_the_container_by_its_text():
    """It ends as a user without rights and without a shell, holds no secret, and fetches only packages."""
    lines = re.sub(r"^\s*#.*\n", "", CONTAINER, flags=re.M).replace("\\\n", " ").splitlines()
    instructions = [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]
    names, one = [name for name, _ in instructions], dict(instructions)
    assert (names[0], names[names.index("USER") :], "ADD" in names) == ("FROM", ["USER", "CMD"], False)
    assert int(one["USER"]) >= 1000
    assert one["CMD"].startswith(f'["python", "-m", "{serve.__name__}", "--class"')  # a shell would keep the SIGTERM
    variables = " ".join(rest for name, rest in instructions if name == "ENV")
    assert not re.search(r"(PASS|SECRET|KEY|TOKEN(?!_FILE))\w*=", variables)
    assert not re.search(r"\w+://|curl |wget |git clone|sudo |chmod 777", CONTAINER)
