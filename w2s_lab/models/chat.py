"""What a tokenizer's chat template writes around the user's text, tried out before anything is read with it."""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

DAYS = (datetime(2024, 7, 26, 12), datetime(2031, 12, 5, 21))  # the date that is written, and one that it is tried with
DATE = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")
# Texts in which every usual change shows: of case, of spaces, of signs that HTML or JSON write otherwise, of length.
TEXTS = (
    "  \tJudge it: <b>Ünïcode</b> & \"quotes\" 'n' {{ braces }} \\n\n\n  two  spaces, camelCase\tTAB…\n\n",
    "\n Another TEXT, which shares no word with it: " + "x1 Yz, " * 3_000 + "the_End? \n ",
)
STRIPS: dict[str, Callable[[str], str]] = {"": str, "lstrip": str.lstrip, "rstrip": str.rstrip, "strip": str.strip}
THOUGHTS = re.compile(r"[<\[][/\w:| ]*(?:think|thought|reason)\w*[| ]*[>\]]", re.IGNORECASE)
HINT = (
    "Hint: leave the chat template out (chat_template=False, no --chat-template), or set tokenizer.chat_template to "
    "one that keeps the text as it is"
)


@dataclass(frozen=True)
class ChatFrame:
    """What stands around the user's text, and what the template does to the text's ends.

    Attributes:
        before, after: the template's text, up to where the model answers.
        strips: "", or the method of `str` that takes white space from the ends of the user's text.
    """

    before: str
    after: str
    strips: str

    def stripped(self, text: str) -> str:
        """The user's text as the template would write it."""
        return STRIPS[self.strips](text)


def has_template(tokenizer: Any) -> bool:
    """Whether the tokenizer has a chat template."""
    return bool(getattr(tokenizer, "chat_template", None))


def chat_frame(tokenizer: Any, name: str) -> ChatFrame:
    """Try the chat template out, and take it apart.

    Args:
        tokenizer: one with a chat template.
        name: of the model, for messages.

    Raises:
        ValueError: the template refuses a single message of a user; repeats, drops or changes its text; or writes
            something else from call to call.

    Warns:
        UserWarning: the template writes the date, for which a fixed one is taken; or it ends in open thoughts, which
            are closed at once.
    """
    frame, *others = [_taken_apart(_rendered(tokenizer, name, text), text, name) for text in TEXTS * 2]
    if frame != others[1]:
        raise _unusable(name, "writes something else at each call")
    if frame != others[0]:
        raise _unusable(name, "writes other words around one text than around another")
    if _rendered(tokenizer, name, TEXTS[0], DAYS[1]) != _rendered(tokenizer, name, TEXTS[0]):
        warnings.warn(
            f"model {name!r}: its chat template writes today's date into every prompt. So that a run gives the same "
            f"numbers on every day, the kit writes {DAYS[0]:%d %B %Y}",
            stacklevel=2,
        )
    return _without_thoughts(frame, partial(_rendered, tokenizer, name, TEXTS[0], enable_thinking=False), name)


def warn_changed(tokenizer: Any, name: str, frame: ChatFrame, texts: Sequence[str]) -> None:
    """Warn if the template would write some of these texts otherwise than `frame` says."""
    changed = [
        text for text in texts if f"{frame.before}{frame.stripped(text)}" not in _rendered(tokenizer, name, text)
    ]
    if changed:
        warnings.warn(
            f"model {name!r}: its chat template would change {len(changed)} of {len(texts)} texts, {changed[0][:60]!r} "
            "for one; they are read as they are",
            stacklevel=3,
        )


def _rendered(tokenizer: Any, name: str, text: str, day: datetime = DAYS[0], **options: Any) -> str:
    try:
        source = tokenizer.get_chat_template()
        return tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            chat_template=DATE.sub(lambda found: repr(day.strftime(found[2])), source),
            tokenize=False,
            add_generation_prompt=True,
            **options,
        )
    except Exception as error:  # jinja's errors, those that a template raises, and any of the code that it calls
        what = " ".join(str(error).split())[:160].rstrip(".") or type(error).__name__
        raise _unusable(name, f"refuses a conversation that consists of one message of the user ({what})") from error


def _taken_apart(written: str, text: str, name: str) -> ChatFrame:
    """The frame around the text; raises ValueError if the text does not stand there once and unchanged."""
    for strips, strip in STRIPS.items():
        parts = written.split(strip(text))
        if len(parts) > 2:
            raise _unusable(name, f"repeats the user's text, {len(parts) - 1} times in all")
        if len(parts) == 2:
            return ChatFrame(*parts, strips)
    raise _unusable(name, _changed(written, text.strip()))


def _changed(written: str, text: str) -> str:
    """What a template does to the user's text, in words."""
    for case, other in (("capital", text.upper()), ("small", text.lower())):
        if other in written:
            return f"writes the user's text in {case} letters"
    shared = next((i for i in range(len(text), 3, -1) if text[:i] in written), 0)
    rest = text[shared:]
    if any(word in written.casefold() for word in rest.casefold().split()[1:] if len(word) > 3):
        return f"changes the user's text, {rest[:12]!r} for one"
    if shared:
        return f"cuts the user's text, after {shared:,} characters"
    return "drops the user's text"


def _without_thoughts(frame: ChatFrame, calm: Callable[[], str], name: str) -> ChatFrame:
    """The frame in which an answer does not stand among the model's thoughts.

    Args:
        frame: as the template writes it by default.
        calm: what the template writes for the first of `TEXTS` where thinking is switched off, as many know it.
        name: of the model.
    """
    if not (tag := _open_thoughts(frame.after)):
        return frame
    found = _taken_apart(calm(), TEXTS[0], name)
    if _open_thoughts(found.after):
        closing = re.sub("begin|start", "end", tag, flags=re.IGNORECASE)
        closing = closing.upper() if tag.isupper() else closing
        if closing == tag:
            closing = f"{tag[0]}/{tag[1:]}"
        found = replace(frame, after=f"{frame.after.rstrip()}\n\n{closing}\n\n")
    warnings.warn(
        f"model {name!r}: its chat template ends in {tag}, so an answer would stand where the model's thoughts begin. "
        f"The thoughts are closed at once: prompts end in {found.after[-40:]!r}",
        stacklevel=3,
    )
    return found


def _open_thoughts(after: str) -> str | None:
    """The last tag of thoughts, if it does not close them."""
    found = THOUGHTS.findall(after)
    return found[-1] if found and not re.search("/|end", found[-1], re.IGNORECASE) else None


def _unusable(name: str, what: str) -> ValueError:
    return ValueError(f"model {name!r}: its chat template {what}. {HINT}")
