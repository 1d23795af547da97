"""Images that are read when they are used."""

import pytest
import torch

from workbench.network.images.folders import LazyImages, joined

FIRST, SECOND = torch.arange(6.0).reshape(6, 1), torch.arange(6.0, 10.0).reshape(4, 1)


class NeverEmpty:
    """Images of the user's own class, which cannot be indexed by an empty tensor."""

    shape = (4, 1)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.stack([SECOND[i] for i in torch.arange(4)[index]])


@pytest.mark.parametrize("second", [SECOND, LazyImages(lambda index: SECOND[index], (4, 1)), NeverEmpty()])
@pytest.mark.parametrize("index", [torch.tensor([9, 0, 7, 5, 6, 6]), torch.tensor([3, 1]), torch.tensor([8]), slice(8)])
def test_joined_images_are_indexed_as_one_tensor(second, index):
    images = joined(FIRST, second)
    assert (len(images), images.shape) == (10, (10, 1))
    assert torch.equal(images[index], torch.cat([FIRST, SECOND])[index])


def test_joined_images_are_read_once_and_only_where_they_are_used():
    read = []
    second = LazyImages(lambda index: read.append(index.tolist()) or SECOND[index], (4, 1))
    images = joined(FIRST, second)
    images[torch.tensor([0, 5])]
    images[torch.tensor([7, 2, 9])]
    assert read == [[1, 3]]
