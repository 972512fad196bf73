"""Questions with feedback for every option, read from `data/quizzes/NN.json`; and guesses made before a run.

Kinds: `one` right option, `many` right options, `order` of steps, and `case`: a story in several steps. Every control
can be reached with Tab and Space. A sign and a word, not only a colour, say what is right or wrong. LaTeX is rendered
offline. Other languages than English: see `translations`.
"""

import json
import random
from collections.abc import Iterator, Sequence
from html import escape
from html.parser import HTMLParser

import ipywidgets as widgets

from w2s_lab import assets
from w2s_lab.classroom.progress import LearnerProgress, known, remember
from w2s_lab.classroom.toolkit.care import CARE, CLASS, OPTION
from w2s_lab.classroom.toolkit.panel import MAX_WIDTH, guarded, with_fallback
from w2s_lab.classroom.translations import ENGLISH, IN_ENGLISH, Wording, translated, wording

LETTERS = "ABCDEFGH"
RIGHT, WRONG = "#009E73", "#D55E00"
KINDS = ("one", "many", "order", "case")
# Of several options one: round, as people know it. The boxes stay checkboxes, since RadioButtons render no formulas.
ROUND = (
    "<style>.w2s-one input{appearance:none;margin:3px;width:15px;height:15px;border-radius:50%}"
    ".w2s-one input{border:2px solid currentColor;color:inherit}"
    ".w2s-one input:checked{background:radial-gradient(currentColor 45%,transparent 55%)}"
    ".w2s-one input:focus-visible{outline:3px solid #0072B2;outline-offset:2px}</style>"
)


def load_quiz(notebook: str) -> dict:
    """The quiz of a notebook, such as "01", in English.

    Raises:
        ValueError: there is no such quiz, or a question in it is malformed; the message says which.
    """
    path = assets.QUIZZES / f"{notebook}.json"
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in assets.QUIZZES.glob("*.json")))
        raise ValueError(f"there is no quiz {notebook!r}; expected one of {known}")
    found = json.loads(path.read_text(encoding="utf-8"))
    _verify_all(found, path.name)
    return found


def _verify_all(quiz: dict, where: str) -> None:
    for question in quiz["questions"]:
        for step in question.get("steps", [question]):
            _verify(step, where)


def _verify(question: dict, where: str) -> None:
    name, kind = question.get("id"), question.get("kind")
    if kind not in KINDS:
        raise ValueError(f"{where}, question {name}: kind is {kind!r}; expected one of {', '.join(KINDS)}")
    if kind == "order":
        if len(question["items"]) < 3 or not question["feedback"]:
            raise ValueError(f"{where}, question {name}: expected at least 3 items, and feedback")
        return
    right = sum(option["right"] for option in question["options"])
    if right < 1 or (kind == "one" and right != 1):
        raise ValueError(f"{where}, question {name}: {right} right options, for kind {kind!r}")
    if not all(option["feedback"] for option in question["options"]):
        raise ValueError(f"{where}, question {name}: an option has no feedback")


def _said(good: bool, text: str, say: Wording) -> str:
    color, sign = (RIGHT, say("✓ Right.")) if good else (WRONG, say("✗ Not yet."))
    look = f"border-left:5px solid {color};padding:2px 10px;margin:4px 0;font-size:15px;line-height:1.45"
    return f'<div role="status" style="{look}"><b>{sign}</b> {text}</div>'


def _aside(words: str) -> str:
    """What has to be said about the file of the progress, below the feedback."""
    return f'<div role="status" style="font-size:14px;opacity:0.8">{escape(words)}</div>' if words else ""


def _marked(html: str, language: str, name: str = "") -> str:
    mark = f' lang="{language}"' + (f' id="{escape(name)}"' if name else "")
    return f'<div{mark} style="font-size:15px;line-height:1.45">{html}</div>'


def _words(html: str, language: str, name: str = "") -> widgets.HTMLMath:
    return widgets.HTMLMath(_marked(html, language, name))


def _care() -> widgets.HTML:
    return widgets.HTML(CARE, layout=widgets.Layout(display="none"))


def _mover(place: int, way: str, say: Wording) -> widgets.Button:
    layout = widgets.Layout(width="38px", flex="0 0 auto")
    words = say("Move step {number} up" if way == "up" else "Move step {number} down", number=place + 1)
    return widgets.Button(icon=f"arrow-{way}", tooltip=words, layout=layout)


