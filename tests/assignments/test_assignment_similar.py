"""Pairs to look at: a copy is found however it is disguised, and honest short solutions make none."""

import random
import re
import time
from dataclasses import replace

import pytest
from test_assignment_exports import ASSIGNMENT

from w2s_lab.assignments.marks.similar import CAVEAT, twins
from w2s_lab.assignments.records import Marks, Question

# Eight ways to write each of three short questions, as different people would.
LOSS = (
    "def batch_loss(A, B):\n    return -(A * B).sum(1).mean()",
    "def batch_loss(A, B):\n    C = 0\n    for D, E in zip(A, B):\n        C += D[E].sum()\n    return -C / len(A)",
    "def batch_loss(A, B):\n    C = torch.where(B, A, torch.zeros_like(A))\n    D = C.sum(dim=-1)\n"
    "    return -D.mean()",
    "def batch_loss(A, B):\n    C = A.masked_fill(~B, 0.0)\n    return C.sum(dim=1).neg().mean()",
    "def batch_loss(A, B):\n    return -sum(D[E].sum() for D, E in zip(A, B)) / A.shape[0]",
    "def batch_loss(A, B):\n    C = []\n    for D in range(len(A)):\n        C.append(A[D][B[D]].sum())\n"
    "    return -torch.stack(C).mean()",
    "def batch_loss(A, B):\n    A = A.clone()\n    A[~B] = 0\n    C = A.sum(-1)\n    return -1 * C.mean()",
    "def batch_loss(A, B):\n    C = torch.einsum('bt,bt->b', A, B.float())\n    return -torch.mean(C)",
)
PGR = (
    "def pgr(A, B, C):\n    return (B - A) / (C - A) if C > A else None",
    "def pgr(A, B, C):\n    if C <= A:\n        return None\n    return (B - A) / (C - A)",
    "def pgr(A, B, C):\n    D = C - A\n    if D > 0:\n        return (B - A) / D\n    return None",
    "def pgr(A, B, C):\n    if not C > A:\n        return None\n    D = B - A\n    E = C - A\n    return D / E",
    "def pgr(A, B, C):\n    D = (C - A)\n    return None if D <= 0 else (B - A) / D",
    "def pgr(A, B, C):\n    try:\n        D = (B - A) / (C - A)\n    except ZeroDivisionError:\n        return None\n"
    "    return D if C > A else None",
    "def pgr(A, B, C):\n    if C > A:\n        D = (B - A) / (C - A)\n    else:\n        D = None\n    return D",
    "def pgr(A, B, C):\n    if max(A, C) == A:\n        return None\n    return 1 - (C - B) / (C - A)",
)
IMITATION = (
    "def imitation(A, B, C):\n    D = [a == b for a, b, c in zip(A, B, C) if b != c]\n"
    "    return sum(D) / len(D) if D else None",
    "def imitation(A, B, C):\n    D = B != C\n    return (A[D] == B[D]).float().mean().item() if D.any() else None",
    "def imitation(A, B, C):\n    D = 0\n    E = 0\n    for a, b, c in zip(A, B, C):\n"
    "        if b != c:\n            D += 1\n"
    "            if a == b:\n                E += 1\n    return E / D if D else None",
    "def imitation(A, B, C):\n    D = np.array(B) != np.array(C)\n    E = np.array(A) == np.array(B)\n"
    "    return E[D].mean() if D.any() else None",
    "def imitation(A, B, C):\n    D = [i for i in range(len(A)) if B[i] != C[i]]\n    if len(D) == 0:\n"
    "        return None\n"
    "    E = [i for i in D if A[i] == B[i]]\n    return len(E) / len(D)",
    "def imitation(A, B, C):\n    D = sum(b != c for b, c in zip(B, C))\n    if D == 0:\n        return None\n"
    "    return sum(a == b and b != c for a, b, c in zip(A, B, C)) / D",
    "def imitation(A, B, C):\n    D = list(filter(lambda x: x[1] != x[2], zip(A, B, C)))\n    if not D:\n"
    "        return None\n"
    "    return sum(map(lambda x: x[0] == x[1], D)) / len(D)",
    "def imitation(A, B, C):\n    D = (B != C).sum()\n    E = ((A == B) & (B != C)).sum()\n"
    "    return None if D == 0 else E / D",
)
EXAMPLES = LOSS, PGR, IMITATION
NAMES = "logp mask w s ceil total rows x y res out tmp acc gap val hits n part m p q r weak student truth".split()
HEAD = "import math\nimport numpy as np\nimport torch"


def submission(student: str, *functions: str, seed: int = 0) -> Marks:
    """Own names for the capital letters, own comments, and the functions in an order of one's own."""
    draw = random.Random(seed)
    cells = []
    for function in functions:
        names = dict(zip("ABCDE", draw.sample(NAMES, 5), strict=True))
        cells.append(re.sub(r"\b[A-E]\b", lambda found, names=names: names[found[0]], function) + f"  # {student}")
    draw.shuffle(cells)
    return Marks(student, f"{student}.ipynb", (), code=(HEAD, *cells))


