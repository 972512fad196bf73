"""Three ideas as pictures: who learns what from whom, which tokens carry loss, and gain and misfit as a triangle.

Counts, tokens and distances come from what they are given; the drawings are the output of a cell.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from w2s_lab.classroom.dashboards.selection_diagram import Arrow, Flow, FlowBox
from w2s_lab.classroom.dashboards.token_viewer import score_tokens, shown_answer_log_prob, shown_token
from w2s_lab.classroom.toolkit.sketch import Box, Line, Sketch, Words
from w2s_lab.classroom.toolkit.svg import INK, WIDTH, Drawing, line, picture, words
from w2s_lab.experiments.procedure import Plan
from w2s_lab.figures.plots import GREY, ROLE
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.records import Evaluation, Example, Splits
from w2s_lab.studies.study import distance, one_hot

# -- 00: four roles --------------------------------------------------------------------------------------------------


def four_roles(splits: Splits, plan: Plan) -> Flow:
    """Who learns what from whom: supervisor, weak labels, student and ceiling, with the sizes of a split.

    Args:
        splits: whose parts are counted.
        plan: whose models are named.
    """
    taught, unlabelled, asked = (len(part) for part in (splits.supervisor_train, splits.student_train, splits.test))
    weak, student, ceiling = (ROLE[name].color for name in ("weak", "student", "ceiling"))
    top, middle, foot, high = 56, 166, 276, 84
    boxes = (
        FlowBox(96, top, 164, ("supervisor's half", f"{taught:,} examples", "true answers y"), GREY, high),
        FlowBox(292, top, 156, ("weak supervisor", plan.weak, "learns y"), weak, high),
        FlowBox(96, 221, 164, ("student's half", f"{unlabelled:,} examples", "the inputs x"), GREY, high),
        FlowBox(292, middle, 156, ("weak labels", f"{unlabelled:,} answers ŷ", "some are wrong"), weak, high),
        FlowBox(478, middle, 140, ("strong student", plan.strong, "learns ŷ"), student, high),
        FlowBox(478, foot, 140, ("strong ceiling", plan.strong, "learns y"), ceiling, high),
        FlowBox(646, middle, 136, ("test set", f"{asked:,} examples", "who is right?"), GREY, high),
    )
    arrows = (
        Arrow(178, top, 213, top),
        Arrow(292, top + 42, 292, middle - 43),
        Arrow(178, 205, 213, middle + 14),
        Arrow(370, middle, 407, middle),
        Arrow(178, 248, 407, foot, dashed=True),
        Arrow(370, top, 610, middle - 43),
        Arrow(548, middle, 577, middle),
        Arrow(548, foot, 632, middle + 43),
    )
    notes = ((254, 300, "the true answers y,"), (254, 318, "for the ceiling alone"))
    said = (
        f"The weak supervisor ({plan.weak}) learns true answers to the {taught:,} examples of its own half. It answers "
        f"the {unlabelled:,} inputs of the student's half: these are the weak labels. The strong student "
        f"({plan.strong}) learns them. The strong ceiling, the same model, learns the true answers to the same inputs. "
        f"All three are asked the {asked:,} test examples."
    )
    return Flow(boxes, arrows, notes, said)


# -- 01: the mask ----------------------------------------------------------------------------------------------------

FIRST, LAST = 2, 2  # tokens of the prompt that are shown at its beginning and its end


def loss_mask(model: LanguageModel, example: Example, answer: str) -> Sketch:
    """What is read, what is predicted from it, and what of that carries loss, for one answer.

    Args:
        model: whose log-probabilities are shown.
        example: its instruction and input are the prompt.
        answer: a label of few tokens, such as ŷ.
    """
    (prompt,), _ = model.encode_prompts([example], model.window)
    (ids,) = model.encode_answers([answer])
    tokens = score_tokens(model, prompt, ids)
    steps = [*pairwise(tokens)]  # (read last, predicted from all that was read)
    start = len(prompt) - 1
    shown = [*steps[:FIRST], None, *steps[max(FIRST, start - LAST) :]]
    wide = min(104.0, (WIDTH - 116) / len(shown))
    color, items = ROLE["student"].color, []
    names = ("last token read", "next token", "mask", "−log Pr")
    items += [Words(4, 26 + 44 * row, name, size=13, opacity=0.85) for row, name in enumerate(names)]
    for place, pair in enumerate(shown):
        x = 112 + wide * place
        if pair is None:
            items += [Words(x + wide / 2, 26 + 44 * row, "…", "middle") for row in range(4)]
            continue
        read, following = pair
        cells = (shown_token(read.text, start=place == 0), shown_token(following.text), f"{following.answer:d}")
        for row, text in enumerate(cells):
            y, counts = 6 + 44 * row, following.answer and row
            items.append(Box(x + 3, y, wide - 6, 30, color if counts else GREY, 0.25 if counts else 0.10, frame=True))
            items.append(Words(x + wide / 2, y + 20, text, "middle", 13, bold=bool(counts)))
        items.append(Line(x + wide / 2, 37, x + wide / 2, 49, 0.6))
        loss = f"{-following.log_prob:.2f}" if following.answer else "no loss"
        items.append(Words(x + wide / 2, 158, loss, "middle", 13, bold=following.answer))
    total = -shown_answer_log_prob(tokens)
    foot = f"−log Pr(answer | prompt): the sum of the numbers in the last row, {total:.2f} nats"
    items.append(Words(4, 192, foot, size=13))
    parts = ", ".join(f"{b.text.strip()} {-b.log_prob:.2f}" for _, b in steps[start:])
    said = (
        f"The network predicts the next token after each token that it reads. The {start} predictions inside the "
        f"prompt have mask 0 and carry no loss. The {len(ids)} predictions of the answer have mask 1; the first one is "
        f"made at the last token of the prompt. Minus log Pr of each, in nats: {parts}; their sum is {total:.2f}."
    )
    return Sketch(tuple(items), 202, said)


# -- 04b: gain and misfit --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MisfitPlane(Drawing):
    """Supervisor and truth at two ends of a line, students at their true distances from both.

    Attributes:
        apart: distance of the supervisor from the truth: the root of the mean squared distance of distributions.
        students: name -> (gain, misfit), squared distances.
        said: what the picture shows, for those who do not see it.
    """

    apart: float
    students: Mapping[str, tuple[float, float]]
    said: str

    def place(self, name: str) -> tuple[float, float]:
        """Coordinates of a student, with the supervisor at (0, 0) and the truth at (apart, 0)."""
        gain, misfit = self.students[name]
        x = (misfit + gain) / (2 * self.apart)
        return x, math.sqrt(max(misfit - x * x, 0.0))

    def svg(self) -> str:
        """Half of the circle over the line, and a triangle for each student."""
        places = {name: self.place(name) for name in self.students}
        low = min(0.0, *(x for x, _ in places.values()))
        high = max(self.apart, *(x for x, _ in places.values()))
        up = max(self.apart / 2, *(y for _, y in places.values()))
        scale = min((WIDTH - 260) / (high - low), 300 / up)
        left, foot = (WIDTH - (high + low) * scale) / 2, up * scale + 40

        def at(x: float, y: float) -> tuple[float, float]:
            return left + x * scale, foot - y * scale

        (wx, wy), (tx, ty), radius = at(0, 0), at(self.apart, 0), self.apart * scale / 2
        weak, student = ROLE["weak"].color, ROLE["student"].color
        arc = f"M{wx:.1f} {wy:.1f}A{radius:.1f} {radius:.1f} 0 0 1 {tx:.1f} {ty:.1f}"
        found = [f'<path d="{arc}Z" fill="{student}" fill-opacity="0.10"/>']
        found.append(f'<path d="{arc}" fill="none" stroke="{INK}" stroke-dasharray="4 4" opacity="0.7"/>')
        found.append(line(wx, wy, tx, ty, more='stroke-width="2"'))
        for x, y in places.values():
            px, py = at(x, y)
            found.append(line(wx, wy, px, py, student, 'stroke-width="2"'))
            found.append(line(px, py, tx, ty, student, 'stroke-width="2" stroke-dasharray="7 4"'))
        found.append(f'<rect x="{wx - 8:.1f}" y="{wy - 8:.1f}" width="16" height="16" fill="{weak}"/>')
        found.append(f'<path d="M{tx:.1f} {ty - 9:.1f}l9 9l-9 9l-9 -9z" fill="{INK}"/>')
        found += [words(wx, wy + 28, "weak supervisor"), words(tx, ty + 28, "truth")]
        for name, (x, y) in places.items():
            px, py = at(x, y)
            found.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="7" fill="{student}"/>')
            found.append(words(px, py - 13, name, bold=True))
        notes = (
            "solid: from the supervisor, the root of the misfit · dashed: from the truth",
            "in the half circle: gain ≥ misfit",
        )
        found += [words(4, foot + 56 + 20 * row, note, anchor="start", size=13) for row, note in enumerate(notes)]
        return picture(WIDTH, foot + 86, self.said, found)


def misfit_plane(weak: Evaluation, students: Mapping[str, Evaluation]) -> MisfitPlane:
    """Gain and misfit of students as triangles (Charikar et al. 2024, arXiv 2405.15116).

    A student, its supervisor and the truth are three points of the space of functions on the test inputs, so their
    distances make a triangle. The gain is at least the misfit where its angle at the student is 90° or more: in the
    circle over the line from supervisor to truth (Thales). Each student is turned into one plane.

    Args:
        weak: the supervisor's answers, with probabilities.
        students: name -> answers of a student to the same examples, with probabilities.

    Raises:
        ValueError: probabilities are missing, as they are in an open task, or the supervisor's are the truth itself.
    """
    if weak.probs is None or any(one.probs is None for one in students.values()):
        raise ValueError("misfit_plane: probabilities are missing; expected a task with a closed list of answers")
    truth = one_hot(weak)
    start = distance(weak.probs, truth)
    if not start:
        raise ValueError("misfit_plane: the supervisor's probabilities are the truth; expected some distance from it")
    found = {
        name: (start - distance(one.probs, truth), distance(one.probs, weak.probs)) for name, one in students.items()
    }
    each = "; ".join(f"{name}: misfit {misfit:.3f}, gain {gain:+.3f}" for name, (gain, misfit) in found.items())
    inside = [name for name, (gain, misfit) in found.items() if gain >= misfit] or ["none"]
    said = (
        f"The supervisor is at a squared distance of {start:.3f} from the truth. {each}. The gain is at least the "
        f"misfit inside the half circle over the line from supervisor to truth: {', '.join(inside)}."
    )
    return MisfitPlane(math.sqrt(start), found, said)
