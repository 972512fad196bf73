"""Writes the feedback page of a student: as Markdown, and as HTML in one file that loads nothing from a network.

Everything that comes from a submission (names, errors, values) is escaped. Of a hidden check, a student learns the
name, whether it is met, and the hint; never its call, its values or the expected value (see `exports.told`).
"""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from w2s_lab.assignments.grading.submissions import file_stems
from w2s_lab.assignments.marks.csv_files import number_text, points_text, printable
from w2s_lab.assignments.marks.exports import told, unread
from w2s_lab.assignments.records import UNREAD, Assignment, Marks, Question, Result
from w2s_lab.system.files import replacing

CALL_SHOWN = 160  # letters: a longer call of a public check is not repeated; it stands in the student's notebook
SIGN = {"right": "✓", "wrong": "✗", "failed": "✗", UNREAD: "…"}
WORD = {"right": "met", "wrong": "not met", "failed": "no answer", UNREAD: "still to read"}


# -- what is said ------------------------------------------------------------------------------------------------------


def opening(assignment: Assignment, marks: Marks) -> str:
    """One or two sentences that sum up this submission, from its points alone."""
    waiting = unread(marks)
    open_points = sum(result.of for result in marks.results if result.state == UNREAD)
    last = f" {points_text(open_points)} are still open: a person reads what you wrote in words." if waiting else ""
    within_reach = marks.of - open_points
    if not marks.results or (not marks.points and all(result.state == "failed" for result in marks.results)):
        return "Nothing could be run yet. What is said below is the place to start; it is often one small thing." + last
    if marks.points >= within_reach - 1e-9:
        return ("All checks are met. Well done!" if within_reach else "Thank you for your answers.") + last
    full = [q for q in assignment.questions if q.name not in waiting and _is_full(marks, q)]
    asked = len(assignment.questions) - len(waiting)
    if full:
        start = f"{len(full)} of {asked} questions {'is' if len(full) == 1 else 'are'} right in full."
    elif marks.points:
        start = "Parts of it work."
    else:
        start = "The notebook runs, and no check is met yet."
    return f"{start} For the others, what is said below tells you where to look.{last}"


def _is_full(marks: Marks, question: Question) -> bool:
    points, of = marks.question(question.name)
    return bool(of) and points >= of - 1e-9


def _own(marks: Marks, question: Question) -> list[Result]:
    return [result for result in marks.results if result.question == question.name]


def _call(assignment: Assignment, result: Result) -> str:
    """The call of a public check that is not met; "" if the check is hidden or the call was said already."""
    for check in assignment.checks_of(result.question):
        if check.name == result.check and not check.hidden and not result.hidden and result.state != "right":
            said = check.call in (result.check, *re.findall("`([^`]*)`", result.says)) or check.call in result.says
            return "" if said or len(check.call) > CALL_SHOWN else check.call
    return ""


def _reads(question: Question, result: Result) -> str:
    """What is written beside the sign of an answer in words."""
    if result.state == UNREAD:
        return "A person reads this answer; its points come later."
    if result.state == "failed":
        return "No answer was found."
    return f"Read by a person: {number_text(result.points)} of {points_text(result.of)}."


def _same_reason(assignment: Assignment, results: Sequence[Result]) -> str:
    """Why none of a question's checks gave a value, if all have the same reason; else ""."""
    reasons = {told(assignment, result) if result.state == "failed" else "" for result in results}
    return reasons.pop() if len(reasons) == 1 and len(results) > 1 else ""


def _title(question: Question) -> str:
    return question.title or question.name


# -- Markdown ----------------------------------------------------------------------------------------------------------


def markdown_escaped(text: str) -> str:
    """`text` for the inside of a line of Markdown: shown as it is, no link, no HTML, no formula, no list."""
    text = re.sub(r"([\\`*_{}\[\]<>#|~&!$^=])", r"\\\1", " ".join(printable(text).split()))
    text = re.sub(r"(?i)(:)(?=//)|(?<=www)(\.)|(@)", r"\\\g<0>", text)  # no links where bare addresses become links
    return re.sub(r"^([-+]|\d+(?=[.)]))", lambda found: _start(found[0]), text)


def _start(text: str) -> str:
    return "\\" + text if text in "-+" else text + "\\"


def markdown_said(text: str) -> str:
    """The same, but text between backticks is shown as code."""
    pieces = re.split("(`[^`]+`)", " ".join(printable(text).split()))
    return "".join(piece if i % 2 else _inner(piece, first=not i) for i, piece in enumerate(pieces))


def _inner(piece: str, *, first: bool) -> str:
    """A piece of a line, escaped; spaces at its ends are kept, since code may follow."""
    before, after = piece[: len(piece) - len(piece.lstrip())], piece[len(piece.rstrip()) :]
    if not piece.strip():
        return piece
    escaped = markdown_escaped(piece if first else "x" + piece.strip())
    return before + (escaped if first else escaped[1:]) + after


