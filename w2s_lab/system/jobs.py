"""Many independent pieces of work: in processes of this machine, or on a Ray cluster, in the same way.

A job is a function with its arguments. To keep finished work after an interruption, write it to a `store.Store`; on
several machines the store's folder must then be one that all of them share, under the same path, and all of them need
this package in the same version. The modules that `registry.load_plugin` has loaded here are loaded wherever a job
runs, so that what they register has its name there too; on a cluster, every machine must be able to import them.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from tqdm.auto import tqdm

from w2s_lab.system.output import readable_streams
from w2s_lab.system.registry import load_plugin, plugins

RESTARTS = 2  # how often a job is started again after the process that held it died
RAY_RESTARTS = 3  # the same on Ray, where a machine may fail with all its processes
PATIENCE = 10.0  # seconds to wait for a cluster's answer
TICK = 1.0  # seconds between two looks at the clock


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes:
        name: for people, and for the results; no two jobs share one.
        function: defined at the top level of a module, so that another process can import it.
        arguments: of the function; they are sent to the other process, and the result is sent back.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple = ()


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int,
    ray: str | None = None,
    description: str = "jobs",
    on_done: Callable[[str, Any], None] | None = None,
) -> dict[str, Any]:
    """Run jobs side by side, with a bar that says how much time is left.

    If a process dies (killed, out of memory), only its current job is lost; that job is started again, `RESTARTS` times
    at most. If a job raises an exception, all jobs are stopped. With Ctrl-C, or when this process is killed, the other
    processes end too.

    Args:
        workers: processes of this machine, each with its share of the cores as threads: at least one, and no more
            than OMP_NUM_THREADS where that is set. On a cluster, one job runs on each CPU that it offers, with one
            thread. With another number of threads, sums are rounded in another order.
        ray: None: this machine, without Ray. Else the address of a Ray cluster that is running: "auto" (the one of
            this machine, or of RAY_ADDRESS), "HOST:PORT" from one of its machines, "ray://HOST:PORT" from elsewhere.
            An existing connection is used, and stays open.
        description: in front of the bar.
        on_done: called in this process with name and result of each job as it ends.

    Returns:
        Name -> result, in the order of `jobs`.

    Raises:
        ValueError: two jobs share a name, a function or its arguments cannot be sent to another process, there is no
            worker, or the cluster cannot be reached.
        ChildProcessError: the processes of some jobs died each time; raised after all other jobs are done.
        Exception: what a job raised, with the job's name in front of the message; the same type where a message alone
            makes one, else the nearest base class.
    """
    _check(jobs, workers)
    if not jobs:
        return {}
    results: dict[str, Any] = {}
    lost: dict[str, str] = {}
    ends = _on_ray(jobs, ray) if ray else _in_processes(jobs, min(workers, len(jobs)))
    with contextlib.closing(ends), tqdm(total=len(jobs), desc=description, unit="job") as bar:
        for job, kind, value in ends:
            if kind == "failed":
                raise _named(job, value)
            if kind == "lost":
                lost[job.name] = value
            if kind == "done":
                results[job.name] = value
                if on_done:
                    on_done(job.name, value)
            if kind == "tick":
                bar.refresh()
            else:
                bar.update()
    if lost:
        raise ChildProcessError(
            f"{len(lost)} of {len(jobs)} jobs ended without a result each time they were started: "
            f"{'; '.join(f'{name} ({reason})' for name, reason in lost.items())}. "
            "Hint: the usual reason is want of memory; take fewer workers"
        )
    return {job.name: results[job.name] for job in jobs}


# What happens to jobs, as both kinds of workers report it: (job, "done", its result), (job, "failed", what it raised),
# (job, "lost", why), and (None, "tick", None) now and then, so that the bar shows the time.
End = tuple[Job | None, str, Any]


def _check(jobs: Sequence[Job], workers: int) -> None:
    if workers < 1:
        raise ValueError(f"run_jobs: workers is {workers}; expected at least 1")
    twice = [name for name, count in Counter(job.name for job in jobs).items() if count > 1]
    if twice:
        raise ValueError(f"run_jobs: {len(twice)} names occur twice, such as {twice[0]!r}; expected one for each job")
    for job in jobs:
        with _travelling(job):
            ForkingPickler.dumps(job.function)


@contextlib.contextmanager
def _travelling(job: Job) -> Iterator[None]:
    """Inside the block, whatever cannot be sent to another process raises a ValueError that says so."""
    try:
        yield
    except OSError:  # the other process has died: `_Worker.hear` finds this out
        raise
    except Exception as error:
        raise ValueError(
            f"job {job.name!r} cannot be sent to another process ({error}); expected a function at the top level of a "
            "module, with records, arrays, texts and numbers as arguments"
        ) from error


def _run(function: Callable[..., Any], arguments: tuple, threads: int, modules: Sequence[str]) -> tuple[str, Any]:
    """("done", result) or ("failed", what was raised)."""
    try:
        for module in modules:
            load_plugin(module)
        if "torch" in sys.modules:  # else torch reads the number from the environment when it is imported
            sys.modules["torch"].set_num_threads(threads)
        return "done", function(*arguments)
    except BaseException as error:
        return "failed", _plain(error)


def _plain(error: BaseException) -> Exception:
    """An error that can be sent: of the same type if a message suffices to make one, else of the nearest base class."""
    text = str(error) or type(error).__name__
    for kind in (*type(error).__mro__, RuntimeError):  # RuntimeError for what is no Exception, such as SystemExit
        try:
            if issubclass(kind, Exception):
                made = kind(text)
                made.add_note("".join(traceback.format_exception(error)))
                ForkingPickler.dumps(made)
                return made
        except Exception:  # this type needs more than a message, or cannot be imported
            continue
    raise AssertionError("Exception itself takes a message")


def _named(job: Job, error: Exception) -> Exception:
    named = type(error)(f"{job.name}: {error.args[0]}")
    for note in getattr(error, "__notes__", ()):
        named.add_note(note)
    return named


# -- processes of this machine -----------------------------------------------------------------------------------


@dataclass(eq=False)
class _Worker:
    """A process that does one job after the other."""

    process: Any
    pipe: connection.Connection
    began: bool = False  # the process has reported that it is ready
    job: Job | None = None

    def give(self, job: Job) -> None:
        self.job = job
        try:
            with _travelling(job):
                self.pipe.send((job.function, job.arguments, plugins()))
        except OSError:  # the process has died: `hear` finds this out
            pass

    def hear(self) -> tuple[str, Any] | None:
        """The next message of the process; None if it has died."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            return None
        except Exception as error:  # a result that cannot be read here
            return "failed", _plain(error)

    def end(self) -> str:
        """Wait until the process has ended, and say how."""
        self.process.join(PATIENCE)
        code = self.process.exitcode
        with contextlib.suppress(ValueError, TypeError):
            return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}"


