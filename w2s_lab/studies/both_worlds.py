"""The pocket world beside real English: a figure, the README's first result, and the tables of docs/real_english.md.

All of it is generated from the result files `mechanism`, `real-tuning`, `real-probe` and `real-methods`, never typed.
What has not been measured yet is said to be so.
"""

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from w2s_lab.experiments.effects import difference, markdown_table, paired_effect
from w2s_lab.figures import plots
from w2s_lab.recipe import rate_text
from w2s_lab.studies.figures import figure_of
from w2s_lab.studies.measures import AT_END, AT_TRUSTED
from w2s_lab.studies.real_methods import HARD, SURE
from w2s_lab.studies.real_methods import TRUTH as PROBE_OF_TRUTH
from w2s_lab.studies.real_probe import (
    ARMS,
    CHOICES,
    GRID_ARMS,
    OTHERS,
    SECOND,
    SECOND_ARMS,
    SECOND_SUPERVISORS,
    SUPERVISORS,
    WORDINGS,
)
from w2s_lab.studies.real_tuning import ARMS as TUNED
from w2s_lab.studies.real_tuning import TRANSFERRED, TRUTH
from w2s_lab.studies.study import Rows, column, mean_of, select
from w2s_lab.system.files import replacing

Results = Mapping[str, Mapping[str, Any]]
STUDIES = ("mechanism", "real-tuning", "real-probe", "real-methods")
FIGURE = "both-worlds.png"
COMMAND = "w2s-lab study findings"
ENDS = "95 % t interval over seeds"
DIFFERENCES = (("random errors", "weak labels"), ("soft weak labels", "weak labels"))
TUNED_DIFFERENCES = (
    *DIFFERENCES,
    ("errors by words", "random errors"),
    ("errors by words", "weak labels"),
    *((name, "weak labels") for name in TUNED if name.startswith("weak labels,")),
    ("random errors, 3 passes", "weak labels, 3 passes"),
    ("random errors, 3 passes", "random errors"),
    ("labels of bag-of-words:400", "weak labels"),
    ("rate 1e-4", "weak labels"),
    ("without instruction", "weak labels"),
)
NOT_YET = "not measured yet"


def read_worlds(folder: Path) -> dict[str, dict]:
    """Name -> result, of those STUDIES whose files are there; raises ValueError where one cannot be read."""
    found = {}
    for name in STUDIES:
        path = folder / f"{name}.json"
        if path.is_file():
            try:
                found[name] = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{path} cannot be read ({error}). Hint: w2s-lab study {name}") from None
    return found


def _students(results: Results) -> Rows:
    return [row for row in results["real-tuning"]["rows"] if row["question"] == "students"]


def _ended(row_of: Mapping[str, float | None], digits: int = 2) -> str:
    """Mean and interval, such as "0.75 [0.62, 0.88]"."""
    if row_of["mean"] is None:
        return "undefined"
    ends = "" if row_of["low"] is None else f" [{row_of['low']:.{digits}f}, {row_of['high']:.{digits}f}]"
    return f"{row_of['mean']:.{digits}f}{ends}"


# -- the figure --------------------------------------------------------------------------------------------------


def both_worlds_figure(results: Results) -> Figure:
    """Accuracy of the three roles in both worlds; the student is the one that 100 trusted examples choose."""
    figure = figure_of(13, 7)
    left, right = figure.subplots(1, 2, sharey=True)
    seeds = results["mechanism"]["seeds"]
    names = {"weak": "weak_accuracy", "student": "student_accuracy_at_trusted", "ceiling": "ceiling_accuracy"}
    plots.role_dots({role: column(seeds, name) for role, name in names.items()}, left, chance=0.5)
    weak, strong = (results["mechanism"][role] for role in ("weak", "strong"))
    _titled(left, "pocket world", f"{weak} supervises {strong}", mean_of(seeds, "pgr_at_trusted"), len(seeds))
    key = {"loc": "outside lower center", "ncols": 4, "fontsize": plots.SIZE, "frameon": False}
    handles, names = left.get_legend_handles_labels()
    says = {plots.ROLE["student"].name: f"{plots.ROLE['student'].name}, as 100 trusted examples choose its snapshot"}
    figure.legend(handles, [says.get(name, name) for name in names], **key)
    left.get_legend().remove()
    if "real-tuning" not in results:
        plots.styled_axes(right).text(0.5, 0.5, NOT_YET, transform=right.transAxes, ha="center", fontsize=plots.SIZE)
        right.set_title("real English", fontsize=plots.SIZE)
        right.set_xticks([])
        return figure
    rows = select(_students(results), arm="weak labels")
    names = {"weak": "weak", "student": "trusted_accuracy", "ceiling": "ceiling"}
    plots.role_dots({role: column(rows, name) for role, name in names.items()}, right, chance=0.5)
    right.set_ylabel("")
    right.get_legend().remove()
    left.set_ylim(0.45, 1.04)
    _titled(right, "real English", "a bag of words supervises SmolLM2", mean_of(rows, "trusted_pgr"), len(rows))
    return figure


