"""Measurements that are run by hand: `python -m tests.benchmarks.NAME --help`. They print; none asserts a time.

throughput.py   training: examples per second beside two other loops, equal quality, memory, share of the peak
loops.py        the three training loops that are compared
inference.py    weak labels, closed and open, beside plain loops
stacked.py      several seeds of one small training at once, beside one after the other
growth.py       how time grows with examples, parameters and sequence length
reading.py      files of many rows, and their near duplicates
gpu.py          large random models on a GPU
"""
