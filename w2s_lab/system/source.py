"""A digest of what an object of a user's class does, or the reason why that cannot be determined.

The digest covers the source of the class's methods and of its bases; of the functions, classes and constants that this
source uses, and of what these use in turn; default values; and the object's fields. Installed code (Python, torch, this
package) counts by its name only, so the digest does not depend on its version. Where something cannot be read, there is
no digest, because it could be wrong: source that was typed into a plain Python prompt or has changed on disk since it
was imported, and values such as arrays or opened files.
"""

import ast
import builtins
import dis
import hashlib
import importlib.metadata
import inspect
import linecache
import re
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

CONSTANTS = (bool, int, float, complex, str, bytes, type(None))
GENERATED = {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__lt__", "__le__", "__gt__",
             "__ge__", "__replace__"}  # fmt: skip
ANNOTATIONS = ("__annotate__", "__annotate_func__")  # functions of Python 3.14, over the class's own namespace
INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
PACKAGE = __name__.partition(".")[0]


class UnknownSource(ValueError):
    """It cannot be determined what an object does; the message says why."""


def source_digest(value: Any) -> str:
    """The digest (16 hexadecimal digits) of what `value`, an object of a user's class, does.

    Raises:
        UnknownSource: its source, or something that it uses, cannot be read.
    """
    return hashlib.sha256("\n".join(_parts(value, type(value).__name__, set())).encode()).hexdigest()[:16]


def facts_of(value: Any) -> dict:
    """What an object of a user's is, as plain JSON values: its class or function, and what can be told of it.

    An object with `get_params`, as in scikit-learn, has `params` (all of them, those of its parts too, as texts) and
    the versions of its package; others have `source`, their digest, or None where there is none.
    """
    if not hasattr(value, "get_params"):
        function = inspect.isroutine(value)
        named = {"function": _full_name(value)} if function else {"class": _full_name(type(value))}
        return named | {"source": _digest_or_none(value)}
    projects = importlib.metadata.packages_distributions().get(type(value).__module__.partition(".")[0], [])
    params = {
        name: facts_of(part) if inspect.isroutine(part) else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(part))
        for name, part in value.get_params(deep=True).items()
    }
    versions = {project: importlib.metadata.version(project) for project in sorted({*projects})}
    return {"class": _full_name(type(value)), "params": params, **versions}


def _full_name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', None) or 'builtins'}.{thing.__qualname__}"


def _digest_or_none(value: Any) -> str | None:
    try:
        return source_digest(value)
    except UnknownSource:
        return None


def _parts(value: Any, name: str, seen: set[int]) -> Iterator[str]:
    """Texts that describe a value completely; each function and class is described once."""
    if isinstance(value, CONSTANTS):
        yield f"{name} = {value!r}"
    elif isinstance(value, tuple | list):
        yield f"{name}: {type(value).__name__} of {len(value)}"
        for place, one in enumerate(value):
            yield from _parts(one, f"{name}[{place}]", seen)
    elif isinstance(value, dict):
        yield f"{name}: dict of {len(value)}"
        for key, one in value.items():
            yield from _parts(one, f"{name}[{key!r}]", seen)
    elif isinstance(value, set | frozenset) and all(isinstance(one, CONSTANTS) for one in value):
        yield f"{name}: {sorted(map(repr, value))}"
    elif isinstance(value, ModuleType | BuiltinFunctionType | FunctionType | type) and _installed(value):
        yield f"{name}: {getattr(value, '__module__', '')} {getattr(value, '__qualname__', value.__name__)}"
    elif isinstance(value, FunctionType | type):
        yield f"{name}: {value.__name__}"
        if id(value) not in seen:
            seen.add(id(value))
            yield from (_function if isinstance(value, FunctionType) else _class)(value, seen)
    elif isinstance(value, staticmethod | classmethod):
        yield from _parts(value.__func__, name, seen)
    elif isinstance(value, property):
        for part in (value.fget, value.fset):
            yield from _parts(part, name, seen)
    elif is_dataclass(value):
        yield from _parts(type(value), name, seen)
        for field in fields(value):
            yield from _parts(getattr(value, field.name), f"{name}.{field.name}", seen)
    else:
        kind = f"the module {value.__name__}" if isinstance(value, ModuleType) else f"a {type(value).__name__}"
        hint = ". Hint: import the function itself" if isinstance(value, ModuleType) else ""
        raise UnknownSource(f"{name} is {kind}, and what is in it cannot be told{hint}")


def _class(kind: type, seen: set[int]) -> Iterator[str]:
    for base in kind.__bases__:
        yield from _parts(base, "base", seen)
    for name, value in vars(kind).items():
        method = isinstance(value, FunctionType | staticmethod | classmethod | property)
        if isinstance(value, MemberDescriptorType) or name == "_abc_impl" or (name[:2] == "__" and not method):
            continue
        if name in ANNOTATIONS:
            continue
        if name in GENERATED and isinstance(value, FunctionType) and value.__code__.co_filename in _dataclass_files():
            continue
        yield from _parts(value, name, seen)


@lru_cache(maxsize=1)
def _dataclass_files() -> tuple[str, ...]:
    """The file names in the code of the methods that `@dataclass` generates."""
    import dataclasses
    import reprlib

    return "<string>", dataclasses.__file__, reprlib.__file__


def _function(function: FunctionType, seen: set[int]) -> Iterator[str]:
    """A function's source, and all that it looks up: globals, variables of functions around it, default values."""
    code = function.__code__
    yield _source(function)
    yield from _parts(function.__defaults__, "defaults", seen)
    yield from _parts(function.__kwdefaults__, "defaults", seen)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield from _parts(cell.cell_contents, name, seen)
    for name in sorted(_globals(code)):
        if name in function.__globals__:
            yield from _parts(function.__globals__[name], name, seen)
        elif not hasattr(builtins, name):
            yield f"{name} is not there"


def _globals(code: CodeType) -> set[str]:
    """Names that a function, or a function inside it, looks up in its module."""
    found = {one.argval for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return found.union(*(_globals(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def _source(function: FunctionType) -> str:
    """The source text of a function; raises UnknownSource unless the function was compiled from this text."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, function.__globals__)
    if not lines:
        raise UnknownSource(f"the source of {function.__qualname__} cannot be read")
    if code not in _codes("".join(lines), code.co_filename):
        raise UnknownSource(f"the source of {function.__qualname__} has changed since it was imported")
    return textwrap.dedent("".join(inspect.getblock(lines[code.co_firstlineno - 1 :])))


@lru_cache(maxsize=16)
def _codes(text: str, file: str) -> frozenset[CodeType]:
    """Every function's code in a file, or in a notebook's cell, which IPython compiles statement by statement."""
    try:
        tree = ast.parse(text)
        parts = [tree, *(ast.Module([statement], []) for statement in tree.body)]
        found = [compile(part, file, "exec", dont_inherit=True) for part in parts]
    except (SyntaxError, ValueError):
        return frozenset()
    for code in found:  # `found` grows during this loop
        found += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return frozenset(found)


def _installed(value: Any) -> bool:
    """Whether a value belongs to Python, an installed package, or this package."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or "builtins"
    if name == "__main__":  # its file may be that of an installed program, such as pytest
        return False
    if name.partition(".")[0] in (PACKAGE, *sys.stdlib_module_names):
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and any(Path(file).is_relative_to(folder) for folder in INSTALLED)
