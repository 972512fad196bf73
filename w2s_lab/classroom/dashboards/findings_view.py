"""Claims of the literature and what was measured here, as a table to choose from: generated from the result files."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from w2s_lab import assets
from w2s_lab.classroom.toolkit.panel import HYPHEN, Panel, View, choice, table
from w2s_lab.classroom.toolkit.svg import MINUS
from w2s_lab.experiments.effects import difference
from w2s_lab.studies.findings import Judged, judged, over, read_results, verdict_text
from w2s_lab.studies.study import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED, UNMET

SIGN = {REPRODUCED: "✓", NOT_REPRODUCED: "✗", CANNOT_TELL: "?", UNMET: "–"}
ALL = "all"
# A narrow page scrolls it, and a live panel its rows.
WIDE = '<div class="w2s-long" style="overflow-x:auto"><div style="min-width:640px">{}</div></div>'
STAR = "A star marks what survives Holm's correction for all tests of its world at that moment."


def findings_view(about: Sequence[str] = (), results: Mapping[str, Mapping[str, Any]] | None = None) -> Panel:
    """The findings table, with a menu of verdicts.

    Args:
        about: words in lower case; a claim is shown if it contains one of them; empty: all claims. A claim that begins
            with "The same" is shown together with the claim before it.
        results: what `studies.findings.read_results` returns; None: the results shipped with the kit.

    Raises:
        ValueError: no claim has one of the words.
    """
    found = list(_about(judged(read_results(assets.RESULTS) if results is None else results), about))
    if not found:
        raise ValueError(f"findings_view: no claim is about {', '.join(about)}; expected words such as 'confidence'")

    def draw(verdict: str) -> View:
        own = [one for one in found if verdict in (ALL, one.verdict)]
        counts = {name: sum(one.verdict == name for one in found) for name in SIGN}
        says = f"{len(found)} claims: " + ", ".join(f"{n} {name}" for name, n in counts.items()) + "."
        says += "" if verdict == ALL else f" Shown: {len(own)}."
        head = ("claim", "measured here", "effect at the end", "effect that is judged", "verdict")
        return View(f"{says} {STAR}", html=WIDE.format(table(head, _cells(own))))

    options = [("all", ALL), *((f"{SIGN[name]} {name}", name) for name in SIGN)]
    return Panel("Claims and what was measured here", {"verdict": choice("Verdict", options)}, draw)


def _about(claims: Sequence[Judged], words: Sequence[str]) -> Iterator[Judged]:
    wanted = False
    for one in claims:
        claim = one.finding.claim
        if not claim.startswith("The same"):
            wanted = not words or any(word in claim.lower() for word in words)
        if wanted:
            yield one


def _cells(claims: Sequence[Judged]) -> list[tuple[str, ...]]:
    rows = []
    for one in claims:
        finding, verdict = one.finding, verdict_text(one).replace("**", "")
        against = f"<br>minus {escape(finding.control)}" if finding.control else ""
        rows.append(
            (
                f"{escape(finding.claim)} <i>({escape(finding.source)})</i>",
                f"{escape(finding.quantity)}{against}",
                difference(one.end[0]) if one.end else "",
                f"{difference(one.effect)}<br>{over(one)}",
                f"<b>{SIGN[one.verdict]} {escape(verdict)}</b>{f'<br>{escape(one.why)}' if one.why else ''}",
            )
        )
    return [tuple(HYPHEN.sub(MINUS, cell) for cell in row) for row in rows]
