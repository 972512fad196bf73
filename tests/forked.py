"""Python processes that need not import torch and transformers, which takes seconds: they are forked from one that has.

`forked()` stands where `sys.executable` would: `[forked(), "-m", "w2s_lab", "run"]`. It is run three ways. As a server,
it imports libraries, but nothing of ours, and forks. As a client, a small true process, it hands words, folder,
variables and open files to the server, passes signals on, and ends as its twin ends. The twin, forked by the server,
runs what was asked for as its own `__main__`; what it starts with its own `sys.executable` is forked as well.

What Python reads before the first line of code (options, PYTHONHASHSEED, the encodings of the streams) and what a
library reads while it is imported (HF_HOME, TQDM_DISABLE) is the server's. Tests of these and of importing take
sys.executable.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from functools import cache
from pathlib import Path

LIBRARIES = (
    "torch transformers transformers.models.llama.modeling_llama transformers.generation scipy.stats "
    "sklearn.linear_model pandas matplotlib.figure nbformat jupyter_client.manager ipykernel.kernelapp ipywidgets "
    "pip._internal.cli.main_parser pip._internal.commands.configuration"
)
PASSED_ON = (signal.SIGINT, signal.SIGTERM)  # where a client is killed, the server notices, and kills its twin
FAR = 500  # file numbers from here on are used by nobody


@cache
def forked() -> str:
    """The program; its server starts with the first call and ends with this process."""
    if sys.platform != "linux":  # on macOS, libraries do not outlive a fork; on Windows, there is none
        return sys.executable
    folder = Path(tempfile.mkdtemp(prefix="forked-"))
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} ask {folder} "$@"\n')
    program.chmod(0o700)
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MPLBACKEND")}
    kept |= {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE")}
    command = [sys.executable, "-P", __file__, "serve", folder]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=kept)
    atexit.register(server.communicate)  # its input ends, and so does the server
    assert server.stdout.readline() == b"ready\n"
    return str(program)


def kernel(folder: Path) -> dict[str, str]:
    """Variables with which Jupyter starts its Python kernels by `forked`; their description lies in the folder."""
    argv = [forked(), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    spec = {"argv": argv, "display_name": "Python 3", "language": "python", "env": inline}
    (folder / "kernels" / "python3").mkdir(parents=True)
    (folder / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
    return {"JUPYTER_PATH": str(folder)}


def ask(folder: str, words: list[str]) -> None:
    """The client."""
    files = [number for number in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{number}")]
    line = socket.socket(socket.AF_UNIX)
    line.connect(os.path.join(folder, "socket"))
    task = {"words": words, "files": files, "folder": os.getcwd(), "variables": dict(os.environ)}
    socket.send_fds(line, [b"."], files)
    line.sendall(json.dumps(task).encode() + b"\n")
    answers = line.makefile("rb")
    twin = int(answers.readline())
    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: os.killpg(twin, number))
    end(int(answers.readline()))


def end(status: int) -> None:
    """End with this status, or by the signal of this negative number."""
    if status < 0:
        with contextlib.suppress(OSError):  # nobody ignores SIGKILL
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def serve(folder: str) -> dict:
    """The server; returns, in each twin, what the twin is asked to do."""
    for name in LIBRARIES.split():
        importlib.import_module(name)
    assert threading.active_count() == 1, "a twin would lack the other threads, but not the locks that they hold"
    gc.collect()
    gc.freeze()  # what is here stays: its memory is shared
    listener, (woken, wake) = socket.socket(socket.AF_UNIX), socket.socketpair()
    listener.bind(os.path.join(folder, "socket"))
    listener.listen(64)
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the tests' terminal
    os.write(1, b"ready\n")
    lines: dict[int, socket.socket] = {}  # to the clients, by their twins
    while True:
        ready = select.select([0, woken, listener, *lines.values()], [], [])[0]
        for twin in [twin for twin, line in lines.items() if 0 in ready or line in ready]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(twin, signal.SIGKILL)  # its client has gone
            lines.pop(twin).close()
        if 0 in ready:  # so have the tests
            sys.exit()
        if woken in ready:
            woken.recv(4096)
            with contextlib.suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    if line := lines.pop(ended[0], None):
                        line.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended[1]))
                        line.close()
        if listener in ready:
            line = listener.accept()[0]
            given = socket.recv_fds(line, 1, 250)[1]
            task = json.loads(line.makefile("rb").readline()) | {"given": given}
            if not (twin := os.fork()):
                for closed in (line, listener, woken, wake, *lines.values()):
                    closed.close()
                return task
            os.setpgid(twin, twin)
            line.sendall(b"%d\n" % twin)
            lines[twin] = line
            for number in given:
                os.close(number)


def become(given: list[int], files: list[int], folder: str, variables: dict[str, str], words: list[str]) -> None:
    """The twin: forget the server, and run what was asked for."""
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)  # the server does the same; who is later finds it done
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    far = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, FAR) for number in given]
    for number in {0, 1, 2, *given}:
        os.close(number)
    for number, aim in zip(far, files, strict=True):
        os.dup2(number, aim)
        os.close(number)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if number not in files:
            setattr(sys, name, None)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    tempfile.tempdir = None
    sys.executable = os.path.join(sys.argv[2], "python")
    multiprocessing.set_executable(sys.executable)
    sys.modules["numpy"].random.seed()  # else that of the server; `random` sees to it itself
    if "MPLBACKEND" in variables:
        sys.modules["matplotlib"].rcParams["backend"] = variables["MPLBACKEND"]
    while words[0].startswith("-") and words[0] not in ("-c", "-m"):  # options of the interpreter
        words = words[1:]
    what, *others = words
    path = [folder for folder in variables.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:0] = [{"-c": "", "-m": os.getcwd()}.get(what, os.path.dirname(what)), *path]
    if what == "-c":
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        sys.argv = ["-c", *others[1:]]
        exec(compile(others[0], "<string>", "exec"), main.__dict__)
    elif what == "-m":
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(what, run_name="__main__")


def leave() -> None:
    """Registered first, so it comes last: a twin ends here, since taking all modules apart takes half a second."""
    if status is not None:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        end(status)


if __name__ == "__main__":
    role, folder, *words = sys.argv[1:]
    if role == "ask":
        ask(folder, words)
    status = None
    atexit.register(leave)
    task = serve(folder)
    status = 0
    try:
        become(**task)
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
        raise
    except BaseException as error:
        status = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
        raise