def feedback_markdown(assignment: Assignment, marks: Marks) -> str:
    """The feedback on one submission as Markdown: total, then question by question what is met and what is not."""
    say = markdown_escaped
    lines = [f"# {say(assignment.title or assignment.name)}", "", f"Student: {say(marks.student)}  "]
    lines += [f"File: {say(marks.file)}", "", f"**{number_text(marks.points)} of {points_text(marks.of)}**", ""]
    lines += [opening(assignment, marks), ""]
    if marks.notes:
        lines += ["## About your notebook", "", *(f"* {markdown_said(note)}" for note in marks.notes), ""]
    for question in assignment.questions:
        points, of = marks.question(question.name)
        results = _own(marks, question)
        waits = any(result.state == UNREAD for result in results)
        earned = (
            f"{number_text(of)} to be read"
            if waits
            else f"{number_text(points)} of {points_text(of or question.points)}"
        )
        lines += [f"## {say(_title(question))}: {earned}", ""]
        if reason := _same_reason(assignment, results):
            lines.append(f"* {SIGN['failed']} **{WORD['failed']}**: {markdown_said(reason)}")
            lines.append(f"  * {len(results)} checks: {', '.join(say(result.check) for result in results)}")
        else:
            lines += [line for result in results for line in _markdown_result(assignment, question, result)]
        lines += [] if results else ["* Nothing of this question was found."]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _markdown_result(assignment: Assignment, question: Question, result: Result) -> list[str]:
    say = markdown_escaped
    if question.by_hand:
        return [f"* {SIGN[UNREAD]} {_reads(question, result)}", *_under(markdown_said(told(assignment, result)))]
    kind = " (hidden check)" if result.hidden else ""
    head = f"* {SIGN[result.state]} **{WORD[result.state]}**: {say(result.check)}{kind}, {_of(result)}"
    if result.state == "right":
        return [head]
    call = _call(assignment, result)
    says = [markdown_said(f"Called: `{call}`") if call else "", markdown_said(told(assignment, result))]
    return [head, *(line for text in says for line in _under(text)), *_under(markdown_said(result.hint), "Hint: ")]


def _of(result: Result) -> str:
    return f"{number_text(result.points)} of {points_text(result.of)}"


def _under(text: str, before: str = "") -> list[str]:
    return [f"  * {before}{text}"] if text else []


# -- HTML --------------------------------------------------------------------------------------------------------------

# Blue is met and orange is not, beside a sign and a word; nothing is loaded, and the page may load nothing.
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --ink: #1d2329; --soft: #55606b; --paper: #f4f5f7; --card: #fff; --line: #d9dde2;
  --met: #0072b2; --not: #a84300; --bar: #d55e00; --wash: #fff4ec; --track: #e3e6ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #a9b2bc; --paper: #14171a; --card: #1e2226;
  --line: #363c43; --met: #56b4e9; --not: #f0a060; --bar: #e07b2c; --wash: #2b221b; --track: #363c43; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 1.0625rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; line-height: 1.3; margin: 0; flex: 1 1 12rem; }
p { margin: .4rem 0; }
.soft { color: var(--soft); }
.small { font-size: .9375rem; }
section, header { background: var(--card); border: 1px solid var(--line); border-radius: .7rem;
  padding: 1rem 1.1rem; margin: 0 0 1rem; break-inside: avoid; }
.total { font-size: 2.6rem; line-height: 1.1; font-weight: 700; margin: .9rem 0 .1rem; }
.total small { font-size: 1.15rem; font-weight: 400; color: var(--soft); }
.head { display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline; }
.points { font-weight: 600; white-space: nowrap; }
.bar { height: .55rem; border-radius: .3rem; background: var(--track); overflow: hidden; margin: .5rem 0 .7rem; }
.bar span { display: block; height: 100%; background: var(--met); }
.check { border-left: .3rem solid var(--bar); background: var(--wash); border-radius: .3rem;
  padding: .5rem .8rem; margin: .6rem 0; }
