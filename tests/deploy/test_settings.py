"""Every option in our configuration files is an option of the installed classes, and takes the value."""

import json
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


VALUES = {
    "hub": {"config": {}, "activeServerLimit": int, "concurrentSpawnLimit": int},
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
        "extraEnv": {},
        "storage": {"capacity": str, "homeMountPath": str, "extraVolumes": list, "extraVolumeMounts": list},
    },
    "cull": {"enabled": bool, "timeout": int, "every": int},
}
"""Keys of zero-to-jupyterhub's schema that we use, with their types; {} takes any keys.

The schema (jupyterhub/values.schema.yaml of jupyterhub/zero-to-jupyterhub-k8s) refuses other keys; no package has it.
"""


def misfits(values, schema, path=""):
    """Paths of the values that the schema refuses."""
    for key, value in values.items():
        wanted, where = schema.get(key), f"{path}/{key}"
        if isinstance(wanted, dict) and isinstance(value, dict):
            yield from misfits(value, wanted, where) if wanted else ()
        elif not isinstance(wanted, type) or type(value) is not wanted:
            yield where


def test_the_values_for_kubernetes():
    values = yaml.safe_load((HUB / "values.yaml").read_text())
    assert list(misfits(values, VALUES)) == []
    assert list(misfits({"cull": {"often": 1, "every": "1"}}, VALUES)) == ["/cull/often", "/cull/every"]
    one = values["singleuser"]
    assert find_spec(one["cmd"][2])
    container = (serve.CLASS / "Containerfile").read_text()
    assert f"uid {one['uid']}" in container
    assert f"VOLUME {one['storage']['homeMountPath']}" in container
    assert all(entry["readOnly"] for entry in one["storage"]["extraVolumeMounts"])
    assert one["extraEnv"]["WORKBENCH_HOSTS"] in values["ingress"]["hosts"]
    assert all(isinstance(value, str) for value in one["extraEnv"].values())
    assert "--timeout={timeout}".format(**values["cull"]) in (HUB / "jupyterhub_config.py").read_text()
