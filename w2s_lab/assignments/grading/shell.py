"""IPython's shell, the one that runs cells in Jupyter, for a machine where nobody looks and nothing else is started."""

import ast
import re
from collections.abc import Callable

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList
from traitlets.config import Config

# Magics for the machine of their author: they start another program, or choose where figures are shown.
FOR_THE_MACHINE = {
    *("!", "sx", "system", "script", "bash", "sh", "cmd", "perl", "ruby", "pypy", "python", "python2", "python3"),
    *("pip", "conda", "mamba", "micromamba", "uv", "matplotlib", "debug", "edit"),
}
# Magics that run the student's own code: what it raises ends the cell. Others that fail are passed over.
RUNS_CODE = {"time", "timeit", "prun", "run", "capture"}
REPEATS = re.compile(r"(?<!\S)-[nr]\s*\d+")  # options of %timeit


class Shell(InteractiveShell):
    """Runs cells with all that they have in Jupyter: magics, `await`, `display`, `In`, `Out` and `_`.

    Nothing is shown. A magic that is for the author's machine, is not installed here or fails is passed over, so that
    the code below it runs.

    Attributes:
        announce: called with the number of a cell's statements that have run to their end, before each but the first.
        most: how many statements of a cell may run; None: all.
    """

    announce: Callable[[int], None] = staticmethod(lambda ended: None)
    most: int | None = None
    _ended: int | None = None  # statements of the cell at work; None: inside one of them

    @classmethod
    def new(cls) -> "Shell":
        """A shell with a namespace of its own, the one that `get_ipython()` gives from now on."""
        cls.clear_instance()
        shell = cls.instance(config=Config(HistoryManager={"enabled": False}))
        shell.display_formatter.active_types = ["text/plain"]
        return shell

    async def run_cell_async(self, raw_cell: str, *arguments: object, **options: object):
        self._ended = 0
        return await super().run_cell_async(raw_cell, *arguments, **options)

    async def run_code(self, code_obj: object, result: object = None, *, async_: bool = False) -> bool:
        """Run one statement; returns whether the cell ends here."""
        if self._ended is None:  # a cell inside a cell, below %%capture
            return await super().run_code(code_obj, result, async_=async_)
        if self._ended == self.most:
            return True
        if self._ended:
            self.announce(self._ended)
        ended, self._ended = self._ended, None
        try:
            return await super().run_code(code_obj, result, async_=async_)
        finally:
            self._ended = ended + 1

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> object:
        if magic_name in FOR_THE_MACHINE:
            return None
        line = f"-n1 -r1 {REPEATS.sub('', line)}" if magic_name == "timeit" else line
        try:
            return super().run_line_magic(magic_name, line, _stack_depth + 1)
        except Exception:
            if magic_name in RUNS_CODE:
                raise
            return None

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> object:
        if magic_name in FOR_THE_MACHINE:
            return None
        if magic_name == "timeit":  # once, and not in a function of its own, which would keep what it defines
            magic_name, line = "time", ""
        if self.find_cell_magic(magic_name) is None and _is_python(cell):  # of a package that is not here
            return self.run_cell(cell)
        try:
            return super().run_cell_magic(magic_name, line, cell)
        except Exception:
            if magic_name in RUNS_CODE:
                raise
            return None

    def system(self, cmd: str) -> None:
        """`!command` does nothing."""

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> SList | str:
        """`lines = !command` finds no line."""
        return SList() if split else ""

    def showtraceback(self, *_: object, **__: object) -> None:
        """Errors are not shown: drawing them takes long."""

    showsyntaxerror = showtraceback

    def _format_exception_for_storage(self, *_: object, **__: object) -> dict:
        """Nor are they written into a history (20 ms each)."""
        return {}

    def enable_gui(self, gui: str | None = None) -> None:
        """There is no window."""


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