.check.waits { border-color: var(--soft); background: none; }
.once { white-space: nowrap; }
.state { font-weight: 700; color: var(--not); white-space: nowrap; }
.waits .state { color: var(--soft); }
.hint { margin-top: .4rem; }
.met { color: var(--met); font-weight: 600; }
code { font: .92em/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.says { white-space: pre-wrap; }
details { margin-top: .5rem; }
summary { cursor: pointer; padding: .15rem 0; }
ul { margin: .3rem 0 0; padding-left: 1.3rem; }
footer { color: var(--soft); font-size: .9375rem; }
@media print { body { background: #fff; } section, header { border-color: #bbb; } }
</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def feedback_html(assignment: Assignment, marks: Marks) -> str:
    """The feedback on one submission as one self-contained page, readable on a phone and in print."""
    title = _text(assignment.title or assignment.name)
    parts = [_header(assignment, marks, title)]
    if marks.notes:
        notes = "".join(f'<li class="says">{_text(note)}</li>' for note in marks.notes)
        parts.append(f'<section><div class="head"><h2>About your notebook</h2></div><ul>{notes}</ul></section>')
    parts += [_section(assignment, marks, question) for question in assignment.questions]
    footer = "Hidden checks try other inputs than those in your notebook; their hints say what they look at."
    if any(result.hidden for result in marks.results):
        parts.append(f"<footer><p>{footer}</p></footer>")
    return PAGE.substitute(title=title, body="\n".join(parts))


def _text(text: str) -> str:
    return escape(printable(text), quote=True)


def _bar(points: float, of: float) -> str:
    """The same as the number beside it, so it is not read out."""
    share = 100 * min(1.0, max(0.0, points / of)) if of else 0
    return f'<div class="bar" aria-hidden="true"><span style="width: {share:.1f}%"></span></div>'


def _header(assignment: Assignment, marks: Marks, title: str) -> str:
    who = [marks.file] if marks.student in marks.file else [marks.student, marks.file]
    who = f'<p class="soft small">{" · ".join(f"<bdi>{_text(name)}</bdi>" for name in who)}</p>'
    total = f'<p class="total">{number_text(marks.points)} <small>of {points_text(marks.of)}</small></p>'
    said = f"<p>{_text(opening(assignment, marks))}</p>"
    return f"<header><h1>{title}</h1>{who}{total}{_bar(marks.points, marks.of)}{said}</header>"


def _section(assignment: Assignment, marks: Marks, question: Question) -> str:
    results, (points, of) = _own(marks, question), marks.question(question.name)
    waits = any(result.state == UNREAD for result in results)
    of = of or question.points
    earned = f"{points_text(of)} to be read" if waits else f"{number_text(points)} of {points_text(of)}"
    name = f' <span class="soft small"><code>{_text(question.name)}</code></span>' if question.title else ""
    title = _text(_title(question)) if question.title else f"<code>{_text(question.name)}</code>"
    parts = [f'<div class="head"><h2>{title}{name}</h2><span class="points">{earned}</span></div>', _bar(points, of)]
    if question.by_hand:
        parts += [_read_by_hand(assignment, question, result) for result in results]
    elif reason := _same_reason(assignment, results):
        state = f'<span class="state"><span aria-hidden="true">{SIGN["failed"]}</span> {WORD["failed"]}</span>'
        says = f'<p class="says">{state}: <bdi>{_code_marked(reason)}</bdi></p>'
        names = ", ".join(_text(result.check) for result in results)
        parts.append(f'<div class="check">{says}<p class="soft small">{len(results)} checks: {names}</p></div>')
    else:
        parts += [_check(assignment, result) for result in results if result.state != "right"]
        parts.append(_met([result for result in results if result.state == "right"], len(results)))
    parts += [] if results else ['<p class="check">Nothing of this question was found.</p>']
    return f"<section>{''.join(parts)}</section>"


def _read_by_hand(assignment: Assignment, question: Question, result: Result) -> str:
    says = told(assignment, result)
    comment = f'<p class="says"><bdi>{_text(says)}</bdi></p>' if says else ""
    return f'<div class="check waits"><p>{_reads(question, result)}</p>{comment}</div>'


def _check(assignment: Assignment, result: Result) -> str:
    kind = ' <span class="soft small">(hidden check)</span>' if result.hidden else ""
    state = f'<span class="state"><span aria-hidden="true">{SIGN[result.state]}</span> {WORD[result.state]}</span>'
    head = f'{state}: {_text(result.check)}{kind} <span class="soft small once">{_of(result)}</span>'
    call, says = _call(assignment, result), told(assignment, result)
    lines = [f"<p>{head}</p>", f"<p><code>{_text(call)}</code></p>" if call else ""]
    lines.append(f'<p class="says"><bdi>{_code_marked(says)}</bdi></p>' if says else "")
    lines.append(f'<p class="hint"><strong>Hint:</strong> {_code_marked(result.hint)}</p>' if result.hint else "")
    return f'<div class="check">{"".join(lines)}</div>'


def _code_marked(text: str) -> str:
    """Escaped; what stands between backticks as code."""
    return re.sub("`([^`\n]+)`", r"<code>\1</code>", _text(text))


def _met(results: Sequence[Result], checks: int) -> str:
    if not results:
        return ""
    names = "".join(f"<li>{_text(r.check)}{' (hidden check)' if r.hidden else ''}</li>" for r in results)
    count = f"all {checks}" if len(results) == checks > 1 else f"{len(results)} of {checks}"
    checked = f'<span class="met">{SIGN["right"]} {count} check{"" if checks == 1 else "s"} met</span>'
    return f"<details><summary>{checked}</summary><ul>{names}</ul></details>"


# -- files -------------------------------------------------------------------------------------------------------------


def write_feedback(assignment: Assignment, marks: Sequence[Marks], folder: Path) -> list[tuple[Path, Path]]:
    """`STUDENT.html` and `STUDENT.md` for each submission; returns both paths in the order of `marks`."""
    written = []
    for one, stem in zip(marks, file_stems(marks), strict=True):
        pair = Path(folder) / f"{stem}.html", Path(folder) / f"{stem}.md"
        for path, make in zip(pair, (feedback_html, feedback_markdown), strict=True):
            with replacing(path) as new:
                new.write_text(make(assignment, one), encoding="utf-8")
        written.append(pair)
    return written