class QuizQuestion(widgets.VBox):
    """One question of kind one, many or order, with its button and feedback.

    Attributes:
        question: as in the file.
        solved: whether the last answer was right.

    `say` are the words of the buttons and of the feedback, `language` is the question's own.
    """

    def __init__(self, question: dict, say: Wording = IN_ENGLISH, language: str = ENGLISH) -> None:
        self.question, self.solved, self._say, self._language = question, False, say, language
        self._feedback = widgets.HTMLMath()
        self.button = widgets.Button(description=say("Check"), tooltip=f"Check the answer to {question['id']}")
        self.button.on_click(guarded(lambda _: self.check(), self._feedback))
        text = _words(question["text"], language)
        if question["kind"] == "order":
            self.order = list(range(len(question["items"])))
            random.Random(question["id"]).shuffle(self.order)
            if self.order == sorted(self.order):
                self.order.reverse()
            self._items = [widgets.HTMLMath() for _ in self.order]
            body: list[widgets.Widget] = [self._row(place) for place in range(len(self.order))]
            self._lay_out()
        else:
            ask = say("Choose one." if question["kind"] == "one" else "Choose all that are true.")
            self.boxes = [self._box(letter) for letter, _ in zip(LETTERS, question["options"], strict=False)]
            names = [f"w2s-{question['id']}-{box.description}" for box in self.boxes]
            words = [_words(one["text"], language, name) for one, name in zip(question["options"], names, strict=True)]
            rows = [widgets.HBox(list(pair)) for pair in zip(self.boxes, words, strict=True)]
            for row in rows:
                row.add_class(OPTION)
            body = [widgets.HTML(f"{ROUND}<i>{ask}</i>" if question["kind"] == "one" else f"<i>{ask}</i>"), *rows]
        super().__init__([text, *body, self.button, self._feedback], layout=widgets.Layout(padding="4px 0 14px 0"))

    def _box(self, letter: str) -> widgets.Checkbox:
        box = widgets.Checkbox(description=letter, indent=False, layout=widgets.Layout(width="52px", flex="0 0 auto"))
        if self.question["kind"] == "one":
            box.add_class("w2s-one")
        box.observe(guarded(self._ticked, self._feedback), names="value")
        return box

    def _ticked(self, change: dict) -> None:
        if self.question["kind"] == "one" and change["new"]:
            for box in self.boxes:
                if box is not change["owner"]:
                    box.value = False

    def _row(self, place: int) -> widgets.HBox:
        """An item's place, with buttons that move the item up and down; they stay, and keep the focus."""
        up, down = (_mover(place, way, self._say) for way in ("up", "down"))
        up.on_click(guarded(lambda _: self.move(place, -1), self._feedback))
        down.on_click(guarded(lambda _: self.move(place, 1), self._feedback))
        up.disabled, down.disabled = place == 0, place == len(self.order) - 1
        return widgets.HBox([up, down, self._items[place]])

    def _lay_out(self) -> None:
        """The items in their order."""
        for place, (item, words) in enumerate(zip(self.order, self._items, strict=True)):
            text = f"<b>{place + 1}.</b> {self.question['items'][item]}"
            words.value = _marked(text, self._language)

    def move(self, place: int, by: int) -> None:
        """Swap the item at `place` with its neighbour."""
        other = place + by
        if 0 <= other < len(self.order):
            self.order[place], self.order[other] = self.order[other], self.order[place]
            self._lay_out()

    def choose(self, *letters: str) -> "QuizQuestion":
        """Tick these options, and no others; returns the question."""
        for letter, box in zip(LETTERS, self.boxes, strict=False):
            box.value = letter in letters
        return self

    def check(self) -> bool:
        """Judge the answer, show the feedback of every option chosen, and remember it."""
        if self.question["kind"] == "order":
            found = self._check_order()
        else:
            picked = [box.value for box in self.boxes]
            if not any(picked):
                self._feedback.value = f'<div role="status">{self._say("Nothing is chosen yet.")}</div>'
                return False
            options = list(zip(LETTERS, self.question["options"], picked, strict=False))
            self.solved = all(option["right"] == chosen for _, option, chosen in options)
            shown = [o for o in options if o[2] or (self.question["kind"] == "many" and o[1]["right"])]
            if self.question["kind"] == "many" and not self.solved:
                shown = [o for o in options if o[2]]
                missed = sum(option["right"] and not chosen for _, option, chosen in options)
                words = self._say("True statements that are not chosen: {count}.", count=missed)
                tail = f"<div>{words}</div>" if missed else ""
            else:
                tail = ""
            said = [_said(o["right"], f"<b>{letter}.</b> {o['feedback']}", self._say) for letter, o, _ in shown]
            found = "".join(said) + tail
        self._feedback.value = found
        self._feedback.value = found + _aside(remember(self._count))
        return self.solved

    def _count(self, progress: LearnerProgress) -> None:
        facts = progress.question(self.question["id"])
        facts["tries"] += 1
        facts["right"] = facts["right"] or self.solved

    def _check_order(self) -> str:
        in_place = sum(place == item for place, item in enumerate(self.order))
        self.solved = in_place == len(self.order)
        if self.solved:
            return _said(True, self.question["feedback"], self._say)
        first = next(place for place, item in enumerate(self.order) if place != item)
        words = "{count} of {all} are in place; the first that is not is number {first}."
        return _said(False, self._say(words, count=in_place, all=len(self.order), first=first + 1), self._say)

    @property
    def words(self) -> list[str]:
        """The question as lines of plain text, without its answer."""
        if self.question["kind"] == "order":
            items = [self.question["items"][item] for item in self.order]
            return [_bare(self.question["text"]), *(f"  ( ) {_bare(item)}" for item in items)]
        options = zip(LETTERS, self.question["options"], strict=False)
        return [_bare(self.question["text"]), *(f"  {letter}. {_bare(option['text'])}" for letter, option in options)]

    @property
    def markdown(self) -> list[str]:
        """The same as lines of Markdown, in which formulas are rendered."""
        if self.question["kind"] == "order":
            rows = [f"- {self.question['items'][item]}" for item in self.order]
        else:
            options = zip(LETTERS, self.question["options"], strict=False)
            rows = [f"- **{letter}.** {option['text']}" for letter, option in options]
        return [self.question["text"], "", *rows]


