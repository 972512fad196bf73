"""`w2s-lab completion`: the script with which a shell completes commands, options, names and files."""

import argparse
import re
from collections.abc import Callable, Iterator

SHELLS = ("bash", "zsh")
FOLDERS = ("DIR", "SUBMISSIONS")  # metavars of options that take a folder; others of type `path_text` take a file
NEEDED = "completion needs the package shtab. Hint: pip install 'w2s-lab[completion]'"


def add(commands, parser: Callable[[], argparse.ArgumentParser]) -> None:
    """The command; `parser` makes the whole command line, which the script is made of."""
    command = commands.add_parser(
        "completion",
        help="let the shell complete commands and options",
        description=script.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        '  eval "$(w2s-lab completion bash)"                                     in this shell\n'
        "  w2s-lab completion bash > ~/.local/share/bash-completion/completions/w2s-lab\n"
        "  w2s-lab completion zsh > ~/.zfunc/_w2s-lab                            with ~/.zfunc in $fpath",
    )
    command.add_argument("shell", choices=SHELLS, help="for which shell")
    command.set_defaults(command=lambda arguments: print_script(parser(), arguments.shell))


def print_script(parser: argparse.ArgumentParser, shell: str) -> None:
    """The script, on the standard output."""
    print(script(parser, shell))


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Print a script that lets bash or zsh complete w2s-lab: commands, options, names of tasks and models, files.

    Made anew, it knows the tasks and studies of today's version."""
    try:
        import shtab
    except ImportError:
        raise ValueError(NEEDED) from None
    names, functions = _names(), []
    for path, action in _actions(parser):
        if path in names:
            function, words = f"_w2s_lab_{re.sub('[^a-z]+', '_', path)}", " ".join(names[path])
            functions.append(f'{function}() {{ compgen -W "{words}" -- "$1"; }}')
            action.complete = {"bash": function, "zsh": f"({words})"}
        elif getattr(action.type, "__name__", "") in ("path_text", "user_path", "data_source"):
            action.complete = shtab.DIRECTORY if action.metavar in FOLDERS else shtab.FILE
    return shtab.complete(parser, shell=shell, preamble={"bash": "\n".join(functions)})


def _names() -> dict[str, tuple[str, ...]]:
    """Command and option -> the words that are offered for it."""
    from w2s_lab.data import fetch
    from w2s_lab.data.sources import builtin_tasks
    from w2s_lab.methods.labellers import LABELLERS
    from w2s_lab.models.loading import fetchable, ladder
    from w2s_lab.objective import LOSSES
    from w2s_lab.planning.hub_models import PAIRS
    from w2s_lab.studies import STUDIES

    models = (*ladder(), *filter(fetchable, fetch.FETCHABLE))
    return {
        "run --task": tuple(builtin_tasks()),
        "run --weak": (*models, *LABELLERS),
        "run --strong": models,
        "run --pair": tuple(PAIRS),
        "run --loss": (*LOSSES, "help"),
        "fetch names": tuple(fetch.FETCHABLE),
        "study name": (*STUDIES, "findings"),
        "pretrain names": ladder(),
    }


def _actions(parser: argparse.ArgumentParser, before: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Every option and argument of every command, with its path such as "run --task"."""
    for action in parser._actions:  # argparse has no public way to them
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _actions(inner, f"{before}{name} ")
        else:
            yield f"{before}{(action.option_strings or [action.dest])[0]}", action
