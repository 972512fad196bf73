"""Python processes that need not import torch and transformers, which takes seconds: they are forked from one that has.

`[*forked(), "-m", "w2s_lab", "run"]` stands where `[sys.executable, "-m", "w2s_lab", "run"]` would. This file is then
run three ways. As the server, it imports libraries, but nothing of ours, and forks. As a client, a small true process,
it hands its words, folder, variables and streams to the server, passes signals on, and ends as its twin ends. The twin,
forked by the server, runs what was asked for as its own `__main__`.

What Python reads before the first line of code (its options, PYTHONHASHSEED, the encodings of the streams) and what a
library reads while it is imported (HF_HOME, TQDM_DISABLE) is the server's. Tests of these, of what an import brings,
and a few beside them, take sys.executable.
"""

import atexit
import contextlib
import gc
import importlib
import json
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
    "sklearn.linear_model pandas matplotlib.figure ipykernel.kernelapp ipywidgets"
)
PASSED_ON = (signal.SIGINT, signal.SIGTERM)  # a killed client is noticed: its twin is killed, too
STREAMS = ("stdin", "stdout", "stderr")


@cache
def forked() -> list[str]:
    """The words that begin a command; the server starts with the first call and ends with this process."""
    if sys.platform != "linux":  # on macOS, libraries do not outlive a fork; on Windows, there is none
        return [sys.executable]
    address = Path(tempfile.mkdtemp(prefix="forked-"), "socket")
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MPLBACKEND")}
    kept |= {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE")}
    command = [sys.executable, "-P", __file__, "serve", str(address)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=kept)
    atexit.register(server.communicate)  # its input ends, and so does the server
    assert server.stdout.readline() == b"ready\n"
    return [sys.executable, "-I", "-S", __file__, "ask", str(address)]


def kernel(folder: Path) -> dict[str, str]:
    """Variables with which Jupyter starts its Python kernels by `forked`; their description lies in the folder."""
    argv = [*forked(), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    spec = {"argv": argv, "display_name": "Python 3", "language": "python", "env": inline}
    (folder / "kernels" / "python3").mkdir(parents=True)
    (folder / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
    return {"JUPYTER_PATH": str(folder)}


def ask(address: str, words: list[str]) -> None:
    """The client."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(address)
    streams = [number for number in range(3) if getattr(sys, STREAMS[number]) is not None]
    socket.send_fds(line, [b"."], streams)
    task = {"words": words, "streams": streams, "folder": os.getcwd(), "variables": dict(os.environ)}
    line.sendall(json.dumps(task).encode() + b"\n")
    answers = line.makefile("rb")
    twin = int(answers.readline())
    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: os.killpg(twin, number))
    status = int(answers.readline())
    if status < 0:
        die_of(-status)
    os._exit(status)


def die_of(number: int) -> None:
    with contextlib.suppress(OSError):  # nobody ignores SIGKILL
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def serve(address: str) -> dict:
    """The server; returns, in each twin, what the twin is asked to do."""
    for name in LIBRARIES.split():
        importlib.import_module(name)
    assert threading.active_count() == 1, "a twin would lack the other threads, but not the locks that they hold"
    gc.collect()
    gc.freeze()  # what is here stays: its memory is shared
    listener, (woken, wake) = socket.socket(socket.AF_UNIX), socket.socketpair()
    listener.bind(address)
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
            given = socket.recv_fds(line, 1, 3)[1]
            task = json.loads(line.makefile("rb").readline()) | {"given": given}
            if not (twin := os.fork()):
                for end in (line, listener, woken, wake, *lines.values()):
                    end.close()
                return task
            os.setpgid(twin, twin)
            line.sendall(b"%d\n" % twin)
            lines[twin] = line
            for number in given:
                os.close(number)


def become(given: list[int], streams: list[int], folder: str, variables: dict[str, str], words: list[str]) -> None:
    """The twin: forget the server, and run what was asked for."""
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)  # the server does the same; who is later finds it done
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in enumerate(STREAMS):
        if number in streams:
            os.dup2(given[streams.index(number)], number)
        else:
            os.close(number)
            setattr(sys, name, None)
    for number in given:
        os.close(number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    if "MPLBACKEND" in variables:
        sys.modules["matplotlib"].rcParams["backend"] = variables["MPLBACKEND"]
    sys.modules["numpy"].random.seed()  # else that of the server; `random` sees to it itself
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
        if status < 0:
            die_of(-status)
        os._exit(status)


if __name__ == "__main__":
    role, address, *words = sys.argv[1:]
    if role == "ask":
        ask(address, words)
    status = None
    atexit.register(leave)
    task = serve(address)
    status = 0
    try:
        become(**task)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except BaseException as error:
        status = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
        raise
