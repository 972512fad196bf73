"""The command line: `w2s-lab run | pretrain | study | doctor | show`."""

import argparse
import json
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from tqdm.auto import tqdm

from w2s_lab.version import __version__

# torch, transformers and what imports them are imported inside the commands: they take seconds, --help should not.


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 2 wrong input (with its reason), 130 stopped by Ctrl-C."""
    arguments = parser().parse_args(argv)
    arguments.words = shlex.join(["w2s-lab", *(sys.argv[1:] if argv is None else argv)])
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        return arguments.command(arguments) or 0
    except (ValueError, ArithmeticError, OSError) as error:
        print(f"w2s-lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; finished parts are kept. To go on: {arguments.words}", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="w2s-lab",
        description="Weak-to-strong generalization, measured: fine-tune a strong model on a weak model's labels.",
        epilog="example: w2s-lab run --task helpdesk --seeds 3",
    )
    top.add_argument("--version", action="version", version=f"w2s-lab {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_pretrain(commands)
    _add_study(commands)
    doctor = commands.add_parser(
        "doctor", help="is this machine ready?", description=_doctor.__doc__, epilog="example: w2s-lab doctor"
    )
    doctor.set_defaults(command=_doctor)
    show = commands.add_parser(
        "show", help="finished trainings as a table", description=_show.__doc__, epilog="example: w2s-lab show"
    )
    _add_store(show)
    show.set_defaults(command=_show)
    return top


def _add_store(command: argparse.ArgumentParser) -> None:
    command.add_argument("--store", default="runs", metavar="DIR", help="folder of finished work (default: runs)")


def _add_device(command: argparse.ArgumentParser) -> None:
    names = ("auto", "cpu", "cuda", "mps")
    command.add_argument("--device", choices=names, default="auto", help="auto: a GPU if there is one (default: auto)")


# -- run ---------------------------------------------------------------------------------------------------------


def _add_run(commands) -> None:
    run = commands.add_parser(
        "run",
        help="the weak-to-strong experiment, from data to PGR",
        description=_run.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  w2s-lab run\n"
        "  w2s-lab run --task summary --epochs 4 --seeds 3\n"
        "  w2s-lab run --data reviews.tsv --answers 0=negative,1=positive --strong pocket-xl\n"
        "  w2s-lab run --data hub:stanfordnlp/sst2 --weak EleutherAI/pythia-70m --strong EleutherAI/pythia-1.4b",
    )
    source = run.add_mutually_exclusive_group()
    source.add_argument("--task", help="a built-in task (default: sentiment)")
    source.add_argument("--data", metavar="FILE|hub:NAME", help="a .csv, .tsv or .jsonl file, or a Hub data set")
    run.add_argument("--input-column", metavar="NAME", help="column of the input, by name or number")
    run.add_argument("--answer-column", metavar="NAME", help="column of the true answer, by name or number")
    run.add_argument("--instruction", metavar="TEXT", help="what is asked in every row of a file")
    run.add_argument(
        "--answers", type=_answers, metavar="LIST", help="closed list of answers: a,b,c or value=word,value=word"
    )
    run.add_argument("--open", action="store_true", help="answers are free text")
    run.add_argument(
        "--sizes", type=_sizes, metavar="W,S,T,V", help="examples for supervisor, student, test, validation"
    )
    model = "a model of the ladder, a folder, a Hub id, or scratch:NAME for its architecture with random weights"
    run.add_argument("--weak", metavar="MODEL", help=f"becomes the weak supervisor: {model}")
    run.add_argument("--strong", metavar="MODEL", help="becomes the strong student and the strong ceiling")
    run.add_argument("--loss", choices=LOSSES, default="ml", help="of the student: " + ", ".join(
        f"{name} = {meaning}" for name, (_, meaning) in LOSSES.items()) + " (default: ml)")  # fmt: skip
    run.add_argument("--epochs", type=_positive, metavar="N", help="passes of student and ceiling over their examples")
    run.add_argument("--learning-rate", type=_rate, metavar="R", help="peak rate of student and ceiling")
    run.add_argument("--weak-epochs", type=_positive, metavar="N", help="passes of the supervisor over its examples")
    run.add_argument("--weak-learning-rate", type=_rate, metavar="R", help="peak rate of the supervisor")
    run.add_argument("--batch-size", type=_positive, metavar="N", help="examples (default: 32)")
    run.add_argument("--seeds", type=_positive, default=3, metavar="N", help="runs with seeds 0 to N-1 (default: 3)")
    _add_device(run)
    run.add_argument("--figure", metavar="PNG", help="where the figure goes (default: in the store)")
    run.add_argument("--json", metavar="FILE", help="also write the numbers as JSON")
    _add_store(run)
    run.set_defaults(command=_run)


LOSSES = {
    "ml": ("MaximumLikelihood", "maximum likelihood of the weak answers"),
    "soft": ("SoftTargets", "the supervisor's probabilities as targets"),
    "confidence": ("AuxiliaryConfidence", "auxiliary confidence loss"),
}


def _run(arguments: argparse.Namespace) -> None:
    """Train a weak supervisor, label with it, train a strong student on its labels and a strong ceiling on the truth;
    print accuracies and the performance gap recovered, and draw them. Finished parts come from the store."""
    from w2s_lab import plots, report
    from w2s_lab.data import read_examples, split_examples
    from w2s_lab.experiments import default_sizes, weak_to_strong
    from w2s_lab.store import Store

    source = arguments.data or arguments.task or "sentiment"
    task, examples, notes = read_examples(
        source,
        input_column=arguments.input_column,
        answer_column=arguments.answer_column,
        instruction=arguments.instruction,
        answers=arguments.answers,
        open_ended=arguments.open,
    )
    if arguments.data:
        for note in notes:
            print(f"note: {note}")
    sizes = arguments.sizes or default_sizes(len(examples))
    plan = _plan(arguments, task)
    title = f"{task.name}: {plan.weak} supervises {plan.strong}"
    print(
        f"{title}\n{len(examples):,} examples; "
        f"for each of {arguments.seeds} seeds, {sizes.supervisor_train:,} true labels "
        f"for the supervisor, {sizes.student_train:,} weak labels for the student, {sizes.test:,} for the test, "
        f"{sizes.validation:,} for validation"
    )
    store, progress, outcomes = Store(arguments.store), _Progress(), []
    for seed in range(arguments.seeds):
        splits = split_examples(task, examples, seed=seed, sizes=sizes)
        on_step = progress.of(f"seed {seed + 1}/{arguments.seeds}")
        outcomes.append(weak_to_strong(splits, plan, store, seed=seed, on_step=on_step))
    summary = report.summarise(outcomes, validation_examples=sizes.validation)
    print(f"\n{report.table(summary, title)}")
    path = Path(arguments.figure or Path(arguments.store) / "figures" / f"{_file_name(title)}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    plots.report_figure([o.comparison for o in outcomes], [o.curve for o in outcomes], title=title).savefig(path)
    print(f"\nfigure: {path}")
    if arguments.json:
        facts = {"command": arguments.words, "versions": report.versions(), "sizes": astuple(sizes), **plan.as_dict()}
        Path(arguments.json).write_text(json.dumps(facts | summary.as_dict(), indent=1) + "\n")


def _plan(arguments: argparse.Namespace, task):
    """The task's usual plan, changed as the command line says."""
    from dataclasses import replace

    from w2s_lab import objective
    from w2s_lab.experiments import Plan

    usual = Plan.for_task(task)
    batch_size = arguments.batch_size or usual.recipe.batch_size
    recipe = replace(
        usual.recipe,
        loss=getattr(objective, LOSSES[arguments.loss][0])(),
        epochs=arguments.epochs or usual.recipe.epochs,
        learning_rate=arguments.learning_rate or usual.recipe.learning_rate,
        batch_size=batch_size,
    )
    weak_epochs = arguments.weak_epochs or usual.weak_recipe.epochs
    weak_rate = arguments.weak_learning_rate or usual.weak_recipe.learning_rate
    weak_recipe = replace(usual.weak_recipe, epochs=weak_epochs, learning_rate=weak_rate, batch_size=batch_size)
    return Plan(arguments.weak or usual.weak, arguments.strong or usual.strong, weak_recipe, recipe, arguments.device)


