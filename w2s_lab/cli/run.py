"""`w2s-lab run`: the weak-to-strong experiment, from data to PGR, or what it would cost."""

import argparse
import contextlib
import hashlib
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path

from w2s_lab.cli.arguments import (
    add_device,
    add_import,
    add_store,
    answers,
    data_source,
    loss,
    losses,
    model_source,
    path_text,
    positive,
    rate,
    sizes,
    yes_no,
)
from w2s_lab.cli.progress import Progress
from w2s_lab.system import output
from w2s_lab.system.files import replacing

# torch, transformers and what imports them are imported inside the functions: they take seconds, --help should not.

ADAPT_EPOCHS = 8


def add(commands) -> None:
    """The command and its options."""
    run = commands.add_parser(
        "run",
        help="the weak-to-strong experiment, from data to PGR",
        description=_run.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  w2s-lab run\n"
        "  w2s-lab run --task summary --epochs 4 --seeds 3\n"
        "  w2s-lab run --loss distillation:weight=0.5,schedule=cosine\n"
        "  w2s-lab run --weak bag-of-words:200\n"
        "  w2s-lab run --data reviews.tsv --answers 0=negative,1=positive --adapt\n"
        "  w2s-lab run --data hub:sciq --pair smollm2-16gb --dry-run\n"
        "  accelerate launch -m w2s_lab run --data hub:boolq --pair qwen-80gb",
    )
    data = run.add_argument_group("data")
    source = data.add_mutually_exclusive_group()
    source.add_argument("--task", help="a built-in task (default: sentiment)")
    source.add_argument(
        "--data",
        type=data_source,
        metavar="FILE|hub:NAME|TASK",
        help="a file of rows (CSV, TSV, JSON, Parquet, Excel; packed or not), a data set of the Hugging Face Hub or of "
        "`w2s-lab fetch`, or a task of your own that --import registers",
    )
    data.add_argument(
        "--input-column", metavar="NAME", help="column of the input, by name or number; A,B joins columns"
    )
    data.add_argument("--answer-column", metavar="NAME", help="column of the true answer, by name or number")
    data.add_argument("--instruction", metavar="TEXT", help="what is asked in every row of a file")
    data.add_argument(
        "--header", type=yes_no, metavar="yes|no", help="line 1 of a CSV, TSV or Excel file names the columns, or not"
    )
    data.add_argument(
        "--answers",
        type=answers,
        metavar="LIST|@FILE",
        help='closed list of answers: a,b,c (an answer with a comma in "quotes") or value=word,value=word; a list or '
        "an object in JSON; or @FILE, which has one answer, or a value, a tab and an answer, in every line",
    )
    data.add_argument("--closed", action="store_true", help="the answers in the data are a closed list, however many")
    data.add_argument("--open", action="store_true", help="answers are free text")
    data.add_argument(
        "--sizes", type=sizes, metavar="W,S,T,V", help="examples for supervisor, student, test, validation"
    )
    models = run.add_argument_group("models")
    model = "a model of the ladder or of `w2s-lab fetch`, a folder, a Hub id (owner/name or owner/name@revision), or "
    model += "scratch:NAME for its architecture with random weights"
    models.add_argument(
        "--weak",
        type=model_source,
        metavar="MODEL|LABELLER",
        help=f"becomes the weak supervisor: {model}; or a supervisor that is no language model: bag-of-words or "
        "bag-of-words:N (a classifier of words, with all or N of the supervisor's true labels), vader (a lexicon with "
        "rules that never saw a label), layer:K or layer:K:N (an early exit of the strong model after K blocks), or "
        "one that --import registers",
    )
    models.add_argument(
        "--strong", type=model_source, metavar="MODEL", help="becomes the strong student and the strong ceiling"
    )
    models.add_argument("--pair", metavar="NAME", help="two models of the Hub with their recipes, such as smollm2-16gb")
    recipe = run.add_argument_group("recipe")
    recipe.add_argument(
        "--loss",
        type=loss,
        metavar="NAME[:DIAL=VALUE,...]",
        help="of the student, with its dials, such as soft or distillation:weight=0.5,schedule=cosine "
        "(default: ml, maximum likelihood of the weak answers); --loss help lists all losses and their dials",
    )
    recipe.add_argument("--epochs", type=positive, metavar="N", help="passes of student and ceiling over theirs")
    recipe.add_argument("--learning-rate", type=rate, metavar="R", help="peak rate of student and ceiling")
    recipe.add_argument("--weak-epochs", type=positive, metavar="N", help="passes of the supervisor over its examples")
    recipe.add_argument("--weak-learning-rate", type=rate, metavar="R", help="peak rate of the supervisor")
    recipe.add_argument("--batch-size", type=positive, metavar="N", help="examples (default: 32)")
    recipe.add_argument("--max-tokens", type=positive, metavar="N", help="of prompt and answer (default: 256)")
    recipe.add_argument("--lora", type=positive, metavar="RANK", help="student and ceiling learn a low-rank adapter")
    recipe.add_argument("--chat-template", action="store_true", help="use the tokenizer's chat template, if it has one")
    recipe.add_argument(
        "--gradient-checkpointing", action="store_true", help="less memory, a third more time, the same numbers"
    )
    recipe.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"), help="auto: bfloat16 where it is there and pays"
    )
    recipe.add_argument(
        "--adapt",
        nargs="?",
        type=positive,
        const=ADAPT_EPOCHS,
        metavar="N",
        help="first let the language models go on with next-token training on the unlabelled inputs, N passes over "
        f"them (default: {ADAPT_EPOCHS}); nobody's labels, and no test input, are looked at",
    )
    recipe.add_argument("--adapt-learning-rate", type=rate, metavar="R", help="peak rate of that (default: 1e-3)")
    add_import(run)
    run.add_argument("--seeds", type=positive, default=3, metavar="N", help="runs with seeds 0 to N-1 (default: 3)")
    add_device(run)
    run.add_argument(
        "--dry-run",
        nargs="?",
        const="",
        metavar="CARD",
        help="only estimate memory and minutes, on this machine or a named card such as T4; nothing is loaded",
    )
    run.add_argument("--figure", type=path_text, metavar="PNG", help="where the figure goes (default: in the store)")
    run.add_argument("--json", type=path_text, metavar="FILE", help="also write the numbers as JSON")
    add_store(run)
    run.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> None:
    """Train a weak supervisor, label with it, train a strong student on its labels and a strong ceiling on the truth;
    print accuracies and the performance gap recovered, and draw them. Finished parts come from the store."""
    if arguments.loss == "help":
        print(losses())
        return
    with Progress() as progress:  # before the imports, which take seconds
        from w2s_lab.system import parallel

        arguments.device = parallel.start(arguments.device)
        try:
            with _only_main_prints():
                _measure(arguments, progress)
        finally:
            parallel.stop()


