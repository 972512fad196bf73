"""Finished work, by content key: a training or a labelling that was done once is read back, never done again.

```
runs/
  trainings/KEY/    run.json (written last), model.safetensors and what else transformers needs, curve.json
  labels/KEY.json   answers, log-probabilities and distributions of one model on one set of inputs
  features/KEY.safetensors  states of one layer of one model for one set of inputs
  choices/KEY.json  numbers that were chosen by a measurement, so that the same command chooses them again
  unfinished/KEY    the last checkpoint of a training that was stopped
```

A key is a hash of everything the result depends on: the digest of the starting model, of the data, the recipe and the
kit's version. A loss of a user's own is part of the recipe with a digest of its source (see `system.source`).
Everything is written under a temporary name and moved into place, so a killed run leaves no half-written result, and
two runs may share a store. Every file's digest is kept and compared: altered work is done again.
"""

import contextlib
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from w2s_lab import assets
from w2s_lab.experiments.finished import finished_trainings, store_roots, training_facts
from w2s_lab.methods import probe
from w2s_lab.models.language_model import LanguageModel, needs_language_model
from w2s_lab.models.loading import load_model, save_model
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet, content_key
from w2s_lab.system import heap, parallel
from w2s_lab.system.border import check_arguments
from w2s_lab.system.files import as_umask_says, beside, remove, replacing, said_with_path, sha256
from w2s_lab.system.record import abbreviated
from w2s_lab.training.checkpoint import Checkpoint
from w2s_lab.training.evaluation import snapshot_from_json, snapshot_to_json
from w2s_lab.training.labelling import OnRows, weak_labels
from w2s_lab.training.loop import train, training_key
from w2s_lab.version import __version__


