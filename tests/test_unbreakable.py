"""A run that is killed, interrupted, short of space or not alone: asked for again, it ends with the same numbers.

Importing torch and transformers takes seconds, so this file also runs as a script: a server that has imported
everything and forks a child for each run. A child counts what it does (steps, batches of labels, files opened, moved
and removed); it can be told to die, or to be interrupted, at the n-th of these events.
"""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from own_warnings import shown_for_ours
from places import ROOT

pytestmark = pytest.mark.slow

if not hasattr(os, "fork"):
    pytest.skip("os.fork is there on Unix only", allow_module_level=True)

SEED = int(os.environ.get("KILL_SEED", 0))  # of the points at which runs are killed
SAVE_EVERY = 2  # optimizer steps between two checkpoints
NOBODY = 65534  # a user without rights, for tests that run as root
ARGUMENTS = [
    *["--data", "reviews.tsv", "--answers", "positive,negative,hard to say", "--sizes", "40,32,20,4", "--loss", "soft"],
    *["--weak", "weak", "--strong", "strong", "--weak-epochs", "2", "--epochs", "2", "--batch-size", "8"],
    *["--device", "cpu"],
]


# -- the server ------------------------------------------------------------------------------------------------------


class Events:
    """What a child does, a line each, in a file; at line number `stop_at` (from 0) the child gets `stop_by`."""

    def __init__(self, log: str, stop_at: int | None, stop_by: int) -> None:
        self.file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self.count, self.stop_at, self.stop_by, self.phases = 0, stop_at, stop_by, ["elsewhere"]

    def __call__(self, what: str, before_death: Callable[[], object] = lambda: None) -> None:
        os.write(self.file, f"{self.phases[-1]}: {what}\n".encode())
        self.count += 1
        if self.count - 1 == self.stop_at:
            self.stop_at = None
            before_death()
            os.kill(os.getpid(), self.stop_by)

    def watch_files(self, root: str) -> None:
        """Python's own opening for writing, moving and removing of files below `root`."""
        root = os.path.abspath(root)

        def hook(event: str, arguments: tuple) -> None:
            if event == "open":
                if not isinstance(arguments[0], str | os.PathLike) or not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                    return
            elif event not in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
                return
            inside = event != "open" and arguments[-1] != -1  # a name inside an open folder, which rmtree walks through
            path = os.path.abspath(arguments[0])
            if inside or path.startswith(root):
                self(f"{event} {arguments[0] if inside else path.removeprefix(root)}")

        sys.addaudithook(hook)

    def phase(self, name: str, owner: object, function: str, say: Callable[..., object] = lambda *args: "") -> None:
        """From now on, what happens inside this function belongs to the phase `name`."""
        real = getattr(owner, function)

        def wrapped(*args, **options):
            self.phases.append(name)
            try:
                self(f"begins {say(*args)}")
                result = real(*args, **options)
                self(f"ends {say(*args)}")
                return result
            finally:
                self.phases.pop()

        setattr(owner, function, wrapped)

    def point(self, owner: object, function: str, say: Callable[..., object]) -> None:
        """A call of this function is an event."""
        real = getattr(owner, function)
        setattr(owner, function, lambda *args, **options: self(say(*args)) or real(*args, **options))

    def half_written(self, owner: object, function: str, path_of: Callable[..., object]) -> None:
        """A function that writes a file: a child that is to die at this event leaves half of the file."""
        real = getattr(owner, function)

        def wrapped(*args, **options):
            result, path = real(*args, **options), path_of(*args, **options)
            self(f"half of {Path(path).name}", lambda: os.truncate(path, os.path.getsize(path) // 2))
            return result

        setattr(owner, function, wrapped)


def save_often() -> None:
    from w2s_lab.training.checkpoint import Checkpoint

    def due(self) -> bool:
        self.asked = getattr(self, "asked", 0) + 1
        return self.asked % SAVE_EVERY == 0

    Checkpoint.due = due


def tell_events(events: Events, root: str) -> None:
    """Every event of a child comes from here."""
    from w2s_lab.experiments import store
    from w2s_lab.models import pretrained
    from w2s_lab.models.language_model import LanguageModel
    from w2s_lab.pocket import pretrain
    from w2s_lab.training import checkpoint, loop

    events.phase("training", store, "train", lambda start, labelled, recipe: start.name)
    events.point(loop, "learning_rate_at", lambda step, *_: f"step {step}")
    events.phase("labelling", store, "weak_labels")
    events.phase("evaluation", loop, "evaluate")
    events.point(LanguageModel, "log_probs", lambda *_: "batch")
    events.phase("checkpoint", checkpoint.Checkpoint, "save", lambda self, network, optimizer, facts: facts["step"])
    events.half_written(checkpoint, "save_file", lambda tensors, path, metadata: path)
    events.phase("model", store, "_keep")
    events.half_written(pretrained, "save_file", lambda tensors, path, **_: path)
    events.phase("labels", store, "_write")
    events.half_written(Path, "write_text", lambda path, *_, **__: path)
    events.phase("finishing", pretrain, "_finish")
    events.point(pretrain, "pretraining_rate_at", lambda step, *_: f"step {step}")
    events.watch_files(root)


def run_child(task: dict) -> int:
    """One run in a forked child, as the task says; returns its exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(300)  # rather killed than waited for without end
    from w2s_lab.cli import commands
    from w2s_lab.pocket import pretrain
    from w2s_lab.training import labelling

    if task.get("checkpoints", True):
        save_often()
    labelling.TOKENS["cpu"] = 512  # several batches
    if "log" in task:
        tell_events(Events(task["log"], task.get("stop_at"), task.get("stop_by", signal.SIGKILL)), task["root"])
    if task.get("file_size") is not None:
        import resource  # on Unix only

        resource.setrlimit(resource.RLIMIT_FSIZE, (task["file_size"], resource.RLIM_INFINITY))
    if task.get("nobody"):
        os.setuid(NOBODY)
    if "rung" in task:
        pretrain.ROWS, pretrain.HELD_OUT_TOKENS = 4, 4 * pretrain.CONTEXT
        pretrain.LADDER = {"pocket-tiny": pretrain.Rung("pocket-tiny", layers=1, width=16, heads=2, **task["rung"])}
    return commands.main(task["arguments"])


def fork(task: dict) -> tuple[int, int]:
    """Start a child; its process number and the end of the pipe on which it speaks."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    status = 99
    try:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        sys.stdout = sys.stderr = os.fdopen(writing, "w", buffering=1, closefd=False)
        status = run_child(task)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def serve() -> None:
    """Read a list of tasks, run them at the same time, answer with [status, what was printed] of each; and again."""
    import matplotlib.figure
    import torch
    import torch._dynamo  # with the first optimizer otherwise, and most of what a run takes

    from w2s_lab.cli import commands  # noqa: F401
    from w2s_lab.experiments import (
        report,  # noqa: F401
        store,  # noqa: F401
    )
    from w2s_lab.figures import plots  # noqa: F401
    from w2s_lab.models.loading import load_model
    from w2s_lab.pocket import pretrain
    from w2s_lab.pocket.tasks import reserved_texts

    torch.set_num_threads(1)
    tokenizer = load_model("weak", device="cpu").tokenizer  # the libraries import what they need for it
    pretrain.pocket_tokenizer = lambda: tokenizer  # half a minute otherwise
    reserved_texts()  # a second, remembered
    matplotlib.figure.Figure.savefig = lambda figure, file, **_: Path(file).write_bytes(
        bytes(100_000)
    )  # drawing takes half a run
    matplotlib.figure.Figure.draw_without_rendering = lambda figure: None
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        found = []
        for child, pipe in [fork(task) for task in json.loads(line)]:
            with open(pipe, encoding="utf-8", errors="replace") as said:
                text = said.read()
            found.append([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text])
        print(json.dumps(found), file=answers, flush=True)


# -- the client ------------------------------------------------------------------------------------------------------


@dataclass
class Place:
    """A folder with two models and a task, and the server that works there."""

    folder: Path
    server: subprocess.Popen

    def ask(self, *tasks: dict) -> list[tuple[int, str]]:
        """Run tasks at the same time; exit status (minus the signal's number) and output of each."""
        print(json.dumps(tasks), file=self.server.stdin, flush=True)
        line = self.server.stdout.readline()
        assert line, (self.folder / "server.txt").read_text()
        return [(status, text) for status, text in json.loads(line)]

    def log(self, name: str) -> list[str]:
        """The events of the last run in this store."""
        return (self.folder / f"{name}.log").read_text().splitlines()

    def run(self, name: str, **task) -> tuple[int, str]:
        """`w2s-lab run` with a store of this name."""
        return self.ask(run_task(name, **task))[0]

    def result(self, name: str) -> tuple[dict, dict[str, str]]:
        """The numbers, and a digest of every file in the store but what a killed run had begun to write."""
        numbers = json.loads((self.folder / f"{name}.json").read_text())
        return {key: value for key, value in numbers.items() if key != "command"}, digests(self.folder / name)


def said(text: str) -> list[str]:
    """The warnings among what a command printed; what libraries print is not ours."""
    return [line for line in text.splitlines() if line.startswith("warning: ")]


def run_task(name: str, *, seeds: int = 1, json_name: str | None = None, logged: bool = True, **task) -> dict:
    arguments = ["run", *ARGUMENTS, "--seeds", str(seeds), "--store", name, "--json", f"{json_name or name}.json"]
    return {"arguments": arguments} | ({"log": f"{name}.log", "root": name} if logged else {}) | task


def digests(root: Path) -> dict[str, str]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    files = [path for path in files if not any(part.startswith(".new-") for part in path.relative_to(root).parts)]
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def temporary(root: Path) -> list[Path]:
    """What is there only while something is written, or unfinished."""
    return [*root.rglob(".*"), *root.glob("unfinished/*")]


@pytest.fixture(scope="module")
def place(tmp_path_factory, tokenizer, closed_set) -> Iterator[Place]:
    from w2s_lab.models.language_model import LanguageModel
    from w2s_lab.models.loading import new_llama, save_model

    folder = tmp_path_factory.mktemp("place")
    for name, width, seed in (("weak", 16, 1), ("strong", 32, 2)):
        network = new_llama(tokenizer, layers=1, width=width, heads=2, seed=seed)
        save_model(LanguageModel(name, "", tokenizer, network), folder / name)
        for path in (folder / name).iterdir():
            path.chmod(0o644)
    rows = [(e.input, e.answer) for e in closed_set.examples]
    rows += [(f"{text}, they said", answer) for text, answer in rows]
    text = "input\tanswer\n" + "".join(f"{text}\t{answer}\n" for text, answer in rows)
    (folder / "reviews.tsv").write_text(text)
    root = ROOT
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    env = {**os.environ, **threads, "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "agg"}
    env["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [env.get("PYTHONPATH")])])
    with open(folder / "server.txt", "w") as errors:
        server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            cwd=folder, env=env,
        )  # fmt: skip
        yield Place(folder, server)
        server.stdin.close()
        server.wait(60)


@pytest.fixture(scope="module")
def whole(place) -> tuple[list[str], dict, dict[str, str]]:
    """A run without interruption: its events, its numbers, its files."""
    status, text = place.run("whole")
    assert status == 0, text
    assert temporary(place.folder / "whole") == []
    return place.log("whole"), *place.result("whole")


@pytest.fixture
def name(request) -> str:
    """A name for a store, of this test only."""
    return re.sub(r"\W+", "-", request.node.name)


def assert_as_whole(place: Place, name: str, whole, *, untrained: bool = True) -> None:
    """The same numbers and files; without the untrained model's answers, which a stored training does not need."""
    _, numbers, files = whole
    found_numbers, found_files = place.result(name)
    assert found_numbers == numbers
    if untrained:
        assert found_files == files
        return
    left_out = files.keys() - found_files.keys()
    assert {path.parts[0] for path in map(Path, left_out)} == {"labels"} and len(left_out) == 1
    assert found_files == {path: files[path] for path in files.keys() - left_out}


# -- killed ----------------------------------------------------------------------------------------------------------

KINDS = {  # what the run is doing: a pattern of events, and at how many of them it is killed
    "a step": ("training: step", 5),
    "labelling": ("labelling: batch", 2),
    "evaluation": ("evaluation: batch", 2),
    "writing a checkpoint": ("checkpoint: (os|open|half)", 4),
    "writing a model": ("model: (os|open|half)", 4),
    "writing labels": ("labels: (os|open|half)", 2),
    "between": ("(training|elsewhere): (begins|ends|os|open|half)", 3),
}
POINTS = [(kind, number) for kind, (_, count) in KINDS.items() for number in range(count)]


def chosen(kind: str, number: int, log: list[str]) -> int:
    """The number of the event at which to kill, chosen at random."""
    events = [event for event, line in enumerate(log) if re.match(KINDS[kind][0], line)]
    return random.Random(f"{SEED} {kind} {number}").choice(events)


def without_random_names(log: list[str]) -> list[str]:
    return [re.sub(r"-[0-9a-f]{12}", "", line) for line in log]


def resumes_at(log: list[str]) -> int:
    """After how many steps the next run must take up the training that this one left; by the events of this one."""
    place = step = 0
    for line in log[:-1]:  # the last one was announced, and did not happen
        if line.startswith("training: begins") or is_kept(line):
            place = 0
        elif found := re.match(r"checkpoint: begins (\d+)", line):
            step = int(found[1])
        elif line.startswith("checkpoint: os.rename"):
            place = step
    return place


def first_step(log: list[str], default: int = 0) -> int:
    steps = [int(line.split()[-1]) for line in log if line.startswith(("training: step", "elsewhere: step"))]
    return steps[0] if steps else default


def is_kept(line: str) -> bool:
    """Whether the folder of a training is moved to its place; before that, each file is, inside the folder."""
    return re.fullmatch(r"model: os\.rename /trainings/[^/]+", line) is not None


def finished_trainings(log: list[str]) -> int:
    return sum(map(is_kept, log[:-1]))


def test_the_points_are_worth_a_test(whole):
    """Many of them are in the middle of a training, after a checkpoint; and they differ."""
    log = whole[0]
    points = {chosen(*point, log) for point in POINTS}
    assert len(points) >= 15
    assert sum(resumes_at(log[: point + 1]) > 0 for point in points) >= 5, f"seed {SEED}"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "number"), POINTS)
def test_a_killed_run_ends_with_the_same_numbers(kind, number, name, place, whole):
    event = chosen(kind, number, whole[0])
    status, text = place.run(name, stop_at=event)
    told = f"KILL_SEED={SEED}, event {event}: {whole[0][event]}\n{text}"
    assert status == -signal.SIGKILL, told
    killed = place.log(name)
    assert without_random_names(killed) == without_random_names(whole[0][: event + 1]), told

    status, text = place.run(name)
    assert status == 0 and not said(text), told + text
    assert first_step(place.log(name)) == resumes_at(killed), told
    trained = sum(line.startswith("training: begins") for line in place.log(name))
    assert trained == 3 - finished_trainings(killed), told
    assert_as_whole(place, name, whole)


@pytest.mark.slow
def test_many_kills_in_a_row(name, place, whole):
    rng, kills, resumed = random.Random(f"{SEED} many"), 0, []
    while True:
        status, text = place.run(name, stop_at=rng.randrange(len(whole[0]) // 3))
        resumed.append(first_step(place.log(name)))
        if status == 0:
            break
        kills += 1
        assert status == -signal.SIGKILL and kills < 50, f"KILL_SEED={SEED}, after {kills} kills: {text}"
    assert kills >= 4 and max(resumed) > 0, f"KILL_SEED={SEED}"
    assert_as_whole(place, name, whole)
    for path in [place.folder / name, *(place.folder / name).rglob("*")]:  # an hour later
        os.utime(path, (1e9, 1e9))
    assert place.run(name, seeds=2)[0] == 0
    assert temporary(place.folder / name) == []


STEPS = 24
RUNG = {"tokens": STEPS * 4 * 128, "learning_rate": 2e-2}
PRETRAIN_POINTS = [
    *["elsewhere: step"] * 2,
    *["checkpoint: (os|open|half)"] * 3,
    *["finishing: (begins|open|half)"] * 3,
    "finishing: os.r",  # moved and removed
]


def pretrain_task(name: str, **task) -> dict:
    arguments = ["pretrain", "pocket-tiny", "--folder", name, "--plain", "--device", "cpu"]
    return {"arguments": arguments, "rung": RUNG, "log": f"{name}.log", "root": name} | task


@pytest.fixture(scope="module")
def pretrained(place) -> list[str]:
    """The events of a pre-training without interruption, in the folder `pretrained`."""
    ((status, text),) = place.ask(pretrain_task("pretrained"))
    assert status == 0, text
    return place.log("pretrained")


@pytest.mark.parametrize("number", range(len(PRETRAIN_POINTS)))
def test_a_killed_pretraining_ends_with_the_same_model(number, name, place, pretrained):
    events = [event for event, line in enumerate(pretrained) if re.match(PRETRAIN_POINTS[number], line)]
    event = random.Random(f"{SEED} {number}").choice(events)
    told = f"KILL_SEED={SEED}, event {event}: {pretrained[event]}"
    ((status, text),) = place.ask(pretrain_task(name, stop_at=event))
    assert status == -signal.SIGKILL, told + text
    killed = place.log(name)
    ((status, text),) = place.ask(pretrain_task(name))
    assert status == 0 and not said(text), told + text
    assert first_step(place.log(name), default=STEPS) in (resumes_at(killed), STEPS), told
    assert digests(place.folder / name) == digests(place.folder / "pretrained"), told


# -- interrupted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["training: step", "evaluation: batch", "checkpoint: half", "model: half"])
def test_ctrl_c_says_where_and_how_to_go_on(kind, name, place, whole):
    events = [event for event, line in enumerate(whole[0]) if line.startswith(kind)]
    event = random.Random(f"{SEED} {kind}").choice(events[1:])
    status, text = place.run(name, stop_at=event, stop_by=signal.SIGINT)
    assert status == 130 and "Traceback" not in text, text
    said = text.strip().splitlines()[-1]
    assert re.search(r"step \d+|weak supervisor|strong student|strong ceiling", said), text
    assert "w2s-lab run" in said and f"--store {name}" in said, text
    assert not list((place.folder / name).rglob(".*"))  # there was time to clean up

    stopped = place.log(name)[: event + 2]
    status, text = place.run(name)
    assert status == 0, text
    assert first_step(place.log(name)) == resumes_at(stopped)
    assert_as_whole(place, name, whole)


# -- a full disk, a folder that cannot be written --------------------------------------------------------------------


def assert_one_sentence(text: str, name: str) -> None:
    (said,) = [line for line in text.splitlines() if line.startswith("w2s-lab: ")]
    assert f"{name}/" in said and "Hint:" in said, text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("size", "checkpoints"),
    [(0, True), (60_000, True), (150_000, True), (0, False), (500, False), (5_000, False), (30_000, False)],
)
def test_a_full_disk_is_said_and_leaves_nothing_half_written(size, checkpoints, name, place, whole):
    """No file may grow beyond `size` bytes: a checkpoint, or this or that file of a model, is too large."""
    status, text = place.run(name, file_size=size, checkpoints=checkpoints, logged=False)
    assert status == 2, text
    assert_one_sentence(text, f"{name}/{'unfinished' if checkpoints else 'trainings'}")
    store = place.folder / name
    found = {path: digest for path, digest in digests(store).items() if not path.startswith("unfinished/")}
    assert found.items() <= whole[2].items()
    assert not list(store.rglob(".*"))

    status, text = place.run(name)
    assert status == 0 and not said(text), text
    assert_as_whole(place, name, whole)


def test_no_space_for_labels(name, place, whole):
    store = place.folder / name
    shutil.copytree(place.folder / "whole" / "trainings", store / "trainings")
    status, text = place.run(name, file_size=500, logged=False)
    assert status == 2
    assert_one_sentence(text, f"{name}/labels")
    assert list((store / "labels").iterdir()) == []
    assert place.run(name)[0] == 0
    assert_as_whole(place, name, whole, untrained=False)


def test_no_space_for_the_figure(name, place, whole):
    shutil.copytree(place.folder / "whole", place.folder / name)
    shutil.rmtree(place.folder / name / "figures")
    status, text = place.run(name, file_size=5_000, logged=False)
    assert status == 2
    assert_one_sentence(text, f"{name}/figures")
    assert list((place.folder / name / "figures").iterdir()) == []
    assert place.run(name)[0] == 0
    assert_as_whole(place, name, whole)


@pytest.mark.parametrize("part", ["", "trainings", "labels"])
def test_a_folder_that_cannot_be_written_is_said_before_the_work(part, name, place, whole):
    store = place.folder / name
    store.mkdir()
    if part:
        (store / part).mkdir()
    if part == "labels":
        shutil.copytree(place.folder / "whole" / "trainings", store / "trainings")
    place.folder.chmod(0o755)  # so that another user may read
    (store / part).chmod(0o555)
    try:
        status, text = place.run(name, nobody=os.geteuid() == 0)
    finally:
        (store / part).chmod(0o755)
    assert status == 2, text
    assert_one_sentence(text, name)
    work = [line for line in place.log(name) if not line.startswith("elsewhere")]  # where a network is tried out
    assert not [line for line in work if "step" in line or "batch" in line], "work that was lost"
    assert place.run(name)[0] == 0
    assert_as_whole(place, name, whole, untrained=part != "labels")


# -- two at a time ---------------------------------------------------------------------------------------------------


def test_two_runs_of_one_command(name, place, whole):
    both = place.ask(*(run_task(name, json_name=f"{name}{i}", log=f"{name}{i}.log") for i in range(2)))
    assert [status for status, _ in both] == [0, 0], both
    assert not said(both[0][1] + both[1][1])
    for i in range(2):
        shutil.copy(place.folder / f"{name}{i}.json", place.folder / f"{name}.json")
        assert_as_whole(place, name, whole)
    assert temporary(place.folder / name) == []


def test_two_runs_with_common_work(name, place, whole):
    assert place.run("two", seeds=2)[0] == 0
    expected = place.result("two")
    tasks = [run_task(name, json_name=f"{name}{i}", log=f"{name}{i}.log", seeds=1 + i) for i in range(2)]
    both = place.ask(*tasks)
    assert [status for status, _ in both] == [0, 0], both
    assert not said(both[0][1] + both[1][1])
    for i, numbers in enumerate([whole[1], expected[0]]):
        found = json.loads((place.folder / f"{name}{i}.json").read_text())
        assert {**found, "command": ""} == {**numbers, "command": ""}
    found = digests(place.folder / name)
    assert {path: digest for path, digest in found.items() if "figures" not in path} == {
        path: digest for path, digest in expected[1].items() if "figures" not in path
    }
    assert temporary(place.folder / name) == []


# -- damaged ---------------------------------------------------------------------------------------------------------


def test_a_damaged_store_is_said_and_mended(name, place, whole):
    """A file of each training and of each labelling, by the command."""
    store, rng = place.folder / name, random.Random(SEED)
    shutil.copytree(place.folder / "whole", store)
    hurt = []
    for folder, file in zip(
        (store / "trainings").iterdir(), ["run.json", "config.json", "tokenizer.json"], strict=True
    ):
        flip(folder / file, rng)
        hurt.append(folder)
    for path in (store / "labels").iterdir():
        flip(path, rng)
        hurt.append(path)
    status, text = place.run(name)
    assert status == 0, text
    warned = said(text)
    assert len(warned) == len(hurt), text
    assert all(any(path.name in line and "damaged" in line for line in warned) for path in hurt), text
    assert_as_whole(place, name, whole)


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def truncate(part: float) -> Callable:
    return lambda path, rng: os.truncate(path, int(part * path.stat().st_size))


DAMAGE = {
    "empty": truncate(0),
    "half": truncate(0.5),
    **{f"flipped {i}": flip for i in range(3)},
    "deleted": lambda path, rng: path.unlink(),
}
TRAINING_FILES = [
    *["run.json", "curve.json", "model.safetensors", "config.json", "generation_config.json"],
    *["tokenizer.json", "tokenizer_config.json"],
]


@pytest.fixture(scope="module")
def work(llama, closed_set, tmp_path_factory) -> Callable:
    """A small training and labelling in a store."""
    from w2s_lab.experiments.store import Store
    from w2s_lab.recipe import Recipe

    recipe = Recipe(epochs=2, batch_size=4, learning_rate=1e-3)

    def do(root: Path, on_step: Callable | None = None):
        store = Store(root)
        model = store.train(
            llama,
            closed_set.take(range(16)),
            recipe,
            role="student",
            watch=closed_set.take(range(16, 22)),
            on_step=on_step,
        )
        return [snapshot.train_loss for snapshot in model.history], store.labels(model, closed_set).log_prob.tolist()

    return do


@pytest.fixture(scope="module")
def intact(work, tmp_path_factory) -> tuple[Path, tuple]:
    """A store with this work done, and its numbers."""
    root = tmp_path_factory.mktemp("intact") / "store"
    return root, work(root)


@pytest.mark.parametrize("file", [*TRAINING_FILES, "labels"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_said_and_made_again(damage, file, work, intact, tmp_path):
    root = tmp_path / "store"
    shutil.copytree(intact[0], root)
    (path,) = root.glob("labels/*.json" if file == "labels" else f"trainings/*/{file}")
    DAMAGE[damage](path, random.Random(f"{SEED} {damage} {file}"))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert work(root) == intact[1]
    if (damage, file) != ("deleted", "labels"):  # then there is nothing to be seen
        (warning,) = shown_for_ours(warned)
        named = path if file == "labels" else path.parent
        assert f"{named} is damaged" in str(warning.message)
    assert digests(root) == digests(intact[0])
    assert temporary(root) == []


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_said_and_not_used(damage, work, intact, tmp_path, monkeypatch):
    def stop(done: int, steps: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("w2s_lab.training.checkpoint.Checkpoint.due", lambda self: True)
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, stop)
    (path,) = tmp_path.glob("unfinished/*")
    DAMAGE[damage](path, random.Random(f"{SEED} {damage}"))
    steps = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert work(tmp_path, lambda done, _: steps.append(done)) == intact[1]
    assert steps == list(range(1, 9))
    if damage != "deleted":
        (warning,) = shown_for_ours(warned)
        assert f"{path} is damaged" in str(warning.message)
    assert digests(tmp_path) == digests(intact[0])


def test_the_checkpoint_of_a_finished_training_is_removed(work, intact, tmp_path):
    """A run was killed after its training was finished and before the checkpoint was gone."""
    shutil.copytree(intact[0], tmp_path / "store")
    (folder,) = tmp_path.glob("store/trainings/*")
    (tmp_path / "store" / "unfinished" / f"{folder.name}.safetensors").write_bytes(b"not needed any more")
    assert work(tmp_path / "store") == intact[1]
    assert temporary(tmp_path / "store") == []


@pytest.mark.parametrize("damage", [damage for damage in DAMAGE if damage != "deleted"])
def test_damaged_facts_are_said_where_runs_are_listed(damage, intact, tmp_path):
    from w2s_lab.experiments.store import Store

    shutil.copytree(intact[0], tmp_path / "store")
    (path,) = tmp_path.glob("store/trainings/*/run.json")
    DAMAGE[damage](path, random.Random(f"{SEED} {damage}"))
    with pytest.warns(UserWarning, match=f"{path.parent.name} is damaged"):
        assert Store(tmp_path / "store").runs() == []


if __name__ == "__main__":
    serve()
