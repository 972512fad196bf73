"""The doctor: every kind of trouble gives a failed check with advice, never an exception."""

import re
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest
from places import ROOT

from w2s_lab import assets
from w2s_lab.data import sources
from w2s_lab.models import loading
from w2s_lab.planning import doctor
from w2s_lab.planning.doctor import DoctorCheck


def only(found) -> DoctorCheck:
    (check,) = found
    return check


@pytest.fixture(scope="module")
def examined(tmp_path_factory) -> list[DoctorCheck]:
    """This machine, with a short training."""
    return list(doctor.checks(tmp_path_factory.mktemp("work"), seconds=0.2))


def test_this_machine_gives_a_report(examined):
    text, ready = doctor.report(examined)
    names = [check.name for check in examined]
    places = {"store", "disk", "progress", "fetched"}
    assert places | {"Python", "torch", "memory", "C compiler", "tasks", "models"} <= set(names)
    assert all(check.advice for check in examined if not check.ok)
    assert ready == ("This machine is ready" in text) == all(check.ok is not False for check in examined)
    assert not [check for check in examined if "report this as a bug" in check.advice and not check.ok], text


def test_every_required_package_is_looked_at(examined):
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = {name.replace("_", "-") for name in re.findall(r"^([\w-]+)", text, flags=re.MULTILINE)}
    named = {check.name.replace("_", "-") for check in examined}
    assert {"torch", "nbval"} <= wanted <= named and not {"datasets", "ray", "pytest"} & named


def test_a_kit_that_is_not_installed(monkeypatch):
    def missing(name: str):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    monkeypatch.setattr(metadata, "metadata", missing)
    check = only(doctor.packages())
    assert check.ok is False and "not installed" in check.found and "pip install -e ." in check.advice
    assert only(doctor.python_version()).ok is True


def test_a_python_that_was_not_tested_is_said(monkeypatch):
    monkeypatch.setattr(doctor, "tested_pythons", lambda: ["3.2", "3.3"])
    check = only(doctor.python_version())
    assert check.ok is True and check.found.endswith("; tested with 3.2, 3.3")
    monkeypatch.setattr(doctor, "tested_pythons", lambda: ["{}.{}".format(*sys.version_info[:2])])
    assert "tested" not in only(doctor.python_version()).found


def test_an_old_python(monkeypatch):
    class Old(tuple):
        major, minor, micro = 3, 10, 4

    monkeypatch.setattr(sys, "version_info", Old((3, 10, 4, "final", 0)))
    check = only(doctor.python_version())
    assert check.ok is False and check.found.startswith("3.10.4") and "3.11" in check.advice


def test_a_missing_and_an_old_package(monkeypatch):
    real = metadata.version

    def version(name: str) -> str:
        if name == "ipywidgets":
            raise metadata.PackageNotFoundError(name)
        return "4.0.1" if name == "transformers" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = {check.name: check for check in doctor.packages()}
    assert found["ipywidgets"].ok is False and found["transformers"].ok is False
    assert "pip install" in found["ipywidgets"].advice and '"ipywidgets' in found["ipywidgets"].advice
    assert "4.0.1" in found["transformers"].found and ">=5." in found["transformers"].found
    assert found["numpy"].ok is True


def test_a_local_build_counts_as_the_version_it_is_built_from(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0+cpu")
    assert next(check for check in doctor.packages() if check.name == "torch").ok is True


def test_a_runs_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "runs").write_text("a file stands in its place")
    check = only(doctor.finished_work(tmp_path / "runs"))
    assert check.ok is False and str(tmp_path / "runs") in check.advice and "W2S_LAB_STORE" in check.advice
    assert (tmp_path / "runs").read_text() == "a file stands in its place"


def test_looking_leaves_the_folder_as_it_was(tmp_path):
    assert all(check.ok for check in doctor.finished_work(tmp_path / "a" / "runs")) and not list(tmp_path.iterdir())
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "kept").touch()
    assert all(check.ok for check in doctor.finished_work(tmp_path / "runs"))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["kept"]


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1_500_000_000))
    _, check = doctor.finished_work(tmp_path)
    assert check.ok is False and check.found.startswith("1.5 GB") and "2 GB" in check.advice


@pytest.mark.parametrize(
    ("known", "ok", "says"),
    [
        ((8e9, 5e9), True, "8.0 GB in total, 5.0 GB available"),
        ((8e9, 1e9), None, "1.0 GB available"),
        ((8e9, None), True, "unknown available"),
        ((None, None), None, "unknown in total"),
    ],
)
def test_memory_is_a_warning_at_most(monkeypatch, known, ok, says):
    monkeypatch.setattr(doctor, "memory_bytes", lambda: known)
    check = only(doctor.memory())
    assert check.ok is ok and says in check.found and check.advice


