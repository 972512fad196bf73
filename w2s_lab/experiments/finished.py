"""What a store says of its finished trainings, read without torch, so that `w2s-lab show` answers at once."""

import json
import warnings
from pathlib import Path

from w2s_lab import assets
from w2s_lab.records import content_key


def store_roots(root: str | Path | None) -> tuple[Path, Path | None]:
    """The folder of a store, and a folder that can be read only, where finished work is looked for too; see `Store`."""
    if root is not None:
        return assets.user_path(root), None
    own, named = assets.store_folder(), assets.named_place("store")
    return own, named if named != own else None


def finished_trainings(root: Path, shared: Path | None = None) -> list[dict]:
    """The facts of every finished training of a store, oldest first; of one that is in both folders, those of `root`.

    Warns:
        UserWarning: the facts of a training are damaged.
    """
    folders = filter(None, (shared, root))
    paths = {path.parent.name: path for folder in folders for path in folder.glob("trainings/[!.]*/run.json")}
    files = sorted(paths.values(), key=lambda path: path.stat().st_mtime)
    found = {path.parent: training_facts(path.parent) for path in files}
    for folder in (folder for folder, facts in found.items() if facts is None):
        warnings.warn(f"{folder} is damaged; the same command does this training again", stacklevel=3)
    return [facts | {"folder": str(folder)} for folder, facts in found.items() if facts]


def training_facts(folder: Path) -> dict | None:
    """What the `run.json` of a finished training says; None where it is missing, was cut off or altered."""
    try:
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return facts if facts.pop("digest", None) == content_key(facts) else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None
