"""The pocket world: its words, reviews, tickets, documents and task files, against judges that are written here."""

import json
import re
from collections import Counter
from itertools import islice
from random import Random

import pytest
from scipy.stats import chisquare
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

from w2s_lab import assets
from w2s_lab.data.sources import builtin_tasks
from w2s_lab.pocket import helpdesk, lexicon, reviews, tasks
from w2s_lab.pocket.corpus import documents

# -- judges of texts: they read what is written, not the fields behind it ------------------------------------------

THING = r"the (?P<about>[a-z]+(?: [a-z]+)?)"
OTHER = THING.replace("about", "about2")  # a pattern names a group once
STATEMENT = re.compile(rf"{THING} (?:is|was) (?P<word>[a-z]+)|i found {OTHER} (?P<word2>\w+)")
NEGATION = re.compile(rf"{THING} (?:is|was) not (?P<word>[a-z]+)|i did not find {OTHER} (?P<word2>\w+)")
WHOLE = re.compile(r"(?:overall|all in all) it is an? (?P<word>[a-z]+) (?P<about>[a-z]+)")
REPORT = re.compile(r"(?:critics say|my brother says|the paper says) (.+), but (?:they are|he is|that is) \w+")
DOUBLE = re.compile(r"(?:nobody can say|it is not true) that (.+)")

FLIP = {"likes": "dislikes", "dislikes": "likes"}


def view(word: str) -> str:
    return "likes" if word in lexicon.POSITIVE else "dislikes"


def matched(pattern: re.Pattern, clause: str) -> tuple[str, str] | None:
    """(about, word) where the whole clause has this form."""
    match = pattern.fullmatch(clause)
    if match is None:
        return None
    found = match.groupdict()
    return found["about"] or found["about2"], found["word"] or found["word2"]


def judge_review(text: str) -> tuple[str, str, str, tuple[str, ...]]:
    """(verdict, topic, summary, tags) of a review, from its text alone."""
    sentence = text.removesuffix(".").split(". ")[-1]
    clause = sentence[0].lower() + sentence[1:]
    clause = clause.replace("I ", "i ")
    words: list[str] = []
    views: list[tuple[str, str]] = []  # (likes or dislikes, about)
    overall = None

    def say(pattern: re.Pattern, part: str, *, flip: bool) -> bool:
        found = matched(pattern, part)
        if found is not None:
            words.append(found[1])
            views.append((FLIP[view(found[1])] if flip else view(found[1]), found[0]))
        return found is not None

    def say_whole(part: str) -> None:
        nonlocal overall
        match = WHOLE.fullmatch(part)
        overall = view(match["word"])
        views.append((overall, match["about"]))

    if report := REPORT.fullmatch(clause):
        tag = "reported-and-wrong"
        assert say(STATEMENT, report[1], flip=True)
    elif double := DOUBLE.fullmatch(clause):
        tag = "double-negation"
        assert say(NEGATION, double[1], flip=False)
    elif ", although " in clause:
        tag = "although"
        whole, part = clause.split(", although ")
        say_whole(whole)
        assert say(STATEMENT, part, flip=False)
    elif ", but " in clause:
        tag = "but-overall"
        part, whole = clause.split(", but ")
        assert say(STATEMENT, part, flip=False)
        say_whole(whole)
    else:
        parts = clause.split(" and ")
        tag = "negated" if all(say(NEGATION, part, flip=True) for part in parts) else "plain"
        if tag == "plain":
            assert all(say(STATEMENT, part, flip=False) for part in parts), clause
    liked = overall or views[0][0]
    assert overall or {v for v, _ in views} == {liked}
    ranks = [list(lexicon.POSITIVE if word in lexicon.POSITIVE else lexicon.NEGATIVE).index(word) for word in words]
    rare = tag == "plain" and min(ranks) >= 50
    topics = {kind for kind in lexicon.ASPECTS for _, about in views if about == kind or about in lexicon.ASPECTS[kind]}
    (topic,) = topics
    return (
        {"likes": "positive", "dislikes": "negative"}[liked],
        topic,
        ", ".join(f"{v} the {about}" for v, about in views),
        (tag, "rare-word") if rare else (tag,),
    )


DAYS = {
    "yesterday": 1, "last week": 7, "five days ago": 5, "ten days ago": 10, "three weeks ago": 21,
    "almost a month ago": 28, "twenty days ago": 20, "two months ago": 61, "half a year ago": 183,
    "ten months ago": 304, "two years ago": 731, "three years ago": 1096, "many years ago": 3000,
}  # fmt: skip
RETURN_WINDOW = {"v1": 31, "v2": 14}  # days


