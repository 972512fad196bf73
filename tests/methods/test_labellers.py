"""Supervisors that are no language models: against plain scikit-learn, and whatever an object may answer."""

import importlib
import json
import re
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

import w2s_lab as w2s
from w2s_lab.cli import commands
from w2s_lab.experiments.procedure import Plan, check_plan
from w2s_lab.methods import labellers, probe
from w2s_lab.planning.dry_run import dry_run_table
from w2s_lab.records import Task
from w2s_lab.system import registry

SIZES = w2s.SplitSizes(supervisor_train=200, student_train=40, test=30, validation=10)
RECIPE = w2s.Recipe(epochs=1, learning_rate=5e-4, batch_size=16, eval_every=10)
PLAN = w2s.Plan("bag-of-words", "pocket-xs", recipe=RECIPE, device="cpu")
ANSWERS = ("positive", "negative", "hard to say")


@pytest.fixture(scope="module")
def splits() -> w2s.Splits:
    return w2s.load_splits("sentiment", seed=1, sizes=SIZES)


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    monkeypatch.setattr(labellers.LABELLERS, "_entries", dict(labellers.LABELLERS._entries))


def texts(labels: w2s.LabelledSet) -> list[str]:
    return [example.input for example in labels.examples]


def cheer(text: str) -> str:
    return "positive" if "good" in text or "great" in text else "negative"


# -- the kit's own ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weak", "n"), [("bag-of-words", 200), ("bag-of-words:70", 70), ("bag-of-words:007", 7)])
def test_a_bag_of_words_is_plain_scikit_learn(splits, weak, n):
    truth = splits.supervisor_train
    plain = make_pipeline(CountVectorizer(), MultinomialNB()).fit(texts(truth)[:n], truth.answers[:n])
    table = plain.predict_proba(texts(splits.test))[:, [list(plain.classes_).index(a) for a in splits.task.answers]]
    labels = w2s.labeller(weak, truth).answer(splits.test)
    assert np.array_equal(labels.probs, table) and labels.ids == splits.test.ids
    assert (
        labels.answers == tuple(splits.task.answers[k] for k in table.argmax(-1)) == tuple(plain.predict(texts(labels)))
    )
    assert np.array_equal(labels.log_prob, np.log(table.max(-1)))
    assert labels.source == f"weak labels of {weak}"


def test_the_first_of_equal_answers_is_taken(closed_set):
    """One example of each answer, and an input without any of their words."""
    three = closed_set.take([closed_set.answers.index(answer) for answer in ANSWERS])
    blank = w2s.LabelledSet(closed_set.task, (w2s.Example("?", "xyz"),), ("negative",))
    labels = w2s.labeller(Made(["negative"], np.full((1, 3), 1 / 3), ANSWERS[::-1]), three).answer(blank)
    assert labels.answers == ("positive",)
    labels = w2s.labeller("bag-of-words", three).answer(blank)
    np.testing.assert_allclose(labels.probs, 1 / 3)
    assert labels.answers == (ANSWERS[int(labels.probs.argmax())],)


def test_an_answer_without_an_example_gets_no_probability(closed_set):
    seen = closed_set.take([i for i, answer in enumerate(closed_set.answers) if answer != "negative"])
    with pytest.warns(UserWarning, match="'negative': it cannot give this answer"):
        made = w2s.labeller("bag-of-words", seen)
    labels = made.answer(closed_set)
    assert (labels.probs[:, 1] == 0).all() and "negative" not in labels.answers
    np.testing.assert_allclose(labels.probs.sum(-1), 1)


@pytest.mark.parametrize("order", [("negative", "positive"), ("positive", "negative")])
def test_vader_reads_its_score_as_a_probability(order):
    vader = pytest.importorskip("vaderSentiment.vaderSentiment", reason="needs pip install -e '.[real]'")
    said = ["I loved every minute of it!", "What a horrible, boring film.", "A film about trains.", ""]
    task = w2s.Task("reviews", order)
    inputs = w2s.LabelledSet.ground_truth(task, [w2s.Example("?", text, order[0]) for text in said])
    labels = w2s.labeller("vader", inputs.take([])).answer(inputs)
    score = np.array([vader.SentimentIntensityAnalyzer().polarity_scores(text)["compound"] for text in said])
    np.testing.assert_allclose(labels.probs[:, order.index("positive")], (1 + score) / 2)
    assert labels.answers == ("positive", "negative", order[0], order[0]) and tuple(score[2:]) == (0, 0)


