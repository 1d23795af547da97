import pytest

import workbench as wb


@pytest.fixture(scope="session")
def smaller(network, spectra) -> wb.CompressedNetwork:
    """The bundled network with every kind of part: Tucker-2, Tucker-1, and layers that are kept."""
    return wb.decompose(network, wb.evbmf_plan(spectra).keep("features.7").keep("classifier.2"))
