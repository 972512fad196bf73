"""The parser of reviews: all that the grammar writes, and nothing else."""

from random import Random

import pytest

from w2s_lab.data.sources import read_examples
from w2s_lab.pocket.lexicon import ASPECTS, WORDS
from w2s_lab.pocket.parser import parse_review, real_documents, sentiment_world
from w2s_lab.pocket.reviews import CONSTRUCTIONS, OPENINGS, draw_review
from w2s_lab.pocket.tasks import reserved_texts
from w2s_lab.records import Example


@pytest.fixture(scope="module")
def drawn():
    rng = Random("parser")
    return [draw_review(rng) for _ in range(6000)]


def test_every_drawn_review_is_read_back_whole(drawn):
    for review in drawn:
        assert parse_review(review.text) == review
    assert {review.tags[0] for review in drawn} == set(CONSTRUCTIONS)
    assert {review.kind for review in drawn} == set(ASPECTS)
    assert any("rare-word" in review.tags for review in drawn) and any("audio tour" in r.text for r in drawn)


def test_the_sentiment_task_is_read_back():
    _, examples, _ = read_examples("sentiment")
    read = [parse_review(example.input) for example in examples]
    assert len(read) == 6000
    assert [review.verdict for review in read] == [example.answer for example in examples]
    assert [review.tags for review in read] == [example.tags for example in examples]


@pytest.mark.parametrize(
    ("text", "kind", "verdict", "summary", "tags"),
    [
        ("The plot is good.", "film", "positive", "likes the plot", ("plain",)),
        ("The plot was winsome.", "film", "positive", "likes the plot", ("plain", "rare-word")),
        (
            "I found the audio tour dull and the guide was bad.",
            "museum",
            "negative",
            "dislikes the audio tour, dislikes the guide",
            ("plain",),
        ),
        ("I did not find the pool good.", "hotel", "negative", "dislikes the pool", ("negated",)),
        (
            "The pool was not bad and I did not find the bed awful.",
            "hotel",
            "positive",
            "likes the pool, likes the bed",
            ("negated",),
        ),
        (
            "Critics say the menu is great, but they are wrong.",
            "restaurant",
            "negative",
            "dislikes the menu",
            ("reported-and-wrong",),
        ),
        ("Nobody can say that the map is not bad.", "game", "negative", "dislikes the map", ("double-negation",)),
        (
            "The map is bad, but all in all it is an excellent game.",
            "game",
            "positive",
            "dislikes the map, likes the game",
            ("but-overall",),
        ),
        (
            "Overall it is a bad phone, although I found the screen good.",
            "phone",
            "negative",
            "dislikes the phone, likes the screen",
            ("although",),
        ),
        ("My sister told me about this book. The prose is good.", "book", "positive", "likes the prose", ("plain",)),
    ],
)
def test_readings_by_hand(text, kind, verdict, summary, tags):
    review = parse_review(text)
    assert (review.text, review.kind, review.verdict, review.summary, review.tags) == (
        text,
        kind,
        verdict,
        summary,
        tags,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "The plot is good",  # no stop
        "the plot is good.",  # no capital
        "i found the plot good.",
        "The Plot is good.",
        "The plot is good. ",
        " The plot is good.",
        "The plot is good.\n",
        "The plot  is good.",
        "The plot is okay.",  # no word of the lexicon
        "The room service is good.",  # no aspect of the lexicon
        "The plot are good.",
        "The plot is good and the acting is bad.",  # two verdicts
        "The plot is good and the acting is not bad.",  # two constructions
        "The plot is good and the menu is good.",  # two kinds
        "The plot is good and the plot is great.",  # one aspect twice
        "The plot is good and the acting is good and the ending is good.",
        "The plot is good and The acting is good.",
        "I found the plot is good.",
        "I found the plot not good.",
        "I did not find the plot is good.",
        "Critics say the plot is good, but he is mistaken.",  # another's denial
        "Critics say the plot was good, but they are wrong.",
        "Critics say the plot is good.",
        "Nobody can say that the plot was not good.",
        "The plot is good, but overall it is a great film.",  # nothing to contrast
        "The plot is good, but overall it is a bad book.",  # another kind
        "The plot is good, but overall it is an bad film.",
        "The plot is bad, but overall it is a excellent film.",
        "Overall it is a good film.",
        "Overall it is a good film, although overall it is a bad film.",
        "Overall it is a good film, but the plot is bad.",
        "A few words about this film.",
        "A few words about this film. ",
        "A few words about this film.The plot is good.",
        "A few words about this film.  The plot is good.",
        "A few words about this book. The plot is good.",  # announces another kind
        "A few words about this film. the plot is good.",
        "A few words about this film. A few words about this film. The plot is good.",
        "The plot is good. My verdict is positive.",
        "This carpet came three years ago. It does not work.",
    ],
)
def test_what_the_grammar_cannot_write_is_refused(text):
    assert parse_review(text) is None


def test_a_changed_word_gives_nothing_or_facts_that_fit_the_new_text(drawn):
    rng = Random("mutations")
    vocabulary = sorted({word for review in drawn for word in review.text.split()})
    read = 0
    for review in drawn[:4000]:
        words = review.text.split()
        place = rng.randrange(len(words))
        words[place] = rng.choice(vocabulary)
        changed = parse_review(" ".join(words))
        if changed is None:
            continue
        read += 1
        bare = changed.text.lower().replace(",", "").replace(".", "")
        assert changed.text == " ".join(words)
        for opinion in changed.opinions:
            assert f"the {opinion.about} " in bare or f"{opinion.word} {opinion.about}" in bare
            assert opinion.word in bare.split()
            said = "positive" if opinion.word in WORDS["positive"] else "negative"
            flips = changed.tags[0] in ("negated", "reported-and-wrong")
            assert opinion.meant == ({"positive": "negative", "negative": "positive"}[said] if flips else said)
        assert all(one.about in (*ASPECTS[changed.kind], changed.kind) for one in changed.opinions)
        if changed.tags[0] in ("but-overall", "although"):
            decides = next(one for one in changed.opinions if one.about == changed.kind)
            assert changed.verdict == decides.meant and len({one.meant for one in changed.opinions}) == 2
        else:
            assert {one.meant for one in changed.opinions} == {changed.verdict}
    assert read > 50


def test_every_opening_is_known():
    for kind, aspects in ASPECTS.items():
        for opening in OPENINGS:
            assert parse_review(f"{opening.format(kind=kind)} The {aspects[0]} is good.").kind == kind


def test_the_world_of_the_sentiment_task():
    world = sentiment_world(documents=30)
    assert world.parse("The plot was not winsome.") == Example(
        "", "The plot was not winsome.", "negative", ("negated",)
    )
    assert world.parse("The plot.") is None
    assert world.accepts("The plot is good.") and not world.accepts("The plot.")
    assert len(set(world.documents)) == 30 and not set(world.documents) & reserved_texts()


def test_real_documents_can_be_chosen():
    films = real_documents(5, accepts=lambda text: "film" in text)
    assert len(films) == 5 and all("film" in text for text in films)
    assert films == real_documents(5, accepts=lambda text: "film" in text)
