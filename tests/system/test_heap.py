"""Freed memory leaves the process."""

import platform
import re
from pathlib import Path

import pytest

from w2s_lab.system import heap


def resident() -> int:
    """Bytes of memory that this process occupies."""
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory, and can be asked for it")
def test_freed_blocks_leave_the_process():
    blocks = [bytearray(b"x" * 60_000) for _ in range(2_000)]  # small enough to come from the heap
    full = resident()
    last = bytearray(b"x" * 60_000)  # keeps the heap's end, so that only trimming helps
    del blocks
    heap.give_back()
    assert full - resident() > 60_000_000 and len(last) == 60_000


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: pytest.fail("asked the C library"))
    heap.give_back()