class _Progress:
    """One bar per training, with the time left; stored results need none."""

    def __init__(self) -> None:
        self.bar = None

    def of(self, where: str):
        """A callback for the trainings of one seed; `where` is what the bar says before the role."""

        def on_step(role: str, done: int, steps: int) -> None:
            if self.bar is None:
                self.bar = tqdm(total=steps, desc=f"{where} {role:<16}", unit="step")
            self.bar.update()
            if done == steps:
                self.bar.close()
                self.bar = None

        return on_step


# -- the other commands ------------------------------------------------------------------------------------------


def _add_pretrain(commands) -> None:
    pretrain = commands.add_parser(
        "pretrain",
        help="make the pocket ladder anew",
        description=_pretrain.__doc__,
        epilog="example: w2s-lab pretrain pocket-s --folder /tmp/ladder",
    )
    pretrain.add_argument("names", nargs="*", metavar="MODEL", help="which rungs (default: all)")
    pretrain.add_argument("--folder", metavar="DIR", help="where the models go (default: data/models)")
    _add_device(pretrain)
    pretrain.add_argument("--plain", action="store_true", help="do not compile, even where a compiler is present")
    pretrain.add_argument("--figure", metavar="PNG", help="loss against size (default: ladder.png in the folder)")
    pretrain.set_defaults(command=_pretrain)


