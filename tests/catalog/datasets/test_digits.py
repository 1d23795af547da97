import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import workbench as wb
from workbench.catalog.datasets.digits import DIGITS_FILE


def test_the_split_is_fixed_and_covers_everything(data):
    again = wb.load_data("digits")
    splits = [data.train, data.validation, data.test]
    assert [len(s) for s in splits] == [1000, 297, 500]
    for one, two in zip(splits, [again.train, again.validation, again.test], strict=True):
        assert torch.equal(one.images, two.images)
    everything = torch.cat([s.images for s in splits]).flatten(1)
    raw = torch.from_numpy(load_digits().data / 16).float()
    assert torch.equal(everything.sum(0), raw.sum(0))
    assert everything.unique(dim=0).shape == raw.unique(dim=0).shape


def test_the_bundled_scans_are_scikit_learn_s():
    with np.load(DIGITS_FILE) as arrays:
        assert np.array_equal(arrays["images"], load_digits().images)
        assert np.array_equal(arrays["labels"], load_digits().target)


def test_no_scan_is_in_two_splits(data):
    rows = [{tuple(image) for image in s.images.flatten(1).tolist()} for s in (data.train, data.validation, data.test)]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


def test_an_unknown_name():
    with pytest.raises(KeyError, match="no data set is called 'imagenet'; there are: digits, images, cifar10"):
        wb.load_data("imagenet")
