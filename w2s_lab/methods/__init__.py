"""Methods of the field: transformations of a labelled set, or of supervisors, one per module."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
