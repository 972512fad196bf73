"""The Hugging Face Hub: fetch a model, and explain in one sentence what goes wrong."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from w2s_lab.data.tables import listed

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # environment variables that the client reads
LONGEST = 300  # most characters quoted of a library's message
MODEL_FILES = ("*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja")  # configuration and tokenizer
MODEL_WEIGHTS = ("model.safetensors", "model-*.safetensors")  # without the other formats that some repositories have
INTERRUPTED = {"RemoteProtocolError", "ReadError", "ReadTimeout", "ClientPayloadError"}
NO_NETWORK = {"ConnectError", "ConnectTimeout", "ConnectionError", "TimeoutException", "LocalEntryNotFoundError"}


def split_revision(name: str) -> tuple[str, str | None]:
    """Split `owner/name@revision` into name and revision; the revision is None if there is no @."""
    bare, at, revision = name.partition("@")
    return bare, revision if at else None


def brief(error: BaseException) -> str:
    """A library's message on one line, at most `LONGEST` characters, without any access token."""
    text = " ".join(str(error).split()) or type(error).__name__
    for token in filter(None, map(os.environ.get, TOKENS)):
        text = text.replace(token, "***")
    text = re.sub(r"\bhf_\w{8,}", "***", text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, then the errors that caused it."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def explain(
    error: BaseException, kind: str, name: str, revision: str | None = None, *, expected: str, instead: str
) -> str:
    """One sentence that says why the Hub's model or data set could not be loaded, and a hint; without any access token.

    Errors are recognised by the names of their classes, which the Hub's client kept when it twice changed its HTTP
    library. Errors that have no class of their own, from the client or from `datasets`, are recognised by their text.

    Args:
        error: the exception that the client raised.
        kind: "model" or "data set".
        name, revision: as the user gave them.
        expected: how a name is spelt, for the message.
        instead: what can be used without a network, for the message.
    """
    chain = list(_chain(error))
    names = {cls.__name__ for link in chain for cls in type(link).__mro__}
    text = "\n".join(map(str, chain))
    answers = [link for link in chain if getattr(link, "response", None) is not None]
    what = f"{kind} {name!r}"
    token = "set HF_TOKEN to a token of an account that may read it"
    if "GatedRepoError" in names or "is a gated dataset" in text:
        return f"{what} is gated: its authors want their conditions accepted. Hint: do so on its page, and {token}"
    if "RevisionNotFoundError" in names or re.search(r"Revision '.*' doesn't exist", text):
        return (
            f"{what} has no revision {revision!r}; expected a branch, a tag or a commit. "
            "Hint: they are listed on its page, under Files"
        )
    if names & {"RepositoryNotFoundError", "DatasetNotFoundError"}:
        return f"there is no {what} on the Hub, or it is private; expected {expected}. Hint: check it; or {token}"
    if any(link.response.status_code == 401 for link in answers):
        return f"{what}: the Hub refused the access token. Hint: set HF_TOKEN to a valid one, or unset it"
    if kind == "data set" and (problem := _layout_problem(what, name, text)):
        return problem
    if (
        "OfflineModeIsEnabled" in names
        or "ffline mode is enabled" in text
        or (_offline() and (names & NO_NETWORK or "find cache for" in text))
    ):
        return (
            f"{what} is not in the cache, or only in part, and HF_HUB_OFFLINE forbids the network. "
            f"Hint: unset HF_HUB_OFFLINE once, with a network; or use {instead}"
        )
    if answers:
        return (
            f"{what}: the Hub answered with an error ({brief(answers[0])}). Hint: run it again later; or use {instead}"
        )
    if names & INTERRUPTED or "Consistency check failed" in text:
        return f"the download of {what} was interrupted. Hint: run it again; the files that had arrived are kept"
    if names & NO_NETWORK:
        return f"{what}: the Hub cannot be reached. Hint: check the network and run it again; or use {instead}"
    reason = brief(error.__cause__ or error)
    return f"{what} cannot be loaded ({reason}). Hint: check the name and the network; or use {instead}"


def fetch_model(name: str, revision: str | None, *, weights: bool, expected: str, delay: float = 2) -> Path:
    """The folder in the Hub's cache that holds the model files of one revision; downloads those that are missing.

    Args:
        name, revision: `owner/name`, and a branch, tag or commit; None: the main branch.
        weights: fetch the weights too; False: configuration and tokenizer only.
        expected: what a name may be, for the message.
        delay: seconds before a progress bar appears; by default so many that a model in the cache shows none.

    Raises:
        ValueError: the files cannot be fetched.
    """
    from huggingface_hub import snapshot_download  # imported here because most runs do not need it
    from huggingface_hub.utils import tqdm

    class DownloadBar(tqdm):
        """A progress bar that appears after `delay` seconds."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{"delay": delay, **options})

    patterns = [*MODEL_FILES, *(MODEL_WEIGHTS if weights else ())]
    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=patterns, ignore_patterns="*/*", tqdm_class=DownloadBar
        )
    except Exception as error:  # of many kinds; "from None" because the library's message may quote a token
        instead = "a model of the ladder, or a folder"
        raise ValueError(explain(error, "model", name, revision, expected=expected, instead=instead)) from None
    return Path(folder)


def _layout_problem(what: str, name: str, text: str) -> str | None:
    """The sentence for an error of `datasets` on configurations, splits or loading scripts; None for other errors."""
    if "BuilderConfig" in text or "Config name is missing" in text:
        named = re.findall(r"'([^']+)'", text.partition("vailable")[2].partition("]")[0])
        asked = re.search(r"BuilderConfig '([^']*)'", text)
        problem = f"has no configuration {asked[1]!r}" if asked else "has more than one configuration"
        return f"{what} {problem}; expected one of {listed(named)}. Hint: write hub:{name}:{(named or ['CONFIG'])[0]}"
    if split := re.search(r'Unknown split "(\w+)"\. Should be one of \[(.*?)\]', text):
        return f"{what} has no split {split[1]!r}; its splits are {split[2]}. Hint: take another data set, or a file"
    if "Dataset scripts are no longer supported" in text:
        return f"{what} is a program, which this kit does not run. Hint: try hub:{name}@refs/convert/parquet"
    return None


def _offline() -> bool:
    from huggingface_hub.constants import HF_HUB_OFFLINE  # read from the environment by the client itself

    return HF_HUB_OFFLINE
