"""A process of the fork server behaves as a true one."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from forked import forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux are processes forked")

CODES = {
    "words": "import sys; print(sys.argv, __name__, sys.path[0])",
    "folder and variables": "import os; print(os.getcwd(), sorted(os.environ.items() - {('PWD', os.getcwd())}))",
    "streams": "import sys; print(sys.stdin.read(), end=''); print('said', file=sys.stderr)",
    "an error": "print(1); 1 / 0",
    "a status": "import sys; sys.exit(7)",
    "a sentence as status": "import sys; sys.exit('no')",
    "interrupted": "raise KeyboardInterrupt",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "at the end": "import atexit, sys; atexit.register(print, 'end'); sys.stdout.write('no newline')",
    "a thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()",
    "warnings": "import warnings; warnings.warn('w', DeprecationWarning)",
    "signals": "import signal; print([signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)])",
    "open files": "import os; print(sorted(os.listdir('/proc/self/fd'))[:3])",
}
SILENT = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"PYTHONPATH": os.sep}


def outcome(program: str, *words: str, folder) -> tuple[int, str, str]:
    """Status, output, and the last line of the errors, which has no line numbers."""
    options = {"cwd": folder, "env": SILENT, "input": "given\n", "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([program, *words], **options)
    return done.returncode, done.stdout, done.stderr.splitlines()[-1:]


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_it_is_as_a_true_one(code, tmp_path):
    true = outcome(sys.executable, "-c", code, "a", "b c", folder=tmp_path)
    assert outcome(forked(), "-c", code, "a", "b c", folder=tmp_path) == true


def test_modules_and_scripts_run_too(tmp_path):
    (tmp_path / "mine.py").write_text("import sys; print(__name__, __file__, sys.argv, sys.path[0])")
    for words in (["-m", "mine", "x"], ["mine.py", "x"], ["-B", "-m", "mine"]):
        assert outcome(forked(), *words, folder=tmp_path)[0] == 0
    true = outcome(sys.executable, "-m", "mine", "x", folder=tmp_path)
    assert outcome(forked(), "-m", "mine", "x", folder=tmp_path) == true


def test_closed_streams_are_not_there(tmp_path):
    code = "import os, sys; os.write(1, repr((sys.stdin, sys.stderr)).encode())"
    done = subprocess.run(["sh", "-c", f'{forked()} -c "$0" <&- 2>&-', code], capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"(None, None)", b"")


WAITS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_it(number):
    process = subprocess.Popen([forked(), "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    twin = int(process.stdout.readline())
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == -number
    for _ in range(600):
        if not os.path.exists(f"/proc/{twin}"):
            return
        time.sleep(0.1)
    pytest.fail("it is still there")


def test_what_it_starts_is_forked_too():
    code = "import sys, subprocess; print(subprocess.run([sys.executable, '-c', %r], text=True, stdout=-1).stdout)"
    done = subprocess.run([forked(), "-c", code % "import sys; print('torch' in sys.modules)"], stdout=-1, text=True)
    assert done.stdout.strip() == "True"


def test_nothing_of_ours_is_imported_before():
    code = "import sys; print([name for name in sys.modules if name.startswith('w2s_lab')])"
    assert subprocess.run([forked(), "-c", code], stdout=-1, text=True).stdout.strip() == "[]"


def test_clients_that_leave_before_they_have_asked_harm_nobody():
    for said in (b"", b"."):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(os.path.join(os.path.dirname(forked()), "socket"))
            if said:
                socket.send_fds(line, [said], [0])
    done = subprocess.run([forked(), "-c", "print(1)"], stdout=-1, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "1\n")
