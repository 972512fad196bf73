"""Student versions: stubs that run, points shown, nothing private; and a proof that fails whenever something leaks."""

import base64
import json

import masters
import nbformat
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from masters import checks, code, solution, text, words
from nbformat import v4

from w2s_lab.assignments.authoring import release as module
from w2s_lab.assignments.authoring.handout import check_source
from w2s_lab.assignments.authoring.markup import MasterCell
from w2s_lab.assignments.authoring.master import read_assignment
from w2s_lab.assignments.authoring.release import ReleaseError, prove, release, student_version

DOUBLE = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"


@pytest.fixture
def path(tmp_path):
    return masters.write(tmp_path, masters.cells(), masters.TOML)


@pytest.fixture
def assignment(path):
    return read_assignment(path)


@pytest.fixture
def student(assignment):
    return student_version(assignment)


def by_id(notebook, grade_id):
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def released(folder, *cells, toml=None):
    return nbformat.read(release(masters.write(folder, list(cells), toml), folder / "out"), as_version=4)


# --- the student version ---


def test_a_function_keeps_its_head_and_gets_a_stub(student):
    assert by_id(student, "mean-loss").source == (
        "# The loss of a batch (mean_loss): 6 points, about 15 minutes\n"
        'def mean_loss(losses, mask):\n    """Mean over what the mask keeps."""\n    ...  # your code here'
    )


def test_a_variable_becomes_none(student):
    assert by_id(student, "share").source == "# share: 2 points\nshare = None  # your answer"


def test_hidden_tests_go_and_an_empty_cell_of_checks_says_so(student):
    assert by_id(student, "test-mean-loss").source == masters.MEAN_CHECKS.partition("\n###")[0]
    assert by_id(student, "test-share").source == "# More checks of this question run after you hand in."


def test_an_answer_in_words_keeps_its_question(student):
    assert by_id(student, "why").source.startswith("## Why?\n\n*why: 5 points*\n\nSay in two")
    assert by_id(student, "why").source.endswith("\n\n*Your answer here.*")


def test_an_answer_without_marks_is_all_model_answer(tmp_path):
    made = released(tmp_path, solution(DOUBLE, "d"), checks("assert double(1) == 2", "t"), words("Because of me.", "w"))
    assert by_id(made, "w").source == "*w: 5 points*\n\n*Your answer here.*"


def test_the_first_cell_shows_all_points(student):
    table = student.cells[0].source
    assert table.startswith(masters.TITLE)
    assert "| 1. The loss of a batch (`mean_loss`) | 6 | 15 |" in table and "| **all** | **13** | **30** |" in table


def test_a_notebook_that_begins_with_code_gets_a_first_cell(tmp_path):
    made = released(tmp_path, solution(DOUBLE, "d"), checks("assert double(1) == 2", "t"))
    assert made.cells[0].cell_type == "markdown" and "| 1. `double` | 4 |" in made.cells[0].source
    assert "minutes" not in made.cells[0].source  # nobody said any


def test_public_checks_of_the_toml_file_stand_below_their_question(student):
    place = student.cells.index(by_id(student, "test-share"))
    added = student.cells[place + 1]
    assert added.source == "# a share is a share (1 point)\ngiven = share\nassert 0 <= given <= 1"
    assert added.metadata["nbgrader"]["grade"] is False and added.metadata["tags"] == ["raises-exception"]


def test_checks_let_run_all_go_on_and_are_locked(student):
    for grade_id in ("test-mean-loss", "test-share"):
        metadata = by_id(student, grade_id).metadata
        assert metadata["tags"] == ["raises-exception"]
        assert metadata["editable"] is False and metadata["deletable"] is False
    assert "editable" not in by_id(student, "mean-loss").metadata


def test_nbgrader_finds_its_metadata(student, path):
    master = nbformat.read(path, as_version=4)
    for cell in master.cells:
        if "nbgrader" in cell.metadata:
            assert by_id(student, cell.metadata.nbgrader.grade_id).metadata.nbgrader == cell.metadata.nbgrader


