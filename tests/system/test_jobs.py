"""Jobs in processes and on Ray: results, errors, deaths, Ctrl-C.

This file is also a script: `python test_jobs.py NAME ...` runs the function NAME, for what must happen in a process of
its own.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from w2s_lab.system.jobs import Job, run_jobs
from w2s_lab.system.registry import load_plugin

HERE = Path(__file__).resolve()


# -- jobs; other processes import them from here -----------------------------------------------------------------


def note(folder: str, name: str) -> int:
    """One more line in the file of this name: how often was it run?"""
    path = Path(folder, name)
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(path.read_text().splitlines())


def square(number: int, folder: str) -> int:
    note(folder, f"square {number}")
    return number**2


def dies_first(folder: str, times: int = 1) -> str:
    if note(folder, "dies") <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def dies_last(folder: str, others: int) -> str:
    """Dies once, when the others have long been done and their process has nothing to do."""
    while len(list(Path(folder).glob("square *"))) < others:
        time.sleep(0.05)
    time.sleep(1)
    return dies_first(folder)


def threads() -> tuple[int, str]:
    import torch

    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


class Particular(ValueError):
    """As NonFiniteLoss: it wants more than a message, so pickle alone cannot bring it back."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


def raises(kind: str) -> None:
    class Local(ArithmeticError):
        pass

    errors = {
        "value": ValueError("no such task"),
        "file": FileNotFoundError(2, "No such file or directory", "x.tsv"),
        "particular": Particular("loss is nan", 3),
        "local": Local("one over zero"),
        "exit": SystemExit(3),
        "empty": MemoryError(),
    }
    raise errors[kind]


def arrays() -> dict:
    import numpy as np
    import torch

    return {"array": np.arange(3.0), "tensor": torch.arange(200_000)}


PLUGIN = """
from w2s_lab.data.sources import register_task
from w2s_lab.records import Example

register_task("numbers", lambda: [Example("Odd?", str(n), "yes" if n % 2 else "no") for n in range(50)])
"""


def registered(name: str) -> list[str]:
    """The answers of a task that only a plugin knows."""
    from w2s_lab.data.sources import read_examples

    task, _, _ = read_examples(name)
    return list(task.answers)


def cannot_travel():
    return lambda: 1


def sleeps(folder: str, name: str, seconds: float = 60.0) -> str:
    note(folder, name)
    time.sleep(seconds)
    return name


def waits_for(folder: str, name: str, other: str) -> str:
    """Ends when there is a file `other`."""
    note(folder, name)
    deadline = time.monotonic() + 120
    while not Path(folder, other).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return name


def raises_after(folder: str, other: str) -> None:
    waits_for(folder, "waited", other)
    raise ValueError("no such task")


def squares(folder: object, count: int) -> list[Job]:
    return [Job(f"square {n}", square, (n, str(folder))) for n in range(count)]


def runs(folder: Path, name: str) -> int:
    return len((folder / name).read_text().splitlines())


# -- results -----------------------------------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_jobs(tmp_path, capsys):
    jobs = [Job("last of all", waits_for, (str(tmp_path), "slow", "square 3")), *squares(tmp_path, 4)]
    ended = {}
    results = run_jobs(jobs, workers=2, description="squaring", on_done=ended.__setitem__)
    assert list(results.items()) == [("last of all", "slow"), *[(f"square {n}", n**2) for n in range(4)]]
    assert ended == results and list(ended)[-1] == "last of all"
    assert re.search(r"squaring: 100%.*5/5.*job", capsys.readouterr().err)
    processes = {(tmp_path / f"square {n}").read_text() for n in range(4)}
    assert str(os.getpid()) not in " ".join(processes)


def test_no_jobs():
    assert run_jobs([], workers=3) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "allowed"), [(1, None), (2, None), (1, "1")])
