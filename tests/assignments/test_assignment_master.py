"""Masters are read: names, checks, points; and each mistake of an instructor's is named with its place."""

import json
import math

import masters
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masters import checks, code, solution, text, words

from w2s_lab.assignments.authoring.markup import parse
from w2s_lab.assignments.authoring.master import read_assignment

DOUBLE = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"


def read(folder, *cells, toml=None):
    return read_assignment(masters.write(folder, list(cells), toml))


def only_check(folder, source: str, solved: str = DOUBLE):
    (check,) = read(folder, solution(solved, "double"), checks(source, "test-double", 3)).checks
    return check


@pytest.fixture
def small(tmp_path):
    return read_assignment(masters.write(tmp_path, masters.cells(), masters.TOML))


def test_a_master_as_a_whole(small):
    assert (small.name, small.title, small.minutes) == ("small", "Weak labels, by hand", 30)
    assert [q.name for q in small.questions] == ["mean_loss", "share", "why"]
    assert [q.cell for q in small.questions] == ["mean-loss", "share", "why"]
    assert [q.by_hand for q in small.questions] == [False, False, True]
    assert [q.points for q in small.questions] == [6, 2, 5] and small.points == 13
    assert [q.minutes for q in small.questions] == [15, None, None]
    assert [q.title for q in small.questions] == ["The loss of a batch", "share", "why"]
    assert [c.name for c in small.checks_of("mean_loss")][-2:] == ["mean_loss, check 4", "a long batch"]
    assert [c.hidden for c in small.checks_of("mean_loss")] == [False, False, True, True, True]


def test_the_cells_are_all_code_with_solutions_and_without_checks(small):
    assert small.cells == (masters.PUBLIC, masters.MEAN, masters.SHARE)
    names = {}
    exec("\n".join(small.cells), names)
    assert names["share"] == 0.5


def test_each_check_is_met_by_the_solutions(small):
    """What is read is what the asserts mean: evaluated here as the grader does, all are met."""
    for check in small.checks:
        names = {"math": math}
        exec("\n".join(small.cells), names)
        exec(check.setup, names)
        given = eval(check.call, names)
        if check.criterion is not None:
            assert eval(check.criterion, {**names, "given": given})
        else:
            assert given == pytest.approx(eval(check.wanted, names), abs=check.tolerance)


def test_hidden_setup_is_for_hidden_checks_only(small):
    first, _, third, *_ = small.checks
    assert "nothing" not in first.setup and "nothing = [False, False, False]" in third.setup
    assert third.setup.startswith("losses = [1.0, 2.0, 6.0]")


@pytest.mark.parametrize(
    ("source", "call", "wanted", "tolerance"),
    [
        ("assert double(2) == 4", "double(2)", "4", 1e-6),
        ("assert 4 == double(2)", "double(2)", "4", 1e-6),  # not: ask for 4, and want double(2)
        ("assert math.isclose(double(2), 4, abs_tol=1e-3, rel_tol=1e-2)", "double(2)", "4", 1e-2),
        ("assert np.isclose(4, double(2))", "double(2)", "4", 1e-6),
        ("assert np.allclose(double(2), x, 1e-2, 1e-4)", "double(2)", "x", 1e-2),
        ("assert np.allclose(double(x), [2, 4])", "np.asarray(double(x))", "np.asarray([2, 4])", 1e-5),
        ("assert torch.allclose(double(x), y, atol=0.1)", "double(x)", "y", 0.1),
        ("assert double(x).equals(y)", "double(x)", "y", 0.0),
        ("assert y.equals(double(x)), 'Which columns?'", "double(x)", "y", 0.0),
        ("assert double(x).equal(y)", "double(x)", "y", 0.0),
        ("assert torch.isclose(double(x), y).all()", "double(x)", "y", 1e-6),
        ("assert torch.equal(double(x), y)", "double(x)", "y", 1e-6),
        ("assert (double(x) == y).all()", "double(x)", "y", 1e-6),
        ("assert double(2) == pytest.approx(4, rel=0.5)", "double(2)", "4", 0.5),
        ("assert approx(4) == double(2)", "double(2)", "4", 1e-6),
        ("assert abs(double(2) - 4) < 1e-3", "double(2)", "4", 1e-3),
        ("z = double(3)\nassert z == 6", "z", "6", 1e-6),
    ],
)
def test_asserts_of_what_is_wanted(source, call, wanted, tolerance, tmp_path):
    check = only_check(tmp_path, source)
    assert (check.call, check.wanted, check.tolerance, check.criterion) == (call, wanted, tolerance, None)
    assert check.points == 3


