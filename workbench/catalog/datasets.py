"""Data sets by name."""

from workbench.catalog.digits import digits
from workbench.compression.data import Data

LOADERS = {"digits": digits}


def data_names() -> list[str]:
    """Names that :func:`load_data` knows."""
    return sorted(LOADERS)


def load_data(name: str) -> Data:
    """A data set with its `train`, `validation` and `test` splits.

    Parameters
    ----------
    name : "digits".

    Raises
    ------
    KeyError : if there is no such data set, with the names there are.
    """
    if name not in LOADERS:
        raise KeyError(f"no data set is called {name!r}; there are: {', '.join(data_names())}")
    return LOADERS[name]()
