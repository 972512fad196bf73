"""The pages of the API reference: a list of the public names, and a page for every module that they are from.

No file is written: a module's page stands in the place of its source, and the list behind the heading of api/index.rst.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import w2s_lab

FACES = ("w2s_lab", "w2s_lab.classroom")
PACKAGE = Path(w2s_lab.__file__).parent


def public(face: str) -> Iterator[tuple[str, str]]:
    """(name, module that it is from) of everything that a face's stub hands on; a module is from itself."""
    folder = PACKAGE.joinpath(*face.split(".")[1:])
    for node in ast.parse((folder / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module != "version":
            base = ".".join(filter(None, (face, node.module)))
            for alias in node.names:
                name = f"{base}.{alias.name}"
                is_module = inspect.ismodule(getattr(importlib.import_module(face), alias.name))
                yield alias.name, name if is_module else base


def page_of(module: str) -> str:
    """The name of a module's page: its source, from the clone's root on, without the ending."""
    source = Path(importlib.import_module(module).__file__)
    return source.relative_to(PACKAGE.parent).with_suffix("").as_posix()


def pages() -> dict[str, str]:
    """Name of a page -> module, for every module that a public name is from."""
    return {page_of(module): module for face in FACES for _, module in public(face)}


def page(module: str) -> str:
    """A module's page, as reStructuredText."""
    return f"{_heading(module, '=')}\n.. automodule:: {module}\n"


def listed() -> str:
    """Every public name in one line, and the pages, as reStructuredText."""
    text = ""
    for face in FACES:
        short = {"w2s_lab": "w2s", "w2s_lab.classroom": "room"}[face]
        imported = {"w2s": "import w2s_lab as w2s", "room": "from w2s_lab import classroom as room"}[short]
        rows = [_heading(face, "-"), f"After ``{imported}``:\n", ".. list-table::\n"]
        for name, module in sorted(public(face), key=lambda pair: pair[0].lower()):
            found = getattr(importlib.import_module(face), name)
            target = f":py:obj:`{short}.{name} <{module}.{name}>`"
            if inspect.ismodule(found):
                target = f":py:mod:`{short}.{name} <{module}>`"
            rows += [f"   * - {target}", f"     - {_escaped((inspect.getdoc(found) or '').split(chr(10) * 2)[0])}"]
        text += "\n".join(rows) + "\n\n"
    by_module = sorted(pages().items(), key=lambda pair: pair[1])
    return text + ".. toctree::\n   :hidden:\n\n" + "".join(f"   {module} </{name}>\n" for name, module in by_module)


def plain(app, what, name, found, options, lines: list[str]) -> None:
    """A docstring is prose with `names` in it: no other sign in it is markup, in particular not Pr(y|x) and *."""
    text = inspect.cleandoc("\n".join(lines))
    # What is indented after a colon and an empty line is code, as is what stands between two lines of ```.
    text = re.sub(r":\n\n(?= {4})", "::\n\n", text)
    text = re.sub(r"^```\n(.*?)^```$", lambda code: "::\n\n" + indent(code[1], "    "), text, flags=re.M | re.S)
    lines[:], code = [], False
    for line in text.splitlines():
        code = (code and (not line or line.startswith("    "))) or line.endswith("::")
        lines.append(line if code else _escaped(line))


def _escaped(text: str) -> str:
    bullet, rest = re.match(r"(\s*\* )?(.*)", text.replace("\n", " ")).groups()
    parts = re.split(r"(`+[^`]*`+)", rest)
    return (bullet or "") + "".join(
        part if part.startswith("`") else re.sub(r"([\\*|]|_(?!\w))", r"\\\1", part) for part in parts
    )


def _heading(text: str, under: str) -> str:
    return f"{text}\n{under * len(text)}\n"