@pytest.mark.parametrize(
    ("source", "call", "criterion"),
    [
        ("assert double(2) < 5", "double(2)", "given < (5)"),
        ("assert double(2) >= 1 + 1", "double(2)", "given >= (1 + 1)"),
        ("assert double(2) != 3", "double(2)", "given != (3)"),
        ("assert double(2) in {4, 5}", "double(2)", "given in ({4, 5})"),
        ("assert 'a' not in double('b')", "double('b')", "('a') not in given"),
        ("assert 3 < double(2)", "double(2)", "(3) < given"),
        ("assert double(2) is not None", "double(2)", "given is not (None)"),
        ("assert abs(double(-2)) < limit", "abs(double(-2))", "given < (limit)"),
    ],
)
def test_asserts_of_a_criterion(source, call, criterion, tmp_path):
    check = only_check(tmp_path, source)
    assert (check.call, check.criterion, check.wanted) == (call, criterion, None)


def test_and_is_two_checks_that_share_the_points(tmp_path):
    cell = checks("assert double(1) == 2 and double(0) == 0 and double(2) > 3, 'twice'", "t", 3)
    found = read(tmp_path, solution(DOUBLE, "double"), cell).checks
    assert [check.points for check in found] == [1, 1, 1]
    assert {check.hint for check in found} == {"twice"}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("assert double(2)", "compares nothing"),
        ("assert not double(2)", "compares nothing"),
        ("assert double(2) == 4 or double(2) == 5", "compares nothing"),
        ("assert 0 < double(1) < 3", "more than two values"),
        ("for n in (1, 2):\n    assert double(n) == 2 * n", "line 2: an assert inside another statement"),
        ("np.testing.assert_allclose(double(1), 2)", "cannot be split"),
        ("with pytest.raises(ValueError):\n    double('a')", "cannot be split"),
        ("assert 2 + 2 == 4", "uses nothing that a student writes"),
        ("x = 1\nassert x < 2", "uses nothing that a student writes"),
        ("assert double(1) == 2, f'it is {2}'", "is computed"),
        ("assert double(1) is 2", "None, True or False only"),
        ("assert np.isclose(double(1), 2, rtol=small)", "no number of 0 or more"),
        ("assert np.isclose(double(1), 2, casting='no')", "'casting'"),
        ("x = 1", "no assert"),
        ("assert double(1) = 2", "line 1: this is no Python"),
        ("assert double(\n### BEGIN HIDDEN TESTS\n1) == 2\n### END HIDDEN TESTS", "half of this statement"),
    ],
)
def test_other_asserts_are_mistakes(source, says, tmp_path):
    with pytest.raises(ValueError) as caught:
        only_check(tmp_path, source)
    message = str(caught.value)
    assert says in message and "Hint: " in message
    assert "small.ipynb, cell 2 (test-double)" in message


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (DOUBLE, "double"),
        ("@cache\ndef double(x):\n    y = x\n# BEGIN SOLUTION here\n    return 2 * y\n    #END SOLUTION", "double"),
        (
            "class Student:\n    def fit(self):\n        # BEGIN SOLUTION\n        self.a = 1\n        # END SOLUTION",
            "Student",
        ),
        ("### BEGIN SOLUTION\n_half = 1\nplan = {'n': 2 * _half}\n### END SOLUTION", "plan"),
        ("### BEGIN SOLUTION\ntotal = 0\nfor i in range(3):\n    total += i\n### END SOLUTION", "total"),
        ("plan = {\n    ### BEGIN SOLUTION\n    'human': 3,\n    ### END SOLUTION\n}", "plan"),
        ("total = 0\nfor i in range(3):\n    ### BEGIN SOLUTION\n    total += i\n    ### END SOLUTION", "total"),
        ("%matplotlib inline\n" + DOUBLE, "double"),
        ("%%time\n" + DOUBLE, "double"),
        ("\n\n!ls\n" + DOUBLE, "double"),
        ("a, _ = 1, 2", "a"),  # no marks: all of a solution cell is one
    ],
)
def test_the_name_is_that_of_what_holds_the_solution(source, name, tmp_path):
    given = read(tmp_path, solution(source, "q"), checks(f"assert {name} != 0", "t"))
    assert [question.name for question in given.questions] == [name]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def f():\n    pass\n\n### BEGIN SOLUTION\na = 1\nb = 2\n### END SOLUTION", "several names (a, b)"),
        ("### BEGIN SOLUTION\n# nothing\n### END SOLUTION", "no name"),
        ("### BEGIN SOLUTION\nprint(1)\n### END SOLUTION", "no name"),
        ("def f():\n    ### BEGIN SOLUTION\n    return 1", "line 2: BEGIN SOLUTION is not closed"),
        ("def f():\n    return 1\n    ### END SOLUTION", "line 3: END SOLUTION closes nothing"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\na = 1\n### END SOLUTION", "inside the region that line 1 opens"),
        ("### BEGIN SOLUTION\na = 1\n### END HIDDEN TESTS", "closes nothing"),
        ("### BEGIN SOLUTION\na = 1\n### END SOLUTION\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS", "split the cell"),
        ("### BEGIN SOLUTION a = 1 ### END SOLUTION", "two marks on one line"),
        ("### BEGIN SOLUTION\na = = 1\n### END SOLUTION", "line 2: this is no Python"),
        ("!ls \\\n  -l\n### BEGIN SOLUTION\na = 1\n### END SOLUTION", "several lines"),
    ],
)
def test_mistakes_in_solutions(source, says, tmp_path):
    with pytest.raises(ValueError) as caught:
        read(tmp_path, text("# T"), solution(source, "q"), checks("assert a == 1", "t"))
    assert says in str(caught.value) and "small.ipynb, cell 2 (q)" in str(caught.value)
    assert "Hint: " in str(caught.value)


