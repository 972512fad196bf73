"""The classroom: exercises that are checked, quizzes, dashboards, progress; `from w2s_lab import classroom as room`.

The public names stand in `__init__.pyi`; each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