def _measure(arguments: argparse.Namespace, progress: Progress) -> None:
    from w2s_lab.data import fetch
    from w2s_lab.data.classes import class_table
    from w2s_lab.data.sources import read_examples, split_examples
    from w2s_lab.experiments.procedure import check_plan, unlabelled, weak_to_strong
    from w2s_lab.experiments.store import Store
    from w2s_lab.models.loading import load_model
    from w2s_lab.planning.forecast import forecast
    from w2s_lab.planning.usual import is_large

    warned: list[str] = []
    with warnings.catch_warnings():  # gives showwarning back
        show = warnings.showwarning
        warnings.showwarning = lambda message, *rest: (warned.append(str(message)), show(message, *rest))
        task, examples, notes = read_examples(
            arguments.data or arguments.task or "sentiment",
            input_column=arguments.input_column,
            answer_column=arguments.answer_column,
            instruction=arguments.instruction,
            answers=arguments.answers,
            open_ended=arguments.open,
            header=arguments.header,
            closed=arguments.closed,
        )
    if arguments.data:
        for note in notes:
            if not any(text.endswith(note) for text in warned):
                progress.write(f"note: {note}")
    split, plan = _split_and_plan(arguments, task, len(examples))
    seeds = range(arguments.seeds)
    check_plan(plan, task, split.supervisor_train)
    title = f"{task.name}: {plan.weak_name} supervises {plan.strong}"
    progress.write(title)
    if arguments.dry_run is not None:
        from w2s_lab.planning.dry_run import dry_run_table

        progress.write(_numbers(arguments, plan, split, len(examples)))
        counts = [split_examples(task, examples, seed=seed, sizes=split).class_counts() for seed in seeds]
        if counts[0]:
            progress.write(f"\n{class_table(counts)}")
        device = arguments.dry_run or plan.device
        progress.write(f"\n{dry_run_table(plan, split, examples, task.answers, seeds=arguments.seeds, device=device)}")
        if task.name in fetch.FETCHABLE:
            progress.write(f"Licence of the data: {fetch.FETCHABLE[task.name].licence}.")
        return
    for model in plan.models:
        if model.removeprefix("scratch:") in fetch.FETCHABLE:
            fetch.folder(model.removeprefix("scratch:"))  # raises now, not when its turn comes
    store, outcomes, strong = Store(None if arguments.usual_store else arguments.store), [], None
    begin = time.perf_counter()
    if is_large(plan.strong):
        progress.say(f"loading {plan.strong}")
        strong = load_model(plan.strong, device="cpu")
    found = forecast(
        plan,
        split,
        (task, examples),
        store,
        seeds=arguments.seeds,
        strong=strong,
        loading=time.perf_counter() - begin,
        fixed=bool(arguments.sizes or arguments.pair),
        say=progress.say,
    )
    split = found.sizes
    progress.write("\n".join(filter(None, (_numbers(arguments, plan, split, len(examples)), found.text))))
    every_splits = [split_examples(task, examples, seed=seed, sizes=split) for seed in seeds]
    counts = [splits.class_counts() for splits in every_splits]
    if counts[0]:
        progress.write(f"\n{class_table(counts)}")
    progress.follow(found.course, measured=found.measured)
    for seed, splits in zip(seeds, every_splits, strict=True):
        inputs = unlabelled(examples, splits) if plan.adapt else None
        with progress.of(f"seed {seed + 1}/{arguments.seeds}", seed) as (on_step, on_rows):
            options = {"unlabelled": inputs, "on_step": on_step, "on_rows": on_rows, "strong": strong}
            outcomes.append(weak_to_strong(splits, plan, store, seed=seed, **options))
    progress.end()
    _report(arguments, outcomes, title, split, plan, counts)


