import pytest

from workbench.catalog.networks.load import OWN, network_names
from workbench.catalog.paper.published import PUBLISHED, SOURCE


def test_the_four_networks_by_names_of_the_catalog():
    assert list(PUBLISHED) == ["alexnet_caffe", "vgg_s", "googlenet_bvlc", "vgg16"]
    assert set(PUBLISHED) <= set(network_names())
    assert len(set(PUBLISHED) & set(OWN)) == 3  # VGG-16 is torchvision's
    assert SOURCE.startswith("published: Kim et al., ICLR 2016")


@pytest.mark.parametrize("name", PUBLISHED)
def test_ratios_belong_to_their_lines(name):
    """Printed ratios were taken before rounding: within a tenth, but for the one that the docstring names."""
    p = PUBLISHED[name]
    for what, ratio in p.printed.items():
        if (name, what) != ("googlenet_bvlc", "weights"):
            assert getattr(p.original, what) / getattr(p.compressed, what) == pytest.approx(ratio, rel=0.035), what
    assert 0 < p.original.top5 - p.compressed.top5 < 2
