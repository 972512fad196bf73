"""Imports once what every submission's process starts with: those processes are forked from the one that imports this.

That process holds no assignment, no expected value and no submission.
"""

import gc
import os
import tempfile
from importlib import import_module

import matplotlib
import torch

from w2s_lab import assets
from w2s_lab.assignments.authoring import master  # noqa: F401  the grader's own module is read again in each process
from w2s_lab.assignments.grading import worker

LIBRARIES = (
    "matplotlib.pyplot",
    "scipy.stats",
    "sklearn.linear_model",
    "transformers",  # takes seconds, and any model asks for it
    "torch._dynamo",  # a second, and the first optimizer of a process asks for it
)
matplotlib.use("agg")
# When one of these imports its compiler, torch makes a folder for compiled code and leaves it there, unless it exists.
os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.gettempdir()
for name in (*LIBRARIES, *assets.PRELOADED):
    import_module(name)
worker.warm()
del os.environ["TORCHINDUCTOR_CACHE_DIR"]  # a submission's folder is its own temporary one
torch.set_num_threads(1)  # threads and forks do not mix; and submissions run side by side
gc.collect()
gc.freeze()  # what is here stays: forked processes share its memory
