"""Python processes that need not import torch and transformers, which takes seconds: they are forked from one that has.

`forked()` stands where `sys.executable` would: `[forked(), "-m", "w2s_lab", "run"]`. It is run three ways. As a server,
it imports libraries, but nothing of ours, and forks. As a client, a small true process, it hands words, folder,
variables and open files to the server, passes signals on, and ends as its twin ends. The twin, forked by the server,
runs what was asked for as its own `__main__`; what it starts with its own `sys.executable` is forked as well.

What Python reads before the first line of code (options, PYTHONHASHSEED, the encodings of the streams) and what a
library reads while it is imported (HF_HOME, TQDM_DISABLE) is the server's. Tests of these and of importing take
sys.executable. matplotlib is not imported here: then it learns from Jupyter's kernel where to draw.
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
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from functools import cache
from pathlib import Path

LIBRARIES = (  # torch._dynamo is imported with the first optimizer of a process
    "torch torch._dynamo transformers transformers.models.llama.modeling_llama transformers.generation scipy.stats "
    "sklearn.linear_model pandas nbformat jupyter_client.manager ipykernel.kernelapp ipywidgets "
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
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} ask {folder} "$@"\n')
    program.chmod(0o700)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    kept |= {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE")}
    command = [sys.executable, "-P", __file__, "serve", folder]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=kept)
    atexit.register(server.communicate)  # its input ends, and so does the server
    assert server.stdout.readline() == b"ready\n"
    return str(program)


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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the tests' terminal
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(folder, "socket"))
    listener.listen(64)
    os.write(1, b"ready\n")
    running: dict[int, tuple[int, socket.socket]] = {}  # what is readable when a twin ends -> twin, line to its client
    while True:
        ready = select.select([0, listener, *running, *(line for _, line in running.values())], [], [])[0]
        for ended, (twin, line) in list(running.items()):
            if ended in ready:
                with contextlib.suppress(OSError):
                    line.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(twin, 0)[1]))
                line.close()
                os.close(ended)
                del running[ended]
            elif 0 in ready or line in ready:  # the tests have gone, or the client has
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(twin, signal.SIGKILL)
        if 0 in ready:
            sys.exit()
        if listener in ready:
            line, given = listener.accept()[0], []
            try:
                given = socket.recv_fds(line, 1, 250)[1]
                task = json.loads(line.makefile("rb").readline()) | {"given": given}
            except (OSError, ValueError):  # the client was killed before it had asked
                for number in given:
                    os.close(number)
                line.close()
                continue
            if not (twin := os.fork()):
                os.setpgid(0, 0)
                for end_of_line in (listener, line, *(line for _, line in running.values())):
                    end_of_line.close()
                return task
            with contextlib.suppress(OSError):
                os.setpgid(twin, twin)  # the twin does the same: who is later finds it done
            with contextlib.suppress(OSError):  # the client has gone meanwhile: `line` then says so
                line.sendall(b"%d\n" % twin)
            running[os.pidfd_open(twin)] = twin, line
            for number in given:
                os.close(number)


def become(given: list[int], files: list[int], folder: str, variables: dict[str, str], words: list[str]) -> None:
    """The twin: forget the server, and run what was asked for."""
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
        for stream in (sys.stdout, sys.stderr):
            if stream and not stream.closed:
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
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        raise
    except BaseException as error:
        status = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
        raise
