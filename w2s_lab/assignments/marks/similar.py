"""Finds pairs of submissions that are more alike than chance and the task explain: a place to look, not a verdict.

A submission becomes a set of pieces: its statements, pairs of statements that follow each other, and larger
expressions, as syntax trees in which own names are numbered in the order they come, numbers have one spelling, and
comments, docstrings, annotations and the order of definitions are gone. Two conditions make a pair: most of what the
two wrote is the same, where rare pieces weigh more (cosine of inverse document frequencies); and they share many pieces
that few others write. So a short obvious solution makes no pair, however many students hand it in. What a large ring
shares is not rare; but its members agree in question after question, far more often than the popularity of each answer
explains, and there that stands in for rarity. The idea of comparing weighed pieces of normalised programs is that of
Schleimer, Wilkerson and Aiken 2003 (Winnowing, the algorithm behind Moss) and of Prechelt, Malpohl and Philippsen 2002
(JPlag).
"""

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from w2s_lab.assignments.marks.csv_files import cut
from w2s_lab.assignments.records import Assignment, Marks

CAVEAT = "a place to look, not a verdict"
LARGEST = 20_000  # letters: a longer cell is not parsed, since Python's parser may not survive what people can write
EXPRESSIONS = (ast.BinOp, ast.Call, ast.Compare, ast.ListComp, ast.GeneratorExp, ast.Subscript)
EXPRESSION = 6  # nodes from which an expression is a piece of its own
STRANGERS = 100  # imaginary honest submissions without a piece: what two of two students share is not yet common
COMMON = 1.5  # nats: a piece of more than exp(-1.5) = 22 % of the submissions is no evidence
STATEMENT = 10  # nodes of a usual statement: it counts as one, a larger one as up to LARGE
LARGE = 3.0
ENOUGH = 36.0  # nats: about a dozen rare statements; with less, a pair's likeness is reduced in proportion
SOLUTION = 0.5  # weight of a statement that the master's solution has too: it is what the task asks for
SAME = 0.8  # of the statements of an answer, and of the answers of a submission: near-copies
RING = math.e  # times as many near-copies as the popularity of each answer explains, and beyond that so many:
MANY, SOME = 0.05, 4  # of the class, and at least; what fewer share is rare anyway
SHOWN, LETTERS = 3, 70  # shared pieces that are told, and letters of each
REGION = re.compile(r"(?ms)^([ \t]*)[^\n]*BEGIN SOLUTION.*?END SOLUTION[^\n]*(?:\n|\Z)")
UNREADABLE = (SyntaxError, ValueError, MemoryError, RecursionError)
DROPPED = {"ctx", "type_comment", "annotation", "returns", "kind", "type_ignores"}  # fields that say nothing


@dataclass(frozen=True)
class Twin:
    """Two submissions that are alike: a place to look, not a verdict.

    Attributes:
        students: in the order of the marks.
        likeness: 0 to 1; 1: everything that weighs anything is the same.
        shared: the rarest statements that both have, in the first student's spelling, each with its definition and how
            many submissions have it.
    """

    students: tuple[str, str]
    likeness: float
    shared: tuple[str, ...]


