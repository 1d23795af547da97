"""Every option that is set for Voila is one that the installed classes have, and takes the value."""

import json
from pathlib import Path

import pytest
import traitlets
from jupyter_client.manager import KernelManager
from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
from voila.app import Voila
from voila.configuration import VoilaConfiguration
from voila.execute import VoilaExecutor
from voila.voila_kernel_manager import voila_kernel_manager_factory

from workbench.app.server import serve
from workbench.app.server.jupyter_classes import Guard, Kernel, Kernels

CLASSES = (Voila, VoilaConfiguration, VoilaExecutor, IdentityProvider, MappingKernelManager, KernelManager)
KNOWN = {kind.__name__: kind for kind in CLASSES}
ROOT = Path(__file__).resolve().parents[2]


def options(folder):
    for name, values in json.loads((folder / "voila.json").read_text()).items():
        yield from ((name, option, value) for option, value in values.items())


ALL = [*options(serve.ALONE), *options(serve.CLASS)]


@pytest.mark.parametrize(("name", "option", "value"), ALL, ids=lambda v: v if isinstance(v, str) else "")
def test_it_is_an_option_and_takes_the_value(name, option, value):
    kind = KNOWN[name]
    assert option in kind.class_trait_names(config=True)
    trait = kind.class_traits()[option]
    holder = type("Holder", (traitlets.HasTraits,), {option: trait})()
    setattr(holder, option, value)  # raises TraitError if it cannot be


def test_the_classes_are_those_that_serve():
    found = serve.settings([serve.ALONE, serve.CLASS])
    configured = VoilaConfiguration(**found["VoilaConfiguration"])
    assert configured.multi_kernel_manager_class is Kernels
    manager = voila_kernel_manager_factory(Kernels, True, 2)
    assert issubclass(manager, MappingKernelManager)
    assert issubclass(Kernel, KernelManager)
    assert issubclass(Guard, IdentityProvider)
    assert found["Voila"]["identity_provider_class"] == f"{Guard.__module__}.{Guard.__name__}"
    assert found["MappingKernelManager"]["kernel_manager_class"] == f"{Kernel.__module__}.{Kernel.__name__}"


def test_what_a_class_must_never_lose():
    found = serve.settings([serve.ALONE, serve.CLASS])
    assert found["VoilaConfiguration"]["strip_sources"] is True
    assert found["VoilaConfiguration"]["show_tracebacks"] is False
    assert found["VoilaConfiguration"]["file_allowlist"] == []
    assert found["VoilaConfiguration"]["allow_template_override"] == "NO"
    assert found["MappingKernelManager"]["allow_tracebacks"] is False
    assert found["MappingKernelManager"]["cull_idle_timeout"] > 0
    assert found["Voila"]["auto_token"] is True
    assert "disable_check_xsrf" not in json.dumps(found)
    headers = found["Voila"]["tornado_settings"]["headers"]["Content-Security-Policy"]
    assert "http" not in headers
    assert "*" not in headers
