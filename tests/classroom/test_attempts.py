"""What a learner is told: attempts of the kinds that people make, each told apart from the others."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from w2s_lab import assets
from w2s_lab import classroom as room
from w2s_lab.classroom.exercises import EXERCISES, checks
from w2s_lab.classroom.exercises.judging import judge
from w2s_lab.classroom.exercises.nb11 import _measured_effect
from w2s_lab.planning.hub_models import PAIRS

rows_kept = EXERCISES["best_of_each"].answer
spread = EXERCISES["squared_gain_and_misfit"].answer
ARMS = _measured_effect({"study": "real-probe", "arm": "weak labels", "against": "random errors"})
LARGEST = list(PAIRS)[-1]
COIN = {"positive": "negative", "negative": "positive"}


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, str(tmp_path / "progress.json"))


def printing(w, s, c):
    print((s - w) / (c - w))


def forgetting(w, s, c):
    found = (s - w) / (c - w)  # noqa: F841


def zeroing(token_log_probs, mask):
    token_log_probs[~mask] = 0


def zeroing_and_right(token_log_probs, mask):
    token_log_probs[~mask] = 0
    return -token_log_probs.sum(-1).mean()


def emptying(student, weak, truth):
    rows = [(student.pop(), weak.pop(), truth.pop()) for _ in range(len(truth))]
    return sum(s == w != t for s, w, t in rows) / sum(w != t for _, w, t in rows)


def spoiling(truth, accuracy, seed, *, places=None, rng=None):
    """Errors at these places; of default, a right draw of another kind than the kit's."""
    rng = rng or np.random.default_rng(seed)
    count = len(truth) - round(accuracy * len(truth))
    places = rng.choice(len(truth), count, replace=False) if places is None else places(len(truth), count)
    return np.array([COIN[t] if i in places else t for i, t in enumerate(truth)])