def twins(
    marks: Sequence[Marks],
    assignment: Assignment,
    *,
    at_least: float = 0.8,
    most: int = 20,
) -> list[Twin]:
    """Pairs of submissions with a likeness of `at_least`, the most alike first; a place to look, not a verdict.

    All pairs are compared at once, by sparse matrices: a few seconds for hundreds of submissions. Code that the master
    gives outside of its solutions (or in the set-up of a public check) is left out, and so are cells that Python cannot
    parse. Code that much of the class hands in counts as part of the task, unless the same students agree in nearly all
    questions; a ring that is nearly the whole class stays unseen.

    Args:
        marks: with the submissions' `code`.
        at_least: above 0, at most 1.
        most: pairs returned.

    Raises:
        ValueError: `at_least` is not in (0, 1].
    """
    if not 0 < at_least <= 1:
        raise ValueError(f"at_least is {at_least}; expected a likeness above 0 and at most 1, such as 0.8")
    given = [REGION.sub(r"\1pass\n", cell) for cell in assignment.cells]
    given += [f"{check.setup}\n{check.call}" for check in assignment.checks if not check.hidden]
    keep = frozenset(question.name for question in assignment.questions)
    public = {one.key for one in _statements(given, keep)}
    written = [[s for s in _statements(one.code, keep) if s.key not in public] for one in marks]
    if not any(written):
        return []
    likeness = _likeness(written, {one.key for one in _statements(assignment.cells, keep)}, _ring(written, keep))
    first, second = np.nonzero(np.triu(likeness >= at_least - 1e-9, k=1))
    pairs = sorted(zip(-likeness[first, second], first.tolist(), second.tolist(), strict=True))
    pairs = [pair for pair in pairs if marks[pair[1]].student != marks[pair[2]].student]
    counts = Counter(key for statements in written for key in {statement.key for statement in statements})
    return [
        Twin(
            (marks[a].student, marks[b].student),
            round(-float(value), 3),
            _told(written[a], written[b], counts, len(marks)),
        )
        for value, a, b in pairs[:most]
    ]


# -- how alike ---------------------------------------------------------------------------------------------------------


def _likeness(written: Sequence[Sequence["Statement"]], solved: set[str], ring: np.ndarray) -> np.ndarray:
    """[submissions, submissions]: cosine of what was written, reduced if the shared pieces are few or common.

    Args:
        ring: [submissions, submissions], where common pieces count as if only these two had them.
    """
    matrix, _ = _matrix([list(_pieces(statements)) for statements in written])
    alike = cosine_similarity(matrix.multiply(np.sqrt(_rarity(matrix))).tocsr())
    alike = np.where(ring, cosine_similarity(matrix), alike)
    matrix, keys = _matrix([[statement.key for statement in statements] for statements in written])
    sizes = {statement.key: statement.nodes for statements in written for statement in statements}
    weight = np.array([min(LARGE, sizes[key] / STATEMENT) * (SOLUTION if key in solved else 1) for key in keys])
    rarity = np.maximum(0, _rarity(matrix) - COMMON)
    evidence = (matrix.multiply(weight * rarity).tocsr() @ matrix.T).toarray()
    if ring.any():
        of_two = math.log((len(written) + STRANGERS) / 2) - COMMON
        evidence = np.where(ring, (matrix.multiply(weight * of_two).tocsr() @ matrix.T).toarray(), evidence)
    return np.minimum(1, alike) * np.minimum(1, evidence / ENOUGH)


def _ring(written: Sequence[Sequence["Statement"]], questions: frozenset[str]) -> np.ndarray:
    """[submissions, submissions]: whether both belong to one group of near-copies that chance does not explain.

    Of each submission: how many others have nearly all of its answers, and how many would, if the answers to different
    questions were chosen independently, each as popular as it is.
    """
    count = len(written)
    places = sorted(questions & {statement.place for statements in written for statement in statements})
    answered = np.zeros((len(places), count), bool)
    same = np.zeros((len(places), count, count), bool)
    for row, place in enumerate(places):
        bags = [[one.key for one in statements if one.place == place] for statements in written]
        answered[row] = [bool(bag) for bag in bags]
        shared, own = _shared(bags)
        same[row] = (shared > 0) & (shared >= SAME * (own[:, None] + own[None, :] - shared))
    needed = np.maximum(1, np.ceil(SAME * answered.sum(axis=0) - 1e-9))  # [submissions]
    copies = same.sum(axis=0) >= needed[:, None]
    np.fill_diagonal(copies, False)
    others = max(1, count - 1)
    popular = (same.sum(axis=2) - answered) / others  # [questions, submissions]
    chance = np.array([_at_least(int(needed[one]), popular[answered[:, one], one]) for one in range(count)])
    odd = copies.sum(axis=1) >= RING * chance * others + max(SOME, MANY * count)
    return copies & copies.T & odd[:, None] & odd[None, :]