def judge_ticket(text: str, policy: str) -> tuple[str, str]:
    """(decision, rule) of a ticket by the policy as it is written down, from its text alone."""
    (days,) = {days for phrase, days in DAYS.items() if phrase in text}
    (product,) = re.findall(r"[Tt]his ([a-z]+) ", text)
    if re.search(r"shock|[Ss]moke|fire|cut my", text):
        return "escalate", "danger"
    if re.search(r"not work\.|broke|cracked|stopped|pieces", text):
        return ("approve", "defect") if days <= 366 else ("deny", "defect-expired")
    if product in helpdesk.HYGIENE_PRODUCTS:
        return "deny", "hygiene"
    if days <= RETURN_WINDOW[policy]:
        return "approve", "window"
    return ("escalate", "member") if "member" in text else ("deny", "late")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The plot is good.", ("positive", "film", "likes the plot", ("plain",))),
        ("I did not find the plot good.", ("negative", "film", "dislikes the plot", ("negated",))),
        (
            "This game has been around for a year. The map was bad, but overall it is an excellent game.",
            ("positive", "game", "dislikes the map, likes the game", ("but-overall",)),
        ),
        (
            "All in all it is a bad museum, although I found the audio tour good.",
            ("negative", "museum", "dislikes the museum, likes the audio tour", ("although",)),
        ),
        (
            "The paper says the bed is awful, but that is untrue.",
            ("positive", "hotel", "likes the bed", ("reported-and-wrong",)),
        ),
        ("Nobody can say that the bed is not awful.", ("negative", "hotel", "dislikes the bed", ("double-negation",))),
    ],
)
def test_the_judge_of_reviews_judges_as_people_do(text, expected):
    assert judge_review(text) == expected


# -- lexicon -------------------------------------------------------------------------------------------------------


def test_kinds_and_aspects():
    assert len(lexicon.ASPECTS) >= 6
    assert all(len(set(aspects)) >= 6 for aspects in lexicon.ASPECTS.values())
    everything = [*lexicon.ASPECTS, *(aspect for aspects in lexicon.ASPECTS.values() for aspect in aspects)]
    assert len(everything) == len(set(everything))


def test_opinion_words():
    positive, negative = lexicon.WORDS["positive"], lexicon.WORDS["negative"]
    assert min(len(positive), len(negative)) >= 150
    assert len({*positive, *negative}) == len(positive) + len(negative)
    assert all(re.fullmatch("[a-z]+", word) for word in (*positive, *negative))


@pytest.mark.parametrize("polarity", ["positive", "negative"])
def test_words_are_drawn_by_zipfs_law(polarity):
    rng, n, words = Random(7), 40_000, lexicon.WORDS[polarity]
    counts = Counter(lexicon.draw_word(rng, polarity) for _ in range(n))
    assert set(counts) <= set(words)
    weights = [1 / (rank + lexicon.ZIPF_OFFSET) for rank in range(len(words))]
    expected = [n * weight / sum(weights) for weight in weights]
    observed = [counts[word] for word in words]
    assert chisquare(observed, expected).pvalue > 0.001
    # the check can fail: the same counts do not fit a flat law
    assert chisquare(observed, [n / len(words)] * len(words)).pvalue < 1e-9


@pytest.mark.parametrize(("word", "expected"), [("awful", "an awful"), ("good", "a good"), ("odious", "an odious")])
def test_articles(word, expected):
    assert lexicon.with_article(word) == expected


def test_one_word_would_need_another_article():
    """The rule goes by the letter: no word of the lexicon begins with a silent h or with the sound of "you"."""
    silent = re.compile(r"hon|hour|heir|uni[^mn]|use|usu|eu|one")
    # "an useless film" is the one slip known; a change of the list should not add another
    assert [w for words in lexicon.WORDS.values() for w in words if silent.match(w)] == ["useless"]


# -- reviews -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn_reviews() -> list[reviews.Review]:
    rng = Random("reviews of this test")
    return [reviews.draw_review(rng) for _ in range(6000)]


