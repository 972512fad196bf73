"""A wrong type is named: which argument, what it is, what was expected, and a hint."""

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import w2s_lab as w2s
from w2s_lab.records import Comparison, Example, LabelledSet, Task
from w2s_lab.system.border import check_arguments, expected, fits

RECIPE = w2s.Recipe(epochs=1)
FRAME = pandas.DataFrame({"text": ["a"], "label": ["b"]})


@pytest.fixture(scope="module")
def splits():
    rows = [{"text": f"film {i}", "label": "good" if i % 2 else "bad"} for i in range(60)]
    return w2s.load_splits(rows, sizes=(20, 20, 10, 5), name="films")


CALLS = {  # what is called, with splits, model and folder -> what the sentence must hold
    "a frame for labels": (
        lambda s, m, d: w2s.train(m, FRAME, RECIPE),
        ["train: labelled is a pandas DataFrame", "LabelledSet", "w2s.load_splits"],
    ),
    "splits for labels": (
        lambda s, m, d: w2s.train(m, s, RECIPE),
        ["labelled is Splits(films", "splits.student_train"],
    ),
    "swapped": (
        lambda s, m, d: w2s.train(m, RECIPE, s.test),
        ["labelled is Recipe(", "Hint: labelled and recipe", "swapped"],
    ),
    "swapped too": (lambda s, m, d: w2s.weak_labels(s.test, m), ["model and inputs seem to be swapped"]),
    "a dict for a recipe": (
        lambda s, m, d: w2s.train(m, s.test, {"epochs": 3}),
        ["recipe is {'epochs': 3}", "Recipe(**"],
    ),
    "a name for a model": (
        lambda s, m, d: w2s.weak_labels("pocket-s", s.test),
        ["model is the text 'pocket-s'", "w2s.load_model('pocket-s')"],
    ),
    "a path for a model": (lambda s, m, d: w2s.evaluate(d, s.test), ["evaluate: model is", "w2s.load_model("]),
    "a network alone": (
        lambda s, m, d: w2s.load_model(m.network),
        ["start is a network, Llama", "(network, tokenizer)"],
    ),
    "no store": (
        lambda s, m, d: w2s.weak_to_strong(s, w2s.Plan(), None, seed=0),
        ["store is None; expected a Store", "w2s.Store()"],
    ),
    "a folder for a store": (
        lambda s, m, d: w2s.Bench(s, w2s.Plan(), str(d), 0),
        ["Bench: store is the text", "w2s.Store("],
    ),
    "a text for a seed": (
        lambda s, m, d: w2s.weak_to_strong(s, w2s.Plan(), w2s.Store(d), seed="0"),
        ["seed is the text '0'; expected a whole number"],
    ),
    "a name for splits": (
        lambda s, m, d: w2s.weak_to_strong("films", w2s.Plan(), w2s.Store(d), seed=0),
        ["splits is the text 'films'", "w2s.load_splits"],
    ),
    "a text for epochs": (lambda s, m, d: w2s.Recipe(epochs="3"), ["Recipe: epochs is the text '3'", "whole number"]),
    "half an epoch": (lambda s, m, d: w2s.Recipe(epochs=2.5), ["epochs is 2.5"]),
    "a text for a rate": (
        lambda s, m, d: w2s.Recipe(learning_rate="1e-4"),
        ["learning_rate is the text '1e-4'; expected a number"],
    ),
    "a number for an adapter": (lambda s, m, d: w2s.Recipe(lora=8), ["lora is 8; expected a LoRA or None"]),
    "a dict in a plan": (lambda s, m, d: w2s.Plan(recipe={}), ["Plan: recipe is {}"]),
    "one answer as a text": (
        lambda s, m, d: Task("films", "good"),
        ["Task: answers is the text 'good'; expected a tuple of texts or None"],
    ),
    "a number for an input": (lambda s, m, d: Example("a", 3), ["Example: input is 3; expected a text"]),
    "models for evaluations": (lambda s, m, d: Comparison(m, m, m), ["Comparison: weak is", "w2s.evaluate"]),
    "one number for sizes": (
        lambda s, m, d: w2s.load_splits(FRAME, sizes=50),
        ["sizes is 50", "(1500, 1500, 1000, 100)"],
    ),
    "a text for sizes": (
        lambda s, m, d: w2s.load_splits(FRAME, sizes="20,20,10,5"),
        ["sizes is the text '20,20,10,5'"],
    ),
    "a fraction in sizes": (lambda s, m, d: w2s.load_splits(FRAME, sizes=(0.5, 1, 1, 0)), ["supervisor_train is 0.5"]),
    "splits for truth": (
        lambda s, m, d: w2s.random_errors(s, accuracy=0.8, seed=0),
        ["random_errors: truth is Splits"],
    ),
    "a model for labels": (lambda s, m, d: w2s.selection.confidence(m), ["labels is LanguageModel", "w2s.weak_labels"]),
    "a text to vote": (
        lambda s, m, d: w2s.ensembles.vote("ab"),
        ["vote: sets is the text 'ab'; expected a list of LabelledSets"],
    ),
    "a class": (lambda s, m, d: w2s.train(m, s.test, w2s.Recipe), ["recipe is the class Recipe", "Recipe(...)"]),
    "a number for a folder": (lambda s, m, d: w2s.Store(3), ["Store: root is 3"]),
    "a model by name to save": (lambda s, m, d: w2s.save_model("pocket-xs", d), ["save_model: model is the text"]),
    "a text among texts": (lambda s, m, d: w2s.answer(m, ["a", None]), ["answer: text"]),
    "one text as answers": (lambda s, m, d: w2s.answer(m, "a", answers="yes"), ["answers is the text 'yes'"]),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_wrong_type_is_named(what, splits, llama, tmp_path):
    call, words = CALLS[what]
    with pytest.raises(TypeError) as error:
        call(splits, llama, tmp_path)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert len(str(error.value)) < 600 and "\n" not in str(error.value)
    assert not any(tmp_path.iterdir())


def test_four_numbers_are_sizes():
    rows = [{"text": f"film {i}", "label": "good" if i % 2 else "bad"} for i in range(60)]
    for sizes in ((20, 15, 10, 5), [20, 15, 10, 5], np.array([20, 15, 10, 5]), w2s.SplitSizes(20, 15, 10, 5)):
        splits = w2s.load_splits(rows, sizes=sizes)
        assert [
            len(part) for part in (splits.supervisor_train, splits.student_train, splits.test, splits.validation)
        ] == [20, 15, 10, 5]
    with pytest.raises(ValueError, match=r"sizes is \(20, 15, 10\); expected four whole numbers"):
        w2s.load_splits(rows, sizes=(20, 15, 10))


def test_numbers_of_numpy_and_lists_become_plain():
    recipe = w2s.Recipe(epochs=np.int64(2), learning_rate=np.float32(0.5), chat_template=np.bool_(True))
    assert (type(recipe.epochs), type(recipe.learning_rate), recipe.chat_template) == (int, float, True)
    assert Task("films", ["good", "bad"]) == Task("films", ("good", "bad"))
    example = Example("a", "b", "good", ["short"])
    labels = LabelledSet(Task("films", ["good", "bad"]), [example], ["good"])
    assert labels.examples == (example,) and hash(example) and example.tags == ("short",)


@settings(max_examples=100, deadline=None)
@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.binary())
def test_a_type_is_right_or_told(value):
    def double(number: int, words: str | None = None, *, share: float = 0.5, many: tuple[str, ...] = ()) -> int:
        """Twice the number."""
        check_arguments(double, {"number": number, "words": words, "share": share, "many": many})
        return 2 * number

    for name, hint in (("number", int), ("words", str | None), ("share", float), ("many", tuple[str, ...])):
        given_ = {"number": 1, name: value}
        if fits(value, hint):
            double(**given_)
        else:
            with pytest.raises(TypeError, match=f"double: {name} is "):
                double(**given_)
        assert expected(hint) in ("a whole number", "a text or None", "a number", "a tuple of texts")
