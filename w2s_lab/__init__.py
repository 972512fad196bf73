"""w2s_lab: weak-to-strong generalization, derived, run, seen and broken, on a laptop.

The public names stand in `__init__.pyi`. Each is imported when it is first used: `import w2s_lab` alone costs nothing.
"""

import lazy_loader

from w2s_lab import moved
from w2s_lab.version import __version__  # noqa: F401  (lazy_loader's __all__ holds it)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
moved.install()