class Store:
    """A folder of finished trainings and labellings, and of checkpoints of unfinished ones.

    Attributes:
        root: the folder.
        shared: None, or a folder that can be read only: finished work is looked for there too.
        must_keep: whether work that cannot be kept is an error, or done all the same.
        asked: the keys of the trainings that this object was asked for, whether they had to be done or not.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        """A store in the folder `root`; None: the usual one, `assets.store_folder`.

        If a folder that was given as `root` cannot be written, work raises OSError before it begins. The usual store
        never stops the work: if it cannot be written, the user's own folder is taken, and what is finished in the usual
        one is still read; where nothing can be written, a warning says once that what is done is not kept.
        """
        check_arguments(Store.__init__, locals())
        self.must_keep = root is not None
        self.root, self.shared = store_roots(root)
        self.asked: list[str] = []
        self._complained = False

    def __repr__(self) -> str:
        return f"Store({abbreviated(str(self.root))})"

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
        on_rows: OnRows | None = None,
        device: str | None = None,
        share_start: bool = False,
    ) -> LanguageModel:
        """`training.train`, or its stored result; `role` (such as "weak supervisor") is only for people to read.

        A training that was stopped goes on from its last checkpoint and has the same result. The model is returned on
        `device` (auto, cpu, cuda), or on the device of `start`.

        With `share_start`, the answers of the untrained model on `watch` are stored like labels, for the next training
        from the same start.

        Warns:
            UserWarning: a user's loss has no digest (see `system.source`), so the training is done, but not stored.
        """
        check_arguments(Store.train, locals())
        options = {"watch": watch, "reference": reference, "on_step": on_step, "on_rows": on_rows, "device": device}
        options["progress"] = False
        if recipe.lora is None:  # the weights that an adapter freezes may be rounded: other answers
            options["untrained"] = self.labels if share_start else None
        key = training_key(start, labelled, recipe, device)
        if key is None:
            warnings.warn(
                f"the training of the {role} is not stored: {recipe.unknown_source}. Hint: define "
                f"{type(recipe.loss).__name__} in a file or a notebook, of functions and numbers",
                stacklevel=2,
            )
            return replace(train(start, labelled, recipe, **options), name=f"{start.name} ({role})")
        place = self.place(start, labelled, recipe, watch=watch, reference=reference, device=device)
        self.asked.append(place)
        folder = self.stored(self.root / "trainings" / place)
        checkpoint = Checkpoint(self.root / "unfinished" / f"{place}.safetensors", place, on_failure=self._on_failure)
        if not parallel.from_main(lambda: _intact(folder, self.root)):
            folder = self.root / "trainings" / place
            # if the store cannot be written, this fails before the work begins
            kept = self._written(lambda: [beside(path).rmdir() for path in (folder, checkpoint.path)])
            model = train(start, labelled, recipe, **options, checkpoint=checkpoint if kept else None)
            facts = {
                "role": role,
                "start": start.name,
                "task": labelled.task.name,
                "labels": labelled.source,
                "label_accuracy": labelled.label_accuracy,
                "examples": len(labelled),
                "recipe": recipe.to_dict(),
                "key": key,
                "version": __version__,
            }
            if not (kept and self._written(lambda: _keep(folder, model, facts))):
                return replace(model, name=f"{start.name} ({role})", digest=key)
            model = None  # freed before it is loaded, so that a device need not hold it twice
            heap.give_back()
        checkpoint.discard()  # also that of a run that was killed before it came here
        model = load_model(str(folder), device=device or str(start.device), like=start, digest=key)
        model.read_as(recipe)
        rows = json.loads((folder / "curve.json").read_text(encoding="utf-8"))
        history = tuple(snapshot_from_json(row, watch, reference) for row in rows)
        return replace(model, name=f"{start.name} ({role})", history=history)

    def stored(self, path: Path) -> Path:
        """The path in `shared` if something is only there, else `path`, which lies in `root`."""
        if self.shared is not None and not os.path.lexists(path):
            there = self.shared / path.relative_to(self.root)
            return there if os.path.exists(there) else path
        return path

    def _written(self, write: Callable[[], object]) -> bool:
        """Write in the main process; whether it went well. If the work must be kept, the error is raised."""

        def refusal() -> str:
            try:
                write()
            except OSError as error:
                if self.must_keep:
                    raise
                return str(error.__cause__ or error)
            return ""

        refused = parallel.from_main(refusal)
        if refused:
            self._complain(refused)
        return not refused

    def _on_failure(self, error: OSError) -> None:
        if self.must_keep:
            raise error
        self._complain(str(error.__cause__ or error))

    def _complain(self, reason: str) -> None:
        """Say once that work is not kept."""
        if parallel.is_main() and not self._complained:
            warnings.warn(
                f"the store {self.root} cannot be written ({reason}), so what is done now is not kept. Hint: free some "
                f"space, or name another folder: {assets.STORE_VARIABLE} in the environment, or --store in a command",
                stacklevel=4,
            )
        self._complained = True

    @staticmethod
    def place(
        start: LanguageModel,
        labelled: LabelledSet,
        recipe: Recipe,
        *,
        watch: LabelledSet | None = None,
        reference: LabelledSet | None = None,
        device: str | None = None,
    ) -> str | None:
        """The name of a training's folder; None if it cannot be stored."""
        key = training_key(start, labelled, recipe, device)
        return key and content_key(key, watch and watch.digest, reference and reference.digest)

    def labels_path(self, model: LanguageModel, inputs: LabelledSet, *, beams: int = 1) -> Path:
        """The file of a labelling."""
        read_as = (model.max_tokens, model.template, model.chosen_precision(model.precision, model.device))
        key = content_key("labels", model.digest, read_as, inputs.task.answers, inputs.ids, beams, __version__)
        return self.root / "labels" / f"{key}.json"

    def labels(
        self, model: LanguageModel, inputs: LabelledSet, *, beams: int = 1, on_rows: OnRows | None = None
    ) -> LabelledSet:
        """`labelling.weak_labels`, or its stored result."""
        needs_language_model(model, "Store.labels")
        check_arguments(Store.labels, locals())
        path = self.labels_path(model, inputs, beams=beams)
        row = parallel.from_main(lambda: _read(self.stored(path)))
        if row is None:
            kept = self._written(lambda: beside(path).rmdir())
            found = weak_labels(model, inputs, beams=beams, on_rows=on_rows)
            row = {
                "model": model.name,
                "answers": found.answers,
                "log_prob": found.log_prob.tolist(),
                "probs": None if found.probs is None else found.probs.tolist(),
            }
            if kept:
                self._written(lambda: _write(path, row))
        return LabelledSet(
            inputs.task,
            inputs.examples,
            tuple(row["answers"]),
            None if row["probs"] is None else np.array(row["probs"]),
            np.array(row["log_prob"]),
            source=f"weak labels of {model.name}",
        )

    def features_path(self, model: LanguageModel, inputs: LabelledSet, layer: int, *, pool: str) -> Path:
        """The file of a layer's states."""
        read_as = (model.max_tokens, model.template, model.in_bfloat16)
        of = ("features", model.digest, read_as, inputs.task.answers, inputs.ids, pool, __version__)
        return self.root / "features" / f"{content_key(*of, layer)}.safetensors"

    def features(
        self,
        model: LanguageModel,
        inputs: LabelledSet,
        *,
        layer: int | None = None,
        pool: str = "last",
        on_rows: OnRows | None = None,
    ) -> np.ndarray:
        """`probe.features`, [N, d] float32, or its stored result."""
        check_arguments(Store.features, locals())
        layers = [model.layers if layer is None else layer]
        return self.features_of_layers(model, inputs, layers, pool=pool, on_rows=on_rows)[:, 0]

    def features_of_layers(
        self,
        model: LanguageModel,
        inputs: LabelledSet,
        layers: Sequence[int],
        *,
        pool: str = "mean",
        on_rows: OnRows | None = None,
    ) -> np.ndarray:
        """`probe.features_of_layers`, [N, len(layers), d] float32; layers that are stored are not computed again."""
        paths = {layer: self.features_path(model, inputs, layer, pool=pool) for layer in layers}
        found = {
            layer: parallel.from_main(lambda path=path: _read_table(self.stored(path))) for layer, path in paths.items()
        }
        missing = [layer for layer in paths if found[layer] is None]
        if missing:
            kept = self._written(lambda: beside(paths[missing[0]]).rmdir())  # fails now if it cannot be written
            tables = probe.features_of_layers(model, inputs, missing, pool=pool, on_rows=on_rows)
            for place, layer in enumerate(missing):
                found[layer] = tables[:, place]
                kept = kept and self._written(partial(_write_table, paths[layer], found[layer]))
        return np.stack([found[layer] for layer in layers], 1)

    def chosen(self, key: str, choose: Callable[[], list]) -> list:
        """Plain JSON values that `choose()` gave when it was first asked for this key."""
        path = self.root / "choices" / f"{key}.json"
        row = parallel.from_main(lambda: _read(self.stored(path), "the choice is made again"))
        if row is None:
            row = {"chosen": choose()}
            self._written(lambda: _write(path, row))
        return row["chosen"]

    def runs(self) -> list[dict]:
        """The facts of every finished training, oldest first.

        Warns:
            UserWarning: the facts of a training are damaged.
        """
        return finished_trainings(self.root, self.shared)


