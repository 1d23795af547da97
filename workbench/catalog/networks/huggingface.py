"""Networks of timm, with weights from the Hugging Face hub."""

import json
import logging
from pathlib import Path
from typing import Any

from torch import nn

from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.torchvision import torchvision
from workbench.network.network import first_line

NOT_INSTALLED = "networks of timm and of the Hugging Face hub need the extra [hub]: pip install -e '.[hub]'"
HUB = "hf-hub:"
TIMM = "timm/"


def timm_names() -> list[str]:
    """Return timm's networks, as ``load_network`` takes them; none if timm is not installed."""
    try:
        return [f"{TIMM}{name}" for name in _timm().list_models()]
    except WeightsError:
        return []


def build(name: str) -> tuple[nn.Module, dict[str, Any], str]:
    """Return a network without trained weights, timm's settings for its inputs, and the hub's repository of weights.

    Parameters
    ----------
    name : "timm/NAME", where NAME may end in a tag of weights (resnet18.a1_in1k), or "hf-hub:ORG/NAME".

    Raises
    ------
    KeyError : if timm has no such network.
    WeightsError : if timm is absent or cannot build the network, or the hub's config.json is absent or not timm's.
    """
    timm = _timm()
    options: dict[str, Any] = {}
    if name.startswith(HUB):
        repository = name.removeprefix(HUB)
        card = json.loads(fetch(repository, "config.json").read_text(encoding="utf-8"))
        settings = {**card.get("pretrained_cfg", card), "hf_hub_id": repository}
        if "architecture" not in card:
            raise WeightsError(f"{repository} is no network of timm: its config.json names no architecture")
        architecture, options = card["architecture"], dict(card.get("model_args", {}))
        options.setdefault("num_classes", card.get("num_classes", settings.get("num_classes", 1000)))
    else:
        architecture = name.removeprefix(TIMM)
        if not timm.is_model(architecture.partition(".")[0]):
            similar = timm.list_models(f"{architecture[:5]}*")[:8]
            raise KeyError(f"timm has no network called {architecture!r}; there are: {', '.join(similar) or 'others'}")
        settings = {}
    try:
        model = timm.create_model(architecture, pretrained=False, **options)
    except (RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"timm cannot build {name}: {error}") from None
    pretrained_cfg = {**model.pretrained_cfg, **settings}
    config = timm.data.resolve_data_config({}, pretrained_cfg=pretrained_cfg)
    return model, config, str(pretrained_cfg.get("hf_hub_id") or "")


def fetch(repository: str, file: str) -> Path:
    """Return the path of a file of the hub, from its cache or downloaded; WeightsError if neither is possible."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise WeightsError(NOT_INSTALLED) from None
    try:
        try:
            return Path(hf_hub_download(repository, file, local_files_only=True))
        except FileNotFoundError:
            return Path(hf_hub_download(repository, file))
    except Exception as error:  # the hub's, requests' and the operating system's
        reason = f"is not in the cache and cannot be downloaded now: {first_line(error)}"
        raise WeightsError(f"{file} of {repository} {reason}") from None


def _timm() -> Any:
    torchvision("transforms")  # timm imports torchvision, which some installations cannot import by themselves
    try:
        import timm
        import timm.data
    except ImportError:
        raise WeightsError(NOT_INSTALLED) from None
    logging.getLogger("timm").setLevel(logging.WARNING)
    return timm
