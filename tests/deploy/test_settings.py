"""Every option in our voila.json files is an option of the installed classes, and takes the value."""

import json

import pytest
from jupyter_client.manager import KernelManager
from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
from traitlets import HasTraits
from voila.app import Voila
from voila.configuration import VoilaConfiguration
from voila.execute import VoilaExecutor

from workbench.app.server import serve

CLASSES = (Voila, VoilaConfiguration, VoilaExecutor, IdentityProvider, MappingKernelManager, KernelManager)
KNOWN = {kind.__name__: kind for kind in CLASSES}


def options(folder):
    for name, values in json.loads((folder / "voila.json").read_text()).items():
        yield from ((name, option, value) for option, value in values.items())


ALL = [*options(serve.ONE_USER), *options(serve.CLASS)]
SETTINGS = serve.read_settings([serve.ONE_USER, serve.CLASS])


@pytest.mark.parametrize(("name", "option", "value"), ALL, ids=lambda v: v if isinstance(v, str) else "")
def test_it_is_an_option_and_takes_the_value(name, option, value):
    kind = KNOWN[name]
    assert option in kind.class_trait_names(config=True)
    trait = kind.class_traits()[option]
    holder = type("Holder", (HasTraits,), {option: trait})()
    setattr(holder, option, value)  # raises TraitError if it cannot be


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
