"""Is this machine ready? What `w2s-lab doctor` looks at: packages, hardware, files, and five seconds of real training.

Nothing here needs or probes a network. Packages that may be missing are imported inside the checks, so that
`w2s-lab doctor` can still report what is wrong without torch or without a model.
"""

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path

from w2s_lab import assets
from w2s_lab.data.fetch import FETCHABLE, here

DISTRIBUTION = "w2s-lab"
OLDEST_PYTHON = (3, 11)
FREE_DISK = 2.0  # GB: models, runs and notebooks
FREE_MEMORY = 2.0  # GB: torch, transformers and one pocket model in training
SECONDS = 5.0  # of training
EXAMPLES = 128  # in the training check, seen again and again
GB = 1e9


@dataclass(frozen=True)
class DoctorCheck:
    """The result of one check: `ok` is True, False, or None for a mere warning; advice is given unless it is True."""

    name: str
    ok: bool | None
    found: str
    advice: str = ""


def checks(store: Path | str | None = None, *, seconds: float = SECONDS) -> Iterator[DoctorCheck]:
    """Look at this machine, one check after another, quick ones first.

    If a check raises an exception, it counts as failed; this function does not raise it.

    Args:
        store: the folder of finished work; None: the usual one.
        seconds: time for the training at the end.
    """
    looks: tuple[tuple[str, Callable[[], Iterable[DoctorCheck]]], ...] = (
        ("Python", python_version),
        ("packages", packages),
        ("processor", processor),
        ("memory", memory),
        ("store", lambda: finished_work(Path(store) if store else assets.store_folder())),
        ("progress", learner_progress),
        ("C compiler", compiler),
        ("tasks", task_files),
        ("models", ladder_files),
        ("training", lambda: training(seconds)),
    )
    for name, look in looks:
        try:
            yield from look()
        except ImportError as error:
            yield DoctorCheck(name, False, f"cannot be checked: {error}", "install the packages that are missing above")
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
            yield DoctorCheck(name, False, found, "see the checks above first; if they are fine, report this as a bug")


def report(found: Iterable[DoctorCheck]) -> tuple[str, bool]:
    """An aligned table, advice under each problem, one final sentence; and whether the machine is ready.

    Ready means that no check failed; a machine with warnings is ready, too.
    """
    found = list(found)
    words = {True: "ok", None: "warn", False: "fail"}
    width = max((len(check.name) for check in found), default=0)
    lines = []
    for check in found:
        lines.append(f"{words[check.ok]:4}  {check.name:{width}}  {' '.join(check.found.split())}")
        if check.ok is not True and check.advice:
            lines.append(f"{'':4}  {'':{width}}  -> {check.advice}")
    failed = [check for check in found if check.ok is False]
    warned = sum(check.ok is None for check in found)
    if failed:
        first = failed[0]
        last = f"This machine is not ready ({len(failed)} failed). First, {first.name}: {first.advice or first.found}"
    else:
        last = "This machine is ready" + (f" ({warned} warning{'s' * (warned > 1)})." if warned else ".")
    return "\n".join([*lines, "", last]), not failed


def _pip(what: str) -> str:
    """The line that installs `what` into the Python that runs this."""
    return f'"{sys.executable or "python"}" -m pip install {what}'


# -- software ----------------------------------------------------------------------------------------------------


def python_version() -> Iterator[DoctorCheck]:
    """The version of Python, and the versions with which the tests passed."""
    new_enough = sys.version_info[:2] >= OLDEST_PYTHON
    wanted = ".".join(map(str, OLDEST_PYTHON))
    found = f"{'.'.join(map(str, sys.version_info[:3]))} on {platform.system()} {platform.machine()}, {sys.executable}"
    tested = tested_pythons()
    if tested and "{}.{}".format(*sys.version_info[:2]) not in tested:
        found += f"; tested with {', '.join(tested)}"
    yield DoctorCheck(
        "Python", new_enough, found, f"install Python {wanted} or newer, then: make PYTHON=/path/to/python3 run"
    )


def tested_pythons() -> list[str]:
    """The versions that the installed kit's classifiers name; none where it is not installed."""
    start = "Programming Language :: Python :: 3."
    try:
        classifiers = metadata.metadata(DISTRIBUTION).get_all("Classifier", [])
    except metadata.PackageNotFoundError:
        return []
    return [line.rpartition(" ")[2] for line in classifiers if line.startswith(start)]