ATTEMPTS = [
    ("gap_recovered", printing, "prints `-0.24"),
    ("gap_recovered", forgetting, "Is `return` missing in its last line?"),
    ("gap_recovered", lambda w, s, c: max(0, min(1, (s - w) / (c - w))), "You cut the PGR off at 0 and 1."),
    ("gap_recovered", lambda w, s, c: max(0, (s - w) / (c - w)), "You cut your numbers off at 0."),
    ("gap_recovered", lambda w, s, c: 100 * (s - w) / (c - w), "Per cent"),
    ("gap_recovered", lambda w, s, c: f"{(s - w) / (c - w):.2f}", "Type: you returned the text"),
    ("gap_recovered", lambda w, s, c: [(s - w) / (c - w)], "Type: you returned a list of one value"),
    ("gap_recovered", lambda w, s, c: round((s - w) / (c - w), 2), "You rounded to two places"),
    ("gap_recovered", lambda s, w, c: (s - w) / (c - w), "`weak` and `student` are exchanged"),
    ("gap_recovered", lambda w, s, c: (c - w) / (s - w), "`student` and `ceiling` are exchanged"),
    ("gap_recovered", lambda w, s: s - w, "the arguments that its stub has"),
    ("imitates", lambda s, w, t: s - w, "lists have no arithmetic"),
    ("imitates", lambda s, w, t: [s[i] for i in range(1, 1 + len(s))], "the last of n is n - 1"),
    ("imitates", emptying, "changes its argument `student`"),
    ("batch_loss", zeroing, "changes `token_log_probs` in place, and returns nothing"),
    ("batch_loss", zeroing_and_right, "The value is right, but your function changes its argument"),
    ("log_prob_of_answer", lambda z, y: z.log()[range(len(y)), y].sum(), "`logits` has negative numbers"),
    ("log_prob_of_answer", lambda z, y: sum(math.log(z[i, k]) for i, k in enumerate(y)), "logarithm or root of a neg"),
    ("log_prob_of_answer", lambda z, y: z.softmax(-1).log10()[range(len(y)), y].sum(), "base 10"),
    ("slope_at_logits", lambda z, y: z.softmax(-1) - torch.eye(len(z))[y - 1], "that of `label` - 1"),
    ("most_likely_answer", lambda p, m: int((p * m).sum(-1).argmax()) + 1, "You count from 1"),
    ("accuracy_and_agreement", lambda s, w, t: [dict(a=1) for _ in s], "a list of 3, each a dict; expected"),
    ("pgr_over_seeds", lambda pgrs, t: sum(pgrs) / len(pgrs), "something is None"),
    ("schedule_rates", lambda n, peak, warmup: [peak] * (n + 1), "That is 1 too many"),
    ("squared_gain_and_misfit", lambda w, s, t: spread(w, s, t)[::-1], "Exchanged"),
    ("squared_gain_and_misfit", lambda w, s, t: spread(w, s, t)[0], "Return 2 values, not one"),
    ("expected_log_prob", lambda w, s: (w * s).sum(0), "You worked along dimension 0; work along dimension 1"),
    ("kl_to_weak", lambda w, s: (w * (w / s).log()).sum(-1), "`weak` holds zeros"),
    ("softened", lambda p, t: p ** (1 / t) / (p ** (1 / t)).sum(0), "Yours add up to 1 in each column"),
    ("softened", lambda p, t: p ** (1 / t) / (p ** (1 / t)).sum(-1), "keepdim=True"),
    ("majority_vote", lambda a: [max(said, key=said.count) for said in a], "You turned it round"),
    ("calibration_error", lambda c, r: float("nan"), "the mean of nothing"),
    ("cascade_cost", lambda c, t, w, s: (100 * np.mean(c < t), w + np.mean(c < t) * s), "Number 1 of the 2"),
    ("best_of_each", lambda s, a, f: np.where(a == "positive")[0], "a list as a whole"),
    ("best_of_each", lambda *a: np.isin(range(len(a[1])), rows_kept(*a)), "a mask of true and false"),
    ("best_of_each", lambda *a: set(rows_kept(*a)), "Type: you returned a set"),
    ("count_flips", lambda *a: [1, 2, 3, 4], "expected a dict with the keys"),
    ("count_flips", lambda *a: {"right": 1}, "Your dict has the keys ['right']"),
    ("cheapest_plan", lambda *a: EXERCISES["cheapest_plan"].answer(*a) or -1, "wrong"),
    ("training_bytes", lambda f, t: (4 * f + 16 * t) / 1e6, "1e-06 times"),
    ("wrong_at_random", lambda t, a, s: [COIN[x] for x in t], "exactly round(accuracy · N) labels stay"),
    ("wrong_at_random", lambda *a: spoiling(*a, places=lambda n, k: range(k)), "another seed makes other places"),
    ("wrong_at_random", lambda *a: spoiling(*a, rng=np.random.default_rng()), "the same seed gives the same"),
    ("wrong_at_random", lambda t, a, s: [*spoiling(t[:-1], a, s)], "one answer comes back for each"),
    ("helpdesk_decision", lambda: {}, "there is no key 'training'"),
    ("my_pipeline", lambda: print("mixed in"), "prints `mixed in`, and returns nothing"),
]


def test_each_attempt_is_told_what_is_wrong_with_it():
    missed = []
    for name, attempt, words in ATTEMPTS:
        verdict = judge(EXERCISES[name], attempt)
        if verdict.state != "wrong" or (words not in verdict.says and words != "wrong"):
            missed.append((name, words, verdict))
    assert not missed


def changed(name, **parts):
    return lambda: {**EXERCISES[name].answer(), **parts}


def errors_in(where, *, most=120, either=60):
    """An answer to `my_errors`: the other answer where where(text, slices) says so, up to these numbers."""

    def labels(reviews, slices, truth, budget):
        found, made = list(truth), {"positive": 0, "negative": 0}
        for i, answer in enumerate(truth):
            if where(reviews[i], slices[i]) and made[answer] < either and sum(made.values()) < most:
                found[i], made[answer] = COIN[answer], made[answer] + 1
        return found

    return labels


