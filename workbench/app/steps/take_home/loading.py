"""How a notebook loads the open network and data, and which files it needs from the user."""

import re

from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.choose.opening import Opened
from workbench.catalog.datasets.load import bundled_data_names
from workbench.catalog.datasets.table import TORCH_DATASETS
from workbench.catalog.networks.entries import OWN, Centred
from workbench.network.inputs import TRAIN_SHARE, VALIDATION_SHARE, image_size

LOOSE_FILES = re.compile(r"\d+ files")
"""What the page calls pictures that were uploaded without a folder."""


def load_code(choose: ChooseModel) -> tuple[dict[str, str], list[str]]:
    """Return "network" and "data" -> a Python expression that loads it, and what the user has to fill in, in words."""
    opened = choose.opened
    if opened is None:
        return {}, []
    (network, network_file), (data, data_files) = _network_code(choose, opened), _data_code(choose, opened)
    return {"network": network, "data": data}, [words for words in (network_file, data_files) if words]


def _network_code(choose: ChooseModel, opened: Opened) -> tuple[str, str]:
    choice, network = opened.choice, opened.network
    if choice.file is None and choose.given("network", choice.network) is not None:
        how = f"wb.Network(model, input_shape={network.input_shape}, name={network.name!r})"
        return f"your_network  # given in code: {how}", f"the network {network.name} (given in code)"
    if choice.file is not None and choice.file.suffix == ".onnx":
        takes = network.preprocessing
        colours = f", mean={takes.mean}, std={takes.std}" if isinstance(takes, Centred) else ""
        code = f"wb.load_network({choice.weights!r}, input_shape={network.input_shape}{colours})"
        return code, f"the file {choice.weights}"
    if choice.file is not None:
        return f"wb.load_network({choice.network!r}, weights={choice.weights!r})", f"the file {choice.weights}"
    if network.random_weights:
        return f"wb.load_network({choice.network!r}, weights=None)", ""
    pretrained = "" if choice.network in OWN else ", weights='pretrained'"
    return f"wb.load_network({choice.network!r}{pretrained})", ""


def _data_code(choose: ChooseModel, opened: Opened) -> tuple[str, str]:
    choice, size = opened.choice, image_size(opened.network)
    if choice.pictures is None:
        if choose.given("data", choice.data) is not None:
            how = "wb.Data(train, validation, test)"
            return f"your_data  # given in code: {how}", f"the data {choice.data} (given in code)"
        if choice.data in bundled_data_names():
            return f"wb.load_data({choice.data!r})", ""
        if choice.data in TORCH_DATASETS:
            return f"wb.load_data({choice.data!r}, root='datasets', size={size}, download=True)", ""
    shares = f"train={TRAIN_SHARE}, validation={VALIDATION_SHARE}"
    root = "pictures" if LOOSE_FILES.fullmatch(choice.data) else choice.data
    code = f"wb.load_data('images', root={root!r}, size={size}, classes=network.classes, {shares})"
    return code, f"the images {choice.data}" if root == choice.data else f"a folder with the {choice.data}"
