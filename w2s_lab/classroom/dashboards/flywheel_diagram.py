"""One round of a self-instruct flywheel as a flow of boxes, with the counts of a real round."""

from w2s_lab.classroom.dashboards.selection_diagram import Arrow, Flow, FlowBox
from w2s_lab.figures.plots import GREY, ROLE
from w2s_lab.methods.flywheel import Round

TEXTS = ("test input", "invalid", "repeated", "near duplicate")  # filters on texts; all others are on answers


def flywheel_diagram(one: Round, *, labeller: str = "supervisor") -> Flow:
    """What became of the proposals of a round; dashed arrows exist only where the loop uses its own output.

    Args:
        one: a round after round 0.
        labeller: which model answered, "supervisor" or "student".

    Raises:
        ValueError: `one` is round 0, in which nothing was proposed.
    """
    if not one.proposed:
        raise ValueError(f"flywheel_diagram: round {one.number} has no proposals; expected a round after round 0")
    texts = sum(count for name, count in one.removed.items() if name in TEXTS)
    answers = sum(count for name, count in one.removed.items() if name not in TEXTS)
    asked = len(one.proposed) - texts
    weak, student, ceiling = (ROLE[name].color for name in ("weak", "student", "ceiling"))
    accuracy = f"{one.evaluation.accuracy:.2f} on the test set"
    top, foot, high = 75, 252, 104
    checked = ("filters on answers", f"{answers:,} removed", f"{one.accepted_count:,} accepted")
    boxes = (
        FlowBox(76, top, 136, ("generator", f"{len(one.proposed):,} proposals"), GREY, high),
        FlowBox(256, top, 152, ("filters on texts", f"{texts:,} removed", f"{asked:,} left"), GREY, high),
        FlowBox(440, top, 142, ("labeller", f"the {labeller}", f"{asked:,} answers ŷ"), weak, high),
        FlowBox(630, top, 164, checked, GREY, high),
        FlowBox(630, foot, 164, ("pool", f"{len(one.pool):,} examples"), ceiling, high),
        FlowBox(384, foot, 206, ("student, trained anew", accuracy), student, high),
    )
    between, below, above = top, top + high / 2, foot - high / 2
    arrows = (
        Arrow(144, between, 180, between),
        Arrow(332, between, 369, between),
        Arrow(511, between, 548, between),
        Arrow(630, below, 630, above),
        Arrow(548, foot, 487, foot),
        Arrow(414, above, 436, below, dashed=True),
        Arrow(548, foot - 40, 110, below, dashed=True),
    )
    notes = ((140, foot, "dashed: only where the"), (140, foot + 20, "loop feeds on itself"))
    said = (
        f"Round {one.number}: the generator proposes {len(one.proposed):,} texts, filters on texts remove {texts:,}, "
        f"the {labeller} answers {asked:,}, filters on answers remove {answers:,}, {one.accepted_count:,} join the "
        f"pool of now {len(one.pool):,} examples, and the student is trained anew on it: {accuracy}. Dashed arrows "
        "lead from the student to the labeller and from the pool to the generator."
    )
    return Flow(boxes, arrows, notes, said)