def test_a_question_without_checks_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match=r"cell 1 \(double\): question 'double' has no check"):
        read(tmp_path, solution(DOUBLE, "double"))


def test_a_notebook_without_questions_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="no question"):
        read(tmp_path, text("# Only words"))


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([checks("assert double(1) == 2", "t")], "checks before any solution"),
        ([solution(DOUBLE, "a"), checks("assert double(1) == 2", "t", 0)], "points is 0, expected a number above 0"),
        ([solution(DOUBLE, "a"), checks("assert double(1) == 2", "t", -1)], "points is -1"),
        ([solution(DOUBLE, "a"), checks("assert double(1) == 2", "a")], "the same grade_id"),
        ([solution(DOUBLE, "a"), solution(DOUBLE, "b")], "question 'double' is that of cell 1"),
        ([code(DOUBLE, grade=True, solution=True, grade_id="a", points=1)], "both"),
        ([text("### BEGIN SOLUTION\nx\n### END SOLUTION")], "Manually graded answer"),
        ([text("x", task=True, grade_id="a", points=1)], "tasks are not read"),
        ([words("x", "")], "no grade_id"),
        ([code("x = (", grade_id="a")], "no Python"),
    ],
)
def test_mistakes_of_cells(cells, says, tmp_path):
    with pytest.raises(ValueError) as caught:
        read(tmp_path, *cells)
    assert says in str(caught.value) and "small.ipynb, cell" in str(caught.value) and "Hint: " in str(caught.value)


