"""The bundled network, compressed four times and refitted, as most of these tests export it."""

import pytest

import workbench as wb


@pytest.fixture(scope="session")
def smaller(network, spectra, data) -> wb.Network:
    plan = wb.budget_plan(spectra, macs_ratio=4)
    return wb.calibrate(wb.decompose(network, plan), network, wb.Split.unlabelled(data.train.images[:128]))