def test_vader_says_what_it_lacks(closed_set, splits, monkeypatch):
    with pytest.raises(
        ValueError, match="vader answers only negative or positive; the answers of 'reviews' are: positive"
    ):
        w2s.labeller("vader", closed_set)
    monkeypatch.setattr(labellers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"vader needs the package vaderSentiment. Hint: pip install 'w2s-lab\[real\]'"
    ):
        w2s.Bench(splits, replace(PLAN, weak="vader"), w2s.Store("unused"), seed=0)


def test_an_early_exit_is_a_probe_on_a_layer(llama, closed_set):
    def states(inputs, layer):
        return probe.features(llama, inputs, layer=layer, pool="mean")

    labels = w2s.labeller("layer:1:30", closed_set, states=states).answer(closed_set)
    truth = closed_set.take(range(30))
    table = states(truth, 1)
    fitted = probe.fit_probe(table, truth, C=probe.choose({1: table}, truth).C)
    expected = probe.predict(fitted, states(closed_set, 1), closed_set)
    assert labels.answers == expected.answers and np.array_equal(labels.probs, expected.probs)
    with pytest.raises(ValueError, match=r"layer:1 needs the strong model. Hint: Bench\(...\).supervisor\(\)"):
        w2s.labeller("layer:1", closed_set)


@pytest.mark.parametrize(
    ("weak", "said"),
    [
        ("bag-of-words:201", "wants 201 true examples, but the supervisor has 200. Hint: --sizes"),
        ("bag-of-words:0", "would learn nothing"),
        ("bag-of-words:-1", r"expected bag-of-words\[:N\], with whole numbers"),
        ("bag-of-words:1:2", r"expected bag-of-words\[:N\], with whole numbers"),
        ("bag-of-words:", "with whole numbers"),
        ("vader:5", "'vader:5' is no labeller; expected vader$"),
        ("layer", r"expected layer:K\[:N\], with whole numbers"),
        (7, "7 answers no inputs; expected an object with fit and predict, a function"),
        (MultinomialNB, r"MultinomialNB is a class; expected an object, such as MultinomialNB\(\)"),
    ],
)
def test_what_is_no_labeller_is_refused_before_anything_is_trained(splits, weak, said):
    with pytest.raises(ValueError, match=said):
        w2s.Bench(splits, replace(PLAN, weak=weak), w2s.Store("unused"), seed=0)


# -- objects of the user's -------------------------------------------------------------------------------------------


def test_a_pipeline_is_copied_and_fitted(splits):
    mine = make_pipeline(TfidfVectorizer(), LogisticRegression(C=3))
    labels = w2s.labeller(mine, splits.supervisor_train).answer(splits.test)
    assert not hasattr(mine[0], "vocabulary_")  # as it was
    plain = make_pipeline(TfidfVectorizer(), LogisticRegression(C=3)).fit(
        texts(splits.supervisor_train), splits.supervisor_train.answers
    )
    assert labels.answers == tuple(plain.predict(texts(splits.test)))
    as_it_is = w2s.labeller(FrozenEstimator(plain), splits.supervisor_train.take(range(2))).answer(splits.test)
    assert as_it_is.answers == labels.answers and np.array_equal(as_it_is.probs, labels.probs)


def test_a_threshold_of_the_objects_own_counts(splits):
    words = make_pipeline(CountVectorizer(), MultinomialNB())
    strict = FixedThresholdClassifier(words, threshold=0.9, response_method="predict_proba", pos_label="positive")
    labels = w2s.labeller(strict, splits.supervisor_train).answer(splits.test)
    positive = labels.probs[:, splits.task.answers.index("positive")]
    assert [answer == "positive" for answer in labels.answers] == list(positive >= 0.9)
    assert ((positive > 0.5) & (positive < 0.9)).any()
    chosen = [row[splits.task.answers.index(answer)] for row, answer in zip(labels.probs, labels.answers, strict=True)]
    np.testing.assert_array_equal(labels.log_prob, np.log(chosen))


class Made:
    """An object that answers with what it is given, in the order of `classes_`."""

    def __init__(self, said, probs=None, classes=None):
        self.said, self.classes_ = said, classes
        if probs is not None:
            self.predict_proba = lambda texts: probs[: len(texts)]

    def predict(self, texts):
        return self.said[: len(texts)]


