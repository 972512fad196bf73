"""What the tests cost, in CPU seconds: the ten dearest and the sum, beside what the suite may cost.

CPU seconds do not depend on what else the machine does, minutes do. A machine may still be half as fast as another, so
a sum above the limit is said, and fails nothing.
"""

import os

import pytest

LIMITS = {"not slow": 220, "": 1100}  # CPU seconds of `make test-fast` and `make test`: 2 and 10 minutes on two cores
NAME = "CPU seconds"


def _read(path: str) -> str:
    """A file of the system; empty where the thread or process has ended meanwhile."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def spent() -> float:
    """CPU seconds of this process, of its children and of those that its children have waited for."""
    total = sum(os.times()[:4])
    for thread in os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ():
        for child in _read(f"/proc/self/task/{thread}/children").split():
            fields = _read(f"/proc/{child}/stat").rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test costs what was spent since the test before it, in this process and below."""
    if call.when == "teardown":
        before, item.config.spent = getattr(item.config, "spent", 0.0), spent()
        item.user_properties.append((NAME, item.config.spent - before))
    return (yield)


def pytest_terminal_summary(terminalreporter, config):
    """The first test of each process bears the start, with all imports."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    ends = [report for report in reports if getattr(report, "when", "") == "teardown"]
    costs = sorted(((dict(report.user_properties)[NAME], report.nodeid) for report in ends), reverse=True)
    total, limit = sum(cost for cost, _ in costs), LIMITS.get(config.option.markexpr)
    if len(costs) < 1000 or limit is None:  # a part of the suite
        return
    terminalreporter.section(f"{total:.0f} CPU seconds; the dearest tests")
    for cost, name in costs[:10]:
        terminalreporter.line(f"{cost:6.1f}  {name}")
    if total > limit:
        terminalreporter.line(f"More than {limit}: see 'What the tests may cost' in CONTRIBUTING.md.", yellow=True)