def _titled(ax, world: str, who: str, pgr: Mapping[str, float | None], seeds: int) -> None:
    over = f"{seeds} seeds" if pgr["n"] == seeds else f"{pgr['n']} of {seeds} seeds"
    ax.set_title(f"{world}: {who}\nPGR {_ended(pgr)}, mean over {over}, 95 % Student-t", fontsize=plots.SIZE)


# -- the README --------------------------------------------------------------------------------------------------


def first_result(results: Results) -> str:
    """The first item of the README's list: what students recover in both worlds."""
    means = results["mechanism"]["means"]
    says = (
        f"1. In the pocket world, on the sentiment task, the strong student reaches PGR {_ended(means['pgr_at_best'])} "
        "at its best snapshot (an oracle's choice), and gives it back when it trains on: PGR "
        f"{_ended(means['pgr_at_end'])} after "
        f"{results['mechanism']['recipe']['epochs']} epochs ({len(results['mechanism']['seeds'])} seeds, 95 % "
        "intervals). "
    )
    if "real-tuning" in results:
        rows = select(_students(results), arm="weak labels")
        weak, student, ceiling = (mean_of(rows, name)["mean"] for name in ("weak", "accuracy", "ceiling"))
        says += (
            f"On real film reviews, after one pass over {results['real-tuning']['sizes'][1]} labels of a bag of words, "
            f"SmolLM2 reaches PGR {_ended(mean_of(rows, 'pgr'))}: accuracy {weak:.2f} of the supervisor, {student:.2f} "
            f"of the student, {ceiling:.2f} of the ceiling ({len(rows)} seeds); and PGR "
            f"{_ended(mean_of(rows, 'trusted_pgr'))} at the snapshot that 100 trusted examples choose."
        )
    else:
        says += f"On real film reviews with SmolLM2: {NOT_YET}."
    return textwrap.fill(says, 125, subsequent_indent="   ", break_on_hyphens=False, break_long_words=False)


# -- the tables --------------------------------------------------------------------------------------------------

NUMBERS = ("weak", "accuracy", "ceiling")
HEAD = ("supervisor", "student", "ceiling")


def real_english_tables(results: Results) -> str:
    """What was measured on real English, as Markdown: fine-tuning, probes, and the methods with probes."""
    parts = [
        part(results) if study in results else f"{title}: {NOT_YET}; `w2s-lab study {study}` measures it."
        for study, title, part in (
            ("real-tuning", "Fine-tuning", _tuning_tables),
            ("real-probe", "Probes", _probe_tables),
            ("real-methods", "Methods", _method_tables),
        )
    ]
    return "\n\n".join(parts)


def _group(own: Rows, name: str, columns: Sequence[str]) -> list[str]:
    """Cells of one line: a name, means over seeds, the PGR with its interval, how many seeds."""
    means = [mean_of(own, one)["mean"] for one in columns]
    pgr = mean_of(own, "pgr")
    seeds = f"{len(own)}" if pgr["n"] == len(own) else f"{len(own)}; PGR of {pgr['n']}"
    return [name, *("undefined" if mean is None else f"{mean:.3f}" for mean in means), _ended(pgr), seeds]


def _groups(rows: Rows, by: str, names: Sequence[str], columns: Sequence[str], heads: Sequence[str], what: str) -> str:
    lines = [_group(select(rows, **{by: name}), name, columns) for name in names]
    return markdown_table((what, *heads, f"PGR, {ENDS}", "seeds"), lines)


def _effects(pairs: Sequence[tuple[str, str]], rows_of: Callable[[str], Rows]) -> str:
    """Differences of accuracy between arms, paired by seed."""
    lines = []
    for treated, control in pairs:
        both = [{row["seed"]: row["accuracy"] for row in rows_of(arm)} for arm in (treated, control)]
        shared = sorted(both[0].keys() & both[1].keys())
        effect = paired_effect("", *([one[seed] for seed in shared] for one in both))
        lines.append([f"{treated} minus {control}", difference(effect), f"{effect.n}"])
    return markdown_table(("accuracy", f"difference, {ENDS}", "seeds"), lines)