def _bare(html: str) -> str:
    """Text without tags and entities."""
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_data = found.append
    parser.feed(html)
    parser.close()
    return " ".join("".join(found).split())


class Quiz(widgets.VBox):
    """All questions of one notebook, one below the other, and how many are solved."""

    def __init__(self, notebook: str, language: str = ENGLISH) -> None:
        self.quiz, self._say, self._missing = load_quiz(notebook), wording(language), 0
        if language != ENGLISH:
            self.quiz, self._missing = translated(self.quiz, language)
            _verify_all(self.quiz, f"{language}/{notebook}.json")
        self.questions: list[QuizQuestion] = []
        self._count = widgets.HTML()
        blocks: list[widgets.Widget] = []
        for number, question in enumerate(self.quiz["questions"], 1):
            steps, language = question.get("steps", [question]), question.get("language", ENGLISH)
            head = self._say("Question {number}", number=number)
            head += f": {question['title']}" if "title" in question else ""
            blocks.append(widgets.HTMLMath(f'<div style="font-size:16px;font-weight:600">{head}</div>'))
            if "story" in question:
                blocks.append(_words(question["story"], language))
            for step in steps:
                self.questions.append(QuizQuestion(step, self._say, language))
                self.questions[-1].button.on_click(guarded(lambda _: self._recount(), self._count))
                blocks.append(self.questions[-1])
        self._recount()
        super().__init__(
            [*blocks, self._count, _care()],
            layout=widgets.Layout(max_width=MAX_WIDTH, padding="8px 12px", border="1px solid #8884"),
        )
        self.add_class(CLASS)

    def _recount(self) -> None:
        solved = sum(question.solved for question in self.questions)
        words = self._say("{count} of {all} answered right.", count=solved, all=len(self.questions))
        self._count.value = f'<b role="status">{words}</b>{self._note}'

    @property
    def _note(self) -> str:
        """How many questions are not translated, where that is so."""
        words = "{count} of the questions are not translated yet; these are in English."
        return f"<div>{self._say(words, count=self._missing)}</div>" if self._missing else ""

    def _numbered(self) -> Iterator[tuple[str, dict, QuizQuestion | None]]:
        """(number, question of the file, its widget) for every step; the widget is None for the story of a case."""
        widgets_ = iter(self.questions)
        for number, question in enumerate(self.quiz["questions"], 1):
            steps = question.get("steps", [question])
            if "story" in question:
                yield str(number), question, None
            for letter, _ in zip(LETTERS.lower(), steps, strict=False):
                yield f"{number}{letter if len(steps) > 1 else ''}", question, next(widgets_)

    @property
    def heading(self) -> str:
        """Which quiz, and how long."""
        words, title = "Quiz {notebook} · {title} ({count} questions)", self.quiz["title"]
        return self._say(words, notebook=self.quiz["notebook"], title=title, count=len(self.questions))

    @property
    def summary(self) -> str:
        """The questions in plain text."""
        lines = [self.heading]
        for number, question, own in self._numbered():
            first, *rest = own.words if own else [f"{_bare(question['title'])}. {_bare(question['story'])}"]
            lines += ["", f"{number}. {first}", *rest]
        return "\n".join(lines)

    @property
    def markdown(self) -> str:
        """The questions in Markdown."""
        lines = [f"**{self.heading}**"]
        for number, question, own in self._numbered():
            first, *rest = own.markdown if own else [f"*{question['title']}.* {question['story']}"]
            lines += ["", f"**{number}.** {first}", *rest]
        return "\n".join(lines)

    def _repr_mimebundle_(self, **options: object) -> dict:
        return with_fallback(super()._repr_mimebundle_(**options), self.summary, markdown=self.markdown)


