"""What the literature says and what this kit measured, claim by claim: generated from the result files, never typed.

How a claim is tested is written in docs/findings.md: the moments, the verdicts, equivalence, and the families of tests.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_lab.experiments.effects import LEVEL, Effect, difference, equivalence_p, holm_adjusted, markdown_table
from w2s_lab.studies import STUDIES
from w2s_lab.studies.claims import FINDINGS
from w2s_lab.studies.study import CANNOT_TELL, UNMET, Finding, Rows
from w2s_lab.system.files import replacing

BEGIN, END = "<!-- findings: written by `w2s-lab study findings` -->", "<!-- end of findings -->"
HEAD = (
    *("claim", "source", "measured here", "control", "effect at the end, 95 % interval"),
    *("effect that is judged, 95 % interval", "over", "verdict"),
)

BESIDE = ("claim", "pocket world", "real English", "measured there")

Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Judged:
    """A claim and what was measured of it.

    Attributes:
        finding: the claim.
        effect: the effect that the verdict is of.
        verdict: one of the four of docs/findings.md.
        survives: whether the verdict survives Holm's correction for its family.
        why: the reason for the verdict, or the condition that is not met; may be empty.
        end: of the effect of a method, the effect at the end of training, its verdict, and whether that survives.
    """

    finding: Finding
    effect: Effect
    verdict: str
    survives: bool
    why: str
    end: tuple[Effect, str, bool] | None


# -- verdicts ----------------------------------------------------------------------------------------------------


def all_findings() -> tuple[Finding, ...]:
    """The kit's own claims, then those of each registered study."""
    return (*FINDINGS, *(claim for study in STUDIES.values() for claim in study.claims))


def read_results(folder: Path) -> dict[str, dict]:
    """Name -> result, of the studies that the findings need.

    Raises:
        ValueError: a result is missing or cannot be read; the message names the command that makes it.
    """
    found = {}
    for name in sorted({finding.study for finding in all_findings()}):
        path = folder / f"{name}.json"
        try:
            found[name] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{path} is not there. Hint: w2s-lab study {name} --output {folder}") from None
        except ValueError as error:
            raise ValueError(f"{path} cannot be read ({error}). Hint: w2s-lab study {name} --output {folder}") from None
    return found


def rows_of(result: Mapping[str, Any]) -> Rows:
    """The rows of a result file, one for each training and seed."""
    return result["rows"] if "rows" in result else result["seeds"]


def surviving(family: Sequence[tuple[Finding, Effect]]) -> list[bool]:
    """Whether each verdict of a family survives Holm's correction for all its differences and equivalences."""
    tests = [effect.p for _, effect in family] + [_equivalence(*one) for one in family]
    adjusted = holm_adjusted(tests)
    found = []
    for (finding, effect), apart, none in zip(family, adjusted, adjusted[len(family) :], strict=False):
        p = none if effect.verdict == "cannot tell" else apart  # a verdict by its side, or one of equivalence
        found.append(finding.verdict(effect) != CANNOT_TELL and p is not None and p <= LEVEL)
    return found


def _equivalence(finding: Finding, effect: Effect) -> float | None:
    return None if finding.margin is None else equivalence_p(effect, finding.margin)


def judged(results: Results) -> list[Judged]:
    """Every claim with its verdict, in the order of `all_findings`. A family of tests is one world at one moment."""
    claims = [(finding, rows_of(results[finding.study])) for finding in all_findings()]
    unmet = [finding.condition(rows) if finding.condition else "" for finding, rows in claims]
    effects = [finding.measure(rows) for finding, rows in claims]
    ends = [finding.at_end(rows) if finding.at_end else None for finding, rows in claims]
    stars: dict[tuple[int, bool], bool] = {}  # place of the claim, at the end? -> whether the verdict survives
    for world in {finding.world for finding, _ in claims}:
        for at_end, measured in ((False, effects), (True, ends)):
            places = [
                i for i, (f, _) in enumerate(claims) if f.world == world and not unmet[i] and measured[i] is not None
            ]
            family = surviving([(claims[i][0], measured[i]) for i in places])
            stars |= {(i, at_end): star for i, star in zip(places, family, strict=True)}
    found = []
    for i, (finding, _) in enumerate(claims):
        verdict = UNMET if unmet[i] else finding.verdict(effects[i])
        why = unmet[i] or (finding.because[1] if finding.because[0] == verdict else "")
        end = None if ends[i] is None else (ends[i], finding.verdict(ends[i]), stars.get((i, True), False))
        found.append(Judged(finding, effects[i], verdict, stars.get((i, False), False), why, end))
    return found


