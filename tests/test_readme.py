"""What the README shows works as it stands there."""

import re
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "notebooks/README.md"])
def test_the_procedure_in_ten_lines(page, monkeypatch):
    """The code block runs, and supervisor, student and ceiling come out in a believable order."""
    monkeypatch.chdir(ROOT)
    matplotlib.use("Agg", force=True)
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(code, names)  # our own page
    result = names["result"]
    assert result.weak.accuracy < result.ceiling.accuracy
    assert 0.5 < result.student.accuracy <= result.ceiling.accuracy
    assert result.student.agreement is not None and result.pgr is not None
    matplotlib.pyplot.close("all")