def test_a_stripped_master_gets_its_metadata_back(tmp_path):
    made = released(tmp_path, *masters.stripped(masters.cells()[:-1]))
    assert by_id(made, "mean-loss").metadata.nbgrader.solution is True
    graded = [cell for cell in made.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert len({cell.metadata.nbgrader.grade_id for cell in graded}) == 2


@pytest.mark.parametrize(
    ("source", "stub"),
    [
        ("class A:\n    def f(self):\n        ### BEGIN SOLUTION\n        self.aa = bb + cc\n        ### END SOLUTION",
         "class A:\n    def f(self):\n        ...  # your code here"),
        ("def f(x):\n### BEGIN SOLUTION\n    y = x * 17\n### END SOLUTION\n    return y",
         "def f(x):\n    ...  # your code here\n    return y"),
        ("def f(x):\n    ### BEGIN SOLUTION\n    y = x * 17\n    ### END SOLUTION\n    z = 1\n    ### BEGIN SOLUTION\n"
         "    return y * 19\n    ### END SOLUTION",
         "def f(x):\n    ...  # your code here\n    z = 1\n    ...  # your code here"),
        ("### BEGIN SOLUTION\ndef f(x):\n    return x * 17\n### END SOLUTION", "f = None  # your answer"),
        ("plan = {\n    'a': 1,\n    ### BEGIN SOLUTION\n    'human': 17,\n    ### END SOLUTION\n}",
         "plan = {\n    'a': 1,\n    # your code here\n}"),
        ("plan = (17 *\n### BEGIN SOLUTION\n19\n### END SOLUTION\n)", None),
        ("%%time\ndef f(x):\n    ### BEGIN SOLUTION\n    return x * 17\n    ### END SOLUTION",
         "def f(x):\n    ...  # your code here"),
        ("if True:\n    ### BEGIN SOLUTION\n    plan = 17\n    ### END SOLUTION",
         "if True:\n    plan = None  # your answer"),
    ],
)  # fmt: skip
def test_stubs_run(source, stub, tmp_path):
    path = masters.write(tmp_path, [solution(source, "q"), checks("### BEGIN HIDDEN TESTS\nassert NAME == 17\n"
                                                                 "### END HIDDEN TESTS", "t")])  # fmt: skip
    path.write_text(
        path.read_text().replace("NAME", "plan" if "plan" in source else "f" if "def f(x)" in source else "A")
    )
    if stub is None:
        with pytest.raises(ReleaseError, match="no Python"):
            release(path, tmp_path / "out")
        return
    made = nbformat.read(release(path, tmp_path / "out"), as_version=4)
    source = by_id(made, "q").source
    assert source.endswith(stub) and "points" in source
    if source.startswith("%%time"):
        source = source.partition("\n")[2]
    exec(source, {})


def test_the_student_version_runs_as_a_whole(student):
    names = {}
    for cell in student.cells:
        if cell.cell_type == "code" and "raises-exception" not in cell.metadata.get("tags", []):
            exec(cell.source, names)
    assert names["share"] is None and names["mean_loss"]([], []) is None


def test_what_is_private_goes(tmp_path):
    cells = masters.cells()
    cells[1].outputs = [v4.new_output("stream", text="an old run")]
    cells[1].execution_count = 7
    cells[1].metadata |= {"tags": ["hide-input", "from-the-exam-of-last-year"], "editor": "me", "collapsed": True}
    cells[0].source += "\n![x](attachment:fig.png)"
    cells[0].attachments = {name: {"image/png": "AAAA"} for name in ("fig.png", "key.png")}
    cells[-1].attachments = {"sketch.png": {"image/png": "AAAA"}}
    cells[-1].source = cells[-1].source.replace("### END", "![s](attachment:sketch.png)\n### END")
    path = masters.write(tmp_path, cells)
    record = json.loads(path.read_text())
    record["metadata"] |= {"authors": ["me"], "celltoolbar": "Create Assignment", "widgets": {}}
    path.write_text(json.dumps(record))
    made = nbformat.read(release(path, tmp_path / "out"), as_version=4)
    assert set(made.metadata) == {"kernelspec", "language_info"}
    assert made.cells[1].metadata == {"tags": ["hide-input"]}
    assert made.cells[1].outputs == [] and made.cells[1].execution_count is None
    assert list(made.cells[0].attachments) == ["fig.png"] and "attachments" not in made.cells[-1]


def test_ids_are_stable_and_unique(path, tmp_path):
    record = json.loads(path.read_text())
    for cell in record["cells"]:
        cell.pop("id")
    record["cells"][3]["id"] = record["cells"][4]["id"] = "twice"
    path.write_text(json.dumps(record))
    first, second = (release(path, tmp_path / name).read_text() for name in "ab")
    assert first == second
    ids = [cell["id"] for cell in json.loads(first)["cells"]]
    assert len(set(ids)) == len(ids) and ids[:4] == ["cell-1", "cell-2", "cell-3", "twice"]


def test_release_says_where_and_nothing_else_is_written(path, tmp_path):
    made = release(path, tmp_path / "out")
    assert made == tmp_path / "out" / "small.ipynb" and list(made.parent.iterdir()) == [made]
    assert release(path, tmp_path / "x.ipynb") == tmp_path / "x.ipynb"


@pytest.mark.parametrize("output", ["", "small.ipynb", "link"])
def test_a_master_is_never_overwritten(output, path, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ReleaseError, match="the master itself"):
        release(path, tmp_path / output)
    assert path.read_bytes() == before


def test_no_code_runs(tmp_path):
    evil = f"open({str(tmp_path / 'ran')!r}, 'w')"
    cells = [code(evil), solution(f"{evil}\n{DOUBLE}", "d"), checks(f"{evil}\nassert double(1) == 2", "t")]
    release(masters.write(tmp_path, cells), tmp_path / "out")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("keys", "body"),
    [
        ("expect = 7.5", ["assert np.allclose(double(3), 7.5, rtol=1e-06, atol=1e-06)"]),
        ("expect = 'B'", ["assert double(3) == 'B'"]),
        ("expect = [1, 2]\nhint = 'no'", ["assert np.allclose(double(3), [1, 2], rtol=1e-06, atol=1e-06), 'no'"]),
        ("expect = {a = 1}", ["assert double(3) == {'a': 1}"]),
        ("wanted = '2 * 3'", ["assert np.allclose(double(3), 2 * 3, rtol=1e-06, atol=1e-06)"]),
        ("wanted = 'None'", ["assert double(3) == None"]),
        ("setup = 'y = 1'", ["y = 1", "double(3)  # compared after you hand in"]),
    ],
)
def test_a_public_check_of_the_toml_file_as_a_cell(keys, body, tmp_path):
    toml = f'[[check]]\nquestion = "double"\nname = "n"\ncall = "double(3)"\nhidden = false\n{keys}\n'
    path = masters.write(tmp_path, [solution(DOUBLE, "d")], toml)
    (check,) = read_assignment(path).checks
    assert check_source(check).split("\n")[-len(body) :] == body
    release(path, tmp_path / "out")