def _in_processes(jobs: Sequence[Job], workers: int) -> Iterator[End]:
    waiting, deaths, crew = deque(jobs), Counter[str](), list[_Worker]()
    threads = _threads_of_each(workers)
    unfinished = len(jobs)
    try:
        while unfinished:
            while len(crew) < min(workers, unfinished):
                with _interrupts_later():
                    crew.append(_start(threads))
            for worker in crew:  # also an idle one, if a job came back from a process that died
                if waiting and worker.began and not worker.job:
                    worker.give(waiting.popleft())
            heard = connection.wait([worker.pipe for worker in crew], TICK)
            for worker in [worker for worker in crew if worker.pipe in heard]:
                said, job = worker.hear(), worker.job
                if said is None:
                    crew.remove(worker)
                    reason = worker.end()
                    if not worker.began and reason.startswith("exit"):  # so would the next one
                        raise ChildProcessError(
                            f"a process ended before its first job ({reason}). Hint: a script that starts jobs must do "
                            "so below `if __name__ == '__main__':`, because other processes import it"
                        )
                    if job:
                        deaths[job.name] += 1
                        if deaths[job.name] <= RESTARTS:
                            waiting.appendleft(job)
                        else:
                            unfinished -= 1
                            yield job, "lost", reason
                    continue
                worker.began, worker.job = True, None
                if job:
                    unfinished -= 1
                    yield job, *said
            if not heard:
                yield None, "tick", None
    finally:
        _stop(crew)


