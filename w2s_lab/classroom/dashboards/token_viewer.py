"""The loss of an answer, token by token: log Pr(y_t | x, y_<t), and which tokens carry loss at all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
import torch

from w2s_lab.classroom.toolkit.panel import Panel, View, choice, stops
from w2s_lab.classroom.toolkit.sketch import MONO, WIDTH, Box, Line, Sketch, Words
from w2s_lab.classroom.toolkit.svg import INK
from w2s_lab.figures.plots import GREY, ROLE
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.objective import token_log_probs
from w2s_lab.records import LabelledSet

MOST = 40  # examples: each is scored under every model when the viewer is made
ROWS = 12  # answer tokens with a bar of their own
SCALES = (0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)  # nats at the end of the axis
WHOSE = {"weak": ("ŷ, the weak label", "ŷ"), "truth": ("y, the truth", "y"), "other": ("another answer", "y′")}

NOT_THERE = {
    "truth": "The truth is not known for this example.",
    "other": "This task has no closed list, so there is no other answer to compare with.",
}


@dataclass(frozen=True)
class ScoredToken:
    """One token of a text, and what a model predicts there from the tokens before it.

    Attributes:
        text: as in the tokenizer's vocabulary, with its blank.
        log_prob: log Pr(token | all tokens before it), in nats; None for the first token, which nothing predicts.
        answer: whether the token belongs to the answer; only such tokens carry loss.
        first_choice: the token that the model finds likeliest here, and its probability; None for the first token.
    """

    text: str
    log_prob: float | None
    answer: bool
    first_choice: tuple[str, float] | None = None


@torch.no_grad()
def score_tokens(model: LanguageModel, prompt: Sequence[int], answer: Sequence[int]) -> tuple[ScoredToken, ...]:
    """Every token of a prompt and of the answer after it, end of answer included, with its log-probability.

    Args:
        model: whose probabilities.
        prompt, answer: token ids, as `encode_prompts` and `encode_answers` give them.
    """
    text = [*prompt, *answer]
    logits, _, _ = model.answer_logits([text[:1]], [text[1:]])
    found = token_log_probs(logits[0], torch.tensor(text[1:], device=logits.device)).tolist()
    best, places = logits[0].float().softmax(-1).max(-1)
    rest = zip(text[1:], found, places.tolist(), best.tolist(), strict=True)
    first = ScoredToken(_written(model, text[0]), None, not prompt)
    return (first, *(
        ScoredToken(_written(model, token), log_prob, place >= len(prompt), (_written(model, top), prob))
        for place, (token, log_prob, top, prob) in enumerate(rest, 1)
    ))  # fmt: skip


def _written(model: LanguageModel, token: int) -> str:
    """A token as text, with a blank before it where it begins a word."""
    tokenizer = model.tokenizer
    if token == tokenizer.eos_token_id:
        return "<end>"
    if token == tokenizer.bos_token_id:
        return "<start>"
    name = tokenizer.convert_ids_to_tokens(token)
    body = tokenizer.decode([token], clean_up_tokenization_spaces=False).lstrip(" ")
    return f" {body}" if name.startswith(("Ġ", "▁")) else body


def _shown(text: str, *, start: bool = False) -> str:
    """A token inside its box."""
    if start and text == "<end>":  # many tokenizers have one token for both
        return "<start>"
    found = text.strip(" ").replace("\n", "⏎") or "␣"
    return found if len(found) <= 24 else f"{found[:23]}…"


def token_picture(
    tokens: Sequence[ScoredToken], color: str, name: str, title: str = "", *, masked: bool = True
) -> Sketch:
    """The text in boxes, pale where a token carries no loss; below it a bar for each token of the answer, and the sum.

    Args:
        tokens: as `score_tokens` gives them.
        color: of what carries loss.
        name: of the answer, such as "ŷ".
        title: above it: a stored picture has no controls.
        masked: False: the prompt carries loss, too, which is a mistake.
    """
    head = [Words(4, 16, title)] if title else []
    items, y = _strip(tokens, color, masked, 26.0 if title else 4.0)
    bars, height = _bars(tokens, color, name, masked, y + 16)
    said = f"{len(tokens)} tokens in boxes; below, minus log Pr of each token of the answer as a bar, and the sum"
    return Sketch((*head, *items, *bars), height, said)


def _strip(
    tokens: Sequence[ScoredToken], color: str, masked: bool, top: float
) -> tuple[list[Box | Words | Line], float]:
    """The text as boxes, from left to right and top to bottom; the y where it ends."""
    items: list[Box | Words | Line] = []
    x, y, size = 4.0, top, 14
    for place, token in enumerate(tokens):
        text = _shown(token.text, start=place == 0)
        width = MONO * size * len(text) + 8
        gap = 0 if place == 0 else 5 if token.text.startswith(" ") else 1
        if x + gap + width > WIDTH - 4 or (place and tokens[place - 1].text.strip(" ") == "\n"):
            x, y, gap = 4.0, y + 32, 0
        x += gap
        counts = token.log_prob is not None and (token.answer or not masked)
        if counts:
            surprise = 1 - math.exp(token.log_prob)
            items.append(Box(x, y, width, 26, color, 0.10 + 0.40 * surprise, frame=token.answer))
        else:
            items.append(Box(x, y, width, 26, GREY, 0.10))
        items.append(Words(x + 4, y + 18, text, mono=True, bold=token.answer, opacity=1.0 if counts else 0.7))
        x += width
    key = "pale grey: prompt, no loss · framed: answer; the fuller the colour, the less it was expected"
    if not masked:
        key = "framed: answer · all coloured tokens carry loss; the fuller the colour, the less it was expected"
    items.append(Words(4, y + 46, key, size=12, opacity=0.8))
    return items, y + 50


def _bars(
    tokens: Sequence[ScoredToken], color: str, name: str, masked: bool, top: float
) -> tuple[list[Box | Words | Line], float]:
    """A row for each answer token, one for the prompt where it counts, and the sum; the y where they end."""
    answer = [token for token in tokens if token.answer]
    rows: list[tuple[str, float, str]] = []
    prompt = shown_prompt_log_prob(tokens)
    if not masked:
        rows.append((f"prompt, {len(tokens) - len(answer)} tokens", prompt, "should carry no loss"))
    rows += [(_shown(token.text), token.log_prob, _beside(token)) for token in answer[:ROWS]]
    if len(answer) > ROWS:
        rest = sum(token.log_prob for token in answer[ROWS:])
        rows.append((f"{len(answer) - ROWS} more tokens", rest, ""))
    total = shown_answer_log_prob(tokens) + (0.0 if masked else prompt)
    end = next((scale for scale in SCALES if -total <= scale), -total)
    left, right, step = 172.0, 420.0, 28

    def px(value: float) -> float:
        return left + value / end * (right - left)

    items: list[Box | Words | Line] = [Words(4, top + 12, "− log Pr of each token, in nats", size=13, opacity=0.85)]
    items.append(Words(right + 78, top + 12, "probability · first choice", size=13, opacity=0.85))
    foot = top + 24 + step * (len(rows) + 1)
    for tick in (0, end / 2, end):
        items.append(Line(px(tick), top + 20, px(tick), foot + 4, 0.25))
        items.append(Words(px(tick), foot + 18, f"{tick:g}", "middle", 12))
    for place, (text, value, note) in enumerate(rows):
        y = top + 24 + step * place
        is_prompt = not masked and place == 0
        items.append(Words(left - 8, y + 18, text, "end", mono=not is_prompt))
        items.append(Box(left, y + 3, max(px(-value) - left, 1.0), 20, color, 0.85, hatch=is_prompt))
        items.append(Words(px(-value) + 6, y + 18, f"{-value:.3f}"))
        items.append(Words(right + 78, y + 18, note, size=13, opacity=0.9))
    y = top + 24 + step * len(rows)
    items.append(Line(4, y, WIDTH - 4, y, 0.6))
    label = f"−log Pr({name}|x)" if masked else f"−log Pr(x, {name})"
    items.append(Words(left - 8, y + 18, label, "end", bold=True))
    items.append(Box(left, y + 3, max(px(-total) - left, 1.0), 20, INK, 0.55))
    items.append(Words(px(-total) + 6, y + 18, f"{-total:.3f}", bold=True))
    items.append(Words(right + 78, y + 18, f"{_fraction(math.exp(total))} in all", size=13, bold=True))
    return items, foot + 26


def _beside(token: ScoredToken) -> str:
    top, prob = token.first_choice
    own = "its own" if top == token.text else f"{_shown(top)} {prob:.2f}"
    return f"{_fraction(math.exp(token.log_prob))} · {own}"


def _fraction(value: float) -> str:
    """A probability: three decimals, or a power of ten where that would be 0."""
    return f"{value:.3f}" if value >= 0.0005 else f"{value:.0e}"


def shown_answer_log_prob(tokens: Sequence[ScoredToken]) -> float:
    """log Pr(y|x), in nats: the sum over the answer's tokens."""
    return math.fsum(token.log_prob for token in tokens if token.answer)


