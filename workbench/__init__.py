"""See how much of a convolutional network is redundant, and remove it.

The names of the notebook API are listed in ``__init__.pyi`` beside this file; each is loaded when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
