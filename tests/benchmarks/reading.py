"""How long it takes to read a file of N rows, and to find the near duplicates of N texts among N others.

    python -m tests.benchmarks.reading --rows 1000,10000,100000 --json data/results/reading.json

The rows are made-up inputs with SST-2's lengths. Exponents are slopes on logarithmic axes, as in growth.py: from each
size to the next, since what grows fastest shows at the end.
"""

import csv
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from w2s_lab.data.sources import read_examples, write_examples
from w2s_lab.methods.flywheel import NEAR_DUPLICATE
from w2s_lab.methods.proposals import without_near_duplicates
from w2s_lab.records import Example

from .common import arguments, numbers, save, synthetic, timed
from .growth import fit


def as_csv(examples: Sequence[Example], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("instruction", "input", "answer"))
        rows.writerows((e.instruction, e.input, e.answer) for e in examples)
    return path


def jobs(rows: int, folder: Path) -> dict[str, Callable[[], int]]:
    """What is timed -> a call of it, which returns how many rows or texts it kept."""
    examples = synthetic(2 * rows)
    texts, pool = [e.input for e in examples[:rows]], [e.input for e in examples[rows:]]
    table, lines = as_csv(examples[:rows], folder / f"{rows}.csv"), folder / f"{rows}.jsonl"
    write_examples(lines, examples[:rows])
    return {
        "read CSV": lambda: len(read_examples(table)[1]),
        "read JSON lines": lambda: len(read_examples(lines)[1]),
        "near duplicates": lambda: len(without_near_duplicates(texts, pool, NEAR_DUPLICATE).rows),
    }


def main(argv: Sequence[str] | None = None) -> dict:
    """Measure, print, and return what was measured."""
    parser = arguments(
        __doc__,
        rows={"default": "1000,10000,100000", "help": "sizes (default 1000,10000,100000)"},
        repeats={"type": int, "default": 3, "help": "runs of each, of which the median counts (default 3)"},
    )
    options = parser.parse_args(argv)
    sizes, found = [int(size) for size in numbers(options.rows)], {}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            for name, job in jobs(size, Path(folder)).items():
                kept = job()  # the first call sets things up
                seconds = median(timed(job) for _ in range(options.repeats))
                row = found.setdefault(name, {"rows": [], "kept": [], "seconds": []})
                for column, value in (("rows", size), ("kept", kept), ("seconds", seconds)):
                    row[column].append(value)
                print(f"{name:16} {size:>9,} rows, {kept:>9,} kept  {seconds:10.3f} s", flush=True)
    for name, row in found.items():
        steps = pairwise(zip(row["rows"], row["seconds"], strict=True))
        row["exponents"] = [fit(*zip(*pair, strict=True)).exponent for pair in steps]
        print(f"{name:16} exponents " + ", ".join(f"{one:.2f}" for one in row["exponents"]))
    return save({"results": found}, options.json)


if __name__ == "__main__":
    main()
