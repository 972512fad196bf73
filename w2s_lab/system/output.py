"""Printing that never ends a run: a stream may lack a character, be closed by its reader, or not be there at all."""

import codecs
import contextlib
import os
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

LOOK_ALIKES = {
    "✓": "(ok)", "✗": "(x)", "…": "...", "–": "-", "—": "-", "−": "-", "‑": "-", "×": "x", "·": "-", "•": "*",
    "±": "+/-", "≤": "<=", "≥": ">=", "≈": "~", "≠": "!=", "→": "->", "←": "<-", "“": '"', "”": '"', "„": '"',
    "‘": "'", "’": "'", "●": "*", "○": "o", "░": ".", "█": "#", "λ": "lambda", "α": "alpha", "σ": "sigma",
    "\ufeff": "", "\u200b": "",
}  # fmt: skip
READABLE = "w2s_lab.readable"


def readable_sign(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: ASCII that looks alike or, where nothing does, an escape such as \\u4e2d."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_look_alike, error.object[error.start : error.end])), error.end


def _look_alike(character: str) -> str:
    if character in LOOK_ALIKES:
        return LOOK_ALIKES[character]
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return plain if plain.isascii() and plain else character.encode("ascii", "backslashreplace").decode()


@contextlib.contextmanager
def readable_streams() -> Iterator[None]:
    """Inside the block, standard output and error take any text, also where there are none (as under `pythonw`).

    At its end they are flushed. If a reader has closed its end of a pipe (`w2s-lab show | head -1`), the rest goes
    nowhere, and quietly so.
    """
    codecs.register_error(READABLE, readable_sign)
    with contextlib.ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None:
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.callback(setattr, sys, name, None)
                setattr(sys, name, nowhere)
            elif hasattr(stream, "reconfigure"):  # io.StringIO takes any text as it is
                stack.callback(_back, stream, stream.errors)
                with contextlib.suppress(OSError, ValueError):
                    stream.reconfigure(errors=READABLE)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (OSError, ValueError):
                    end(stream)


def _back(stream: TextIO, errors: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        stream.reconfigure(errors=errors)


def end(stream: TextIO) -> None:
    """From now on what is written to this stream goes nowhere: else Python tries again at its end, and complains."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def tell(text: str) -> None:
    """A line on standard error, if it can be written: a note about work must not end the work."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