def some(closed_set, n):
    return closed_set.take(range(n))


@given(order=st.permutations(range(3)), seed=st.integers(0, 99))
def test_the_order_of_classes_does_not_matter(closed_set, order, seed):
    probs = np.random.default_rng(seed).dirichlet([1, 1, 1], size=8)
    said = [ANSWERS[k] for k in probs.argmax(-1)]
    made = Made(said, probs[:, order], np.array([ANSWERS[k] for k in order]))
    labels = w2s.labeller(made, closed_set).answer(some(closed_set, 8))
    assert np.array_equal(labels.probs, probs) and list(labels.answers) == said


def test_numbers_count_by_their_text(closed_set):
    digits = w2s.LabelledSet(w2s.Task("digits", ("0", "1")), closed_set.examples[:3], ("0", "1", "0"))
    for said in ([1, 0, 1], np.array([1, 0, 1]), np.array(["1", "0", "1"])):
        labels = w2s.labeller(Made(said, np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]]), [0, 1]), digits).answer(digits)
        assert labels.answers == ("1", "0", "0") and all(type(answer) is str for answer in labels.answers)


ROWS = np.full((3, 3), 1 / 3)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Made(["positive"] * 2), "Made: predict gave .* for 3 inputs; expected an answer for each"),
        (Made("abc"), "predict gave 'abc' for 3 inputs"),
        (Made([["positive"]] * 3), r"Made answered \['positive'\] to '.*'; expected one of 'positive', "),
        (Made(["positive", None, "negative"]), "Made answered None to '"),
        (Made(["positive", "Negative", "negative"]), "Made answered 'Negative' to '"),
        (Made(["positive"] * 3, ROWS[:, :2], ANSWERS), r"probabilities of shape \(3, 2\); expected \(3, 3\)"),
        (Made(["positive"] * 3, ROWS, ("positive", "negative", "other")), "classes_ holds 'other'"),
        (Made(["positive"] * 3, ROWS, ("positive", "negative", "negative")), "classes_ holds 'negative'"),
        (
            Made(["positive"] * 3, ROWS * 2, ANSWERS),
            "gave the probabilities 0.666667, .* for '.*'; expected numbers from 0",
        ),
        (Made(["positive"] * 3, ROWS * np.nan, ANSWERS), "gave the probabilities nan"),
        (Made(["positive"] * 3, np.array([[1.5, -0.5, 0]] * 3), ANSWERS), "gave the probabilities 1.5, -0.5, 0"),
        (Made(["positive"] * 3, [["a"] * 3] * 3, ANSWERS), "as probabilities; expected numbers"),
        (lambda text: {"positive": 0.7}, "gave the probabilities 0.7, 0, 0"),
        (lambda text: {"good": 1.0}, "answered 'good' to"),
        (lambda text: {"positive": "much"}, "gave 'much' as a probability; expected a number"),
        (lambda text: 1 / 0, "<lambda> failed on '.*': ZeroDivisionError: division by zero"),
    ],
)
def test_wrong_answers_are_told_with_their_input(closed_set, made, said):
    with pytest.raises(ValueError, match=said):
        w2s.labeller(made, closed_set).answer(some(closed_set, 3))


def test_an_error_names_the_input_at_which_it_happens(closed_set):
    third = closed_set.examples[2].input

    class Picky(Made):
        def predict(self, texts):
            if third in texts:
                raise KeyError("no such word")
            return super().predict(texts)

    with pytest.raises(ValueError, match="Picky failed on ") as error:
        w2s.labeller(Picky(["positive"] * 9), closed_set).answer(some(closed_set, 5))
    assert repr(third[:40]) in str(error.value) and isinstance(error.value.__cause__, KeyError)

    class Unable(BaseEstimator, ClassifierMixin):
        def fit(self, texts, answers):
            raise RuntimeError("too few")

        def predict(self, texts): ...

    with pytest.raises(ValueError, match="Unable could not learn 48 true examples: RuntimeError: too few"):
        w2s.labeller(Unable(), closed_set)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(ANSWERS),
    st.dictionaries(st.one_of(st.sampled_from(ANSWERS), st.text(max_size=3)), st.floats(-1, 2), max_size=3),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip


@given(values=st.lists(VALUES, min_size=3, max_size=3))
def test_whatever_a_function_gives_is_legal_or_refused(closed_set, values):
    inputs = some(closed_set, 3)
    answer = dict(zip(texts(inputs), values, strict=True)).__getitem__
    refused_or_legal(w2s.labeller(answer, closed_set), inputs)


@given(
    said=st.one_of(VALUES, st.lists(VALUES, max_size=4)),
    probs=st.one_of(VALUES, st.lists(st.lists(st.floats(-0.5, 1.5), max_size=4), max_size=4)),
    classes=st.one_of(st.none(), st.lists(st.one_of(st.sampled_from(ANSWERS), st.integers()), max_size=4)),
)
def test_whatever_an_object_gives_is_legal_or_refused(closed_set, said, probs, classes):
    class Odd:
        classes_ = classes

        def predict(self, texts):
            return said

        def predict_proba(self, texts):
            return probs

    refused_or_legal(w2s.labeller(Odd(), closed_set), some(closed_set, 3))


def refused_or_legal(made, inputs):
    try:
        labels = made.answer(inputs)
    except ValueError as error:
        assert made.name in str(error)
        return
    assert labels.ids == inputs.ids and set(labels.answers) <= {*ANSWERS}
    if labels.probs is not None:
        assert np.isfinite(labels.probs).all() and (labels.probs >= 0).all()
        np.testing.assert_allclose(labels.probs.sum(-1), 1, atol=1e-3)


def test_an_open_task_takes_texts(open_set):
    labels = w2s.labeller(lambda text: text.split()[-1], open_set).answer(open_set)
    assert labels.answers == tuple(text.split()[-1] for text in texts(open_set)) and labels.probs is None
    assert set(w2s.labeller("bag-of-words", open_set).answer(open_set).answers) <= {*open_set.answers}
    with pytest.raises(ValueError, match=r"answered 3 to '.*'; expected a text"):
        w2s.labeller(lambda text: 3, open_set).answer(open_set)
    with pytest.raises(ValueError, match="layer:1 needs a closed list of answers"):
        w2s.labeller("layer:1", open_set)


# -- labellers as they are -------------------------------------------------------------------------------------------


class Oracle:
    name = "an oracle"

    def __init__(self, change=lambda labels: labels):
        self.change = change

    def answer(self, inputs):
        return self.change(replace(inputs, answers=tuple(e.answer for e in inputs.examples), source="an oracle"))


def test_a_labeller_is_taken_as_it_is(closed_set):
    assert isinstance(Oracle(), w2s.Labeller)
    mine = Oracle()
    assert w2s.labeller(mine, closed_set) is mine
    assert labellers.labels_by(mine, closed_set).label_accuracy == 1
    for change in (lambda labels: None, lambda labels: labels.take(range(len(labels))[::-1])):
        with pytest.raises(ValueError, match=r"an oracle gave .*; expected a LabelledSet of the 48 examples it got"):
            labellers.labels_by(Oracle(change), closed_set)
    with pytest.raises(ValueError, match="an oracle gave the probabilities 2, 2, 2"):
        labellers.labels_by(Oracle(lambda labels: replace(labels, probs=np.full((len(labels), 3), 2.0))), closed_set)