def _numbers(arguments: argparse.Namespace, plan, split, examples: int) -> str:
    """How many examples each part gets."""
    from w2s_lab.methods.labellers import true_labels

    seeds = "one seed" if arguments.seeds == 1 else f"each of {arguments.seeds} seeds"
    return (
        f"{examples:,} examples; for {seeds}, {true_labels(plan.weak, split.supervisor_train):,} true labels "
        f"for the supervisor, {split.student_train:,} weak labels for the student, {split.test:,} for the test, "
        f"{split.validation:,} for validation"
    )


def _report(arguments: argparse.Namespace, outcomes: list, title: str, split, plan, counts: list) -> None:
    from w2s_lab.experiments import report
    from w2s_lab.figures import plots
    from w2s_lab.system import parallel

    summary = report.summarise(outcomes, validation_examples=split.validation)
    print(f"\n{report.table(summary, title)}")
    if not parallel.is_main():
        return
    path = Path(arguments.figure or Path(arguments.store) / "figures" / f"{_file_name(title)}.png")
    figure = plots.report_figure([o.comparison for o in outcomes], [o.curve for o in outcomes], title=title)
    try:
        with replacing(path) as new:
            figure.savefig(new)
        print(f"\nfigure: {path}")
    except OSError as error:
        if arguments.figure or not arguments.usual_store:
            raise
        output.tell(f"warning: no figure was written: {error.__cause__ or error}")
    if arguments.json:
        facts = {"command": arguments.words, "versions": report.versions(), "sizes": astuple(split), **plan.to_dict()}
        facts["class_counts"] = counts if counts[0] else None
        with replacing(Path(arguments.json)) as new:
            new.write_text(json.dumps(facts | summary.to_dict(), indent=1) + "\n", encoding="utf-8")


