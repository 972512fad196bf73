"""Course assignments: a master becomes a student version, and what students hand in becomes marks.

A submission's code runs in a process of its own. The grader asks that process for values and never tells it what it
expects. docs/assignments.md says what the grader guards against and what it does not. This folder imports two modules
of the kit, `system.files` and `assets`, so that it can become a package of its own.
"""
