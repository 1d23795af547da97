"""Printed figures of results, made with matplotlib. Those of the page are in :mod:`workbench.plot.interactive`.

The functions are listed in ``__init__.pyi`` beside this file; each is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