def packages() -> Iterator[DoctorCheck]:
    """Each package that the installed kit asks for: its version against the range that the tests passed with."""
    from packaging.requirements import Requirement

    try:
        asked = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        yield DoctorCheck(DISTRIBUTION, False, "not installed", _pip("-e ."))
        return
    for wanted in asked:
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield DoctorCheck(wanted.name, False, f"missing; needed: {wanted}", _pip(f'"{wanted}"'))
            continue
        fits = wanted.specifier.contains(version, prereleases=True)
        found = version if fits else f"{version}; needed: {wanted.specifier}"
        yield DoctorCheck(wanted.name, fits, found, _pip(f'"{wanted}"'))


def compiler() -> Iterator[DoctorCheck]:
    """A C compiler, which `torch.compile` uses: pre-training is two to three times as fast with it."""
    name = next(
        (name for name in (os.environ.get("CC"), "cc", "gcc", "clang", "cl") if name and shutil.which(name)), None
    )
    advice = (
        "only pre-training is slower without it; Debian and Ubuntu: apt-get install gcc, macOS: xcode-select --install"
    )
    yield DoctorCheck("C compiler", True if name else None, shutil.which(name) if name else "none", advice)


# -- hardware ----------------------------------------------------------------------------------------------------


def processor() -> Iterator[DoctorCheck]:
    """CPU cores that this process may use, threads of torch, and a GPU where there is one (not needed)."""
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{usable or 'unknown'} CPU cores, {torch.get_num_threads()} torch threads"
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        found += f"; GPU {gpu.name}, {gpu.total_memory / GB:.0f} GB"
    elif torch.backends.mps.is_available():
        found += "; GPU of an Apple chip (MPS)"
    else:
        found += "; no GPU, and none is needed"
    yield DoctorCheck("processor", True, found)


def memory_bytes() -> tuple[int | None, int | None]:
    """Main memory in bytes, total and available; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        table = {key: int(value.split()[0]) * 1024 for key, _, value in (line.partition(":") for line in lines)}
        return table.get("MemTotal"), table.get("MemAvailable")
    except (OSError, ValueError, IndexError):
        pass
    try:  # macOS knows the total; Windows has no sysconf
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    except (AttributeError, OSError, ValueError):
        return None, None


def memory() -> Iterator[DoctorCheck]:
    """Main memory in GB (10^9 bytes); what a container or a scheduler allows may be less."""
    total, available = memory_bytes()
    shown = [f"{value / GB:.1f} GB" if value else "unknown" for value in (total, available)]
    known = available or total
    advice = f"close other programs: {FREE_MEMORY:.0f} GB should be available"
    if known is None:
        advice = f"fine if the machine has {2 * FREE_MEMORY:.0f} GB or more"
    enough = True if known is not None and known >= FREE_MEMORY * GB else None
    yield DoctorCheck("memory", enough, f"{shown[0]} in total, {shown[1]} available", advice)


def finished_work(store: Path) -> Iterator[DoctorCheck]:
    """Where finished work goes: may a file be written there, and how much space, in GB (10^9 bytes), is left?

    The folder is left as it was found.
    """
    missing = [folder for folder in (store, *store.parents) if not folder.exists()]
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=store) as file:
            file.write(b"w2s_lab")
        free = shutil.disk_usage(store).free / GB
        yield DoctorCheck("store", True, f"{store.absolute()} can be written")
        advice = f"free some space: {FREE_DISK:.0f} GB hold the models and the runs"
        yield DoctorCheck("disk", free >= FREE_DISK, f"{free:.1f} GB free there", advice)
    except OSError as error:
        advice = f"make {store.absolute()} a folder that you may write to, or name another in ${assets.STORE_VARIABLE}"
        yield DoctorCheck("store", False, f"cannot be written: {error}", advice)
    finally:
        for folder in missing:
            try:
                folder.rmdir()
            except OSError:  # never made, or another process began to use it
                pass


def learner_progress() -> Iterator[DoctorCheck]:
    """Where a learner's progress is kept, and where real models and data lie."""
    yield DoctorCheck("progress", True, f"{assets.progress_file()}")
    names = [name for name in FETCHABLE if here(name)]
    yield DoctorCheck("fetched", True, f"{assets.fetched_folder()}: {', '.join(names) or 'nothing yet'}")