def shown_prompt_log_prob(tokens: Sequence[ScoredToken]) -> float:
    """log Pr of the prompt's tokens after its first one, in nats: what the mask keeps out of the loss."""
    return math.fsum(token.log_prob for token in tokens if not token.answer and token.log_prob is not None)


def token_viewer(models: Mapping[str, LanguageModel], labelled: LabelledSet) -> Panel:
    """Look at log Pr(y|x) token by token: which example, which answer, under which model, with the mask or without.

    Args:
        models: name -> model; a name that is a role ("weak", "student", "ceiling") is drawn in the role's colour.
        labelled: a few examples with the weak labels ŷ; their truth y is inside the examples.

    Raises:
        ValueError: there is no model, or no example, or there are more than MOST examples.
    """
    if not models or not 1 <= len(labelled) <= MOST:
        raise ValueError(
            f"token_viewer: {len(models)} models and {len(labelled)} examples; expected at least one model, and 1 to "
            f"{MOST} examples. Hint: take some, as in labels.take(range(8))"
        )
    answers = [_answers(labelled, row) for row in range(len(labelled))]
    table = {
        (name, row, whose): tokens
        for name, model in models.items()
        for row, found in enumerate(answers)
        for whose, tokens in _score(model, labelled, row, found).items()
    }

    def draw(example: int, answer: str, model: str, masked: bool) -> View:
        role = ROLE.get(model, ROLE["student"])
        whose = role.name if model in ROLE else model
        if answer not in answers[example]:
            return View(NOT_THERE[answer])
        tokens = table[model, example, answer]
        title = f"{whose} · example {example + 1}: {_kind(labelled, example)} · {WHOSE[answer][0]}"
        picture = token_picture(tokens, role.color, WHOSE[answer][1], title, masked=masked)
        return View(_says(tokens, whose, answers[example][answer], answer, masked), (picture,))

    places = [(f"{row + 1} of {len(labelled)}", row) for row in range(len(labelled))]
    names = [(ROLE[name].name if name in ROLE else name, name) for name in models]
    controls = {
        "example": stops("example", places, 0, width="400px"),
        "answer": choice("answer", [(text, key) for key, (text, _) in WHOSE.items()], width="240px"),
        "model": choice("model", names, names[-1][1], width="300px"),
        "masked": widgets.Checkbox(value=True, description="prompt masked", indent=False,
                                   layout=widgets.Layout(width="150px")),
    }  # fmt: skip
    return Panel("Token by token", controls, draw)


