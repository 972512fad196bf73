"""What a page of widgets leaves out for people who use the keyboard, a screen reader, a narrow window or a dark page.

ipywidgets give the handle of a slider no name, and Jupyter takes the arrow keys of a menu to move to another cell. Both
can be mended only in the page. So each panel, quiz and guess bears the class CLASS and has CARE in its HTML: a style,
and a script that runs once a page. Where a host removes scripts, everything else works as before.
"""

from html import escape
from pathlib import Path

CLASS = "w2s"
OPTION = "w2s-option"  # a row of a box and of the words that are its name

_STYLE, _SCRIPT = (Path(__file__).with_name(f"care.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
CARE = f'<style onload="{escape(_SCRIPT)}">{_STYLE}</style>'  # a script element inside of a widget would not run
