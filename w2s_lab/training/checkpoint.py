"""The state of an unfinished training in one file, from which a killed run continues with the same results."""

import contextlib
import hashlib
import json
import math
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from w2s_lab.system import parallel
from w2s_lab.system.files import replacing

SECONDS = 10.0  # least time between two saves
PER_SECOND = 20_000_000  # bytes of a state, at most, for each second between two saves: 1.6 GB once in 80 seconds
SHARE = 0.05  # largest fraction of the time that saving may take


class Checkpoint:
    """The file that keeps a training's weights, optimizer state and step until the training is finished.

    Args:
        path: the file.
        key: content key of the training; a file with another key is ignored.
        seconds: least time between two saves, which grows if saving takes long; None: ten, or more for a large state.
        on_failure: called if the file cannot be written; if it raises nothing, the training goes on and nothing more is
            saved. None: the error is raised.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        *,
        seconds: float | None = None,
        on_failure: Callable[[OSError], object] | None = None,
    ) -> None:
        self.path, self.key, self.on_failure = path, key, on_failure
        self.seconds = SECONDS if seconds is None else seconds
        self._usual, self._start = seconds is None, time.monotonic()
        self._next = self._start + self.seconds

    def expect(self, size: int) -> None:
        """Choose the time between two saves for states of so many bytes; where the disk has no room, none is saved.

        Warns:
            UserWarning: the disk has no room.
        """
        if self._usual:
            self.seconds = seconds_between(size)
            self._next = self._start + self.seconds
        folder = next(one for one in self.path.absolute().parents if one.is_dir())
        free = shutil.disk_usage(folder).free
        if size > free:
            self._next = math.inf
            needed, left = (f"{number / 1e6:,.0f} MB" for number in (size, free))
            warnings.warn(
                f"{folder} has {left} free, and the state of this training takes {needed}: once stopped, it starts "
                "again from its beginning. Hint: free some space, or choose another --store",
                stacklevel=2,
            )

    def due(self) -> bool:
        """Whether it is time to save; all processes get the same answer."""
        return parallel.from_main(lambda: time.monotonic() >= self._next)

    def save(self, network: torch.nn.Module, optimizer: torch.optim.Optimizer, facts: dict) -> None:
        """Replace the file by the present state. `facts` are plain JSON values, such as the step.

        Raises:
            OSError: the file cannot be written; the old one is unchanged.
        """
        start = time.monotonic()
        tensors = parallel.whole_state(network, optimizer)
        if parallel.is_main():
            text = json.dumps(facts)
            metadata = {"key": self.key, "facts": text, "digest": _digest(self.key, tensors, text)}
            try:
                with replacing(self.path) as new:
                    save_file(tensors, new, metadata)
            except OSError as error:
                if self.on_failure is None:
                    raise
                self.on_failure(error)
                self._next = math.inf
                return
        self._next = time.monotonic() + max(self.seconds, (time.monotonic() - start) / SHARE)

    def restore(self, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict | None:
        """Load the saved state into network and optimizer, and return its facts; None if there is no saved state.

        Warns:
            UserWarning: the file is truncated or was altered, so the training starts again.
        """
        state = self._read()
        if state is None:
            return None
        tensors, facts = state
        parallel.load_whole_state(network, optimizer, tensors)
        return facts

    def _read(self) -> tuple[dict[str, Tensor], dict] | None:
        parallel.barrier()  # the main process may still be writing or removing it
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, a file is no dict
            if metadata.get("digest") != _digest(metadata["key"], tensors, metadata["facts"]):
                raise SafetensorError("its content does not match its digest")
            return (tensors, json.loads(metadata["facts"])) if metadata["key"] == self.key else None
        except FileNotFoundError:  # another process has just finished this training
            return None
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            warnings.warn(f"{self.path} is damaged ({error}); this training starts again", stacklevel=4)
            return None

    def discard(self) -> None:
        """Remove the file, which a finished training no longer needs."""
        if parallel.is_main() and self.path.is_file():  # a finished store may lie on a read-only disk
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


def seconds_between(size: int) -> float:
    """Usual seconds between two saves of a state of so many bytes."""
    return max(SECONDS, size / PER_SECOND)


def _digest(key: str, tensors: dict[str, Tensor], facts: str) -> str:
    seen = hashlib.sha256(f"{key} {facts}".encode())
    for name, value in sorted(tensors.items()):
        seen.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        seen.update(value.reshape(-1).view(torch.uint8).numpy())
    return seen.hexdigest()
