"""Working copies of the notebooks: never run, never written over; their marker."""

import nbformat
import pytest

from w2s_lab import assets
from w2s_lab.classroom.copies import write_copies
from w2s_lab.cli import commands


@pytest.fixture(autouse=True)
def an_installed_kit(tmp_path, monkeypatch):
    """No marker counts but those of the test."""
    for variable in (assets.STORE_VARIABLE, assets.PROGRESS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(assets, "HOME", tmp_path / "shipped")
    monkeypatch.setattr("warnings.showwarning", lambda *_: None)  # the command line sets its own
    monkeypatch.chdir(tmp_path)


def test_copies_are_the_notebooks_as_if_never_run(tmp_path):
    written, left = write_copies(tmp_path / "mine")
    assert [path.name for path in written] == sorted(path.name for path in assets.NOTEBOOKS.glob("*.ipynb"))
    assert len(written) == 14 and not left
    for path in written:
        copy, stored = (nbformat.read(one, as_version=4) for one in (path, assets.NOTEBOOKS / path.name))
        nbformat.validate(copy)
        facts = [[(c.id, c.cell_type, c.source, c.metadata) for c in book.cells] for book in (copy, stored)]
        assert facts[0] == facts[1] and copy.metadata == stored.metadata
        code = [cell for cell in copy.cells if cell.cell_type == "code"]
        assert code and not any(cell.outputs or cell.execution_count for cell in code)


def test_work_that_is_there_stays(tmp_path, capsys):
    assert commands.main(["notebooks", "mine"]) == 0
    assert "14 notebooks written to mine" in capsys.readouterr().out
    (tmp_path / "mine" / "03_the_strong_student.ipynb").write_text("my work")
    (tmp_path / "mine" / "04_overfitting.ipynb").unlink()
    assert commands.main(["notebooks", "mine"]) == 0
    out = capsys.readouterr().out
    assert "1 notebook written" in out and "differ: 03_the_strong_student.ipynb\n" in out
    assert "rename or delete it, and give this command again" in out and "jupyter lab mine" in out
    assert (tmp_path / "mine" / "03_the_strong_student.ipynb").read_text() == "my work"
    assert write_copies(tmp_path / "mine") == ([], [tmp_path / "mine" / "03_the_strong_student.ipynb"])


def test_a_marker_is_written_where_none_counts_and_says_what_is_so_without_it(tmp_path):
    before = assets.store_folder(), assets.progress_file()
    write_copies(tmp_path / "mine")
    assert (tmp_path / "mine" / assets.MARKER).is_file()
    assert (assets.store_folder(tmp_path / "mine"), assets.progress_file(tmp_path / "mine")) == before
    text = (tmp_path / "mine" / assets.MARKER).read_text()
    (tmp_path / "mine" / assets.MARKER).write_text(text.replace("# store", "store").replace("# progress", "progress"))
    write_copies(tmp_path / "mine")
    assert assets.store_folder(tmp_path / "mine") == tmp_path / "mine" / "runs"
    assert assets.progress_file(tmp_path / "mine") == tmp_path / "mine" / "progress.json"


def test_no_marker_below_another(tmp_path):
    (tmp_path / assets.MARKER).write_text('store = "runs"\n')
    write_copies(tmp_path / "mine")
    assert not (tmp_path / "mine" / assets.MARKER).exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert commands.main(["notebooks", "taken"]) == 2
    assert "taken" in capsys.readouterr().err
