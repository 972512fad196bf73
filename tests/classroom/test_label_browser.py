"""The label browser: filters, order, pages, picture and words against independent counts."""

from dataclasses import replace

import numpy as np
import pytest
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.label_browser import PAGE, Cards, confidence_picture, label_browser, label_confidence
from w2s_lab.classroom.toolkit.sketch import Box, Words
from w2s_lab.metrics import calibration
from w2s_lab.records import Example, LabelledSet, Task

TASK = Task("fruit", ("apple", "pear", "plum"))
N = 83


@pytest.fixture(scope="module")
def labels() -> LabelledSet:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet((0.7, 0.7, 0.7), N)
    truth = rng.choice(TASK.answers, N).tolist()
    tags = (("round",), ("long", "odd & <b>"), ())
    examples = [Example("Which?", f"no. {i} <i>& more</i>", truth[i], tags[i % 3]) for i in range(N)]
    answers = tuple(TASK.answers[k] for k in probs.argmax(-1))
    return LabelledSet(TASK, tuple(examples), answers, probs, np.log(probs.max(-1)), "weak labels of somebody")


@pytest.fixture
def browser(labels):
    return label_browser(labels)


def passing(labels, show="all", slice_="all", low=0.0, high=1.0) -> list[int]:
    """Row numbers, by a plain loop."""
    found = []
    for i, example in enumerate(labels.examples):
        right = labels.answers[i] == example.answer
        if slice_ != "all" and slice_ not in example.tags:
            continue
        if low <= labels.probs[i].max() <= high and (show == "all" or right == (show == "right")):
            found.append(i)
    return found


def cards(browser) -> Cards:
    return browser.view.instead


@pytest.mark.parametrize("show", ["all", "right", "wrong"])
@pytest.mark.parametrize("slice_", ["all", "round", "odd & <b>"])
def test_filters(browser, labels, show, slice_):
    for low, high in ((0.0, 1.0), (0.5, 0.8)):
        browser.set(show=show, slice=slice_, confidence=(max(low, browser.controls["confidence"].min), high), page=1)
        wanted = passing(labels, show, slice_, low, high)
        assert browser.view.says.startswith(f"{len(wanted):,} ")
        assert [text for text, *_ in cards(browser).rows] == [labels.examples[i].input for i in wanted[:PAGE]]
        inside = passing(labels, "all", slice_, low, high)
        share = len(passing(labels, "right", slice_, low, high)) / len(inside)
        assert f"Of all {len(inside)} labels in that range {share:.0%} are right" in browser.view.says


def test_pages_cover_all_labels_once(browser, labels):
    seen = []
    pages = browser.controls["page"].max
    assert pages == -(-N // PAGE)
    for page in range(1, pages + 1):
        browser.set(page=page)
        assert f"Labels {len(seen) + 1} to" in browser.view.says  # what is heard changes, too
        seen += [text for text, *_ in cards(browser).rows]
    assert seen == [example.input for example in labels.examples]


def test_order_by_confidence(browser, labels):
    sure = np.sort(labels.probs.max(-1))
    assert [row[3] for row in cards(browser.set(order="surest first")).rows] == pytest.approx(sure[::-1][:PAGE])
    assert [row[3] for row in cards(browser.set(order="least sure first")).rows] == pytest.approx(sure[:PAGE])


def test_a_page_that_is_gone_becomes_the_last_one(browser, labels):
    browser.set(page=browser.controls["page"].max)
    browser.set(show="wrong", slice="round")
    count = len(passing(labels, "wrong", "round"))
    assert browser.controls["page"].value == browser.controls["page"].max == -(-count // PAGE)
    assert cards(browser).caption.startswith(f"Labels {(count - 1) // PAGE * PAGE + 1} to {count} of {count}")


def test_nothing_passes(browser):
    browser.set(show="wrong", confidence=(1.0, 1.0))
    assert cards(browser).rows == () and "No label passes" in browser._picture.value
    assert browser.view.says.startswith("0 wrong labels")
    assert stored(browser)["text/plain"].endswith("No label passes.")


def test_the_numbers_above_the_bars_are_those_of_the_calibration(labels):
    sure = labels.probs.max(-1)
    right = [a == e.answer for a, e in zip(labels.answers, labels.examples, strict=True)]
    picture = confidence_picture(sure, right, 0.3, 1.0, 0.3)
    wanted = [f"{b.accuracy:.2f}" for b in calibration(sure, right, bins=20).bins]
    texts = [item.text for item in picture.items if isinstance(item, Words) and item.anchor == "middle"]
    assert texts[: len(wanted)] == wanted
    tall = [item.height for item in picture.items[6:] if isinstance(item, Box)]
    most = max(b.count for b in calibration(sure, right, bins=20).bins)
    assert sum(tall) == pytest.approx(N / most * 138, rel=1e-6)


def test_text_is_escaped(browser):
    assert "&lt;i&gt;&amp; more" in browser._picture.value and "<i>& more" not in browser._picture.value
    browser.set(slice="odd & <b>")
    assert "odd &amp; &lt;b&gt;" in browser._picture.value


def test_open_answers_have_the_confidence_of_their_log_probability(open_set):
    labels = replace(open_set, log_prob=np.log(np.linspace(0.1, 0.9, len(open_set))), source="weak labels")
    assert label_confidence(labels) == pytest.approx(np.linspace(0.1, 0.9, len(open_set)))
    assert label_browser(labels).set(show="wrong").view.says.startswith("0 wrong labels")


def test_long_inputs_are_cut():
    example = Example("Which?", "word " * 200, "apple")
    labels = LabelledSet(TASK, (example,), ("pear",), np.array([[0.2, 0.5, 0.3]]))
    browser = label_browser(labels)
    assert " …" in browser._picture.value and len(browser._picture.value) < 12_000
    assert cards(browser).sketch.height < 400


def test_errors(labels):
    with pytest.raises(ValueError, match="set is empty"):
        label_browser(labels.take([]))
    with pytest.raises(ValueError, match="no probabilities; expected labels of a model"):
        label_browser(LabelledSet.ground_truth(TASK, labels.examples))
    unknown = replace(labels.take([0]), examples=(replace(labels.examples[0], answer=None),))
    with pytest.raises(ValueError, match="has no true answer"):
        label_browser(unknown)


def test_stored_it_is_a_picture_and_words(browser):
    assert stored(browser.set(show="wrong"))["text/plain"].startswith("Weak labels [show wrong, slice all")


def test_it_is_found_at_the_front_door():
    assert room.label_browser is label_browser
