"""w2s_lab: weak-to-strong generalization on a laptop."""

from w2s_lab.version import __version__