def _read(path: Path, remedy: str = "these labels are made again") -> dict | None:
    """What the file of a labelling or a choice holds; None where it is not there, was cut off or altered."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        if row.pop("digest", None) == content_key(row):
            return row
    except FileNotFoundError:
        return None
    except NotADirectoryError:  # said when it is written
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        pass
    warnings.warn(f"{path} is damaged; {remedy}", stacklevel=4)
    return None


def _write(path: Path, row: dict) -> None:
    with replacing(path) as new:
        new.write_text(json.dumps({**row, "digest": content_key(row)}), encoding="utf-8")


def _read_table(path: Path) -> np.ndarray | None:
    """The table [N, d] that a file holds; None where it is not there, was cut off or altered."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "numpy") as file:
            table = file.get_tensor("features")
            if file.metadata()["digest"] == _digest(table):
                return table
    except (OSError, SafetensorError, TypeError, KeyError):
        pass
    warnings.warn(f"{path} is damaged; these features are computed again", stacklevel=4)
    return None


def _write_table(path: Path, table: np.ndarray) -> None:
    with replacing(path) as new:
        table = np.ascontiguousarray(table)
        save_file({"features": table}, new, metadata={"digest": _digest(table)})


def _digest(table: np.ndarray) -> str:
    return hashlib.sha256(table.tobytes()).hexdigest()


def _intact(folder: Path, root: Path) -> bool:
    """Whether a training is there with all files as they were written; if not, it is removed from `root`."""
    if not folder.is_dir():
        return False
    facts = training_facts(folder)
    with contextlib.suppress(OSError):
        if facts and all(sha256(folder / name) == digest for name, digest in facts["files"].items()):
            return True
    warnings.warn(f"{folder} is damaged; this training is done again", stacklevel=4)
    if folder.is_relative_to(root):
        remove(folder)
    return False


def _keep(folder: Path, model: LanguageModel, facts: dict) -> None:
    """Write a finished training: model, curve, and at last the facts, with the digest of every other file."""
    with _moved_into_place(folder) as new:
        save_model(model, new)
        (new / "curve.json").write_text(
            json.dumps([snapshot_to_json(snapshot) for snapshot in model.history]), encoding="utf-8"
        )
        files = {path.name: sha256(path) for path in sorted(new.iterdir())}
        facts = {**facts, "files": files}
        (new / "run.json").write_text(json.dumps({**facts, "digest": content_key(facts)}, indent=1), encoding="utf-8")


@contextlib.contextmanager
def _moved_into_place(folder: Path) -> Iterator[Path]:
    """A new folder to fill; it becomes `folder` when the block ends without an error, and is deleted otherwise."""
    new = beside(folder)
    try:
        with said_with_path(folder):
            yield new
            as_umask_says(new)
            while not (folder / "run.json").is_file():  # else another run was faster; its result is the same
                try:
                    os.replace(new, folder)  # refused where `folder` is there and holds something
                except OSError:
                    if not folder.is_dir():
                        raise
                    if not (folder / "run.json").is_file():
                        remove(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