def test_a_system_that_does_not_tell_its_memory(monkeypatch):
    def unreadable(*_, **__):
        raise OSError("no /proc here")

    monkeypatch.setattr(doctor.Path, "read_text", unreadable)
    monkeypatch.setattr(doctor.os, "sysconf", lambda name: {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}[name])
    assert doctor.memory_bytes() == (4_096_000, None)
    monkeypatch.delattr(doctor.os, "sysconf")
    assert doctor.memory_bytes() == (None, None)


def test_no_compiler_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert only(doctor.compiler()).ok is None


def test_no_models(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "MODELS", tmp_path)
    for check in (only(doctor.ladder_files()), only(doctor.training(0.1))):
        assert check.ok is False and "w2s-lab pretrain" in check.advice
    assert "pocket-l" in only(doctor.ladder_files()).found


def test_a_model_that_is_not_needed_is_a_warning(monkeypatch):
    monkeypatch.setattr(loading, "ladder", lambda: ("pocket-s", "pocket-m", "pocket-l"))
    check = only(doctor.ladder_files())
    assert check.ok is None and "pocket-xl" in check.found


def test_missing_tasks(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "TASKS", tmp_path)
    check = only(doctor.task_files())
    assert check.ok is False and "sentiment.jsonl" in check.found and "w2s_lab.pocket.tasks" in check.advice


def test_training_measures_and_estimates(monkeypatch):
    """With a fake measurement: 1,500 examples x 4 epochs at 100/s, and twice 1,500 x 3 at 50/s, are 4 minutes."""
    monkeypatch.setattr(loading, "ladder", lambda: ("pocket-s", "pocket-l"))
    speeds = {"pocket-s": 100.0, "pocket-l": 50.0}
    monkeypatch.setattr(doctor, "train_for", lambda seconds, name, labelled: (speeds[name], 2.0, 0.5))
    weak, strong, estimate = doctor.training(1.0)
    assert weak.ok is strong.ok is estimate.ok is True
    assert "50 examples/s, loss 2.00 -> 0.50 nats" in strong.found
    assert estimate.found.startswith("about 4.0 minutes")


def test_a_loss_that_does_not_fall_fails(monkeypatch):
    monkeypatch.setattr(loading, "ladder", lambda: ("pocket-xs",))
    monkeypatch.setattr(doctor, "train_for", lambda *_: (100.0, 0.7, float("nan")))
    trained, estimate = doctor.training(1.0)
    assert trained.ok is False and estimate.ok is None


def test_a_short_training_lowers_the_loss():
    rate, before, after = doctor.train_for(0.5, loading.ladder()[0], sources.load_splits("sentiment").supervisor_train)
    assert rate > 0 and after < before


def test_a_check_that_breaks_is_a_failed_check(tmp_path, monkeypatch):
    def broken():
        yield DoctorCheck("half", True, "seen before it broke")
        raise RuntimeError("a loose cable")

    def without_torch():
        raise ModuleNotFoundError("No module named 'torch'")

    monkeypatch.setattr(doctor, "memory", broken)
    monkeypatch.setattr(doctor, "processor", without_torch)
    monkeypatch.setattr(doctor, "training", lambda seconds: ())
    found = {check.name: check for check in doctor.checks(tmp_path)}
    assert found["half"].ok is True
    assert found["memory"].ok is False and found["memory"].found == "RuntimeError: a loose cable"
    assert found["processor"].ok is False and "missing above" in found["processor"].advice
    assert found["disk"].ok is not None  # it went on


def test_the_report_is_aligned_and_ends_in_what_to_do():
    good, warning = DoctorCheck("Python", True, "3.12"), DoctorCheck("C compiler", None, "none", "install one")
    bad = DoctorCheck("torch", False, "missing", "pip install torch")
    text, ready = doctor.report([good, warning, bad])
    lines = text.splitlines()
    assert not ready and "First, torch: pip install torch" in lines[-1]
    columns = [line.index(found) for line, found in ((lines[0], "3.12"), (lines[1], "none"), (lines[3], "missing"))]
    assert [line.split()[0] for line in (lines[0], lines[1], lines[3])] == ["ok", "warn", "fail"]
    assert len(set(columns)) == 1 and lines[2].index("->") == columns[0] and "install one" in lines[2]
    assert doctor.report([good, warning]) == (doctor.report([good, warning])[0], True)
    assert doctor.report([good, warning])[0].endswith("This machine is ready (1 warning).")
    assert doctor.report([good])[0].endswith("This machine is ready.")