# --- the proof: what leaks is found ---


LINE = "    kept = [loss for loss, keep in zip(losses, mask) if keep]"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def put_into(student, place: str, leak: str) -> None:
    cell, function = student.cells[1], by_id(student, "mean-loss")
    if place == "source":
        cell.source += "\n" + leak
    elif place == "the stub's cell":
        function.source += "\n" + leak
    elif place == "words":
        student.cells[0].source += f"\n\nDo it so: `{leak.strip()}`."
    elif place == "a fence":
        student.cells[0].source += f"\n\n```python\n{leak}\n```\n"
    elif place == "a comment":
        cell.source += "\n# " + leak.strip()
    elif place == "an output":
        cell.outputs = [v4.new_output("stream", text="...\n" + leak + "\n")]
    elif place == "a picture's text":
        cell.outputs = [v4.new_output("display_data", {"text/plain": leak, "image/png": "AAAA"})]
    elif place == "an attachment":
        student.cells[0].attachments = {"notes.txt": {"text/plain": b64("x\n" + leak)}}
    elif place == "an attached notebook":
        inner = json.dumps({"cells": [{"source": ["a\n", leak]}]})
        student.cells[0].attachments = {"n.ipynb": {"application/json": b64(inner)}}
    elif place == "a data address":
        student.cells[0].source += f'\n<img src="data:image/svg+xml;base64,{b64("<svg>" + leak)}">'
    elif place == "metadata":
        cell.metadata["old"] = {"source": ["a\n", leak]}
    elif place == "a name in metadata":
        cell.metadata[leak] = 1
    elif place == "the notebook's metadata":
        student.metadata["notes"] = leak
    elif place == "an id":
        cell.id = "".join(c if c.isalnum() else "-" for c in leak)[:64]
    elif place == "a grade_id":
        function.metadata["nbgrader"]["grade_id"] = leak.strip()


