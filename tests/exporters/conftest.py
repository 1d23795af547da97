"""The bundled network with a quarter of its MACs and calibrated, and a model that no format can hold."""

import json

import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.networks import Computes
from workbench.exporters import executorch

NO_WHEELS = pytest.mark.skipif(executorch.missing() != "", reason="ExecuTorch has no wheels for this machine")
RUNNABLE = [".onnx", pytest.param(".pte", marks=[NO_WHEELS, pytest.mark.slow])]
"""Suffixes of the files that run by themselves; by default `test_executorch` alone runs ExecuTorch's."""
EIGENVALUES = Computes(lambda _, x: torch.linalg.eigvals(x).real)
"""Computes what neither ONNX nor ExecuTorch has an operator for."""


def described(path):
    """What the file says of itself."""
    if path.suffix == ".pte":
        return json.loads(executorch.load_executorch(path).metadata)
    import onnxruntime

    texts = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
    plain = ("name", "sha256", "source")
    return {key: text if key in plain else json.loads(text) for key, text in texts.items()}


@pytest.fixture(scope="session")
def small(network, spectra, data) -> wb.CompressedNetwork:
    plan = wb.budget_plan(spectra, macs_ratio=4)
    return wb.calibrate(wb.decompose(network, plan), data.train.images[:128])


@pytest.fixture(scope="package")
def model():
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.LocalResponseNorm(5), nn.Dropout())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5)).eval()


@pytest.fixture(scope="package")
def inputs():
    return torch.rand(2, 3, 9, 11, generator=torch.Generator().manual_seed(0))
