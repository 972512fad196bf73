"""The command line: what it prints, what it writes, and how it says what went wrong."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from forked import forked
from places import ROOT, SHARED

from w2s_lab import assets
from w2s_lab.cli import commands
from w2s_lab.cli.run import Progress
from w2s_lab.data.sources import builtin_tasks
from w2s_lab.models.loading import ladder
from w2s_lab.version import __version__

SST2 = SHARED / "data" / "sst2" / "train.tsv"
TINY = ["--sizes", "40,32,24,8", "--weak", "pocket-s", "--strong", "pocket-s", "--epochs", "1", "--weak-epochs", "1",
        "--seeds", "1", "--device", "cpu"]  # fmt: skip
COMMANDS = ["run", "pretrain", "study", "notebooks", "doctor", "show", "demo"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The default store is the folder `runs` of the present folder: its marker says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(assets.STORE_VARIABLE, raising=False)
    (tmp_path / assets.MARKER).write_text('store = "runs"\nprogress = "progress.json"\n')
    monkeypatch.setattr("warnings.showwarning", lambda *args: None)  # `main` sets its own; afterwards it is put back


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    capsys.readouterr()
    try:
        status = commands.main(list(arguments))
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return status, out, err


def process(*words: str, program: str = sys.executable, cwd: Path | None = None) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=600, env=env, cwd=cwd)


# -- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, capsys):
    status, out, err = call(capsys, command, "--help")
    assert (status, err) == (0, "")
    assert "example" in out and f"w2s-lab {command}" in out.partition("example")[2]


def test_the_help_names_every_command(capsys):
    status, out, _ = call(capsys, "--help")
    assert status == 0 and "example: w2s-lab run" in out
    assert [command for command in COMMANDS if not re.search(rf"\n    {command}\s", out)] == []


HEAVY = """
import sys
from w2s_lab.cli.commands import main
for command in sys.argv[1:]:
    try:
        main([*command.split(), "--help"])
    except SystemExit as end:
        assert end.code == 0