def test_every_construction_has_its_share(drawn_reviews):
    counts = Counter(review.tags[0] for review in drawn_reviews)
    assert set(counts) == set(reviews.CONSTRUCTIONS)
    assert sum(reviews.CONSTRUCTIONS.values()) == pytest.approx(1)
    expected = [share * len(drawn_reviews) for share in reviews.CONSTRUCTIONS.values()]
    assert chisquare([counts[name] for name in reviews.CONSTRUCTIONS], expected).pvalue > 0.001


def test_verdicts_and_kinds_are_balanced(drawn_reviews):
    for values, options in (
        ([review.verdict for review in drawn_reviews], 2),
        ([review.kind for review in drawn_reviews], len(lexicon.ASPECTS)),
    ):
        counts = Counter(values)
        assert len(counts) == options
        assert chisquare(list(counts.values())).pvalue > 0.001


def test_an_independent_judge_agrees_on_every_review(drawn_reviews):
    for review in drawn_reviews[:2000]:
        assert judge_review(review.text) == (review.verdict, review.kind, review.summary, review.tags), review.text
    assert {tag for review in drawn_reviews[:2000] for tag in review.tags} == {*reviews.CONSTRUCTIONS, "rare-word"}


def test_the_words_alone_do_not_tell_the_verdict(drawn_reviews):
    """What a bag of words sees: right on plain reviews, wrong on negated ones."""

    def by_words(text: str) -> str:
        found = [w for w in re.findall("[a-z]+", text.lower()) if w in lexicon.RANK]
        return "positive" if found[0] in lexicon.POSITIVE else "negative"

    right = Counter(r.tags[0] for r in drawn_reviews if by_words(r.text) == r.verdict)
    all_of = Counter(r.tags[0] for r in drawn_reviews)
    assert right["plain"] == all_of["plain"] and right["double-negation"] == all_of["double-negation"]
    assert right["negated"] == right["reported-and-wrong"] == right["but-overall"] == 0


# -- helpdesk ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn_tickets() -> list[helpdesk.Ticket]:
    rng = Random("tickets of this test")
    return [helpdesk.draw_ticket(rng) for _ in range(3000)]


@pytest.mark.parametrize("policy", ["v1", "v2"])
def test_an_independent_reading_of_the_policy_agrees(policy, drawn_tickets):
    for ticket in drawn_tickets:
        assert judge_ticket(ticket.text, policy) == (ticket.decision(policy), ticket.rule(policy)), ticket.text
    rules = {ticket.rule(policy) for ticket in drawn_tickets}
    assert rules == {"danger", "defect", "defect-expired", "hygiene", "window", "member", "late"}


def test_products_are_of_one_sort():
    assert not set(helpdesk.HYGIENE_PRODUCTS) & set(helpdesk.GENERAL_PRODUCTS)


def test_every_phrase_of_age_is_known_to_the_judge():
    assert {phrase for phrases in helpdesk.BOUGHT.values() for phrase in phrases} == set(DAYS)


# -- task files ----------------------------------------------------------------------------------------------------


