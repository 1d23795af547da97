"""Printed figures of results, made with matplotlib. Interactive ones are in :mod:`workbench.plot.interactive`.

The functions are listed in ``__init__.pyi`` beside this file; each is loaded at its first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