def test_the_cores_are_shared_within_what_the_user_allows(workers, allowed, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if allowed:
        monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    share = int(allowed) if allowed else max(1, cores // workers)
    jobs = [Job(str(number), threads) for number in range(2)]
    assert set(run_jobs(jobs, workers=workers).values()) == {(share, str(share))}


@pytest.mark.slow
def test_arrays_and_tensors_travel():
    found = run_jobs([Job("a", arrays), Job("b", arrays)], workers=1)
    for result in found.values():
        assert result["array"].tolist() == [0.0, 1.0, 2.0] and int(result["tensor"].sum()) == 199_999 * 100_000


# -- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected", "message"),
    [
        ("value", ValueError, "bad: no such task"),
        ("file", FileNotFoundError, "bad: [Errno 2] No such file or directory: 'x.tsv'"),
        ("particular", ValueError, "bad: loss is nan"),
        ("local", ArithmeticError, "bad: one over zero"),
        ("exit", RuntimeError, "bad: 3"),
        ("empty", MemoryError, "bad: MemoryError"),
    ],
)
def test_an_error_keeps_its_type_and_names_the_job(kind, expected, message):
    with pytest.raises(expected) as raised:
        run_jobs([Job("bad", raises, (kind,))], workers=1)
    assert type(raised.value) is expected and str(raised.value) == message
    assert "in raises" in raised.value.__notes__[0]  # where it happened


def test_an_error_stops_the_others(tmp_path):
    began = time.monotonic()
    ended = {}
    jobs = [*squares(tmp_path, 1), Job("sleeps", sleeps, (str(tmp_path), "sleeps", 300.0))]
    jobs += [Job("bad", raises_after, (str(tmp_path), "sleeps")), Job("never", square, (9, str(tmp_path)))]
    with pytest.raises(ValueError, match="bad: no such task"):
        run_jobs(jobs, workers=2, on_done=ended.__setitem__)
    assert time.monotonic() - began < 100
    assert ended == {"square 0": 0}
    assert gone(tmp_path / "sleeps")


def test_an_error_in_on_done_goes_up(tmp_path):
    def full(name, result):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run_jobs([*squares(tmp_path, 2)], workers=1, on_done=full)


def test_what_cannot_travel_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"job 'a' cannot be sent.*top level"):
        run_jobs([Job("a", lambda: 1)], workers=1)
    with pytest.raises(ValueError, match="job 'b' cannot be sent"):
        run_jobs([*squares(tmp_path, 1), Job("b", sleeps, (open(os.devnull),))], workers=1)  # noqa: SIM115
    with pytest.raises((AttributeError, TypeError), match=r"c: .*lambda"):
        run_jobs([Job("c", cannot_travel)], workers=1)


def test_wrong_calls(tmp_path):
    with pytest.raises(ValueError, match="workers is 0"):
        run_jobs(squares(tmp_path, 1), workers=0)
    with pytest.raises(ValueError, match="'square 0'"):
        run_jobs(squares(tmp_path, 1) * 2, workers=1)
    assert list(tmp_path.iterdir()) == []


# -- deaths ------------------------------------------------------------------------------------------------------


def test_a_killed_process_loses_nothing(tmp_path):
    """The job that killed its process runs again, all others once."""
    jobs = [Job("dies", dies_first, (str(tmp_path),)), Job("beside", waits_for, (str(tmp_path), "beside", "square 2"))]
    found = run_jobs([*jobs, *squares(tmp_path, 3)], workers=2)
    assert found == {"dies": "survived", "beside": "beside", "square 0": 0, "square 1": 1, "square 2": 4}
    assert {path.name: runs(tmp_path, path.name) for path in tmp_path.iterdir()} == {
        "dies": 2,
        "beside": 1,
        **{f"square {n}": 1 for n in range(3)},
    }


def test_what_dies_each_time_is_named_after_the_others_are_done(tmp_path):
    ended = {}
    jobs = [Job("dies", dies_first, (str(tmp_path), 99)), *squares(tmp_path, 3)]
    with pytest.raises(ChildProcessError, match=r"1 of 4 jobs .*: dies \(killed by SIGKILL\)\. Hint: .*memory"):
        run_jobs(jobs, workers=2, on_done=ended.__setitem__)
    assert runs(tmp_path, "dies") == 3
    assert ended == {"square 0": 0, "square 1": 1, "square 2": 4}


