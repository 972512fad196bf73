"""Course assignments: a master becomes a student version, and what students hand in becomes marks.

The grader promises nothing that a process could not keep: a submission's code runs in a process of its own, which is
asked for values and never learns what is expected. See docs/assignments.md for what is guarded and what not.
"""
