"""Options that several commands share, and values of options, with errors that name the legal ones."""

import argparse


def add_store(command: argparse.ArgumentParser) -> None:
    """`--store DIR`."""
    usual = "folder of finished work (default: the one that `w2s-lab doctor` names)"
    command.add_argument("--store", metavar="DIR", help=usual)


def add_device(command: argparse.ArgumentParser) -> None:
    """`--device NAME`."""
    names = ("auto", "cpu", "cuda", "mps")
    command.add_argument("--device", choices=names, default="auto", help="auto: a GPU if there is one (default: auto)")


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
    """`a,b,c`, or `value=word,value=word` where the column holds values that stand for words."""
    parts = [part.strip() for part in text.split(",")]
    if not any("=" in part for part in parts):
        return tuple(parts)
    if not all(part.count("=") == 1 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a,b,c or value=word,value=word")
    return dict(part.split("=") for part in parts)


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
