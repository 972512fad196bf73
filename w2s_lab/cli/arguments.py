"""Options that several commands share, and values of options, with errors that name the legal ones."""

import argparse
import inspect
import re
import textwrap
from dataclasses import fields

from w2s_lab import assets


def add_import(command: argparse.ArgumentParser) -> None:
    """`--import MODULE`. `commands.main` reads it before all other words, since they may mean what it registers."""
    command.add_argument(
        "--import",
        action="append",
        metavar="MODULE",
        dest="modules",
        help="run this module first, for the studies, tasks, rules and labellers that it registers: the name, without "
        ".py, of a file in the present folder or of an installed module; may be given several times",
    )


def add_store(command: argparse.ArgumentParser) -> None:
    """`--store DIR`."""
    usual = "folder of finished work (default: the one that `w2s-lab doctor` names)"
    command.add_argument("--store", type=path_text, metavar="DIR", help=usual)


def add_device(command: argparse.ArgumentParser) -> None:
    """`--device NAME`."""
    names = ("auto", "cpu", "cuda", "mps")
    command.add_argument("--device", choices=names, default="auto", help="auto: a GPU if there is one (default: auto)")


def path_text(text: str) -> str:
    """A path; ~ at its beginning means the home folder, also where the shell leaves it, as in --store=~/runs."""
    return str(assets.user_path(text))


def data_source(text: str) -> str:
    """The name of a task, `hub:NAME`, or a path."""
    return path_text(text) if text.startswith("~") else text


def model_source(text: str) -> str:
    """A model as the user names it; ~ means the home folder, behind `scratch:` too."""
    scratch, bare = text[: len("scratch:")], text[len("scratch:") :]
    return f"{scratch}{data_source(bare)}" if scratch == "scratch:" else data_source(text)


def positive(text: str) -> int:
    """A whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def rate(text: str) -> float:
    """A finite number above 0."""
    try:
        if 0 < float(text) < float("inf"):
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def answers(text: str) -> tuple[str, ...] | dict[str, str]:
    """`a,b,c`, or `value=word,value=word` where the column holds values that stand for words; JSON; or `@FILE`."""
    from w2s_lab.data.answers import parsed

    try:
        return parsed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def yes_no(text: str) -> bool:
    """`yes` or `no`."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return text == "yes"


def sizes(text: str):
    """Four numbers, `SUPERVISOR,STUDENT,TEST,VALIDATION`, as `SplitSizes`."""
    from w2s_lab.data.sources import SplitSizes  # here, because it takes seconds and --help should not

    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: expected four numbers such as 1500,1500,1000,100")
    try:
        return SplitSizes(*map(int, parts))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def loss(text: str):
    """`NAME` or `NAME:DIAL=VALUE,DIAL=VALUE` as a loss; "help" stays as it is."""
    from w2s_lab.objective import LOSSES  # here, because it takes seconds and --help should not

    name, colon, dials = text.partition(":")
    if text == "help":
        return text
    if name not in LOSSES:
        raise argparse.ArgumentTypeError(f"there is no loss {name!r}; expected {', '.join(LOSSES)}, or help")
    kinds = {field.name: field.type for field in fields(LOSSES[name])}
    legal = f"expected {' or '.join(kinds)}" if kinds else "it has none"
    values = {}
    for part in dials.split(",") if colon else ():
        dial, equals, value = part.partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"{text!r}: {part!r} is no DIAL=VALUE of the loss {name!r}; {legal}")
        if dial not in kinds:
            raise argparse.ArgumentTypeError(f"{text!r}: the loss {name!r} has no dial {dial!r}; {legal}")
        if dial in values:
            raise argparse.ArgumentTypeError(f"{text!r}: the dial {dial!r} of the loss {name!r} is set twice")
        try:
            values[dial] = kinds[dial](value)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r}: the dial {dial!r} of the loss {name!r} is {value!r}; expected a number"
            ) from None
    try:
        return LOSSES[name](**values)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def losses() -> str:
    """The losses and their dials as a table, from their classes: names, defaults, and what the docstrings say."""
    from w2s_lab.objective import LOSSES

    lines = ["--loss NAME or --loss NAME:DIAL=VALUE,DIAL=VALUE; what follows a dial is its default"]
    for name, kind in LOSSES.items():
        text = inspect.getdoc(kind) or ""
        lines += ["", f"{name}: {kind.__name__}", *_filled(text.partition("\n\n")[0], "    ")]
        for field in fields(kind):
            meaning = re.search(rf"^    {field.name}: (.*(?:\n     +.*)*)", text, re.MULTILINE)
            lines += _filled(f"{field.name}={field.default}: {meaning[1] if meaning else ''}", "    ")
    return "\n".join(lines)


def _filled(text: str, indent: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), 100, initial_indent=indent, subsequent_indent=2 * indent)