def _threads_of_each(workers: int) -> int:
    """A worker's share of the cores that this process may use, within what the user allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores // workers, int(allowed) if allowed.isdecimal() else cores))


def _start(threads: int) -> _Worker:
    # spawn: a forked child of a process that has used torch's threads may hang
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, threads))
    process.start()
    theirs.close()  # else the pipe would stay open after the process has ended
    return _Worker(process, ours)


def _stop(crew: Sequence[_Worker]) -> None:
    for worker in crew:
        worker.pipe.close()  # a process that waits for a job ends then
        if worker.job or not worker.began:
            worker.process.terminate()
    for worker in crew:
        worker.process.join(PATIENCE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Processes started in this block do not get Ctrl-C, which a terminal sends to all; this one gets it afterwards."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # now, because its start would unblock the signal
    seen: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))  # other threads may still receive it
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # this is what a new process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, handler)
        if seen:
            signal.raise_signal(signal.SIGINT)


def _work(pipe: connection.Connection, threads: int) -> None:
    """The loop of a worker process: send the last result, receive the next job, do it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    said: tuple[str, Any] = ("ready", None)
    # an end of the pipe: the main process has closed it
    with readable_streams(), contextlib.suppress(EOFError, ConnectionError):
        while True:
            try:
                pipe.send(said)
            except ConnectionError:
                raise
            except Exception as error:  # the result cannot be sent
                pipe.send(("failed", _plain(error)))
            try:
                function, arguments, modules = pipe.recv()
                said = _run(function, arguments, threads, modules)
            except (EOFError, ConnectionError):
                raise
            except Exception as error:  # the job cannot be read in this process
                said = ("failed", _plain(error))


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


# -- a Ray cluster -----------------------------------------------------------------------------------------------


def _on_ray(jobs: Sequence[Job], address: str) -> Iterator[End]:
    ray, ours = _connect(address)
    pending: dict[Any, Job] = {}
    try:
        remote = ray.remote(num_cpus=1, max_retries=RAY_RESTARTS)(_run)
        for job in jobs:
            with _travelling(job):
                pending[remote.remote(job.function, job.arguments, 1, plugins())] = job
        while pending:
            ready, _ = ray.wait(list(pending), num_returns=1, timeout=TICK)
            for reference in ready:
                job = pending.pop(reference)
                try:
                    end = ray.get(reference)
                except ray.exceptions.RayTaskError as error:  # the result cannot be sent
                    end = "failed", _plain(error.cause)
                except ray.exceptions.RayError as error:
                    end = "lost", type(error).__name__
                yield job, *end
            if not ready:
                yield None, "tick", None
    finally:
        with contextlib.suppress(Exception):  # a cluster that is gone has nothing to cancel
            for reference in pending:
                ray.cancel(reference, force=True)
        if ours:
            ray.shutdown()


def _connect(address: str) -> tuple[Any, bool]:
    """The module `ray`, connected to the cluster, and whether this call made the connection."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ValueError("running jobs on Ray needs the package ray. Hint: pip install 'w2s-lab[ray]'") from None
    if ray.is_initialized():
        return ray, False
    try:
        _must_listen(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise ValueError(
            f"the Ray cluster {address!r} cannot be reached: {reason}. Hint: `ray status` on its head node; this kit "
            "and Ray must have the same versions everywhere"
        ) from error
    return ray, True


def _must_listen(address: str) -> None:
    """Raise OSError if nothing listens at the address: Ray itself would try for minutes, and then end the process."""
    if address == "auto":  # Ray looks for a cluster on this machine, and fails at once if there is none
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        raise ValueError("expected auto, HOST:PORT or ray://HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