def _elsewhere(rows: Rows, arms: Sequence[str]) -> str:
    own = [row for row in rows if row["question"] == "transfer"]
    lines = [
        [arm, *_group(select(own, arm=arm, task=task), task, NUMBERS)]
        for arm in arms
        for task in OTHERS
        if select(own, arm=arm, task=task)
    ]
    return markdown_table(("labels of film reviews", "tried on", *HEAD, f"PGR, {ENDS}", "seeds"), lines)


def _tuning_tables(results: Results) -> str:
    facts, students = results["real-tuning"], _students(results)
    _, labels, test, trusted = facts["sizes"]
    rate = rate_text(facts["recipes"]["weak labels"]["learning_rate"])
    names = [name for name in TUNED if select(students, arm=name)]
    columns = ("weak", "accuracy", "trusted_accuracy", "ceiling", "imitation")
    heads = ("supervisor", "student, at the end", f"student that {trusted} trusted examples choose", "ceiling",
             "imitation of weak errors")  # fmt: skip
    lines = [_group(select(students, arm=name), name, columns) for name in names]
    for line in lines:  # the same of the chosen snapshot
        line[3] += f", PGR {_ended(mean_of(select(students, arm=line[0]), 'trusted_pgr'))}"
    pairs = [pair for pair in TUNED_DIFFERENCES if set(pair) <= set(names)]
    own = [row for row in facts["rows"] if row.get("arm") != TRUTH]
    return "\n\n".join([
        f"**Fine-tuning.** All weights of SmolLM2 learn {labels} labels of a bag of words in one pass at rate "
        f"{rate}, if the line does not say otherwise; accuracy on {test} "
        "test sentences, means over seeds. The PGR is that at the end. The ceiling of a line learns the truth in as "
        "many passes, at the same rate and with the same instruction; lines that share these share it.",
        markdown_table(("the student's labels", *heads, f"PGR, {ENDS}", "seeds"), lines),
        "Differences at the end, paired by seed:",
        _effects(pairs, lambda arm: select(students, arm=arm)),
        "The same students on other kinds of text:",
        _elsewhere(own, TRANSFERRED[:-1]),
    ])  # fmt: skip


def _probe_tables(results: Results) -> str:
    facts, rows = results["real-probe"], results["real-probe"]["rows"]
    truth, labels, test, _ = facts["sizes"]
    arms, supervisors, wordings, second, known = (
        [row for row in rows if row["question"] == question]
        for question in ("arms", "supervisors", "wordings", "second", "known")
    )
    parts = [
        f"**Probes.** A linear probe on the mean state of one layer of SmolLM2 learns {labels:,} labels of a bag of "
        f"words that saw {truth:,} true answers; {test:,} test sentences. Layer and regularisation are chosen without "
        "them."
    ]
    for choice in CHOICES:
        own = select(arms, choice=choice)
        parts += [f"Chosen by {choice}:"]
        parts += [_groups(own, "arm", ARMS, (*NUMBERS, "imitation"), (*HEAD, "imitation"), "the student's labels")]
    own = select(arms, choice=CHOICES[0])
    pairs = (*DIFFERENCES, ("random errors", "errors by words"), ("errors by words", "weak labels"))
    parts += ["Differences, paired by seed, chosen by held-out labels:"]
    parts += [_effects(pairs, lambda arm: select(own, arm=arm))]
    parts += ["Other supervisors:", _groups(supervisors, "supervisor", SUPERVISORS, NUMBERS, HEAD, "supervisor")]
    parts += ["Other instructions:"]
    quoted = {
        name: "the task's own" if words is None else f"“{words}”" if words else "none"
        for name, words in WORDINGS.items()
    }
    lines = [_group(select(wordings, wording=name), quoted[name], NUMBERS) for name in WORDINGS]
    parts += [markdown_table(("instruction", *HEAD, f"PGR, {ENDS}", "seeds"), lines)]
    parts += ["The same probes on other kinds of text:", _elsewhere(rows, GRID_ARMS[:-1])]
    lines = [
        [arm, *_group(select(second, arm=arm, supervisor=name), name, NUMBERS)]
        for arm in SECOND_ARMS
        for name in SECOND_SUPERVISORS
    ]
    parts += [f"Another question, `{SECOND}`: is a sentence from the description of a film, or from a review?"]
    parts += [markdown_table(("the student's labels", "supervisor", *HEAD, f"PGR, {ENDS}", "seeds"), lines)]
    lines = [
        [
            row["task"],
            *("" if row[name] is None else f"{row[name]:.3f}" for name in ("accuracy", "commonest")),
            f"{row['perplexity']:.1f}",
            f"{row['by_heart']} of {row['continued']}",
        ]
        for row in known
    ]
    head = ("before any training", "accuracy", "share of its commonest answer", "perplexity", "ended word for word")
    return "\n\n".join([*parts, "What the model knew before:", markdown_table(head, lines)])


