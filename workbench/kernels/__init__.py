"""The mathematics: numpy, scipy and torch tensors, no modules."""
