"""What every submission's process begins with, imported once: processes are forked from the one that has read this.

It holds no assignment, no expectation and no other submission.
"""

import gc
from importlib import import_module

import matplotlib
import torch

IMPORTED = (
    "matplotlib.pyplot",
    "scipy.stats",
    "sklearn.linear_model",
    "transformers",  # takes seconds, and any model asks for it
    "w2s_lab.classroom.exercises.checks",
    "w2s_lab.models.loading",
    "w2s_lab.figures.plots",
    "w2s_lab.methods.probe",
    "w2s_lab.assignments.authoring.master",  # the grader's own module is read again in each process, and wants it
    "w2s_lab.assignments.grading.worker",
)
matplotlib.use("agg")
for name in IMPORTED:
    import_module(name)
torch.set_num_threads(1)  # threads and forks do not mix; and submissions run side by side
gc.collect()
gc.freeze()  # what is here stays: forked processes share its memory