def _method_tables(results: Results) -> str:
    facts = results["real-methods"]
    _, labels, test, trusted = facts["sizes"]
    own, of_labels = (select(facts["rows"], question=question) for question in ("methods", "labels"))
    of = {name: select(own, method=name) for name in dict.fromkeys(row["method"] for row in own)}
    columns = ("label_accuracy", AT_END, AT_TRUSTED, "trusted_imitation")
    lines = [
        [name, f"{rows[0]['examples']:,}", *(_ended(mean_of(rows, one), 3) for one in columns)]
        for name, rows in of.items()
    ]
    head = ("the probe learns", "labels", "of these are right", "accuracy at the end of the course",
            f"accuracy where {trusted} trusted examples choose", "imitation of weak errors there")  # fmt: skip

    def along(place: int) -> list[str]:
        """A line of the course: means over seeds of accuracy and imitation, of two probes, at one C."""
        cells = [mean_of([{"it": row["curve"][place][i]} for row in of[name]], "it")
                 for name, i in ((HARD, 1), (HARD, 2), (PROBE_OF_TRUTH, 1))]  # fmt: skip
        return [f"{facts['path'][place]:g}", *(_ended(one, 3) for one in cells)]

    course = ("C", f"accuracy, {HARD}", f"imitation of weak errors, {HARD}", f"accuracy, {PROBE_OF_TRUTH}")
    (learnt,) = (row for row in facts["rows"] if row["question"] == "adaptation")
    says = {name: _ended(mean_of(of_labels, name)) for name in ("ece", "sure", "sure_right", "wrong_sure")}
    return "\n\n".join([
        f"**Methods.** A probe of layer {facts['layer']} learns {labels:,} labels of a bag of words, or what a method "
        f"makes of them; {test:,} test sentences, means with {ENDS}, {len(of[HARD])} seeds. "
        "[Findings](findings.md#how-a-claim-is-tested) says what each method is, and compares each with its control.",
        markdown_table(head, lines),
        "The course of the probe, from strong to weak regularisation:",
        markdown_table(course, [along(place) for place in range(len(facts["path"]))]),
        f"Labels to which the supervisor gives a probability above {SURE}: {says['sure']} of all. How many of these "
        f"are right: {says['sure_right']}. How many of its wrong labels are among them: {says['wrong_sure']}. Its "
        f"expected calibration error: {says['ece']}.",
        f"The adaptation read {facts['adapted to']:,} other reviews once. It took the perplexity of {learnt['texts']} "
        f"reviews that it had not read, which chose its recipe, from {learnt['before']:.0f} to {learnt['after']:.0f}.",
    ])  # fmt: skip


# -- the pages ---------------------------------------------------------------------------------------------------

PLACES = {  # page, from the root of the repository -> name of the place, what stands there, what is around it
    "README.md": ("first result", first_result, "\n"),
    "docs/real_english.md": ("real English", real_english_tables, "\n\n"),
}


def marks(name: str) -> tuple[str, str]:
    """The lines before and after a generated place."""
    return f"<!-- {name}: written by `{COMMAND}` -->", f"<!-- end of {name} -->"


def write_worlds(folder: Path) -> list[Path]:
    """Draw the figure into `folder`, and fill the marked places of the pages beside `data`.

    Returns:
        The files written; nothing is written without the result of `mechanism`, nor on a page without the marks.
    """
    results = read_worlds(folder)
    if "mechanism" not in results:
        return []
    written = [folder / FIGURE]
    with replacing(written[0]) as partial:
        both_worlds_figure(results).savefig(partial, dpi=150, format="png")
    for page, (name, text, gap) in PLACES.items():
        path, (begin, end) = folder.parent.parent / page, marks(name)
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        if begin in old and end in old:
            head, tail = old[: old.index(begin) + len(begin)], old[old.index(end) :]
            with replacing(path) as partial:
                partial.write_text(f"{head}{gap}{text(results)}{gap}{tail}", encoding="utf-8")
            written.append(path)
    return written
