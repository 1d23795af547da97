from workbench.catalog.networks.search import search

NAMES = ["resnet18", "wide_resnet50_2", "resnet20", "vgg16", "timm/resnet18", "timm/resnet18d"]


def test_equal_names_come_first_then_beginnings_then_short_ones():
    assert search("resnet18", NAMES) == ["resnet18", "timm/resnet18", "timm/resnet18d"]
    assert search("50 RES", NAMES) == ["wide_resnet50_2"]
    assert search("resnet", NAMES, limit=2) == ["resnet18", "resnet20"]
    assert search(" ", NAMES) == search("lenet", NAMES) == []