def _shared(bags: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """How many different pieces two bags share, [bags, bags], and each has, [bags]."""
    matrix, _ = _matrix(bags)
    return (matrix @ matrix.T).toarray(), np.asarray(matrix.sum(axis=1)).ravel()


def _at_least(number: int, chances: np.ndarray) -> float:
    """The probability that `number` or more of independent events happen."""
    counts = np.array([1.0])
    for chance in chances:
        counts = np.append(counts, 0) * (1 - chance) + np.append(0, counts) * chance
    return float(counts[number:].sum())


def _matrix(bags: Sequence[Sequence[str]]) -> tuple[csr_matrix, np.ndarray]:
    """[submissions, pieces] of 0 and 1, and the pieces."""
    vectorizer = CountVectorizer(analyzer=lambda bag: bag, binary=True, dtype=np.float64)
    matrix = vectorizer.fit_transform(bags)
    return matrix, vectorizer.get_feature_names_out()


def _rarity(matrix: csr_matrix) -> np.ndarray:
    """Inverse document frequency in nats, [pieces]."""
    having = np.asarray(matrix.sum(axis=0)).ravel()
    return np.log((matrix.shape[0] + STRANGERS) / having)


def _told(
    first: Sequence["Statement"], second: Sequence["Statement"], counts: Counter[str], submissions: int
) -> tuple[str, ...]:
    """The rarest shared statements in words; of equally rare ones the larger first."""
    shared = {statement.key for statement in second}
    mine = {statement.key: statement for statement in reversed(first) if statement.key in shared}
    rarest = sorted(mine.values(), key=lambda statement: (counts[statement.key], -statement.nodes))
    return tuple(f"{one.place}: {one.text()} ({counts[one.key]} of {submissions})" for one in rarest[:SHOWN])


# -- what was written --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statement:
    """A statement, or the head of one that holds others (`for x in y`).

    Attributes:
        parts: its syntax trees, without the statements it holds.
        kind: `for`, `if`, ... or "".
        block: number of the list of statements that it stands in, in its submission.
        place: the definition that it is in.
        key: its normal form.
        nodes: size of its syntax trees.
        names: what own and imported names are called in a normal form (see `_names`).
    """

    parts: tuple[ast.AST, ...]
    kind: str
    block: int
    place: str
    key: str
    nodes: int
    names: dict[str, str | None]

    def text(self) -> str:
        """As source, on one line, cut."""
        return cut(" ".join(f"{self.kind} {', '.join(map(ast.unparse, self.parts))}".split()), LETTERS)


def _statements(cells: Sequence[str], keep: frozenset[str]) -> list[Statement]:
    """All statements of some cells, in order; imports, docstrings, `...` and top-level asserts are left out.

    Args:
        keep: names that everybody has to use.
    """
    trees = [tree for tree in map(_parsed, cells) if tree is not None]
    found, blocks = [], count()
    try:
        names = _names(trees, keep)
        for tree in trees:
            # The assert of a check cell is not the student's.
            body = [node for node in tree.body if not isinstance(node, ast.Assert)]
            found += _block(body, "top level", names, blocks)
    except RecursionError:
        return found
    return found


def _parsed(cell: str) -> ast.Module | None:
    """The syntax tree of a cell, without magics if Python cannot parse it with them; None if it is no Python."""
    for source in (cell, re.sub(r"(?m)^(\s*)[%!?].*$", r"\1pass", cell)):
        try:
            return ast.parse(source) if len(source) <= LARGEST else None
        except UNREADABLE:
            continue
    return None


def _names(trees: Sequence[ast.Module], keep: frozenset[str]) -> dict[str, str | None]:
    """Name -> what it is called in a normal form: None for own names (numbered there), the path for imported ones."""
    names: dict[str, str | None] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names[node.id] = None
        elif isinstance(node, ast.arg):
            names[node.arg] = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler) and node.name:
            names[node.name] = None
        elif isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names | {name: name for name in keep}


