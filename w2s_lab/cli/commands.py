"""The command line: `w2s-lab run | fetch | pretrain | study | notebooks | doctor | show | demo | ...`."""

import argparse
import itertools
import json
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

from w2s_lab import assets
from w2s_lab.cli import assignment as assignment_command
from w2s_lab.cli import completion as completion_command
from w2s_lab.cli import demo as demo_command
from w2s_lab.cli import fetch as fetch_command
from w2s_lab.cli import run as run_command
from w2s_lab.cli.arguments import add_device, add_import, add_store, path_text, positive
from w2s_lab.studies import STUDIES
from w2s_lab.system import output
from w2s_lab.system.files import replacing
from w2s_lab.system.registry import load_plugin
from w2s_lab.version import __version__

# torch, transformers and what imports them are imported inside the commands: they take seconds, --help should not.


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 2 wrong input (with its reason), 130 stopped by Ctrl-C."""
    with output.readable_streams():
        try:
            status = _command(argv)
            sys.stdout.flush()
            return status
        except BrokenPipeError:  # as in `w2s-lab show | head`: who reads has had enough
            output.end(sys.stdout)
            return 0
        except OSError as error:  # of the printing: the work's own is told in _command
            output.end(sys.stdout)
            output.tell(f"w2s-lab: the output cannot be written ({error.strerror or error})")
            return 2


def _command(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        rest = _load_plugins(words)
    except ValueError as error:
        output.tell(f"w2s-lab: {error}")
        return 2
    arguments = parser().parse_args(rest)
    arguments.words = shlex.join(["w2s-lab", *words])
    warnings.showwarning = lambda message, *_: output.tell(f"warning: {message}")
    warnings.simplefilter("ignore", FutureWarning)  # from one library to another: not for who gives a command
    try:
        arguments.usual_store = getattr(arguments, "store", "") is None
        if arguments.usual_store:
            arguments.store = str(assets.shown_path(assets.store_folder()))
        return arguments.command(arguments) or 0
    except BrokenPipeError:
        raise
    except (ValueError, ArithmeticError, OSError, MemoryError) as error:
        output.tell(f"w2s-lab: {error}")
        return 2
    except KeyboardInterrupt as stopped:
        where = f" in {stopped}" if stopped.args else ""
        output.tell(f"\nstopped{where}. Finished parts and the last checkpoint are kept. To go on: {arguments.words}")
        return 130


def _load_plugins(words: Sequence[str]) -> list[str]:
    """Import the modules that `--import` names, wherever it stands; returns the other words.

    Raises:
        ValueError: a module cannot be imported; the message says where it failed.
    """
    early = argparse.ArgumentParser(prog="w2s-lab", add_help=False, allow_abbrev=False)
    add_import(early)
    found, rest = early.parse_known_args(words)
    for name in found.modules or ():
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # last: no file of this folder takes the place of an installed module
        try:
            load_plugin(name)
        except Exception as error:  # whatever the user's code raises
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = "" if last.filename.startswith("<") else f" ({last.filename}, line {last.lineno})"
            hint = ". Hint: expected a module's name, such as my_lab for my_lab.py" if where == "" else ""
            raise ValueError(f"--import {name}: {type(error).__name__}: {error}{where}{hint}") from error
    return rest


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="w2s-lab",
        description="Weak-to-strong generalization, measured: fine-tune a strong model on a weak model's labels.",
        epilog="example: w2s-lab run --task helpdesk --seeds 3",
    )
    top.add_argument("--version", action="version", version=f"w2s-lab {__version__}")
    add_import(top)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    run_command.add(commands)
    fetch_command.add(commands)
    _add_pretrain(commands)
    _add_study(commands)
    _add_notebooks(commands)
    doctor = commands.add_parser(
        "doctor", help="is this machine ready?", description=_doctor.__doc__, epilog="example: w2s-lab doctor"
    )
    doctor.set_defaults(command=_doctor)
    show = commands.add_parser(
        "show", help="finished trainings as a table", description=_show.__doc__, epilog="example: w2s-lab show"
    )
    add_store(show)
    show.set_defaults(command=_show)
    demo_command.add(commands)
    assignment_command.add(commands)
    completion_command.add(commands, parser)
    return top


def _add_pretrain(commands) -> None:
    pretrain = commands.add_parser(
        "pretrain",
        help="make the pocket ladder anew",
        description=_pretrain.__doc__,
        epilog="example: w2s-lab pretrain pocket-s --folder /tmp/ladder",
    )
    pretrain.add_argument("names", nargs="*", metavar="MODEL", help="which rungs (default: all)")
    pretrain.add_argument("--folder", type=path_text, metavar="DIR", help="where the models go (default: data/models)")
    add_device(pretrain)
    pretrain.add_argument(
        "--leakage", type=float, nargs="+", default=[1.0], metavar="SHARE",
        help="make them once for each of these shares (0 to 1) of reviews that are closed by sentences which follow "
        "their verdict, such as 0 0.25, which makes MODEL-0 and MODEL-25 (default: 1, as in the shipped ladder)",
    )  # fmt: skip
    pretrain.add_argument(
        "--seed", type=int, nargs="+", default=[0], metavar="N",
        help="make them once for each of these seeds of first weights and documents, such as 1 2, which makes "
        "MODEL-seed-1 and MODEL-seed-2 (default: 0, as in the shipped ladder)",
    )  # fmt: skip
    pretrain.add_argument("--plain", action="store_true", help="do not compile, even where a compiler is present")
    pretrain.add_argument(
        "--figure", type=path_text, metavar="PNG", help="loss against size (default: ladder.png in the folder)"
    )
    pretrain.set_defaults(command=_pretrain)


def _pretrain(arguments: argparse.Namespace) -> None:
    """Pre-train the pocket ladder on documents of the generated world. A run that was stopped goes on where it was;
    a finished rung of the same recipe is left as it is."""
    from w2s_lab.figures import plots
    from w2s_lab.pocket.pretrain import FURTHER, LADDER, LEAKAGE, pretrain

    unknown = [name for name in arguments.names if name not in LADDER]
    if unknown:
        raise ValueError(f"there is no rung {unknown[0]!r}; expected one of {', '.join(LADDER)}")
    folder = Path(arguments.folder or assets.MODELS)
    for name, leakage, seed in itertools.product(arguments.names or LADDER, arguments.leakage, arguments.seed):
        target = pretrain(
            LADDER[name],
            leakage=leakage,
            seed=seed,
            folder=folder / LEAKAGE if leakage != 1 else folder / FURTHER if seed else folder,
            device=arguments.device,
            compiled=False if arguments.plain else None,
        )
        card = json.loads((target / "card.json").read_text(encoding="utf-8"))
        print(
            f"{target.name:<15} {card['parameters']:>10,} parameters  {card['tokens_seen']:>10,} tokens  "
            f"held-out loss {card['held_out_loss']:.3f} nats/token"
        )
    if 1 not in arguments.leakage or 0 not in arguments.seed:
        return  # the figure is of the ladder
    cards = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("pocket-*/card.json")]
    path = Path(arguments.figure or folder / "ladder.png")
    ax = plots.loss_against_size(cards)
    with replacing(path) as new:
        ax.figure.savefig(new, dpi=150, bbox_inches="tight")
    print(f"figure: {path}")


def _add_study(commands) -> None:
    study = commands.add_parser(
        "study",
        help="a named study over many seeds",
        description=_study.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  w2s-lab study methods --seeds 8\n"
        "  w2s-lab study scaling --ray auto --store /shared/runs\n"
        "  w2s-lab study --import my_lab my-study\n"
        "  w2s-lab study findings",
    )
    names = f"{', '.join(STUDIES)}; findings: the table of claims and what was measured; none: what each study asks"
    study.add_argument("name", nargs="?", metavar="NAME", help=names)
    add_import(study)
    study.add_argument("--seeds", type=positive, metavar="N", help="seeds 0 to N-1 (default: the study's own number)")
    each = "each with its share of the cores as threads, and no more than OMP_NUM_THREADS"
    study.add_argument("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help=f"processes, {each}")
    study.add_argument("--ray", metavar="ADDRESS", help="on a Ray cluster instead: auto, HOST:PORT or ray://HOST:PORT")
    study.add_argument(
        "--output",
        type=path_text,
        default="data/results",
        metavar="DIR",
        help="for JSON and figures (default: data/results)",
    )
    study.add_argument("--redraw", action="store_true", help="only its figures again, from its file in --output")
    add_device(study)
    add_store(study)
    study.set_defaults(command=_study)


def _study(arguments: argparse.Namespace) -> None:
    """Measure what the kit claims, over many seeds, and write JSON and figures. Finished parts come from the store,
    so a study that was stopped goes on where it was."""
    output = Path(arguments.output)
    if arguments.name is None:
        for name, study in STUDIES.items():
            print(f"{name:<14}{study.seeds:>3} seeds   {study.about}")
        return
    if arguments.name == "findings":
        from w2s_lab.studies.both_worlds import write_worlds
        from w2s_lab.studies.findings import write_findings

        for path in (*write_findings(output), *write_worlds(output)):
            print(f"written: {path}")
        return
    study = STUDIES[arguments.name]
    from w2s_lab.studies.study import redraw, run_study

    if arguments.redraw:
        for path in redraw(study, output):
            print(f"written: {path}")
        return
    before = sum(os.times()[:4])
    text, paths = run_study(
        study,
        seeds=arguments.seeds or study.seeds,
        workers=arguments.workers,
        store=arguments.store,
        output=output,
        device=arguments.device,
        ray=arguments.ray,
    )
    print(text)
    if os.name == "posix" and not arguments.ray:  # elsewhere nobody counts what other processes spent
        print(f"{(sum(os.times()[:4]) - before) / 60:.1f} CPU minutes; what the store held cost nothing")
    for path in paths:
        print(f"written: {path}")


def _add_notebooks(commands) -> None:
    notebooks = commands.add_parser(
        "notebooks",
        help="your own copies of the notebooks",
        description=_notebooks.__doc__,
        epilog="example: w2s-lab notebooks my-course",
    )
    notebooks.add_argument(
        "folder",
        type=path_text,
        nargs="?",
        default="my_notebooks",
        metavar="DIR",
        help="where they go (default: my_notebooks)",
    )
    notebooks.set_defaults(command=_notebooks)


def _notebooks(arguments: argparse.Namespace) -> None:
    """Write copies of the notebooks to work in, without outputs, so that no guess is answered before it is made. A file
    that you changed is left as it is."""
    from w2s_lab.classroom.copies import write_copies

    folder = Path(arguments.folder)
    written, left = write_copies(folder)
    if written:
        print(f"{len(written)} notebook{'s' * (len(written) != 1)} written to {folder}, without outputs")
    if left:
        print(f"left as they are, because they differ: {', '.join(path.name for path in left)}")
        print("For a fresh copy of one of them, rename or delete it, and give this command again.")
    store, progress = (assets.shown_path(place(folder)) for place in (assets.store_folder, assets.progress_file))
    print(f"finished trainings: {store}; your progress: {progress}")
    print(f"To open them: jupyter lab {shlex.quote(str(folder))}")


def _doctor(arguments: argparse.Namespace) -> int:
    """Say in about ten seconds whether this machine is ready, and what to do where it is not."""
    from w2s_lab.planning.doctor import checks, report

    text, ready = report(checks())
    print(text)
    return 0 if ready else 1


def _show(arguments: argparse.Namespace) -> None:
    """The finished trainings in the store, oldest first."""
    from w2s_lab.experiments.finished import finished_trainings, store_roots

    runs = finished_trainings(*store_roots(None if arguments.usual_store else arguments.store))
    if not runs:
        print(f"no finished training in {arguments.store}; w2s-lab run makes some")
        return
    print(f"{'task':<14}{'role':<26}{'start':<22}{'examples':>9}{'label accuracy':>16}{'epochs':>8}{'seed':>6}  folder")
    for run in runs:
        right = "unknown" if run["label_accuracy"] is None else f"{run['label_accuracy']:.3f}"
        recipe = run["recipe"]
        print(
            f"{run['task']:<14}{run['role']:<26}{run['start']:<22}{run['examples']:>9,}{right:>16}"
            f"{recipe['epochs']:>8}{recipe['seed']:>6}  {run['folder']}"
        )


if __name__ == "__main__":
    sys.exit(main())