def test_a_stripped_master_still_reads(tmp_path, small):
    cells = masters.stripped(masters.cells()[:-1])  # an answer in words would have lost its points
    again = read_assignment(masters.write(tmp_path / "stripped", cells, masters.TOML))
    assert [q.name for q in again.questions] == ["mean_loss", "share"]
    assert [(c.name, c.call, c.wanted, c.hidden) for c in again.checks] == [
        (c.name, c.call, c.wanted, c.hidden) for c in small.checks
    ]
    assert [c.points for c in again.checks_of("mean_loss")] == [1, 1, 1, 1, 2]
    assert again.cells == small.cells


def test_in_a_stripped_master_setup_and_asserts_after_a_solution_are_checks(tmp_path):
    found = read(tmp_path, code("assert 1 == 1"), code(DOUBLE), text("Try it."), code("x = 2\nassert double(x) == 4"))
    assert [check.call for check in found.checks] == ["double(x)"]
    assert len(found.cells) == 2  # the first assert is nobody's check


def test_where_there_are_metadata_an_assert_of_the_instructors_own_is_no_check(tmp_path):
    given = read(tmp_path, solution(DOUBLE, "a"), code("assert double(1) == 2"), checks("assert double(2) == 4", "t"))
    assert [check.call for check in given.checks] == ["double(2)"] and "assert double(1) == 2" in given.cells


def test_a_stripped_answer_in_words_has_no_points_and_that_is_said(tmp_path):
    with pytest.raises(ValueError, match="points"):
        read_assignment(masters.write(tmp_path, masters.stripped(masters.cells())))


@pytest.mark.parametrize(
    "content", [b"", b"no json", b"[]", b'{"nbformat": 3}', b'{"nbformat": 4, "cells": 7}', b"\xff\xfe{}", b"{" * 5000]
)
def test_what_is_no_notebook_is_said(content, tmp_path):
    path = tmp_path / "small.ipynb"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"small\.ipynb.*Hint"):
        read_assignment(path)


def test_a_missing_master_is_said(tmp_path):
    with pytest.raises(ValueError, match="there is no master"):
        read_assignment(tmp_path / "none.ipynb")


def test_lines_that_end_as_on_windows(tmp_path):
    path = masters.write(tmp_path, masters.cells())
    record = json.loads(path.read_text())
    for cell in record["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")
    path.write_text(json.dumps(record))
    assert read_assignment(path).cells == (masters.PUBLIC, masters.MEAN, masters.SHARE)


# --- TOML ---


CHECK = '[[check]]\nquestion = "double"\nname = "n"\ncall = "double(3)"\n'


def with_toml(folder, toml):
    return read(folder, solution(DOUBLE, "double"), checks("assert double(2) == 4", "t", 1), toml=toml)


def test_defaults_of_a_check_in_toml(tmp_path):
    check = with_toml(tmp_path, CHECK).checks[-1]
    assert (check.name, check.points, check.seconds, check.hidden) == ("n", 1, 10, True)
    assert (check.wanted, check.criterion, check.setup, check.hint) == (None, None, "", "")


def test_all_keys_of_a_check_in_toml(tmp_path):
    more = 'setup = """\nx = 1\ny = x\n"""\npoints = 2.5\nseconds = 3\nhidden = false\ntolerance = 0\nhint = "twice"\n'
    check = with_toml(tmp_path, CHECK + more + 'wanted = "5 + 1"\n').checks[-1]
    assert (check.setup, check.points, check.seconds, check.hidden) == ("x = 1\ny = x", 2.5, 3, False)
    assert (check.tolerance, check.hint, check.wanted) == (0, "twice", "5 + 1")


