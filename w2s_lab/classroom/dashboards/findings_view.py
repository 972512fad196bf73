"""Claims of the literature and what was measured here, as a table to choose from: generated from the result files."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from w2s_lab import assets
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, table
from w2s_lab.experiments.effects import Effect, difference
from w2s_lab.studies.findings import Finding, measured, read_results

SIGN = {"reproduced": "✓", "not reproduced": "✗", "cannot tell here": "?"}
ALL = "all"


def findings_view(about: Sequence[str] = (), results: Mapping[str, Mapping[str, Any]] | None = None) -> Panel:
    """The findings table, with a menu of verdicts.

    Args:
        about: words in lower case; a claim is shown if it contains one of them; empty: all claims. A claim that begins
            with "The same" is shown together with the claim before it.
        results: what `studies.findings.read_results` returns; None: the results shipped with the kit.

    Raises:
        ValueError: no claim has one of the words.
    """
    found = list(_about(measured(read_results(assets.RESULTS) if results is None else results), about))
    if not found:
        raise ValueError(f"findings_view: no claim is about {', '.join(about)}; expected words such as 'confidence'")

    def draw(verdict: str) -> View:
        own = [(finding, effect) for finding, effect in found if verdict in (ALL, finding.verdict(effect))]
        counts = {name: sum(f.verdict(e) == name for f, e in found) for name in SIGN}
        says = f"{len(found)} claims: " + ", ".join(f"{n} {name}" for name, n in counts.items()) + "."
        says += "" if verdict == ALL else f" Shown: {len(own)}."
        return View(says, html=table(("claim", "measured here", "effect, 95 % interval", "verdict"), _cells(own)))

    options = [("all", ALL), *((f"{SIGN[name]} {name}", name) for name in SIGN)]
    return Panel("Claims and what was measured here", {"verdict": choice("Verdict", options)}, draw)


def _about(pairs: Sequence[tuple[Finding, Effect]], words: Sequence[str]) -> Iterator[tuple[Finding, Effect]]:
    wanted = False
    for finding, effect in pairs:
        if not finding.claim.startswith("The same"):
            wanted = not words or any(word in finding.claim.lower() for word in words)
        if wanted:
            yield finding, effect


def _cells(pairs: Sequence[tuple[Finding, Effect]]) -> list[tuple[str, ...]]:
    rows = []
    for finding, effect in pairs:
        verdict = finding.verdict(effect)
        why = finding.because[1] if finding.because[0] == verdict else ""
        rows.append(
            (
                f"{escape(finding.claim)} <i>({escape(finding.source)})</i>",
                escape(finding.quantity),
                f"{difference(effect)}<br>{effect.n} {finding.unit}",
                f"<b>{SIGN[verdict]} {verdict}</b>{f'<br>{escape(why)}' if why else ''}",
            )
        )
    return rows