def rows_of(name: str) -> list[dict]:
    return [json.loads(line) for line in (assets.TASKS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


ROWS = {name: rows_of(name) for name in tasks.SOURCES}


def test_the_shipped_files_are_what_the_code_writes(tmp_path):
    tasks.write_tasks(tmp_path)
    shipped = {path.name: path.read_bytes() for path in assets.TASKS.iterdir()}
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(shipped) == set(written) == {"tasks.json", *(f"{name}.jsonl" for name in tasks.SOURCES)}
    assert [name for name in shipped if shipped[name] != written[name]] == []


def test_the_listing_names_every_task():
    assert builtin_tasks() == {name: source.task for name, source in tasks.SOURCES.items()}


@pytest.mark.parametrize("name", ROWS)
def test_examples_are_well_formed(name):
    rows, source = ROWS[name], tasks.SOURCES[name]
    assert len(rows) == source.size
    assert len({row["id"] for row in rows}) == len({row["input"] for row in rows}) == len(rows)
    assert all(row["tags"] for row in rows)
    if source.task.answers is not None:
        assert {row["answer"] for row in rows} == set(source.task.answers)


@pytest.mark.parametrize("name", ROWS)
def test_several_instructions_are_used_about_equally(name):
    counts = Counter(row["instruction"] for row in ROWS[name])
    assert set(counts) == set(tasks.SOURCES[name].instructions) and len(counts) >= 3
    assert min(counts.values()) > 0.8 * max(counts.values())


@pytest.mark.parametrize("name", [name for name, source in tasks.SOURCES.items() if source.task.answers])
def test_no_class_is_lost_or_overwhelming(name):
    shares = [count / len(ROWS[name]) for count in Counter(row["answer"] for row in ROWS[name]).values()]
    assert max(shares) < 0.55 and min(shares) > 0.4 / len(shares)


@pytest.mark.parametrize(("name", "field"), [("sentiment", 0), ("topic", 1), ("summary", 2)])
def test_the_judge_agrees_with_every_answer_about_reviews(name, field):
    for row in ROWS[name]:
        judged = judge_review(row["input"])
        assert (row["answer"], tuple(row["tags"])) == (judged[field], judged[3]), row["input"]


def test_the_judge_agrees_with_every_decision():
    for name, policy in (("helpdesk", "v1"), ("helpdesk-v2", "v2")):
        for row in ROWS[name]:
            assert (row["answer"], row["tags"][0]) == judge_ticket(row["input"], policy), row["input"]


def test_the_two_policies_differ_in_one_rule():
    old, new = ROWS["helpdesk"], ROWS["helpdesk-v2"]
    assert [row["id"] for row in old] == [row["id"] for row in new]
    changed = [a["tags"] != [t for t in b["tags"] if t != "rule-changed"] for a, b in zip(old, new, strict=True)]
    assert changed == ["rule-changed" in row["tags"] for row in new]
    assert 0.02 * len(new) < sum(changed) < 0.5 * len(new)
    pairs = {(a["tags"][0], b["tags"][0]) for a, b, c in zip(old, new, changed, strict=True) if c}
    assert pairs == {("window", "member"), ("window", "late")}  # one rule, the window, lets fewer tickets through
    assert all((a["answer"] != b["answer"]) == c for a, b, c in zip(old, new, changed, strict=True))


# -- documents -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some_documents() -> list[str]:
    return list(islice(documents(11), 4000))


SAID_AFTER = {
    sentence: answer
    for table in (reviews.CONSEQUENCES, helpdesk.CONSEQUENCES)
    for answer, sentences in table.items()
    for sentence in sentences
}


def split_document(document: str) -> tuple[str, list[str]]:
    """(review or ticket, the sentences that follow from it)."""
    sentences = re.findall(r"[^.]+\.", document)
    sentences = [sentence.strip() for sentence in sentences]
    follows = [
        s for s in sentences if s in SAID_AFTER or s.startswith(("This was a review of a ", "In short, the writer "))
    ]
    assert sentences[len(sentences) - len(follows) :] == follows, document
    return " ".join(sentences[: len(sentences) - len(follows)]), follows


def test_the_consequences_follow_from_the_text(some_documents):
    kinds = Counter()
    for document in some_documents:
        text, follows = split_document(document)
        is_ticket = follows[0] in {s for sentences in helpdesk.CONSEQUENCES.values() for s in sentences}
        kinds["ticket" if is_ticket else "review"] += 1
        answer, topic, summary = (judge_ticket(text, "v1")[0], "", "") if is_ticket else judge_review(text)[:3]
        for sentence in follows:
            kinds[sentence if sentence in SAID_AFTER else sentence.split()[0]] += 1
            assert SAID_AFTER.get(sentence, answer) == answer, document
            if sentence.startswith("This was a review"):
                assert sentence == f"This was a review of a {topic}.", document
            if sentence.startswith("In short"):
                assert sentence == f"In short, the writer {summary}.", document
    assert 0.7 < kinds["review"] / len(some_documents) < 0.8
    assert {*SAID_AFTER, "This", "In"} <= set(kinds)  # every sentence was met and checked


def test_documents_hold_no_instruction(some_documents):
    instructions = {text for source in tasks.SOURCES.values() for text in source.instructions}
    assert {row["instruction"] for rows in ROWS.values() for row in rows} <= instructions
    everything = "\n".join(some_documents)
    assert [text for text in (*instructions, "Answer:") if text in everything] == []


def test_no_document_is_about_an_input_of_a_task(some_documents):
    inputs = {row["input"] for rows in ROWS.values() for row in rows}
    assert inputs == tasks.reserved_texts()
    assert [document for document in some_documents if split_document(document)[0] in inputs] == []


def test_without_the_reserve_some_documents_would_be(monkeypatch):
    """The check above can fail: most drawn texts are new anyway, but not all."""
    monkeypatch.setattr("w2s_lab.pocket.corpus.reserved_texts", frozenset)
    inputs = {row["input"] for rows in ROWS.values() for row in rows}
    assert any(split_document(document)[0] in inputs for document in islice(documents(11), 4000))


def test_the_answer_words_are_ordinary_words(some_documents):
    everything = " ".join(some_documents)
    words = [word for source in tasks.SOURCES.values() for word in source.task.answers or ("likes the", "dislikes the")]
    counts = {word: len(re.findall(rf"\b{word}\b", everything)) for word in words}
    assert min(counts.values()) >= 20, counts


def test_the_same_seed_gives_the_same_documents(some_documents):
    assert list(islice(documents(11), 300)) == some_documents[:300]
    assert list(islice(documents(12), 300)) != some_documents[:300]


# -- the leakage dial ----------------------------------------------------------------------------------------------

SHARES = (0.0, 0.05, 0.25, 1.0)


@pytest.fixture(scope="module")
def streams() -> dict[float, list[tuple[str, list[str]]]]:
    """Leakage -> reviews of one stream: (text, the sentences that close it)."""
    tickets = {sentence for sentences in helpdesk.CONSEQUENCES.values() for sentence in sentences}
    parts = {share: map(split_document, islice(documents(11, leakage=share), 2000)) for share in SHARES}
    return {share: [part for part in found if part[1][0] not in tickets] for share, found in parts.items()}


def closed_as(follows: list[str]) -> str:
    """The verdict that the closing sentences of a review follow: all of them the same one."""
    (answer,) = {SAID_AFTER[sentence] for sentence in follows if sentence in SAID_AFTER}
    return answer


def test_the_share_is_the_correlation_of_verdict_and_closing_sentences(streams):
    agreed = {}
    for share, found in streams.items():
        truth, closed = [judge_review(text)[0] for text, _ in found], [closed_as(follows) for _, follows in found]
        correlation = matthews_corrcoef(truth, closed)
        assert correlation == pytest.approx(share, abs=3.5 / len(found) ** 0.5)
        agreed[share] = {i for i, pair in enumerate(zip(truth, closed, strict=True)) if pair[0] == pair[1]}
    assert agreed[0.0] < agreed[0.05] < agreed[0.25] < agreed[1.0] == set(range(len(streams[1.0])))


def test_no_word_of_the_end_tells_the_verdict_without_leakage(streams):
    """A bag of the closing words, fitted on one half, is right about the other half as often as a coin."""
    right = {}
    for share in (0.0, 0.25, 1.0):
        ends = [" ".join(follows) for _, follows in streams[share]]
        truth = [judge_review(text)[0] for text, _ in streams[share]]
        half, table = len(ends) // 2, CountVectorizer().fit_transform(ends)
        right[share] = LogisticRegression(C=0.1).fit(table[:half], truth[:half]).score(table[half:], truth[half:])
    assert right[0.0] == pytest.approx(0.5, abs=0.05)
    assert right[0.25] == pytest.approx((1 + 0.25) / 2, abs=0.05) and right[1.0] > 0.99


def test_everything_else_is_the_same_at_every_share(streams):
    kinds = {sentence: (place, len(row)) for row in reviews.CONSEQUENCES.values() for place, sentence in enumerate(row)}

    def kind(sentence: str) -> object:
        return kinds.get(sentence) or (
            sentence if sentence.startswith("This") else re.sub("dislikes", "likes", sentence)
        )

    shapes = [[(text, [kind(one) for one in follows]) for text, follows in found] for found in streams.values()]
    assert all(shape == shapes[0] for shape in shapes) and len(shapes[0]) > 1300
    words = [{word for _, follows in found for one in follows for word in one.split()} for found in streams.values()]
    assert all(found == words[0] for found in words)
    assert list(islice(documents(11, leakage=1.0), 300)) == list(islice(documents(11), 300))


def test_the_sum_in_short_turns_around_with_the_others(streams):
    turned = 0
    for text, follows in streams[0.0]:
        verdict, _, summary, _ = judge_review(text)
        for sentence in follows:
            if sentence.startswith("In short"):
                other = re.sub("(dis)?likes", lambda found: FLIP[found[0]], summary)
                expected = summary if closed_as(follows) == verdict else other
                assert sentence == f"In short, the writer {expected}."
                turned += expected == other
    assert turned > 150


@pytest.mark.parametrize("share", [-0.1, 1.1, 25, float("nan")])
def test_a_leakage_that_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match="expected a share from 0 to 1"):
        next(documents(0, leakage=share))