def _split_and_plan(arguments: argparse.Namespace, task, examples: int):
    """The usual sizes and plan for task and model, or those of a named pair, changed as the command line says."""
    from w2s_lab.data.sources import SplitSizes
    from w2s_lab.experiments.procedure import Plan
    from w2s_lab.methods.labellers import is_labeller
    from w2s_lab.models.loading import pick_device
    from w2s_lab.planning.estimate import DEVICES
    from w2s_lab.planning.hub_models import pair_plan
    from w2s_lab.planning.usual import usual_plan, usual_sizes
    from w2s_lab.recipe import LoRA

    lora = arguments.lora and LoRA(rank=arguments.lora, alpha=2 * arguments.lora)
    if arguments.pair:
        split, usual = arguments.sizes or SplitSizes.of(examples), pair_plan(arguments.pair)
    else:
        on_cpu = arguments.dry_run not in DEVICES and pick_device(arguments.device).type == "cpu"
        split = arguments.sizes or usual_sizes(examples, arguments.strong, on_cpu=on_cpu)
        usual = usual_plan(task, arguments.strong, weak=arguments.weak, lora=lora, labels=split.supervisor_train)
    shared = {
        "batch_size": arguments.batch_size,
        "max_tokens": arguments.max_tokens,
        "precision": arguments.precision,
        "chat_template": arguments.chat_template or None,
        "gradient_checkpointing": arguments.gradient_checkpointing or None,
    }
    weak = {"epochs": arguments.weak_epochs, "learning_rate": arguments.weak_learning_rate}
    chosen = arguments.weak or usual.weak
    if is_labeller(chosen) and any(value is not None for value in weak.values()):
        raise ValueError(
            f"--weak-epochs and --weak-learning-rate say how a language model is fine-tuned; {chosen} is no language "
            "model and has no such recipe"
        )
    strong = {
        "loss": arguments.loss,
        "epochs": arguments.epochs,
        "learning_rate": arguments.learning_rate,
        "lora": lora,
    }
    return split, Plan(
        chosen,
        arguments.strong or usual.strong,
        _changed(usual.weak_recipe, shared | weak),
        _changed(usual.recipe, shared | strong),
        arguments.device,
        _adaptation(arguments, shared),
    )


def _adaptation(arguments: argparse.Namespace, shared: dict):
    """The recipe of the next-token training, or None."""
    from w2s_lab.recipe import Recipe

    if arguments.adapt is None:
        if arguments.adapt_learning_rate is not None:
            raise ValueError("--adapt-learning-rate says how to adapt; expected --adapt beside it")
        return None
    return _changed(Recipe(epochs=arguments.adapt, learning_rate=arguments.adapt_learning_rate or 1e-3), shared)


def _changed(recipe, values: dict):
    return replace(recipe, **{name: value for name, value in values.items() if value is not None})


@contextlib.contextmanager
def _only_main_prints() -> Iterator[None]:
    from w2s_lab.system import parallel

    if parallel.is_main():
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):
        yield


def _file_name(title: str) -> str:
    """Of letters and digits that the file system can name, and not longer than it takes."""
    shown = title.encode(sys.getfilesystemencoding(), "replace").decode(sys.getfilesystemencoding())
    name = "".join(c if c.isalnum() or c in "-." else "_" for c in shown)
    return name if len(os.fsencode(name)) <= 180 else f"{name[:40]}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"