heavy = {"torch", "transformers", "matplotlib", "scipy", "datasets"} & set(sys.modules)
sys.exit(f"imported for --help: {heavy}" if heavy else 0)
"""


def test_help_imports_nothing_heavy():
    done = process("-c", HEAVY, "", *COMMANDS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: w2s-lab") == 8


def test_show_answers_without_torch(tmp_path):
    """What it shows is tested where there is something in a store; here, that nobody waits for it."""
    code = "import sys; from w2s_lab.cli.commands import main; main(['show', '--store', sys.argv[1]])"
    done = process("-c", f"{code}; sys.exit('torch' in sys.modules)", str(tmp_path))
    assert done.returncode == 0 and done.stdout.startswith("no finished training in "), done.stderr


def test_the_version(capsys):
    assert call(capsys, "--version") == (0, f"w2s-lab {__version__}\n", "")


@pytest.mark.slow
def test_a_process_of_its_own_ends_with_the_status():
    done = process("-m", "w2s_lab.cli.commands", "run", "--task", "sentimant")
    assert done.returncode == 2 and done.stdout == "" and "sentiment" in done.stderr
    assert "Traceback" not in done.stderr


# -- wrong values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "sentimant"], ["sentimant", *builtin_tasks(), "Did you mean 'sentiment'?"]),
        (["--loss", "mse"], ["mse", "ml", "soft", "confidence"]),
        (["--device", "gpu"], ["gpu", "auto", "cpu", "cuda", "mps"]),
        (["--weak", "pocket-x"], ["pocket-x", *ladder()]),
        (["--strong", "pocket-x"], ["pocket-x", *ladder()]),
        (["--sizes", "1,2,3"], ["1,2,3", "1500,1500,1000,100"]),
        (["--sizes", "10,0,10,10"], ["student_train", "0", ">= 1"]),
        (["--sizes", "90000,10,10,10"], ["90030", "6000"]),
        (["--answers", "0=a,b"], ["0=a,b", "value=word,value=word"]),
        (["--data", "none.csv"], ["none.csv"]),
        (["--data", "none.xyz"], ["none.xyz", ".csv", ".tsv", ".jsonl"]),
        (["--epochs", "0"], ["'0'", "whole number from 1"]),
        (["--epochs", "two"], ["two", "whole number from 1"]),
        (["--batch-size", "-3"], ["-3", "batch-size"]),
        (["--learning-rate", "0"], ["'0'", "above 0"]),
        (["--learning-rate", "nan"], ["nan", "above 0"]),
        (["--learning-rate", "fast"], ["fast", "above 0"]),
        (["--task", "topic", "--data", "a.csv"], ["--task", "not allowed with", "--data"]),
    ],
)
def test_a_wrong_value_names_the_legal_ones(arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "w2s_lab.experiments.store.train", lambda *args, **options: pytest.fail("trained before it was said")
    )
    status, _, err = call(capsys, "run", *arguments)
    assert status == 2
    assert [word for word in said if word not in err] == [], err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pretrain", "pocket-xxl"], ["pocket-xxl", "pocket-s", "pocket-xl"]),
        (["pretrain", "--device", "gpu"], ["gpu", "auto", "cpu"]),
        (["study", "everything"], ["everything", "mechanism"]),
        (["study", "mechanism", "--seeds", "0"], ["'0'", "from 1"]),
        (["dance"], ["dance", *COMMANDS]),
    ],
)
def test_a_wrong_value_of_the_other_commands(arguments, said, capsys):
    status, _, err = call(capsys, *arguments)
    assert status == 2
    assert [word for word in said if word not in err] == [], err


def test_a_device_that_is_not_there(capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    status, _, err = call(capsys, "run", *TINY, "--device", "cuda")
    assert status == 2 and "cuda" in err and "cpu" in err


def test_an_answer_outside_the_list(capsys, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"text {i},{'yn'[i % 2]}\n" for i in range(60)))
    status, _, err = call(capsys, "run", "--data", "a.csv", "--answers", "y,x")
    assert status == 2 and "'n'" in err and "'y'" in err and "'x'" in err


def test_a_store_that_cannot_be_written(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("w2s_lab.experiments.store.train", lambda *args, **options: pytest.fail("trained for nothing"))
    (tmp_path / "taken").write_text("a file")
    status, _, err = call(capsys, "run", *TINY, "--store", str(tmp_path / "taken"))
    assert status == 2 and err.startswith("w2s-lab: ") and "taken" in err


# -- run -------------------------------------------------------------------------------------------------------------


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def figure_of(out: str) -> Path:
    (line,) = (line for line in out.splitlines() if line.startswith("figure: "))
    return Path(line.removeprefix("figure: "))


def test_run_prints_a_table_and_writes_a_figure_and_numbers(capsys, tmp_path, monkeypatch):
    arguments = ["run", *TINY, "--seeds", "2", "--json", "numbers.json"]
    status, out, err = call(capsys, *arguments)
    assert status == 0, err
    assert "sentiment: pocket-s supervises pocket-s" in out and "40 true labels" in out and "over 2 seeds" in out
    for name in ("weak supervisor", "strong student", "strong ceiling", "PGR", "agreement", "slice", "plain"):
        assert f"\n{name} " in out
    assert figure_of(out).parent == Path("runs/figures") and is_png(figure_of(out))
    assert "seed 1/2" in err and "strong ceiling" in err  # progress

    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["seeds"] == [0, 1] and numbers["sizes"] == [40, 32, 24, 8] and numbers["test_examples"] == 24
    student = numbers["accuracy"]["strong student"]["mean"]
    assert f"strong student{student:>13.3f}" in out
    assert numbers["recipe"]["epochs"] == 1

    # once more: everything comes from the store, and it says the same
    for name in ("train", "weak_labels"):
        monkeypatch.setattr(f"w2s_lab.experiments.store.{name}", lambda *args, **options: pytest.fail("done again"))
    status, again, err = call(capsys, *arguments)
    assert (status, again) == (0, out) and "step" not in err

    status, shown, _ = call(capsys, "show")
    lines = shown.splitlines()
    assert status == 0 and len(lines) == 1 + 6
    assert sum("weak supervisor" in line for line in lines) == sum("strong student" in line for line in lines) == 2
    assert all(Path(line.split()[-1], "run.json").is_file() for line in lines[1:])


def test_show_without_runs(capsys):
    status, out, _ = call(capsys, "show", "--store", "nothing")
    assert status == 0 and "nothing" in out and "w2s-lab run" in out
    assert not Path("nothing").exists()


@pytest.mark.slow
def test_options_reach_the_training(capsys, monkeypatch):
    seen = []

    def stop(splits, plan, store, *, seed, unlabelled, **options):
        seen.append((splits, plan, seed, unlabelled))
        raise ValueError("enough")

    monkeypatch.setattr("w2s_lab.experiments.procedure.weak_to_strong", stop)
    options = ["--loss", "soft", "--epochs", "7", "--weak-epochs", "6", "--learning-rate", "0.25", "--batch-size", "5"]
    status, _, err = call(capsys, "run", *TINY, *options)
    assert (status, err) == (2, "w2s-lab: enough\n")
    splits, plan, seed, _ = seen[0]
    assert (len(splits.supervisor_train), len(splits.student_train), len(splits.test), len(splits.validation)) == (
        40, 32, 24, 8,
    )  # fmt: skip
    assert type(plan.recipe.loss).__name__ == "SoftTargets" and type(plan.weak_recipe.loss).__name__ != "SoftTargets"
    assert (plan.recipe.epochs, plan.weak_recipe.epochs, plan.recipe.learning_rate) == (7, 6, 0.25)
    assert plan.recipe.batch_size == plan.weak_recipe.batch_size == 5
    assert (plan.weak, plan.strong, plan.device, seed) == ("pocket-s", "pocket-s", "cpu", 0)
    assert plan.adapt is None and seen[0][3] is None
    call(capsys, "run", *TINY, "--adapt", "3", "--batch-size", "5")
    splits, plan, _, inputs = seen[1]
    assert (plan.adapt.epochs, plan.adapt.learning_rate, plan.adapt.batch_size) == (3, 1e-3, 5)
    kept_apart = {*splits.test.ids, *splits.validation.ids}
    assert {*splits.supervisor_train.ids, *splits.student_train.ids} < set(inputs.ids)
    assert len(inputs) == 6000 - len(kept_apart) and not kept_apart & set(inputs.ids)
    call(capsys, "run", *TINY, "--adapt", "--adapt-learning-rate", "0.5")
    assert (seen[2][1].adapt.epochs, seen[2][1].adapt.learning_rate) == (8, 0.5)


def test_how_to_adapt_without_adapting(capsys):
    status, _, err = call(capsys, "run", *TINY, "--adapt-learning-rate", "0.5")
    assert status == 2 and "expected --adapt beside it" in err


@pytest.mark.parametrize("dry", [[], ["--dry-run", "T4"]])
@pytest.mark.parametrize(("name", "says"), [("soft", "token_targets"), ("window", "cannot learn from an open task")])
def test_a_loss_that_cannot_do_the_task_is_said_before_the_supervisor(name, says, dry, capsys, monkeypatch):
    monkeypatch.setattr("w2s_lab.experiments.store.train", lambda *args, **options: pytest.fail("trained for nothing"))
    status, _, err = call(capsys, "run", "--task", "summary", "--loss", name, *dry)
    assert status == 2 and err.startswith("w2s-lab: ") and says in err and "MaximumLikelihood" in err


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["soft", "confidence", "distillation:weight=0.5,schedule=cosine", "product", "window"])
def test_run_with_another_loss(loss, capsys):
    status, out, err = call(capsys, "run", *TINY, "--loss", loss)
    assert status == 0, err
    assert "\nPGR " in out and is_png(figure_of(out))


@pytest.mark.slow
def test_run_on_a_table_of_ones_own(capsys, tmp_path):
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "stars"])
        for i in range(120):
            writer.writerow([f"number {i}: the plot is {'good' if i % 3 else 'bad'}, indeed", 1 if i % 3 else 0])
    status, out, err = call(
        capsys, "run", "--data", "mine.csv", "--input-column", "review", "--answer-column", "stars",
        "--answers", "0=negative,1=positive", *TINY, "--adapt", "1", "--figure", "deep/down/mine.png",
    )  # fmt: skip
    assert status == 0, err
    assert "adapted to the inputs" in err
    assert "note: " in out and "120 examples" in out and "one seed" in out and "\nstrong ceiling " in out
    assert figure_of(out) == Path("deep/down/mine.png") and is_png(tmp_path / "deep" / "down" / "mine.png")


def put_mail(spam: int) -> list[str]:
    """120 messages in mail.csv, so many of them spam; the words that read it."""
    texts = [f"message {i} wants you to {'win a prize' if i < spam else 'meet for lunch'}" for i in range(120)]
    rows = "".join(f"{text},{'spam' if i < spam else 'ham'}\n" for i, text in enumerate(texts))
    Path("mail.csv").write_text("text,label\n" + rows)
    return ["run", "--data", "mail.csv", *TINY, "--sizes", "30,40,24,4"]


def cells(out: str, name: str) -> list[str]:
    return next(line.split()[1:] for line in out.splitlines() if line.startswith(f"{name} "))


@pytest.mark.slow
def test_run_counts_classes_and_says_what_stands_in_the_way(capsys):
    words = put_mail(spam=5)
    status, dry, err = call(capsys, *words, "--seeds", "2", "--dry-run")
    assert status == 0 and not [line for line in err.splitlines() if line.startswith("warning: mail: too few")]
    status, out, err = call(capsys, *words, "--json", "numbers.json")
    assert status == 0, err
    assert cells(out, "answer") == cells(dry, "answer") == ["supervisor", "student", "test", "validation"]
    facts = json.loads(Path("numbers.json").read_text())
    (counts,) = facts["class_counts"]
    assert [[int(cell) for cell in cells(out, word)] for word in ("ham", "spam")] == [
        [counts[part][word] for part in ("supervisor_train", "student_train", "test", "validation")]
        for word in ("ham", "spam")
    ]
    assert all(counts[part]["spam"] for part in counts)
    assert facts["constant"]["mean"] == counts["test"]["ham"] / 24
    for role, said in facts["commonest"].items():
        ((answer, share),) = said
        assert f"says {answer!r} to {share:.0%}" in next(line for line in out.splitlines() if line.startswith(role))
    flat = " ".join(out.split())
    assert "one-seed" in {found["kind"] for found in facts["diagnoses"]}
    assert all(found["says"] in flat for found in facts["diagnoses"]) and facts["verdict"] != "recovers"


def test_run_warns_of_a_class_with_too_few_examples_once(capsys):
    _, _, err = call(capsys, *put_mail(spam=1), "--seeds", "3", "--dry-run")
    warned = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 1 and "validation: 'spam' (1 example)" in warned[0]


@pytest.mark.slow
def test_run_on_an_open_task_of_ones_own(capsys, tmp_path):
    rows = [{"input": f"The plot is number {i}.", "answer": f"plot {i % 4}, good"} for i in range(120)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, out, err = call(
        capsys, "run", "--data", "mine.jsonl", "--open", "--instruction", "Say it again.", *TINY, "--json", "n.json"
    )
    assert status == 0, err
    assert (
        out.count("F1 of the parts") == out.count("% empty") == 3 and "\nanswer " not in out and is_png(figure_of(out))
    )
    assert set(json.loads((tmp_path / "n.json").read_text())["f1"]) == {
        "weak supervisor", "strong student", "strong ceiling",
    }  # fmt: skip


@pytest.mark.slow
def test_run_without_validation_examples(capsys):
    status, out, err = call(capsys, "run", *TINY, "--sizes", "40,32,24,0", "--epochs", "2")
    assert status == 0, err
    assert "oracle" in out and "trusted" not in out


def test_ctrl_c_says_how_to_go_on(capsys, monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("w2s_lab.experiments.store.train", stop)
    status, _, err = call(capsys, "run", *TINY, "--store", "my runs")
    assert status == 130
    assert err.endswith(f"To go on: w2s-lab run {' '.join(TINY)} --store 'my runs'\n") and "kept" in err


@pytest.mark.slow
def test_ctrl_c_and_going_on_gives_the_same(capsys, monkeypatch):
    from w2s_lab.experiments import store

    real, done = store.train, []

    def stop_at_the_student(*args, **options):
        done.append(args[1].source)
        if len(done) == 2:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(store, "train", stop_at_the_student)
    assert call(capsys, "run", *TINY)[0] == 130
    status, out, err = call(capsys, "run", *TINY)
    assert status == 0, err
    assert len(done) == 4 and done[0] == done[3] == "ground truth" and done[1] == done[2]  # the supervisor was kept
    monkeypatch.setattr(store, "train", real)
    _, clean, _ = call(capsys, "run", *TINY, "--store", "other")
    assert clean.replace("other/figures", "runs/figures") == out


def test_an_interrupt_says_where_it_was():
    said = pytest.raises(KeyboardInterrupt, match="seed 2/3, strong student, after step 7 of 9")
    with said, Progress().of("seed 2/3") as (on_step, _):
        on_step("strong student", 7, 9)
        raise KeyboardInterrupt


# -- the other commands ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pretrain_leaves_what_is_finished_and_prints_the_cards(capsys, tmp_path, monkeypatch):
    from w2s_lab.pocket import pretrain

    made = []

    def fake(rung, *, leakage, seed, folder, device, compiled):
        made.append((rung.name, leakage, folder, device, compiled))
        name = pretrain.further(pretrain.with_leakage(rung, leakage), seed).name
        card = {"name": name, "parameters": 1000 * len(made), "tokens_seen": 2000, "held_out_loss": 1 / len(made)}
        (folder / name).mkdir(parents=True)
        (folder / name / "card.json").write_text(json.dumps({**card, "seconds": 3}))
        return folder / name

    monkeypatch.setattr(pretrain, "pretrain", fake)
    folder = tmp_path / "ladder"
    status, out, err = call(capsys, "pretrain", "pocket-xs", "pocket-s", "--folder", str(folder), "--plain")
    assert status == 0, err
    assert made == [("pocket-xs", 1, folder, "auto", False), ("pocket-s", 1, folder, "auto", False)]
    assert "pocket-xs" in out and "1,000 parameters" in out and is_png(folder / "ladder.png")
    made.clear()
    folder = tmp_path / "dial"
    status, out, err = call(capsys, "pretrain", "pocket-xs", "--leakage", "0", "0.25", "--folder", str(folder))
    assert status == 0, err
    place = folder / "leakage"
    assert made == [("pocket-xs", 0, place, "auto", None), ("pocket-xs", 0.25, place, "auto", None)]
    assert sorted(path.name for path in place.iterdir()) == ["pocket-xs-0", "pocket-xs-25"]
    assert "pocket-xs-25" in out and not (folder / "ladder.png").exists()
    folder = tmp_path / "seeds"
    status, out, err = call(capsys, "pretrain", "pocket-xs", "--seed", "1", "2", "--folder", str(folder))
    assert status == 0, err
    assert sorted(path.name for path in (folder / "further").iterdir()) == ["pocket-xs-seed-1", "pocket-xs-seed-2"]
    assert "pocket-xs-seed-2" in out and not (folder / "ladder.png").exists()


def test_study_passes_its_options_on(capsys, tmp_path, monkeypatch):
    from w2s_lab.studies import mechanism, scaling, study

    seen = []

    spent = iter([(1.0, 2.0, 0.0, 0.0, 9.0), (31.0, 3.0, 60.0, 5.0, 99.0)] + 2 * [(0.0,) * 5])

    def run_study(found, **options):
        seen.append((found, options))
        return "text", [tmp_path / "a.json"]

    monkeypatch.setattr(study, "run_study", run_study)
    monkeypatch.setattr(os, "times", lambda: next(spent))
    status, out, _ = call(capsys, "study", "mechanism", "--seeds", "3", "--workers", "2", "--output", "o")
    cost = "1.6 CPU minutes; what the store held cost nothing\n" * (os.name == "posix")
    assert (status, out) == (0, f"text\n{cost}written: {tmp_path / 'a.json'}\n")
    options = {"store": "runs", "output": Path("o"), "device": "auto", "workers": 2}
    assert seen[0] == (mechanism.STUDY, options | {"seeds": 3, "ray": None})
    call(capsys, "study", "scaling", "--ray", "127.0.0.1:6379", "--workers", "2", "--output", "o")
    assert seen[1] == (scaling.STUDY, options | {"seeds": scaling.STUDY.seeds, "ray": "127.0.0.1:6379"})


@pytest.mark.parametrize("ready", [True, False])
def test_doctor_ends_with_its_finding(ready, capsys, monkeypatch):
    from w2s_lab.planning import doctor

    monkeypatch.setattr(doctor, "checks", lambda: ())
    monkeypatch.setattr(doctor, "report", lambda found: ("all of it", ready))
    assert call(capsys, "doctor") == (0 if ready else 1, "all of it\n", "")


# -- real text -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("strong", ["pocket-s", "scratch:pocket-s"])
def test_sst2(strong, tmp_path):
    if not SST2.is_file():
        pytest.skip(f"{os.path.relpath(SST2, ROOT)} is not there: SST-2 is not part of the repository")
    done = process(
        "-m", "w2s_lab", "run", "--data", str(SST2), "--answers", "0=negative,1=positive", "--sizes", "200,200,100,20",
        "--weak", "pocket-s", "--strong", strong, "--epochs", "1", "--weak-epochs", "1", "--seeds", "1",
        "--device", "cpu", "--json", "numbers.json", cwd=tmp_path, program=forked(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"pocket-s supervises {strong}" in done.stdout and is_png(tmp_path / figure_of(done.stdout))
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["test_examples"] == 100
    assert all(0.2 < interval["mean"] < 0.95 for interval in numbers["accuracy"].values())