def quiz(notebook: str, *, language: str = ENGLISH) -> Quiz:
    """The quiz of a notebook, such as "01"; in another language as far as it is translated (see `translations`).

    Raises:
        ValueError: there is no such quiz, or no such language.
    """
    return Quiz(notebook, language)


class Prediction(widgets.VBox):
    """A question before a run: the learner commits to an option, and may change it until the run."""

    def __init__(self, name: str, text: str, options: Sequence[str]) -> None:
        self.name, self.text, self.options = name, text, tuple(options)
        chosen = known().predictions.get(name)
        self.menu = widgets.RadioButtons(
            options=list(options),
            value=chosen if chosen in self.options else None,
            layout=widgets.Layout(width="max-content"),
        )
        self._said = widgets.HTML(self._words(chosen))
        self.menu.observe(guarded(self._chosen, self._said), names="value")
        head = widgets.HTMLMath(f'<div style="font-size:15px;line-height:1.45"><b>Predict.</b> {text}</div>')
        super().__init__([head, self.menu, self._said, _care()], layout=widgets.Layout(max_width=MAX_WIDTH))
        self.add_class(CLASS)

    def _chosen(self, change: dict) -> None:
        guess = {self.name: change["new"]}
        self._said.value = self._words(change["new"])
        self._said.value += _aside(remember(lambda progress: progress.predictions.update(guess)))

    @staticmethod
    def _words(chosen: str | None) -> str:
        words = "Choose before you run on." if chosen is None else f"Your guess: {escape(str(chosen))}. Now run on."
        return f'<div role="status">{words}</div>'

    def _repr_mimebundle_(self, **options: object) -> dict:
        lines = [f"Predict. {_bare(self.text)}", *(f"  ( ) {option}" for option in self.options)]
        markdown = "\n".join([f"**Predict.** {self.text}", "", *(f"- {option}" for option in self.options)])
        return with_fallback(super()._repr_mimebundle_(**options), "\n".join(lines), markdown=markdown)


def predict(name: str, text: str, options: Sequence[str]) -> Prediction:
    """Ask for a guess before an experiment; `outcome(name, ...)` comes back to it after the run.

    Args:
        name: unique, such as "03-first-epoch".
        text: the question (HTML, LaTeX in $...$).
        options: plain text.
    """
    return Prediction(name, text, options)


class GuessOutcome(widgets.HTMLMath):
    """What the run found, beside the learner's guess."""

    def __init__(self, name: str, found: str, because: str = "") -> None:
        guess = known().predictions.get(name)
        if guess is None:
            self.words = f"No guess was made. The run says: {found}."
        else:
            self.words = f"Your guess: {guess}. The run says: {found}." + (" ✓" if guess == found else " ✗ A surprise.")
        self.words += f" {because}" if because else ""
        color = RIGHT if guess == found else "#888888" if guess is None else WRONG
        box = f"border-left:5px solid {color};padding:6px 12px;font-size:15px;line-height:1.45"
        html = f'<div role="status" style="{box}">{self.words}</div>'
        super().__init__(html, layout=widgets.Layout(max_width=MAX_WIDTH))

    def _repr_mimebundle_(self, **options: object) -> dict:
        return with_fallback(super()._repr_mimebundle_(**options), _bare(self.words))


def outcome(name: str, found: str, because: str = "") -> GuessOutcome:
    """Compare a guess with what the run found (one of the options that `predict` offered), and say why."""
    return GuessOutcome(name, found, because)
