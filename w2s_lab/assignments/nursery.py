"""What every submission's process begins with, imported once: processes are forked from the one that has read this.

It holds no assignment, no expectation and no other submission.
"""

import gc

import matplotlib.font_manager
import scipy.stats  # noqa: F401
import sklearn.linear_model  # noqa: F401
import torch
import transformers  # noqa: F401  it takes seconds, and any model asks for it

from w2s_lab.assignments import worker  # noqa: F401

matplotlib.use("agg")
torch.set_num_threads(1)  # threads and forks do not mix; and submissions run side by side
gc.collect()
gc.freeze()  # what is here stays: forked processes share its memory