# -- the tables --------------------------------------------------------------------------------------------------


def over(one: Judged) -> str:
    """What the effect is taken over, such as "7 of 8 seeds"."""
    effect = one.effect
    return f"{effect.n}" + (f" of {effect.n + effect.undefined}" if effect.undefined else "") + f" {one.finding.unit}"


def verdict_text(one: Judged) -> str:
    """The verdict, with a star where it survives; then that at the end of training, where it differs."""
    text = f"**{one.verdict}**{' *' * one.survives}"
    if one.end is None or one.end[1] == one.verdict:
        return text
    return f"{text} (at the end: {one.end[1]}{' *' * one.end[2]})"


def tests_note(own: Sequence[Judged]) -> str:
    """What the star means in the table of one world."""
    met = [one for one in own if one.verdict != UNMET]
    ends = [(one.finding, one.end[0]) for one in met if one.end]
    counts = [
        sum(p is not None for finding, effect in family for p in (effect.p, _equivalence(finding, effect)))
        for family in ([(one.finding, one.effect) for one in met], ends)
    ]
    return (
        f"A star (\\*) marks a verdict that survives Holm's correction for its family: {counts[0]} tests "
        f"(differences and equivalences), and {counts[1]} at the end."
    )


def findings_table(results: Results) -> str:
    """For each world a table in Markdown, one row per claim, and what its stars mean."""
    found = judged(results)
    parts = []
    for world in dict.fromkeys(one.finding.world for one in found):
        own = [one for one in found if one.finding.world == world]
        rows = [
            (
                one.finding.claim,
                one.finding.source,
                one.finding.quantity,
                one.finding.control,
                difference(one.end[0]) if one.end else "",
                difference(one.effect),
                over(one),
                verdict_text(one).replace(" *", " \\*"),
            )
            for one in own
        ]
        parts += [f"**{world[0].upper()}{world[1:]}**"]
        parts += [markdown_table(HEAD, rows), tests_note(own)]
    return "\n\n".join(parts)


def worlds_table(results: Results) -> str:
    """The claims that were measured in both worlds, side by side, in Markdown; empty where there are none."""
    found = {one.finding.claim: one for one in judged(results)}
    pairs = [(found[one.finding.beside], one) for one in found.values() if one.finding.beside in found]
    pairs.sort(key=lambda pair: list(found).index(pair[0].finding.claim))

    def seen(one: Judged) -> str:
        return f"{verdict_text(one)}: {difference(one.effect)}".replace(" *", " \\*")

    rows = [(pocket.finding.claim, seen(pocket), seen(real), real.finding.quantity) for pocket, real in pairs]
    return f"**Both worlds**\n\n{markdown_table(BESIDE, rows)}" if rows else ""


def reasons(results: Results) -> str:
    """The reasons for some of the verdicts, as a list in Markdown."""
    lines = [f"* **{one.finding.claim}** ({one.verdict}). {one.why}" for one in judged(results) if one.why]
    return "\n".join(lines)


def write_findings(folder: Path) -> list[Path]:
    """Put tables and reasons between the marks in `folder/README.md`, and in `docs/findings.md` beside `data`.

    Returns:
        The files written.

    Raises:
        ValueError: a result file is missing, or a page has no marks.
    """
    results = read_results(folder)
    parts = (worlds_table(results), findings_table(results), reasons(results))
    text = f"{BEGIN}\n" + "\n\n".join(part for part in parts if part) + f"\n{END}"
    written = []
    for path in (folder / "README.md", folder.parent.parent / "docs" / "findings.md"):
        if not path.is_file():
            continue
        old = path.read_text(encoding="utf-8")
        if BEGIN not in old or END not in old:
            raise ValueError(f"{path} has no place for the findings; expected the lines {BEGIN!r} and {END!r}")
        new = old[: old.index(BEGIN)] + text + old[old.index(END) + len(END) :]
        with replacing(path) as partial:
            partial.write_text(new, encoding="utf-8")
        written.append(path)
    return written
