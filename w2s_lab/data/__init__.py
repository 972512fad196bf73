"""From a built-in task, a file or a data set of the Hub to examples and splits."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
