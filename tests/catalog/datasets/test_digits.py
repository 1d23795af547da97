import pytest
import torch
from sklearn.datasets import load_digits

import workbench as wb


def test_the_splits_are_fixed_and_have_each_of_scikit_learns_scans_once(data):
    splits, again = ((each.train, each.validation, each.test) for each in (data, wb.load_data("digits")))
    assert all(torch.equal(one.images, two.images) for one, two in zip(splits, again, strict=True))
    assert [len(split) for split in splits] == [1000, 297, 500]
    images, labels = (torch.cat([getattr(split, name) for split in splits]) for name in ("images", "labels"))
    found, raw = zip(images.flatten(1).tolist(), labels.tolist(), strict=True), load_digits()
    assert sorted(found) == sorted(zip((raw.data / 16).tolist(), raw.target.tolist(), strict=True))


def test_an_unknown_name():
    with pytest.raises(KeyError, match="no data set is called 'imagenet'; there are: digits, images, cifar10"):
        wb.load_data("imagenet")