def honest(count: int, seed: int) -> list[Marks]:
    draw = random.Random(seed)
    styles = [tuple(map(draw.choice, EXAMPLES)) for _ in range(count)]
    return [submission(f"s{i}", *functions, seed=i) for i, functions in enumerate(styles)]


LONG = '''
def early_stop(losses, patience):
    """The step to stop at."""
    best, best_at, waited = float("inf"), 0, 0
    history = []
    for step, loss in enumerate(losses):
        smooth = 0.7 * history[-1] + 0.3 * loss if history else loss
        history.append(smooth)
        if smooth < best - 1e-4:
            best, best_at, waited = smooth, step, 0
        else:
            waited += 1
        if waited > patience:
            break
    return best_at

def design(budget):
    plan = {"human": min(200, int(budget // 4)), "weak": 0, "filter": "confidence"}
    left = budget - 4 * plan["human"]
    while left >= 0.05:
        plan["weak"] += 1
        left -= 0.05
    plan["threshold"] = round(0.5 + 0.3 * math.exp(-plan["weak"] / 1000), 3)
    return plan

def vote(labels):
    counts = {}
    for one in labels:
        counts[one] = counts.get(one, 0) + 1
    top = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return top[0][0]
'''


def copied() -> Marks:
    """LONG with other names, comments, annotations, spellings, a print, and another order."""
    text = LONG
    other = """losses curve patience p best_at where best low waited idle history h smooth ema step t plan answer
        left money
        labels votes counts c top ranked one v pair kv""".split()
    for old, new in zip(other[::2], other[1::2], strict=True):
        text = re.sub(rf"(?<![\"'])\b{old}\b(?![\"'])", new, text)
    text = text.replace("idle += 1", "idle = idle + 1  # not better").replace("1e-4", "0.0001").replace("= {}", "= {}")
    text = text.replace("(budget):", "(budget: float) -> dict:").replace('"The step to stop at."', '"Stops."')
    parts = text.strip().split("\n\n")
    return Marks("bob", "bob.ipynb", (), code=(HEAD, parts[2], "%matplotlib inline\nprint(1)", parts[1], parts[0]))


def test_a_copy_with_other_names_is_found_among_a_hundred():
    original = Marks("ada", "ada.ipynb", (), code=(HEAD, LONG))
    vote = "def vote(labels):\n    return max(set(labels), key=labels.count)"
    crowd = [replace(one, code=(*one.code, vote)) for one in honest(100, seed=0)]
    found = twins([*crowd[:50], original, *crowd[50:], copied()], ASSIGNMENT)
    assert [set(twin.students) for twin in found] == [{"ada", "bob"}]
    assert found[0].likeness > 0.9
    assert len(found[0].shared) == 3 and all("(2 of 102)" in piece for piece in found[0].shared)


def test_a_copy_of_short_answers_to_many_questions_is_found():
    """A ring of three: a short answer alone is no evidence, a dozen that nobody else has are."""
    odd = []
    for i, source in enumerate((*LOSS[:4], *PGR[1:5])):
        source = re.sub(r"\bdef (\w+)", rf"def \1_{i}", source).replace(":\n", f":\n    Z{i} = {i + 7} - A\n", 1)
        odd.append(source.replace("return", f"A = A * {i + 3} + {i}\n    return", 1))
    ring = [submission(name, *odd, seed=i) for i, name in enumerate(("ada", "bob", "eve"))]
    found = twins([*honest(97, seed=3), *ring], ASSIGNMENT)
    assert {frozenset(twin.students) for twin in found} == {
        frozenset(pair) for pair in (("ada", "bob"), ("ada", "eve"), ("bob", "eve"))
    }


@pytest.mark.parametrize("seed", range(5))
def test_honest_short_solutions_make_no_pair(seed):
    assert twins(honest(100, seed), ASSIGNMENT) == []


@pytest.mark.parametrize("count", [2, 3, 10, 300])
def test_the_same_obvious_solution_makes_no_pair(count):
    marks = [submission(f"s{i}", LOSS[0], PGR[1], IMITATION[0], seed=i) for i in range(count)]
    assert twins(marks, replace(ASSIGNMENT, cells=(HEAD, *map(solved, (LOSS[0], PGR[1], IMITATION[0]))))) == []


def solved(function: str) -> str:
    """A master's cell, its body in solution marks."""
    head, _, body = function.partition("\n")
    return f"{head}\n    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION"


