"""The three schematics say and draw what they were given: counts, tokens, distances."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pictures import SVG, sound, stored

from w2s_lab import classroom as room
from w2s_lab.data.sources import SplitSizes, load_splits
from w2s_lab.experiments.procedure import Plan
from w2s_lab.records import Evaluation


def test_four_roles_counts_the_parts_and_names_the_models():
    splits = load_splits("sentiment", seed=0, sizes=SplitSizes(30, 20, 10, 5))
    drawing = room.four_roles(splits, Plan(weak="tiny", strong="large"))
    told = {box.words[0]: box.words[1:] for box in drawing.boxes}
    assert told["supervisor's half"][0] == "30 examples" and told["student's half"][0] == "20 examples"
    assert told["weak labels"][0] == "20 answers ŷ" and told["test set"][0] == "10 examples"
    assert told["weak supervisor"][0] == "tiny" and told["strong student"][0] == told["strong ceiling"][0] == "large"
    assert stored(drawing)["text/plain"].startswith("The weak supervisor (tiny) learns true answers to the 30 examples")


def test_loss_mask_sums_what_the_model_says_of_the_answer(llama, closed_set):
    example = closed_set.examples[0]
    drawing = room.loss_mask(llama, example, "positive")
    (prompt,), _ = llama.encode_prompts([example], llama.window)
    (ids,) = llama.encode_answers(["positive"])
    total = -llama.log_prob([prompt], [ids]).item()
    texts = [element.text for element in sound(drawing).iter(f"{SVG}text")]
    assert texts.count("1") == len(ids) and "<start>" in texts and f"{total:.2f} nats" in texts[-1]
    assert f"their sum is {total:.2f}" in stored(drawing)["text/plain"]
    assert f"The {len(prompt) - 1} predictions inside the prompt" in drawing.said


@pytest.fixture
def three(closed_set) -> tuple[Evaluation, Evaluation]:
    """A supervisor and a student on 40 examples, with probabilities."""
    rng = np.random.default_rng(0)
    part = closed_set.take(range(40))
    made = [rng.dirichlet(np.ones(len(part.task.answers)), len(part)) for _ in range(2)]
    made[1] = 0.5 * made[1] + 0.5 * np.eye(len(part.task.answers))[[part.task.answers.index(a) for a in part.answers]]
    return tuple(
        Evaluation(part.task, part.ids, tuple(part.task.answers[k] for k in probs.argmax(1)), part.answers, None, probs)
        for probs in made
    )


def test_misfit_plane_keeps_all_distances(three):
    weak, student = three
    plane = room.misfit_plane(weak, {"mine": student})
    truth = np.eye(len(weak.task.answers))[[weak.task.answers.index(a) for a in weak.truth]]

    def apart(first, second):
        return math.sqrt(((first - second) ** 2).sum(1).mean())

    x, y = plane.place("mine")
    assert plane.apart == pytest.approx(apart(weak.probs, truth))
    assert math.hypot(x, y) == pytest.approx(apart(student.probs, weak.probs))
    assert math.hypot(x - plane.apart, y) == pytest.approx(apart(student.probs, truth))
    gain, misfit = plane.students["mine"]
    inside = math.hypot(x - plane.apart / 2, y) <= plane.apart / 2
    assert inside == (gain >= misfit) and ("truth: mine." in plane.said) == inside
    assert f"mine: misfit {misfit:.3f}, gain {gain:+.3f}" in stored(plane)["text/plain"]


def test_misfit_plane_needs_probabilities(three):
    weak, student = three
    with pytest.raises(ValueError, match="probabilities are missing; expected a task with a closed list"):
        room.misfit_plane(weak, {"mine": replace(student, probs=None)})
    truth = np.eye(len(weak.task.answers))[[weak.task.answers.index(a) for a in weak.truth]]
    with pytest.raises(ValueError, match="are the truth"):
        room.misfit_plane(replace(weak, predictions=weak.truth, probs=truth), {"mine": student})