PLACES = [
    "source", "the stub's cell", "words", "a fence", "a comment", "an output", "a picture's text", "an attachment",
    "an attached notebook", "a data address", "metadata", "a name in metadata", "the notebook's metadata", "an id",
    "a grade_id",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_solution_line_is_found_in_every_place(place, assignment, student):
    prove(assignment, student)
    put_into(student, place, LINE)
    with pytest.raises(ReleaseError, match="of the solution of mean_loss") as caught:
        prove(assignment, student)
    assert "kept = [loss for loss, keep" in str(caught.value) and "Hint: " in str(caught.value)


def test_the_place_is_named(assignment, student):
    put_into(student, "source", LINE)
    with pytest.raises(ReleaseError, match=r"stands in cell 2 \(\w+\), source, line 4"):
        prove(assignment, student)


@pytest.mark.parametrize(
    "leak",
    [
        "kept=[ loss for loss,keep in zip( losses , mask ) if keep ]",
        "    kept = [\n        loss\n        for loss, keep in zip(losses, mask)\n        if keep\n    ]",
        "    return math.fsum(kept) / len(kept) if kept else 0.0",
        "return (math.fsum(kept) / len(kept)) if kept else 0",
        "answer = math.fsum(kept) / len(kept) if kept else 0.0",  # the part right of `return`
        "# nothing kept means nothing lost here",
        "share = sum(labels) / len(labels)",
        "nothing = [False,False,False]",
        "assert math.isclose(mean_loss(losses, nothing), 0., abs_tol=0.001)",
        "mean_loss([.125, 7.75], [False, True])",
        "assert abs(share - .5) < 0.000000001",
        "mean_loss([4.25]*37, [True]*37)",
        "print(4.25)",
        "print(425e-2)",
        "What the student knows from pre-training is easier to express than the errors of its teacher.",
        "*what the student knows*  from pre-training is **easier** to express\nthan the errors of its teacher",
        "so it generalises the rule before it memorises exceptions",
        "### BEGIN SOLUTION",
        "# END HIDDEN TESTS",
        "### BEGIN MARK SCHEME",
    ],
)
@pytest.mark.parametrize("place", ["source", "words", "an output"])
def test_secrets_are_found_however_they_are_written(leak, place, assignment, student):
    put_into(student, place, leak)
    with pytest.raises(ReleaseError):
        prove(assignment, student)


@pytest.mark.parametrize(
    ("hidden", "leak"),
    [
        ("setup = 'word = \"a good film\"'\nexpect = true", "word = 'a good film'"),
        ('setup = \'text = """a\\tb c d"""\'', "text = 'a\tb c d'"),
        ("wanted = 'sum(range(12)) / 4'", "sum( range(12) )/4"),
        ("criterion = '3 <= given < 71'", "assert 3 <= given < 71"),
        ("expect = [1, 0.123]", "the answer is 0.123"),
        ("expect = {loss = 2.71}", "2.71"),
    ],
)
def test_hidden_checks_of_the_toml_file_are_found(hidden, leak, tmp_path):
    toml = f'[[check]]\nquestion = "double"\nname = "n"\ncall = "double(31)"\n{hidden}\n'
    assignment = read_assignment(masters.write(tmp_path, [text("# T"), solution(DOUBLE, "d"), code("1")], toml))
    student = student_version(assignment)
    prove(assignment, student)
    for wanted in (leak, "double(31)"):
        student.cells[2].source = wanted
        with pytest.raises(ReleaseError, match="of the hidden check 'n'"):
            prove(assignment, student)


def test_numbers_in_metadata_and_outputs_are_found(assignment, student):
    student.cells[1].metadata["expect"] = 4.25
    with pytest.raises(ReleaseError, match=r"a number of the hidden check 'a long batch'.*metadata, expect"):
        prove(assignment, student)


def test_a_chosen_number_with_its_name_is_a_secret(tmp_path):
    plan = "### BEGIN SOLUTION\nplan = {\n    'human': 100,\n    'give_up_below': 0.85,\n}\n### END SOLUTION"
    cells = [solution(plan, "p"), checks("assert len(plan) == 2", "t"), code("1")]
    assignment = read_assignment(masters.write(tmp_path, cells))
    student = student_version(assignment)
    student.cells[-1].source = "'human': 100"  # could stand anywhere
    prove(assignment, student)
    student.cells[-1].source = "give_up_below: .85"
    with pytest.raises(ReleaseError, match="line 4 of the solution of plan"):
        prove(assignment, student)


@pytest.mark.parametrize("source", ["answer = 3", "answer = 'B'", "def f(x):\n    return x.mean()"])
def test_a_short_solution_is_secret_as_a_whole(source, tmp_path):
    lines = source.split("\n")
    marked = "\n".join([*lines[:-1], "### BEGIN SOLUTION", lines[-1], "### END SOLUTION"])
    name = "answer" if "answer" in source else "f"
    hidden = f"### BEGIN HIDDEN TESTS\nassert {name} != 77\n### END HIDDEN TESTS"
    assignment = read_assignment(masters.write(tmp_path, [solution(marked, "q"), checks(hidden, "t"), code("1")]))
    student = student_version(assignment)
    prove(assignment, student)
    student.cells[-1].source = lines[-1].strip()
    with pytest.raises(ReleaseError, match="as a whole"):
        prove(assignment, student)


def test_nothing_is_written_where_the_proof_fails(tmp_path):
    """The instructor repeats a solution in public: marks were forgotten."""
    inside = "\n".join(line for line in masters.MEAN.split("\n") if "###" not in line)
    path = masters.write(tmp_path, [*masters.cells(), code(inside)])
    out = tmp_path / "out"
    out.mkdir()
    (out / "small.ipynb").write_text("the last release")
    with pytest.raises(ReleaseError, match="the solution of mean_loss as a whole"):
        release(path, out)
    assert (out / "small.ipynb").read_text() == "the last release" and len(list(out.iterdir())) == 1


@pytest.mark.parametrize("keeps", ["a solution's first line", "hidden tests", "marks"])
def test_a_mistake_in_the_release_itself_is_found(keeps, path, tmp_path, monkeypatch):
    """The proof finds the regions for itself."""
    if keeps == "hidden tests":
        monkeypatch.setattr(MasterCell, "outside", lambda cell: [line for line in cell.lines if "HIDDEN" not in line])
    else:
        cut, kept = module._replaced, (lambda cell, region: cell.inside(region)[:1])
        if keeps == "marks":
            kept = lambda cell, region: [cell.lines[region.start]]  # noqa: E731
        monkeypatch.setattr(
            module, "_replaced", lambda cell, by: cut(cell, lambda region: [*by(region), *kept(cell, region)])
        )
    with pytest.raises(ReleaseError, match="would give away"):
        release(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_secret_in_an_id_of_the_master_is_found(tmp_path):
    cells = masters.cells()
    cells[2].id = "so-kept-loss-for-loss-keep-in-zip-losses-mask-if-keep"
    with pytest.raises(ReleaseError, match=r", id"):
        release(masters.write(tmp_path, cells), tmp_path / "out")


# --- the proof: what does not leak is let through ---


@pytest.mark.parametrize(
    "harmless",
    [
        "else:", ")", "return", "return kept", "import math", "import torch", "import numpy as np", "total = 0", "pass",
        "from math import log", "for x in xs:", "kept = []", "x = y", "try:", "losses = [1.0, 2.0]", "loss = 3", "42",
        "mean_loss(losses, mask)", "print(mean_loss([1.0, 2.0], [True, False]))", "The mean is a number.", "share",
        "return None", "labels = [0, 1, 1, 0]  # as above", "nothing",
    ],
)  # fmt: skip
def test_lines_that_say_nothing_are_no_secrets(harmless, assignment, student):
    student.cells[1].source += "\n" + harmless
    student.cells[0].source += "\n\n" + harmless
    prove(assignment, student)


def test_a_line_that_the_instructor_shows_is_no_secret(tmp_path):
    """`share = …` stands in a public cell as well; so it may stay there."""
    shown = code("share = sum(labels) / len(labels)")
    path = masters.write(tmp_path, [*masters.cells(), shown], masters.TOML)
    release(path, tmp_path / "out")


def test_a_shown_line_is_still_found_where_it_was_not_shown(tmp_path):
    shown = text("For example, `kept = [loss for loss, keep in zip(losses, mask) if keep]`.")
    path = masters.write(tmp_path, [*masters.cells(), shown], masters.TOML)
    assignment = read_assignment(path)
    student = nbformat.read(release(path, tmp_path / "out"), as_version=4)
    put_into(student, "the stub's cell", LINE)
    with pytest.raises(ReleaseError, match="of them public"):
        prove(assignment, student)


def test_what_public_checks_say_is_no_secret(tmp_path):
    """Hidden and public checks share calls, setup and numbers."""
    toml = masters.TOML + "".join(
        f'[[check]]\nquestion = "mean_loss"\nname = "{name}"\ncall = "mean_loss(many, [True] * 37)"\n'
        f'setup = "many = [4.25] * 37"\nexpect = 4.25\nhidden = {hidden}\n'
        for name, hidden in (("shown", "false"), ("not shown", "true"))
    )
    release(masters.write(tmp_path, masters.cells(), toml), tmp_path / "out")


def test_points_and_minutes_are_no_expected_numbers(tmp_path):
    toml = '[[question]]\nname = "double"\nminutes = 37\n'
    toml += '[[check]]\nquestion = "double"\nname = "n"\ncall = "double(18.5)"\n'
    cells = [solution(DOUBLE, "d"), checks("assert double(1) == 2", "t", 36)]
    release(masters.write(tmp_path, cells, toml + "expect = 37\n"), tmp_path / "out")


def test_pictures_are_no_secrets(assignment, student):
    import numpy as np

    noise = np.random.default_rng(0).bytes(60_000)
    student.cells[0].attachments = {"f.png": {"image/png": base64.b64encode(noise).decode()}}
    drawing = "<svg>" + " ".join(f"{x:.2f}" for x in np.linspace(0, 9, 901)) + "</svg>"
    student.cells[4]["attachments"] = {"f.svg": {"image/svg+xml": b64(drawing)}}
    prove(assignment, student)


# --- properties over made-up masters ---

NAMES = st.sampled_from("loss mask label weight student teacher margin gap total kept".split())
NUMBERS = st.integers(10, 999).map(lambda n: n / 8)
EXPRESSIONS = st.builds(lambda a, n, b: f"{a} * {n} + {b}.sum()", NAMES, NUMBERS, NAMES) | st.builds(
    lambda a, b, n: f"max({a} - {b}, {n})", NAMES, NAMES, NUMBERS
)
STATEMENTS = st.lists(st.builds(lambda a, e: f"{a} = {e}", NAMES, EXPRESSIONS), min_size=1, max_size=4)


@st.composite
def made_up(draw):
    """Cells of a master, and the lines that are secret in it."""
    cells, secrets = [text("# Made up"), code("import math")], []
    for number in range(draw(st.integers(1, 3))):
        name = f"answer{number}"
        inside = [*draw(STATEMENTS), f"return {draw(EXPRESSIONS)}"]
        loop = draw(st.booleans())
        body = ["for _ in range(3):", *(f"    {line}" for line in inside)] if loop else inside
        marked = ["### BEGIN SOLUTION", *body, "### END SOLUTION"]
        cells.append(solution("\n".join([f"def {name}(x):", *(f"    {line}" for line in marked)]), f"q{number}"))
        hidden = [f"assert {name}({draw(NUMBERS)}) {draw(st.sampled_from(['==', '<']))} {draw(NUMBERS)}"]
        public = ["x = 1", f"assert {name}(x) == 2"]
        source = [*public, "### BEGIN HIDDEN TESTS", *hidden, "### END HIDDEN TESTS"]
        cells.append(checks("\n".join(source), f"t{number}", draw(st.sampled_from([0.5, 1, 3]))))
        secrets += [*inside, *hidden]
    return cells, secrets


@pytest.mark.slow
@given(made=made_up(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_release_never_holds_a_secret_and_a_leak_is_always_found(made, data, tmp_path_factory):
    cells, secrets = made
    folder = tmp_path_factory.mktemp("made")
    path = masters.write(folder, cells)
    student = nbformat.read(release(path, folder / "out"), as_version=4)
    bare = "".join(json.dumps(student).split())
    assert not [line for line in secrets if "".join(line.split()) in bare]
    assignment = read_assignment(path)
    spaced = data.draw(st.sampled_from([str, lambda s: s.replace(" ", ""), lambda s: "\t" + s.replace(" ", "  ")]))
    leak = data.draw(st.sampled_from(secrets))
    leak = spaced(leak) if not leak.startswith(("return", "assert")) else leak
    places = ["source", "words", "a comment", "an output", "an attachment", "metadata", "an attached notebook"]
    put_into_last(student, data.draw(st.sampled_from(places)), leak)
    with pytest.raises(ReleaseError):
        prove(assignment, student)


def put_into_last(student, place, leak):
    student.cells[2].metadata.nbgrader.grade_id = "mean-loss"
    put_into(student, place, leak)


@pytest.mark.slow
@given(texts=st.lists(st.text(alphabet="ab =1.\n'\"#`\\{}[]é|<", max_size=30), min_size=1, max_size=4))
@example(texts=["# ``` \n", "attachment:"])
@settings(max_examples=60, deadline=None)
def test_public_text_of_any_kind_passes(texts, tmp_path_factory):
    """What is public is no secret, whatever it looks like: the proof raises no false alarm."""
    folder = tmp_path_factory.mktemp("any")
    cells = [*masters.cells(), *(text(one) for one in texts)]
    made = nbformat.read(release(masters.write(folder, cells, masters.TOML), folder / "out"), as_version=4)
    assert [cell.source for cell in made.cells[-len(texts) :]] == texts
