"""Finished work, by content key: a training or a labelling that was done once is read back, never done again.

```
runs/
  trainings/KEY/    run.json (written last), model.safetensors and what else transformers needs, curve.json
  labels/KEY.json   answers, log-probabilities and distributions of one model on one set of inputs
```

A key is a hash of everything the result depends on: the digest of the starting model, of the data, the recipe and the
kit's version. Everything is written under a temporary name and moved into place, so a killed run leaves no half-written
result, and two runs may share a store.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from w2s_lab.evaluation import score
from w2s_lab.labelling import weak_labels
from w2s_lab.language_model import LanguageModel
from w2s_lab.models import load_model, save_model
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet, Snapshot, content_key
from w2s_lab.training import train, training_key
from w2s_lab.version import __version__


class Store:
    """A folder of finished trainings and labellings."""

    def __init__(self, root: str | Path = "runs") -> None:
        self.root = Path(root)

    def train(
        self,
        start: LanguageModel,
        labelled: LabelledSet,
        recipe: Recipe,
        *,
        role: str,
        watch: LabelledSet | None = None,
        reference: LabelledSet | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> LanguageModel:
        """`training.train`, or its stored result; `role` (such as "weak supervisor") is only for people to read."""
        key = training_key(start, labelled, recipe)
        place = content_key(key, watch and watch.digest, reference and reference.digest)
        folder = self.root / "trainings" / place
        if not (folder / "run.json").is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)  # a store that cannot be written: said before the work
            model = train(start, labelled, recipe, watch=watch, reference=reference, on_step=on_step)
            facts = {
                "role": role,
                "start": start.name,
                "task": labelled.task.name,
                "labels": labelled.source,
                "label_accuracy": labelled.label_accuracy,
                "examples": len(labelled),
                "recipe": recipe.as_dict(),
                "key": key,
                "version": __version__,
            }
            with _moved_into_place(folder) as new:
                save_model(model, new)
                (new / "curve.json").write_text(json.dumps([_snapshot_to_json(s) for s in model.history]))
                (new / "run.json").write_text(json.dumps(facts, indent=1))
        model = load_model(str(folder), device=str(start.device))
        history = tuple(
            _snapshot_from_json(row, watch, reference) for row in json.loads((folder / "curve.json").read_text())
        )
        return replace(model, name=f"{start.name} ({role})", digest=key, history=history)

    def labels(self, model: LanguageModel, inputs: LabelledSet, *, beams: int = 1) -> LabelledSet:
        """`labelling.weak_labels`, or its stored result."""
        key = content_key("labels", model.digest, inputs.task.answers, inputs.ids, beams, __version__)
        path = self.root / "labels" / f"{key}.json"
        row = _read(path)
        if row is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            found = weak_labels(model, inputs, beams=beams)
            row = {
                "model": model.name,
                "answers": found.answers,
                "log_prob": found.log_prob.tolist(),
                "probs": None if found.probs is None else found.probs.tolist(),
            }
            _write(path, json.dumps(row))
        return LabelledSet(
            inputs.task,
            inputs.examples,
            tuple(row["answers"]),
            None if row["probs"] is None else np.array(row["probs"]),
            np.array(row["log_prob"]),
            source=f"weak labels of {model.name}",
        )

    def runs(self) -> list[dict]:
        """The facts of every finished training, oldest first."""
        files = sorted(self.root.glob("trainings/[!.]*/run.json"), key=lambda path: path.stat().st_mtime)
        return [json.loads(path.read_text()) | {"folder": str(path.parent)} for path in files]


def _read(path: Path) -> dict | None:
    """What a JSON file holds; None where it is not there or was cut off."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, text: str) -> None:
    """Write a file in one move, so that a reader sees all of it or nothing."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
        new = Path(file.name)
    try:
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def _moved_into_place(folder: Path) -> Iterator[Path]:
    """A new folder to fill; it becomes `folder` when the block ends well and vanishes when it does not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        yield new
        while not (folder / "run.json").is_file():  # else another run was faster; its result is the same
            try:
                os.replace(new, folder)  # refused where `folder` is there and holds something
            except OSError:
                if not folder.is_dir():
                    raise
                if not (folder / "run.json").is_file():
                    shutil.rmtree(folder, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _snapshot_to_json(snapshot: Snapshot) -> dict:
    evaluation = snapshot.evaluation
    return {
        "step": snapshot.step,
        "examples_seen": snapshot.examples_seen,
        "train_loss": snapshot.train_loss,
        "predictions": evaluation and evaluation.predictions,
        "probs": None if evaluation is None or evaluation.probs is None else evaluation.probs.tolist(),
    }


def _snapshot_from_json(row: dict, watch: LabelledSet | None, reference: LabelledSet | None) -> Snapshot:
    evaluation = None
    if watch is not None:
        probs = None if row["probs"] is None else np.array(row["probs"])
        evaluation = score(replace(watch, answers=tuple(row["predictions"]), probs=probs, log_prob=None), reference)
    return Snapshot(row["step"], row["examples_seen"], row["train_loss"], evaluation)