@pytest.mark.parametrize(
    "written", ["1.5", "true", '"a\\"b"', "[1, [2.5, false]]", '{a = 1, "b c" = "d"}', "nan", "-inf", "[]"]
)
def test_a_plain_value_is_what_it_is_in_toml(written, tmp_path):
    import tomllib

    wanted = with_toml(tmp_path, f"{CHECK}expect = {written}\n").checks[-1].wanted
    assert repr(eval(wanted)) == repr(tomllib.loads(f"x = {written}")["x"])


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("x = ", "no TOML"),
        ("minuets = 3", "unknown key 'minuets'"),
        ("minutes = 0", "minutes is 0"),
        ("check = 3", "[[check]]"),
        ("[check]\nname = 'n'", "[[check]]"),
        ('[[question]]\nname = "triple"', "name is 'triple', expected one of double"),
        ('[[question]]\nname = "double"\n[[question]]\nname = "double"', "twice"),
        ('[[question]]\nname = "double"\npoints = 3', "unknown key 'points'"),
        ('[[question]]\nname = "double"\ntitle = 3', "title is 3"),
        (CHECK + "point = 3", "did you mean points?"),
        (CHECK + "points = 0", "points is 0"),
        (CHECK + "points = '2'", "points is '2'"),
        (CHECK + "seconds = -1", "seconds is -1"),
        (CHECK + "tolerance = nan", "tolerance is nan"),
        (CHECK + "hidden = 'no'", "hidden is 'no'"),
        (CHECK + "expect = 1\ncriterion = 'given'", "expect and criterion together"),
        (CHECK + "criterion = 'True'", "called `given`"),
        (CHECK + "wanted = '1 +'", "wanted is '1 +'"),
        (CHECK + "setup = '%time x = 1'", "without magics"),
        (CHECK + "expect = 2024-01-01", "date"),
        (CHECK.replace("double(3)", "x = double(3)"), "call is"),
        (CHECK.replace("double(3)", "3"), "uses nothing that a student writes"),
        (CHECK.replace('"double"', '"why"'), "question is 'why'"),
        ('[[check]]\nname = "n"\ncall = "double(3)"', "question is missing"),
        ('[[check]]\nquestion = "double"\ncall = "double(3)"', "name is missing"),
        (CHECK + CHECK, "check 2 (n), line 5: another check has the name 'n'"),
        (CHECK.replace('"n"', '"double, check 1"'), "two checks are called 'double, check 1'"),
    ],
)
def test_mistakes_in_toml(toml, says, tmp_path):
    with pytest.raises(ValueError) as caught:
        with_toml(tmp_path, toml)
    assert says in str(caught.value) and "Hint: " in str(caught.value)


def test_a_mistake_in_toml_is_found_by_its_line(tmp_path):
    with pytest.raises(ValueError, match=r"small\.toml, check 2 \(m\), line 6: seconds is 0"):
        with_toml(tmp_path, CHECK + "\n" + CHECK.replace('"n"', '"m"') + "seconds = 0")


def test_an_answer_in_words_takes_no_check(tmp_path):
    with pytest.raises(ValueError, match="'why' is an answer in words"):
        read(tmp_path, *masters.cells(), toml=CHECK.replace('"double"', '"why"'))


# --- properties ---


@given(
    points=st.lists(st.sampled_from([0.5, 1, 2, 3, 7]), min_size=1, max_size=5),
    asserts=st.lists(st.integers(1, 6), min_size=5, max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_points_add_up(points, asserts, tmp_path_factory):
    cells = []
    for number, (value, count) in enumerate(zip(points, asserts, strict=False)):
        cells.append(solution(DOUBLE.replace("double", f"double{number}"), f"q{number}"))
        cells.append(
            checks("\n".join(f"assert double{number}({n}) == {2 * n}" for n in range(count)), f"t{number}", value)
        )
    given = read(tmp_path_factory.mktemp("m"), *cells)
    assert [question.points for question in given.questions] == pytest.approx(points)
    assert given.points == pytest.approx(sum(points))
    assert sum(check.points for check in given.checks) == pytest.approx(sum(points))


@given(st.text(alphabet="ab=%!?()\n #\"'\\:1", max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_cell_is_python_or_a_mistake_with_its_place(source):
    try:
        parse(source, "cell 7")
    except ValueError as error:
        assert str(error).startswith("cell 7")