# -- files of the kit --------------------------------------------------------------------------------------------


def task_files() -> Iterator[DoctorCheck]:
    """The built-in tasks under `data/tasks`."""
    from w2s_lab.pocket.tasks import SOURCES

    wanted = [f"{name}.jsonl" for name in SOURCES] + ["tasks.json"]
    missing = [name for name in wanted if not (assets.TASKS / name).is_file()]
    advice = f'"{sys.executable}" -m w2s_lab.pocket.tasks'
    yield DoctorCheck("tasks", not missing, f"missing: {', '.join(missing)}" if missing else ", ".join(SOURCES), advice)


def ladder_files() -> Iterator[DoctorCheck]:
    """The pre-trained models under `data/models`: failed where the ones of `w2s-lab run` are missing."""
    from w2s_lab.experiments.procedure import Plan
    from w2s_lab.models.loading import ladder
    from w2s_lab.pocket.pretrain import LADDER

    there, plan = ladder(), Plan()
    missing = [name for name in LADDER if name not in there]
    found = ", ".join(there) or "none"
    if not missing:
        yield DoctorCheck("models", True, found)
    else:
        needed = {plan.weak, plan.strong} & set(missing)
        advice = "w2s-lab pretrain (goes on where it was stopped)"
        yield DoctorCheck("models", False if needed else None, f"{found}; missing: {', '.join(missing)}", advice)


# -- five seconds of training ------------------------------------------------------------------------------------


def training(seconds: float = SECONDS) -> Iterator[DoctorCheck]:
    """Fine-tune the models of `w2s-lab run` for some seconds: does the loss fall, and how long will a run take?"""
    from w2s_lab.data.sources import load_splits
    from w2s_lab.experiments.procedure import Plan
    from w2s_lab.models.loading import ladder

    plan, there = Plan(), ladder()
    if not there:
        yield DoctorCheck("training", False, "not tried: there is no pocket model", "w2s-lab pretrain")
        return
    splits = load_splits("sentiment", seed=0)
    first = plan.weak if plan.weak in there else there[0]
    names = [first, plan.strong] if plan.strong in there and plan.strong != first else [first]
    rates = {}
    for name in names:
        rates[name], before, after = train_for(seconds / len(names), name, splits.supervisor_train)
        found = f"{rates[name]:.0f} examples/s, loss {before:.2f} -> {after:.2f} nats per answer"
        advice = "the loss should fall: report this as a bug, with this table"
        yield DoctorCheck(f"training {name}", after < before, found, advice)
    if {plan.weak, plan.strong} <= set(rates):
        supervisor = len(splits.supervisor_train) * plan.weak_recipe.epochs / rates[plan.weak]
        student_and_ceiling = 2 * len(splits.student_train) * plan.recipe.epochs / rates[plan.strong]
        minutes = (supervisor + student_and_ceiling) / 60
        yield DoctorCheck(
            "w2s-lab run", True, f"about {minutes:.1f} minutes of training for each seed, plus evaluation"
        )
    else:
        yield DoctorCheck("w2s-lab run", None, f"no estimate without {plan.weak} and {plan.strong}", "w2s-lab pretrain")


def train_for(seconds: float, name: str, labelled) -> tuple[float, float, float]:
    """Examples per second, and the loss (nats per answer) in the first and the last quarter of the steps.

    The first step warms caches and is not timed; at least eight more are made, however long they take.
    """
    from w2s_lab.models.loading import load_model
    from w2s_lab.recipe import Recipe
    from w2s_lab.training.loop import training_steps

    few = labelled.take(range(min(EXAMPLES, len(labelled))))
    endless = Recipe(epochs=10_000, learning_rate=5e-4, warmup_fraction=0.0, eval_every=1)
    with closing(training_steps(load_model(name), few, endless)) as steps:
        next(steps)  # the untrained model
        start_seen, losses = next(steps).examples_seen, []
        start = time.perf_counter()
        for snapshot in islice(steps, 100_000):
            losses.append(snapshot.train_loss)
            elapsed = time.perf_counter() - start
            if len(losses) >= 8 and elapsed >= seconds:
                break
    quarter = len(losses) // 4
    before, after = sum(losses[:quarter]) / quarter, sum(losses[-quarter:]) / quarter
    return (snapshot.examples_seen - start_seen) / elapsed, before, after