def test_a_job_that_dies_last_is_given_to_a_process_that_waits(tmp_path):
    jobs = [Job("dies", dies_last, (str(tmp_path), 3)), *squares(tmp_path, 3)]
    assert run_jobs(jobs, workers=2)["dies"] == "survived"


def test_two_deaths_are_forgiven(tmp_path):
    assert run_jobs([Job("dies", dies_first, (str(tmp_path), 2))], workers=1) == {"dies": "survived"}


def test_a_script_without_main_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from w2s_lab.system.jobs import Job, run_jobs\nrun_jobs([Job('a', print)], workers=1)\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, env=environment())
    assert done.returncode == 1
    assert "ChildProcessError: a process ended before its first job (exit status 1)" in done.stderr


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[2]), str(HERE.parent)])}


def script(*words: object) -> subprocess.Popen:
    """A function of this file in a process of its own, the first of a group of its own."""
    return subprocess.Popen(
        [sys.executable, HERE, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def sleepers(folder: str) -> None:
    """Two jobs that sleep longer than any test waits."""
    try:
        run_jobs([Job(name, sleeps, (folder, name, 600.0)) for name in ("one", "two")], workers=2)
    except KeyboardInterrupt:
        print("interrupted")


def alive(path: Path) -> list[int]:
    """The processes that have noted themselves in this file, and are still there."""
    found = []
    for process in map(int, path.read_text().split()):
        try:
            os.kill(process, 0)
            found.append(process)
        except ProcessLookupError:
            pass
    return found


def gone(*paths: Path, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(path) for path in paths) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(alive(path) for path in paths)


def until_both_sleep(folder: Path, parent: subprocess.Popen) -> list[Path]:
    files, deadline = [folder / "one", folder / "two"], time.monotonic() + 60
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < deadline and parent.poll() is None, parent.communicate()
        time.sleep(0.1)
    assert len(alive(files[0])) == 1
    return files


@pytest.mark.skipif(os.name != "posix", reason="process groups are those of Unix")
def test_ctrl_c(tmp_path):
    """The terminal sends it to the whole group: one KeyboardInterrupt, in the parent, and nobody is left."""
    parent = script("sleepers", tmp_path)
    files = until_both_sleep(tmp_path, parent)
    os.killpg(parent.pid, signal.SIGINT)
    out, err = parent.communicate(timeout=60)
    assert (parent.returncode, out) == (0, "interrupted\n"), err
    assert "Traceback" not in err and "KeyboardInterrupt" not in err
    assert gone(*files)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_ctrl_c_while_processes_start(tmp_path):
    parent = script("sleepers", tmp_path)
    with open(f"/proc/{parent.pid}/task/{parent.pid}/children") as file:
        deadline = time.monotonic() + 60
        while len(file.read().split()) < 2:  # the tracker and the first worker, which is not ready yet
            assert time.monotonic() < deadline
            file.seek(0)
    os.killpg(parent.pid, signal.SIGINT)
    out, err = parent.communicate(timeout=60)
    assert (parent.returncode, out) == (0, "interrupted\n"), err
    assert "Traceback" not in err


def test_a_killed_parent_takes_its_workers_along(tmp_path):
    parent = script("sleepers", tmp_path)
    files = until_both_sleep(tmp_path, parent)
    parent.kill()
    parent.communicate()
    assert gone(*files)


# -- Ray ---------------------------------------------------------------------------------------------------------


def test_without_ray_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=re.escape("pip install 'w2s-lab[ray]'")):
        run_jobs(squares(tmp_path, 1), workers=1, ray="auto")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["auto", "127.0.0.1:9", "ray://127.0.0.1:9", "nowhere", "no.such.invalid:10001"])
