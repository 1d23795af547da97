import pytest
import torch
from sklearn.datasets import load_digits

import workbench as wb


def test_the_split_is_fixed_and_covers_everything(data):
    again = wb.load_data("digits")
    splits = [data.train, data.validation, data.test]
    assert [len(s) for s in splits] == [1000, 297, 500]
    for one, two in zip(splits, [again.train, again.validation, again.test], strict=True):
        assert torch.equal(one.images, two.images)
    raw = torch.from_numpy(load_digits().data / 16).float()
    everything = torch.cat([s.images for s in splits]).flatten(1)  # every scan once: none is in two splits
    assert sorted(everything.tolist()) == sorted(raw.tolist())
    whole = torch.cat([s.labels for s in splits]).bincount() / 1797
    for split in splits:
        share = split.labels.bincount(minlength=10) / len(split)
        assert (share - whole).abs().max() < 0.01


def test_an_unknown_name():
    with pytest.raises(KeyError, match="no data set is called 'imagenet'; there are: digits, images, cifar10"):
        wb.load_data("imagenet")