MISSES = [  # an open task, a design that misses one criterion, and that criterion
    ("reading_plan", changed("reading_plan", plain=120), "at most 250 labels"),
    ("reading_plan", changed("reading_plan", plain=2), "in all is known to"),
    ("reading_plan", changed("reading_plan", negated=20), "in each construction is known"),
    ("reading_plan", changed("reading_plan", plain=0.5), "a whole number of labels"),
    ("reading_plan", changed("reading_plan", **{"double-negation": 90}), "no more of a construction"),
    ("my_schedule", lambda n, peak: [peak] * n, "the first rate; the last rate"),
    ("my_schedule", lambda n, peak: [0.0, *[peak] * (n - 2), 0.0], "the first rate is above 0"),
    ("my_schedule", lambda n, peak: EXERCISES["my_schedule"].answer(8, peak), "one rate for each step"),
    ("my_schedule", lambda n, peak: EXERCISES["my_schedule"].answer(n, 2 * peak), "the highest rate is the peak"),
    ("my_stop", lambda trusted, agreement, weak: 0, "never 0"),
    ("my_stop", lambda trusted, agreement, weak: 1, "more than 0.02 below the last"),
    ("my_stop", lambda trusted, agreement, weak: len(trusted) - 1, "saves at least 70 %"),
    ("my_stop", lambda trusted, agreement, weak: len(trusted) // 8, "does not change the choice"),
    ("my_errors", lambda reviews, slices, truth, budget: list(truth), "at least one and at most `budget`"),
    ("my_errors", lambda reviews, slices, truth, budget: truth[1:], "one answer comes back for each"),
    ("my_errors", lambda reviews, slices, truth, budget: ["good"] * len(truth), "one answer comes back for each"),
    ("my_errors", errors_in(lambda text, slices: "not" in text, most=300, either=300), "at most `budget`"),
    ("my_errors", errors_in(lambda text, slices: "but" in text, either=0), "at least one"),
    ("my_errors", lambda reviews, slices, truth, budget: ["negative"] * budget + truth[budget:], "two of five neg"),
    ("my_errors", errors_in(lambda text, slices: len(text) % 2), "repeats at least half"),
    ("my_errors", errors_in(lambda text, slices: "rare-word" in slices), "0.07 lower"),
    ("my_objectives", changed("my_objectives", **{"weak labels": ("temperature", 3.0)}), "among those measured"),
    ("my_objectives", changed("my_objectives", **{"weak labels": ("lambda", 1.0, "cosine")}), "the mean gain is at"),
    ("my_objectives", changed("my_objectives", **{"weak labels": ("lambda", 0.0, "constant")}), "in every seed"),
    ("my_objectives", changed("my_objectives", **{"true answers": ("lambda", 4.0, "constant")}), "0.005 is lost"),
    ("my_experiment", changed("my_experiment", seeds=3), "each effect will be known"),
    ("my_experiment", changed("my_experiment", seeds=14), "at most 40 trainings"),
    ("my_experiment", changed("my_experiment", pairs=[("soft labels", "random half")] * 2), "the control"),
    ("my_experiment", changed("my_experiment", moments=["at the end"]), "`moments` are both"),
    ("my_experiment", changed("my_experiment", correction="none"), "for several tests"),
    ("my_selection", changed("my_selection", control="plain weak labels"), "`control` fits the rule"),
    ("my_selection", changed("my_selection", **{"at the end": "hurts"}), "survives Holm's correction"),
    ("my_selection", changed("my_selection", **{"at the trusted snapshot": "helps"}), "`at the trusted snapshot`"),
    ("my_selection", changed("my_selection", **{"wrong for": "nothing"}), "names a case"),
    ("my_plan", changed("my_plan", pair="smollm2-7gb"), "are among those of the table"),
    ("my_plan", changed("my_plan", pair=LARGEST), "fits on the card"),
    ("my_plan", changed("my_plan", answers={"1": "1", "0": "0"}), "called by words"),
    ("my_plan", changed("my_plan", test=100), "see a difference"),
    ("my_plan", changed("my_plan", seeds=1), "at least three seeds"),
    ("my_plan", changed("my_plan", hours=1), "done within `hours`"),
    ("my_claim", changed("my_claim", mean=0.2), "are those of the difference"),
    ("my_claim", changed("my_claim", seeds=8), "`seeds` is the number"),
    ("my_claim", changed("my_claim", verdict="cannot tell"), "no firmer than the interval"),
    ("my_claim", changed("my_claim", limits=["one small model"]), "two reasons or more"),
    ("my_claim", changed("my_claim", study="tilt"), "`study` is real-probe"),
]  # fmt: skip


@pytest.mark.slow
def test_every_criterion_of_an_open_task_can_be_missed():
    wrong = []
    for name, design, words in MISSES:
        verdict = judge(EXERCISES[name], design)
        open_ = verdict.says.partition("Still open:")[2] or verdict.says
        if verdict.state != "wrong" or not all(part in open_ for part in words.split("; ")):
            wrong.append((name, words, verdict.says))
    assert not wrong


def test_open_tasks_have_more_than_one_right_answer():
    others = [
        ("reading_plan", changed("reading_plan", plain=75)),
        ("my_schedule", lambda n, peak: [peak * rate for rate in (0.5, *[1.0] * (n - 3), 0.5, 0.0)]),
        ("my_stop", lambda trusted, *_: 1 + int(np.argmax(trusted[1:]))),
        ("my_errors", errors_in(lambda text, slices: {"negated", "reported-and-wrong"} & set(slices))),
        ("my_errors", lambda *given: np.array(errors_in(lambda text, slices: ", but " in text)(*given))),
        ("my_objectives", lambda: {"weak labels": ("alpha", 0.5), "true answers": ("lambda", 0.0, "constant")}),
        ("my_experiment", changed("my_experiment", pairs=[("vote of 3 (order)", "plain weak labels"),
                                                          ("confidence loss 0.5", "soft labels")])),
        ("my_selection", changed("my_selection", rule="small loss after an epoch")),
        ("my_plan", changed("my_plan", pair="smollm2-8gb", seeds=5)),
        ("my_claim", changed("my_claim", study="real-probe", against="random errors", mean=ARMS.mean, low=ARMS.low,
                             high=ARMS.high, seeds=ARMS.n, verdict=ARMS.verdict)),
    ]  # fmt: skip
    assert not [(name, judge(EXERCISES[name], own)) for name, own in others
                if judge(EXERCISES[name], own).state != "right"]  # fmt: skip


def test_one_place_that_is_never_wrong_is_found():
    def all_but_the_first(truth, accuracy, seed):
        count = len(truth) - round(accuracy * len(truth))
        places = 1 + np.random.default_rng(seed).permutation(len(truth) - 1)[:count]
        return [COIN[t] if i in places else t for i, t in enumerate(truth)]

    assert judge(EXERCISES["wrong_at_random"], spoiling).state == "right"  # not the kit's draw, and as good
    assert "each place is made wrong by some seed" in judge(EXERCISES["wrong_at_random"], all_but_the_first).says


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("gap_recovered", lambda w, s, c: torch.tensor((s - w) / (c - w))),
        ("slope_at_logits", lambda z, y: [p - (i == y) for i, p in enumerate(z.softmax(-1).tolist())]),
        ("accuracy_and_agreement", lambda *a: (pair for pair in EXERCISES["accuracy_and_agreement"].answer(*a))),
        ("harden_balanced", lambda *a: EXERCISES["harden_balanced"].answer(*a).bool().numpy()),
    ],
)
def test_right_values_in_another_container_are_right(name, attempt):
    assert judge(EXERCISES[name], attempt).state == "right"


def test_what_a_function_prints_is_shown_once_and_a_printing_function_that_returns_is_right(capsys):
    def gap_recovered(weak, student, ceiling):
        print("so far so good")
        return (student - weak) / (ceiling - weak)

    assert judge(EXERCISES["gap_recovered"], gap_recovered).state == "right"
    assert capsys.readouterr().out == "so far so good\n"


def test_the_failing_input_can_be_looked_at(monkeypatch):
    """It fails there, and holds what the function was given, not what it made of it."""
    shell = SimpleNamespace(user_ns={})
    monkeypatch.setattr(checks, "get_ipython", lambda: shell)
    shown = room.check(zeroing, "batch_loss")
    token_log_probs, mask = shell.user_ns["failing_input"]
    assert (token_log_probs[~mask] != 0).any()
    assert "`failing_input` holds the input, and `batch_loss(*failing_input)` gives" in shown.text
    assert "<code>batch_loss(*failing_input)</code>" in shown.html
    shell.user_ns.clear()
    assert "failing_input" not in room.check(EXERCISES["batch_loss"].answer).text and not shell.user_ns
    assert "failing_input" not in room.check(lambda *a: None, "batch_loss").text