def test_a_cluster_that_is_not_there(address, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    began = time.monotonic()
    with pytest.raises(ValueError, match=f"the Ray cluster '{address}' cannot be reached: ") as raised:
        run_jobs(squares(tmp_path, 1), workers=1, ray=address)
    assert "\n" not in str(raised.value) and time.monotonic() - began < 30


def mixed_jobs(folder: str) -> list[Job]:
    """One kills its process the first time; one goes on until a machine has gone, if its own machine does not go."""
    jobs = [Job("dies", dies_first, (folder,)), Job("array", arrays), *squares(folder, 4)]
    return [Job(f"waits {n}", waits_for, (folder, f"waits {n}", "removed")) for n in range(2)] + jobs


def cluster(folder: str) -> None:
    """Jobs on two machines with one CPU each, one of which goes while both are at work; what came, as JSON."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120"}
    from threading import Thread

    import ray
    from ray.cluster_utils import Cluster

    Path(folder, "my_plugin.py").write_text(PLUGIN)
    os.chdir(folder)  # the folder in which a driver starts is on the path of its workers
    sys.path.append(folder)

    # not 127.0.0.1, which Ray takes for the machine's address to the world
    here = {"num_cpus": 1, "node_ip_address": "127.0.0.2", "object_store_memory": 80_000_000}
    machines = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **here})
    try:
        machine = machines.add_node(**here)

        def remove() -> None:
            waiting = [Path(folder, f"waits {n}") for n in range(2)]
            while not all(path.exists() and alive(path) for path in waiting):
                time.sleep(0.1)
            machines.remove_node(machine, allow_graceful=False)
            while all(alive(path) for path in waiting):  # the machine's processes end after it
                time.sleep(0.1)
            note(folder, "removed")

        Thread(target=remove, daemon=True).start()
        os.environ["RAY_ADDRESS"] = machines.address
        ended: list[str] = []
        found = run_jobs(mixed_jobs(folder), workers=1, ray="auto", on_done=lambda name, _: ended.append(name))
        connected = [ray.is_initialized()]
        ray.init(machines.address, log_to_driver=False)
        load_plugin("my_plugin")
        more = [Job("threads", threads), Job("registered", registered, ("numbers",))]
        found |= run_jobs(more, workers=1, ray=machines.address)
        try:
            run_jobs([Job("bad", raises, ("particular",))], workers=1, ray=machines.address)
        except ValueError as error:
            connected.append(ray.is_initialized())
            facts = {"found": found, "ended": ended, "connected": connected, "error": str(error)}
            print(json.dumps(facts, default=as_list))
        ray.shutdown()
    finally:
        machines.shutdown()


def as_list(value) -> list:
    return [len(value), float(value.sum())]


def last_line(process: subprocess.Popen, seconds: float) -> dict:
    """What a script printed last; it is ended, with all that it started, if it takes longer."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()  # Ray then ends its own processes
        try:
            _, err = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, err = process.communicate()
        pytest.fail(f"not done after {seconds} s:\n{err}")
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only there, 127.0.0.2 is this machine, too")
def test_on_a_cluster_deaths_lose_nothing(tmp_path):
    """A process is killed and a machine goes: the results are those of the processes of this machine."""
    pytest.importorskip("ray")
    (tmp_path / "ray").mkdir()
    (tmp_path / "local").mkdir()
    found = last_line(script("cluster", tmp_path / "ray"), 300)
    note(str(tmp_path / "local"), "removed")
    local = run_jobs(mixed_jobs(str(tmp_path / "local")), workers=2)
    assert found["found"].pop("threads") == [1, "1"]
    assert found["found"].pop("registered") == ["no", "yes"]
    assert found["found"] == json.loads(json.dumps(local, default=as_list))
    assert list(found["found"]) == list(local) and sorted(found["ended"]) == sorted(local)
    assert found["connected"] == [False, True]  # as it was found
    assert found["error"] == "bad: loss is nan"
    assert runs(tmp_path / "ray", "dies") >= 2 and runs(tmp_path / "local", "dies") == 2
    waited = [runs(tmp_path / "ray", f"waits {n}") for n in range(2)]
    assert sum(waited) == 3, waited  # one of them was on the machine that went


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    partial(globals()[sys.argv[1]], *sys.argv[2:])()