def test_a_fickle_labeller_is_told(closed_set):
    said = []

    def fickle(text):
        said.append(text)
        return ANSWERS[len(said) % 3] if said.count(text) > 1 else "positive"

    with pytest.warns(UserWarning, match="fickle answers differently the second time .*this run cannot be repeated"):
        labellers.labels_by(w2s.labeller(fickle, closed_set), some(closed_set, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labellers.labels_by(w2s.labeller("bag-of-words", closed_set), closed_set)


# -- the whole procedure ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "weak", [cheer, lambda text: {"positive": 0.75, "negative": 0.25}, "bag-of-words:50", "layer:1:90"]
)
def test_it_supervises_the_whole_procedure(splits, tmp_path, weak):
    plan, store = replace(PLAN, weak=weak), w2s.Store(tmp_path)
    outcome = w2s.weak_to_strong(splits, plan, store, seed=0)
    bench = w2s.Bench(splits, plan, store, seed=0)
    assert outcome.comparison.weak.predictions == bench.reference.answers
    assert outcome.label_accuracy == bench.labels.label_accuracy
    assert len(store.asked) == 2  # student and ceiling
    again = w2s.weak_to_strong(splits, plan, store, seed=0)
    assert store.asked[2:] == store.asked[:2]  # the labels are the key
    assert again.comparison.student.predictions == outcome.comparison.student.predictions
    stored = [json.loads(path.read_text())["model"] for path in (tmp_path / "labels").iterdir()]
    assert stored and all(PLAN.strong in name for name in stored)  # answers of the strong model, never of a labeller
    facts = json.loads(json.dumps(plan.to_dict()))
    assert "weak_recipe" not in facts and facts["weak"] == labellers.labeller_name(weak)


def test_only_the_strong_model_is_adapted(splits, tmp_path):
    plan = replace(PLAN, adapt=w2s.Recipe(epochs=1, learning_rate=1e-4, batch_size=64))
    roles = []
    w2s.weak_to_strong(splits, plan, w2s.Store(tmp_path), seed=0, on_step=lambda role, *_: roles.append(role))
    assert list(dict.fromkeys(roles)) == ["adapted to the inputs", "strong student", "strong ceiling"]


def test_a_loss_that_lacks_probabilities_is_refused_before_the_student(splits, tmp_path):
    soft = replace(PLAN, weak=cheer, recipe=replace(RECIPE, loss=w2s.SoftTargets()))
    roles = []
    with pytest.raises(ValueError, match=r"SoftTargets needs the supervisor's probabilities .*weak labels of cheer"):
        w2s.weak_to_strong(splits, soft, w2s.Store(tmp_path), seed=0, on_step=lambda role, *_: roles.append(role))
    assert roles == []
    w2s.weak_to_strong(splits, replace(soft, weak="bag-of-words"), w2s.Store(tmp_path), seed=0)


def test_a_labeller_has_no_recipe_and_is_no_language_model(splits):
    bench = w2s.Bench(splits, PLAN, w2s.Store("unused"), seed=0)
    for options in ({"recipe": RECIPE}, {"seed": 3}):
        with pytest.raises(ValueError, match="bag-of-words is no language model: it has no recipe and no seed"):
            bench.supervisor(**options)
    few = bench.supervisor(truth=splits.supervisor_train.take(range(20)))
    assert bench.labels_of(few)[0].answers != bench.labels.answers
    for use, who in (
        (w2s.weak_labels, "weak_labels"),
        (bench.store.labels, "Store.labels"),
        (w2s.token_targets, "token_targets"),
        (w2s.selection.ifd, "this score"),
        (w2s.cascade.flops_per_item, "flops_per_item"),
    ):
        with pytest.raises(TypeError, match=f"{who} needs a language model; bag-of-words is none"):
            use(few, bench.labels)


def test_a_plan_names_its_labeller_exactly(splits):
    def facts(weak):
        return json.loads(json.dumps(replace(PLAN, weak=weak).to_dict()))["labeller"]

    import sklearn

    assert facts("bag-of-words:9") == {"name": "bag-of-words:9", "scikit-learn": sklearn.__version__}
    mine = facts(make_pipeline(CountVectorizer(tokenizer=str.split, token_pattern=None), MultinomialNB(alpha=0.3)))
    assert mine["class"] == "sklearn.pipeline.Pipeline" and mine["params"]["multinomialnb__alpha"] == "0.3"
    assert mine["scikit-learn"] == sklearn.__version__ and " at 0x" not in json.dumps(mine)
    function, other = facts(cheer), facts(lambda text: "negative")
    assert function["function"].endswith("test_labellers.cheer") and len(function["source"]) == 16
    assert other["source"] != function["source"]
    assert "labeller" not in w2s.Plan().to_dict() and "weak_recipe" in w2s.Plan().to_dict()


# -- names of the user's, and the command line -----------------------------------------------------------------------


def test_a_name_of_ones_own(splits):
    w2s.register_labeller("cheer", cheer)
    w2s.register_labeller("words", make_pipeline(TfidfVectorizer(), LogisticRegression()))
    assert w2s.labeller("cheer", splits.supervisor_train).answer(splits.test).answers == tuple(
        map(cheer, texts(splits.test))
    )
    assert labellers.true_labels("words:30", 200) == 30 and labellers.true_labels("cheer", 200) == 0
    assert replace(PLAN, weak="cheer").to_dict()["labeller"]["function"].endswith("cheer")
    with pytest.raises(ValueError, match=r"'cheer:2' is no labeller; expected cheer$"):
        w2s.labeller("cheer:2", splits.supervisor_train)
    with pytest.raises(ValueError, match="already a labeller 'vader'"):
        w2s.register_labeller("vader", cheer)
    for name in ("a:b", "a/b", "pocket-s", "scratch", 3):
        with pytest.raises(ValueError, match="the name of a labeller is "):
            w2s.register_labeller(name, cheer)
    with pytest.raises(ValueError, match="3 answers no inputs"):
        w2s.register_labeller("three", 3)


def call(capsys, *words):
    try:
        status = commands.main(list(words))
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


TINY = ("--sizes", "200,40,30,10", "--strong", "pocket-xs", "--epochs", "1", "--seeds", "1", "--device", "cpu")


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    words = ("run", "--weak", "bag-of-words:150", "--task", "sentiment", *TINY, "--store", str(tmp_path))
    status, out, err = call(capsys, *words, "--json", str(tmp_path / "out.json"))
    assert status == 0, err
    assert "sentiment: bag-of-words:150 supervises pocket-xs" in out and "for one seed, 150 true labels" in out
    assert (tmp_path / "figures" / "sentiment__bag-of-words_150_supervises_pocket-xs.png").is_file()
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts["weak"] == "bag-of-words:150" and "weak_recipe" not in facts
    for more, said in (
        (("--weak-epochs", "3"), "bag-of-words:150 is no language model and has no such recipe"),
        (("--weak", "bag-of-words:900"), "wants 900 true examples, but the supervisor has 200"),
        (("--weak", "vader:1"), "expected vader"),
    ):
        status, _, err = call(capsys, *words, *more)
        assert status == 2 and said in err


@pytest.mark.slow
def test_a_module_brings_a_labeller_to_the_command(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_rule.py").write_text(
        "import w2s_lab as w2s\n\n\ndef stars(text):\n    return 'positive' if 'good' in text else 'negative'\n\n\n"
        "w2s.register_labeller('stars', stars)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(registry, "_plugins", {})  # else every later job imports it
    importlib.invalidate_caches()
    status, out, err = call(
        capsys, "run", "--import", "my_rule", "--weak", "stars", *TINY, "--store", str(tmp_path / "runs")
    )
    sys.modules.pop("my_rule", None)
    assert status == 0 and "stars supervises pocket-xs" in out and "0 true labels for the supervisor" in out, err


def test_the_estimate_counts_no_model_for_it(splits):
    examples = splits.supervisor_train.examples
    adapt = w2s.Recipe(epochs=1, learning_rate=1e-3)
    table = dry_run_table(
        replace(PLAN, weak="bag-of-words:50", adapt=adapt), SIZES, examples, splits.task.answers, device="T4"
    )
    rows = {line[:21].strip(): line.split() for line in table.splitlines()}
    assert rows["weak supervisor"][2:] == ["bag-of-words:50", "none", "-", "<", "0.1"]
    assert "weak model adapted" not in rows and "strong model adapted" in rows
    assert "It fits" in table and "Licences: pocket-xs: MIT" in table
    early = dry_run_table(replace(PLAN, weak="layer:1"), SIZES, examples, splits.task.answers, device="T4")
    (row,) = (line.split() for line in early.splitlines() if line.startswith("weak labels"))
    (own,) = (line.split() for line in early.splitlines() if line.startswith("strong ceiling"))
    assert row[3:5] == own[3:5] and "layer:1" in row


@pytest.mark.parametrize(
    ("weak", "meant"),
    [("bag-of-word:20", "bag-of-words:20"), ("bagofwords", "bag-of-words"), ("Vader", "vader"), ("layr:3", "layer:3")],
)
def test_a_misspelt_supervisor_is_told_before_anything_is_trained(weak, meant):
    task = Task("sentiment", ("positive", "negative"))
    with pytest.raises(ValueError, match=re.escape(f"there is no supervisor {weak!r}; did you mean {meant!r}?")):
        check_plan(Plan(weak), task)


@pytest.mark.parametrize("weak", ["pocket-s", "scratch", "owner/player", "gpt2", "C:/models/own"])
def test_a_model_is_no_misspelt_supervisor(weak):
    check_plan(Plan(weak), Task("sentiment", ("positive", "negative")))