def test_what_was_released_is_nobodys_own():
    first, second = submission("ada", LOSS[0], seed=1), submission("bob", LOSS[3], seed=2)
    marks = [replace(one, code=(*one.code, LONG)) for one in (first, second)]
    master = replace(ASSIGNMENT, cells=(HEAD, LONG, solved(LOSS[0])))
    assert twins(marks, master) == [] != twins(marks, ASSIGNMENT, at_least=0.5)


def test_what_the_master_solves_is_not_taken_for_released():
    """Two who handed in the same long solution are shown, although it is the master's."""
    marks = [Marks("ada", "a", (), code=(LONG,)), copied()]
    whole = "\n".join(f"### BEGIN SOLUTION\n{part}\n### END SOLUTION" for part in LONG.strip().split("\n\n"))
    found = twins(marks, replace(ASSIGNMENT, cells=(whole,)), at_least=0.5)
    assert [twin.students for twin in found] == [("ada", "bob")]


def test_two_who_share_a_lot_in_a_class_of_two():
    found = twins([Marks("ada", "a", (), code=(LONG,)), copied()], ASSIGNMENT)
    assert [twin.students for twin in found] == [("ada", "bob")]


def test_what_cannot_be_parsed_is_not_compared():
    bad = (
        "def f(:",
        "-" * 19_000 + "1",
        "(" * 9_000,
        "a" + ".b" * 9_000,
        "lambda:" * 2_500 + "1",
        "x" * 30_000,
        "\0",
        "",
    )
    marks = [Marks(name, name, (), code=bad) for name in ("ada", "bob")]
    assert twins(marks, ASSIGNMENT) == [] and twins([], ASSIGNMENT) == []
    together = [replace(one, code=(*bad[:4], LONG)) for one in marks]
    assert len(twins(together, ASSIGNMENT)) == 1


def test_stubs_that_nobody_filled_in_make_no_pair():
    stub = "def batch_loss(log_probs, mask):\n    ...  # your code here\n\nanswer = None  # your answer"
    assert twins([Marks(f"s{i}", "f", (), code=(stub,)) for i in range(30)], ASSIGNMENT, at_least=0.1) == []


@pytest.mark.parametrize("at_least", [0, -1, 1.5])
def test_a_threshold_that_means_nothing_is_refused(at_least):
    with pytest.raises(ValueError, match=f"at_least is {at_least}; expected"):
        twins([], ASSIGNMENT, at_least=at_least)


def test_three_hundred_within_seconds_and_at_most_as_many_as_asked():
    """Each hands in six answers; twenty copied from one."""
    crowd = [
        replace(one, code=(*one.code, *other.code)) for one, other in zip(honest(280, 5), honest(280, 6), strict=True)
    ]
    ring = [Marks(f"ring {i}", "f", (), code=(HEAD, LONG, *crowd[0].code)) for i in range(20)]
    start = time.perf_counter()
    found = twins([*crowd, *ring], ASSIGNMENT, most=7)
    assert len(found) == 7 and time.perf_counter() - start < 20
    assert all(name.startswith("ring") for twin in found for name in twin.students)


# Eight questions with eight ways to answer each; the first way is popular.
EIGHT = [[re.sub(r"\bdef \w+", f"def q{i}", way) for way in EXAMPLES[i % 3]] for i in range(8)]
LONGER = replace(ASSIGNMENT, questions=tuple(Question(f"q{i}", f"q{i}", 1) for i in range(8)))


def popular(count: int, seed: int, share: float) -> list[Marks]:
    draw = random.Random(seed)
    weights = [share, *[(1 - share) / 7] * 7]
    chosen = [[draw.choices(ways, weights)[0] for ways in EIGHT] for _ in range(count)]
    return [submission(f"s{i}", *answers, seed=i) for i, answers in enumerate(chosen)]


def large_ring(count: int, seed: int) -> list[Marks]:
    """One submission copied, with own names, and one answer in ten with a line more."""
    draw = random.Random(seed)
    source, found = [draw.choice(ways) for ways in EIGHT], []
    for i in range(count):
        own = [re.sub(r"\n    return", "\n    print(A)\n    return", q) if draw.random() < 0.1 else q for q in source]
        found.append(submission(f"ring {i}", *own, seed=1_000 + i))
    return found


@pytest.mark.parametrize("share", [0.2, 0.33, 0.5])
def test_near_copies_in_a_ring_that_is_a_large_share_of_the_class(share):
    many = round(80 * share)
    found = twins([*popular(80 - many, 2, 0.3), *large_ring(many, 3)], LONGER, most=10_000)
    named = {name for twin in found for name in twin.students}
    assert all(name.startswith("ring") for name in named) and len(named) >= 0.8 * many


@pytest.mark.parametrize("share", [0.125, 0.5, 0.7, 0.95])
def test_popular_answers_make_no_ring(share):
    assert twins(popular(80, 1, share), LONGER) == []


def test_the_caveat_is_in_the_words():
    assert CAVEAT == "a place to look, not a verdict" and CAVEAT in (twins.__doc__ or "")
