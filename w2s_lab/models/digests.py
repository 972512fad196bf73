"""Digests of weights: of large files they are computed once, and remembered by what the files are."""

import contextlib
import hashlib
import re
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from w2s_lab import assets
from w2s_lab.records import content_key
from w2s_lab.system.files import replacing

LARGE = 100_000_000  # bytes of weight files: fewer are hashed in a tenth of a second
SETTLED = 2.0  # seconds: a younger file may still change without a change of its time


def weights_digest(weights: Mapping[str, Tensor], folder: Path | None = None) -> str:
    """SHA-256 of names and float32 values, in the order of the names.

    Args:
        weights: name -> tensor.
        folder: where the weights were just read from, if they are as they were read. If the files there are large, the
            digest is computed once for all processes of this user, until a file has another size or time. In the
            Hub's cache a file is known by its content's own hash, which is its name there.
    """
    memory = _memory(folder) if folder else None
    if memory:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if re.fullmatch("[0-9a-f]{64}", found := memory.read_text()):
                return found
    seen = hashlib.sha256()
    for name, value in sorted(weights.items()):
        seen.update(name.encode())
        flat = value.detach().to("cpu", torch.float32).contiguous().reshape(-1)
        seen.update(flat.view(torch.uint8).numpy())  # hashed where it lies, without another copy
    if memory:
        with contextlib.suppress(OSError), replacing(memory) as new:
            new.write_text(seen.hexdigest())
    return seen.hexdigest()


def _memory(folder: Path) -> Path | None:
    """The file that remembers the digest of a folder's weights; None: they are small, or too new, or nobody's home."""
    weights = sorted(folder.glob("*.safetensors"))
    cache = assets.cache_folder()
    if cache is None or sum(path.stat().st_size for path in weights) < LARGE:
        return None
    files = []
    for path in (*weights, folder / "config.json"):
        real = path.resolve()
        known = real.stat()
        if real.parent.name == "blobs" and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", real.name):
            files.append([path.name, real.name])
        elif time.time() - known.st_mtime < SETTLED:
            return None
        else:
            files.append([path.name, str(real), known.st_size, known.st_mtime_ns])
    return cache / "digests" / content_key("weights", files, version("transformers"))  # which may rename weights
