"""The wheel is the whole kit: installed away from the clone, it runs."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from places import ROOT

from w2s_lab.version import __version__

pytest.importorskip("build", reason="needs build and hatchling: pip install -e '.[dev]'")
pytest.importorskip("hatchling")

pytestmark = pytest.mark.slow
NAME = f"w2s_lab-{__version__}"


def run(*command: object, cwd: Path, env: dict | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the source archive, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    return built / f"{NAME}-py3-none-any.whl"


def contents(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def tracked(folder: str) -> set[str]:
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", folder]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        pytest.skip("this is no clone")
    return set(listed.stdout.splitlines())


def test_the_clone_and_the_archive_give_the_same_wheel(built, wheel, tmp_path):
    assert {path.name for path in built.iterdir()} == {wheel.name, f"{NAME}.tar.gz"}
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    assert contents(wheel) == contents(tmp_path / wheel.name)


def test_everything_is_in_it(wheel):
    names = set(contents(wheel))
    assert tracked("w2s_lab") <= names and {"w2s_lab/py.typed", "w2s_lab/__init__.pyi"} <= names
    assert {f"w2s_lab/shipped/{name}" for name in tracked("data") | tracked("notebooks")} <= names
    assert not [name for name in names if name.partition("/")[0] not in ("w2s_lab", f"{NAME}.dist-info")]


def test_it_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{NAME}.dist-info/METADATA").decode()
        assert f"{NAME}.dist-info/licenses/LICENSE" in archive.namelist()
    assert "\n# w2s_lab\n" in text and "Keywords: " in text and "Programming Language :: Python :: 3.11" in text
    assert "\nRequires-Python: >=3.11\n" in text and "\nRequires-Dist: torch" in text


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The folder of the programs of an environment that has the wheel and sees the packages here, but not the clone;
    and the variables that its processes get."""
    home = tmp_path_factory.mktemp("home")
    run(sys.executable, "-m", "venv", "--without-pip", home / "venv", cwd=home)
    programs = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    command = ["-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps", wheel]
    run(sys.executable, *command, cwd=home)
    # As lines of a path file: a path file among the packages, such as that of an editable install, is not read.
    here = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip()
    (Path(own) / "packages_of_the_tests.pth").write_text("\n".join(here))
    unset = ("PYTHONPATH", "W2S_LAB_STORE", "W2S_LAB_PROGRESS", "VIRTUAL_ENV", "XDG_DATA_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return programs, {**kept, "HOME": str(home), "USERPROFILE": str(home), "OMP_NUM_THREADS": "1"}


ASK = """
import w2s_lab as w2s
from w2s_lab import assets, classroom as room
assert assets.INSTALLED and str(assets.HOME).endswith("shipped"), assets.HOME
room.quiz("01")
room.measured("methods")
print(len(list(assets.MASTERS.glob("*.ipynb"))), w2s.__file__)
"""


def test_the_kit_runs_from_it_in_an_empty_folder(installed, tmp_path):
    programs, env = installed
    count, where = run(programs / "python", "-c", ASK, cwd=tmp_path, env=env).split(maxsplit=1)
    assert count == "2" and str(programs.parent) in where and str(ROOT) not in where
    said = run(programs / "w2s-lab", "doctor", cwd=tmp_path, env=env)
    assert "This machine is ready" in said and str(Path(env["HOME"])) in said
    numbers = tmp_path / "n.json"
    small = ("--seeds", "1", "--epochs", "1", "--sizes", "300,300,100,20", "--learning-rate", "5e-4")
    run(programs / "w2s-lab", "run", *small, "--json", numbers, cwd=tmp_path, env=env)
    found = json.loads(numbers.read_text())
    assert found["accuracy"]["strong ceiling"]["mean"] > 0.7
    assert [path.name for path in tmp_path.iterdir()] == ["n.json"]  # the store is in the user's folder
    shown = run(programs / "w2s-lab", "show", cwd=tmp_path, env=env)
    assert "strong student" in shown and env["HOME"] in shown


WHERE = 'from w2s_lab import assets; print(assets.store_folder(), assets.progress_file(), sep="\\n")'


def test_notebooks_find_the_same_store_wherever_they_are_run(installed, tmp_path):
    programs, env = installed
    said = run(programs / "w2s-lab", "notebooks", "mine", cwd=tmp_path, env=env)
    assert "14 notebooks" in said and len(list((tmp_path / "mine").glob("*.ipynb"))) == 14
    (tmp_path / "elsewhere").mkdir()
    folders = [tmp_path / "mine", tmp_path / "elsewhere", tmp_path]
    places = {run(programs / "python", "-c", WHERE, cwd=folder, env=env) for folder in folders}
    assert len(places) == 1 and all(line in said for line in places.pop().splitlines())