def _answers(labelled: LabelledSet, row: int) -> dict[str, str]:
    """The weak label, the truth, and for a closed list the likeliest answer other than the weak label."""
    found = {"weak": labelled.answers[row], "truth": labelled.examples[row].answer}
    others = [k for k, answer in enumerate(labelled.task.answers or ()) if answer != labelled.answers[row]]
    if others:
        likely = others[0] if labelled.probs is None else max(others, key=labelled.probs[row].__getitem__)
        found["other"] = labelled.task.answers[likely]
    return {whose: answer for whose, answer in found.items() if answer is not None}


def _score(
    model: LanguageModel, labelled: LabelledSet, row: int, answers: Mapping[str, str]
) -> dict[str, tuple[ScoredToken, ...]]:
    """Each of the answers to one example, scored once."""
    unique = list(dict.fromkeys(answers.values()))
    encoded = dict(zip(unique, model.encode_answers(unique), strict=True))
    prompts, _ = model.encode_prompts(labelled.take([row]).examples, model.window - max(map(len, encoded.values())))
    scored = {text: score_tokens(model, prompts[0], tokens) for text, tokens in encoded.items()}
    return {whose: scored[text] for whose, text in answers.items()}


def _kind(labelled: LabelledSet, row: int) -> str:
    """An example in few words: its slices, and whether the weak label is right."""
    example = labelled.examples[row]
    state = [] if example.answer is None else ["ŷ right" if example.answer == labelled.answers[row] else "ŷ wrong"]
    return ", ".join([*example.tags[:1], *state])


def _says(tokens: Sequence[ScoredToken], model: str, text: str, answer: str, masked: bool) -> str:
    """The sum in words."""
    own, prompt = shown_answer_log_prob(tokens), shown_prompt_log_prob(tokens)
    sign, count = WHOSE[answer][1], sum(token.answer for token in tokens)
    if masked:
        terms = [token.log_prob for token in tokens if token.answer]
        written = " ".join(f"{'−' if np.signbit(term) else '+'} {abs(term):.3f}" for term in terms[:ROWS])
        more = " …" if count > ROWS else ""
        return (
            f"{model}: log Pr({sign}|x) = {written.removeprefix('+ ').replace('− ', '−', 1)}{more} = "
            f"−{abs(own):.3f} nats for {sign} = “{text}”, so Pr({sign}|x) = {_fraction(math.exp(own))}. "
            f"The {len(tokens) - count} tokens of the prompt carry no loss."
        )
    share = prompt / (prompt + own) if prompt + own else 0.0
    return (
        f"{model}, wrong on purpose: with the prompt in the loss the sum is −{abs(prompt + own):.1f} nats, and "
        f"{share:.0%} of that is the prompt's. It is log Pr(x, {sign}), not log Pr({sign}|x) = −{abs(own):.3f}."
    )