def _block(
    body: Sequence[ast.stmt], place: str, names: dict[str, str | None], blocks: Iterator[int]
) -> Iterator[Statement]:
    """The statements of a block and of the blocks inside it."""
    block = next(blocks)
    for node in body:
        inner = [getattr(node, name, ()) for name in ("body", "orelse", "finalbody")]
        inner += [part.body for name in ("handlers", "cases") for part in getattr(node, name, ())]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _block(node.body, node.name if place == "top level" else place, names, blocks)
        elif not _says_nothing(node):
            parts, kind = _head(node)
            key, nodes = _form(parts, names, kind), sum(1 for part in parts for _ in ast.walk(part))
            yield Statement(parts, kind, block, place, key, nodes, names)
            for other in filter(None, inner):
                yield from _block(other, place, names, blocks)


def _says_nothing(node: ast.stmt) -> bool:
    bare = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)  # a docstring, or ...
    return bare or isinstance(node, ast.Import | ast.ImportFrom | ast.Pass | ast.Global | ast.Nonlocal)


def _head(node: ast.stmt) -> tuple[tuple[ast.AST, ...], str]:
    """A statement without those inside it, and its kind; different spellings of the same thing become equal."""
    match node:
        case ast.For() | ast.AsyncFor():
            return (node.target, node.iter), "for"
        case ast.While() | ast.If():
            return (node.test,), type(node).__name__.lower()
        case ast.With() | ast.AsyncWith():
            return tuple(node.items), "with"
        case ast.Try() | ast.TryStar():
            return tuple(handler.type for handler in node.handlers if handler.type), "try"
        case ast.Match():
            return (node.subject,), "match"
        case ast.AugAssign(target=ast.Name(id=name)):  # x += y is x = x + y
            whole = ast.BinOp(ast.Name(name, ast.Load()), node.op, node.value)
            return (ast.copy_location(ast.Assign([node.target], whole), node),), ""
        case ast.AnnAssign(value=ast.expr()):
            return (ast.copy_location(ast.Assign([node.target], node.value), node),), ""
    return (node,), ""


def _pieces(statements: Sequence[Statement]) -> Iterator[str]:
    """Everything that is compared: statements, neighbours in a block, and larger expressions."""
    for statement in statements:
        yield statement.key
        for part in statement.parts:
            for node in ast.walk(part):
                if isinstance(node, EXPRESSIONS):
                    form = _form((node,), statement.names, "part")
                    if form.count("(") >= EXPRESSION:
                        yield form
    for one, other in pairwise(statements):
        if one.block == other.block:
            yield _form((*one.parts, *other.parts), one.names, f"{one.kind};{other.kind}")


def _form(nodes: Sequence[ast.AST], names: dict[str, str | None], kind: str) -> str:
    """The normal form of some syntax trees: one opening bracket for each node; own names numbered as they come."""
    numbers: dict[str, str] = {}

    def name(text: str) -> str:
        known = names.get(text, text)  # others are Python's own
        return numbers.setdefault(text, f"v{len(numbers)}") if known is None else known

    def form(value: object) -> str:
        match value:
            case ast.Name():
                return f"({name(value.id)})"
            case ast.arg():
                return f"({name(value.arg)})"
            case ast.Constant(value=bool() | None | str() | bytes()):
                return f"({value.value!r})"
            case ast.Constant(value=int() | float()):  # 1, 1.0 and 1e0 are one number
                return f"({float(value.value)!r})" if abs(value.value) < 1e300 else "(large)"
            case ast.Attribute(value=ast.Name()) if names.get(value.value.id, "") is not None:
                return f"({name(value.value.id)}.{value.attr})"  # math.log, however it was imported
            case ast.AST():
                fields = (form(part) for field, part in ast.iter_fields(value) if field not in DROPPED)
                return f"({type(value).__name__}{','.join(fields)})"
            case list():
                return f"[{','.join(map(form, value))}]"
        return repr(value)

    return f"{kind}{''.join(map(form, nodes))}"