def _pretrain(arguments: argparse.Namespace) -> None:
    """Pre-train the pocket ladder on documents of the generated world. A run that was stopped goes on where it was;
    a finished rung of the same recipe is left as it is."""
    from w2s_lab import plots
    from w2s_lab.models import LADDER_FOLDER
    from w2s_lab.pocket.pretrain import LADDER, pretrain

    unknown = [name for name in arguments.names if name not in LADDER]
    if unknown:
        raise ValueError(f"there is no rung {unknown[0]!r}; expected one of {', '.join(LADDER)}")
    folder = Path(arguments.folder or LADDER_FOLDER)
    for name in arguments.names or LADDER:
        target = pretrain(
            LADDER[name], folder=folder, device=arguments.device, compiled=False if arguments.plain else None
        )
        card = json.loads((target / "card.json").read_text())
        print(
            f"{name:<10} {card['parameters']:>10,} parameters  {card['tokens_seen']:>10,} tokens  "
            f"held-out loss {card['held_out_loss']:.3f} nats/token"
        )
    cards = [json.loads(path.read_text()) for path in folder.glob("pocket-*/card.json")]
    path = Path(arguments.figure or folder / "ladder.png")
    ax = plots.loss_against_size(cards)
    ax.figure.savefig(path, dpi=150, bbox_inches="tight")
    print(f"figure: {path}")


def _add_study(commands) -> None:
    study = commands.add_parser(
        "study",
        help="a named study over many seeds",
        description=_study.__doc__,
        epilog="example: w2s-lab study mechanism --seeds 8",
    )
    study.add_argument("name", choices=["mechanism"], help="which study")
    study.add_argument("--seeds", type=_positive, default=8, metavar="N", help="seeds 0 to N-1 (default: 8)")
    study.add_argument("--workers", type=_positive, default=os.cpu_count() or 1, metavar="N", help="processes")
    study.add_argument(
        "--output", default="data/results", metavar="DIR", help="for JSON and figure (default: data/results)"
    )
    _add_device(study)
    _add_store(study)
    study.set_defaults(command=_study)


def _study(arguments: argparse.Namespace) -> None:
    """Measure what the kit claims, over many seeds, and write JSON and a figure. Finished parts come from the store."""
    from w2s_lab import studies

    text, paths = studies.mechanism(
        seeds=arguments.seeds,
        workers=arguments.workers,
        store=arguments.store,
        output=Path(arguments.output),
        device=arguments.device,
    )
    print(text)
    for path in paths:
        print(f"written: {path}")


def _doctor(arguments: argparse.Namespace) -> int:
    """Say in about ten seconds whether this machine is ready, and what to do where it is not."""
    from w2s_lab.doctor import checks, report

    text, ready = report(checks())
    print(text)
    return 0 if ready else 1


def _show(arguments: argparse.Namespace) -> None:
    """The finished trainings in the store, oldest first."""
    from w2s_lab.store import Store

    runs = Store(arguments.store).runs()
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


# -- values ------------------------------------------------------------------------------------------------------


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def _rate(text: str) -> float:
    try:
        if 0 < float(text) < float("inf"):
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def _answers(text: str) -> tuple[str, ...] | dict[str, str]:
    parts = [part.strip() for part in text.split(",")]
    if not any("=" in part for part in parts):
        return tuple(parts)
    if not all(part.count("=") == 1 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a,b,c or value=word,value=word")
    return dict(part.split("=") for part in parts)


def _sizes(text: str):
    from w2s_lab.data import SplitSizes

    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: expected four numbers such as 1500,1500,1000,100")
    try:
        return SplitSizes(*map(int, parts))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _file_name(title: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in title)


if __name__ == "__main__":
    sys.exit(main())
