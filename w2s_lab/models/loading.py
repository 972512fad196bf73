"""Loading, saving and making language models: a name, a folder or a Hub id becomes a `LanguageModel`.

Only this module, `gguf`, `pretrained` and `shared_prefix` import transformers; what takes long to import, when needed.
"""

import contextlib
import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from w2s_lab import assets
from w2s_lab.data import fetch
from w2s_lab.data.hub import brief, fetch_model, split_revision
from w2s_lab.models.abilities import reads_forward
from w2s_lab.models.digests import weights_digest
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.llama import Llama
from w2s_lab.models.pretrained import plain_config
from w2s_lab.recipe import Recipe
from w2s_lab.records import Task, content_key
from w2s_lab.system import heap
from w2s_lab.system.border import check_arguments
from w2s_lab.system.files import replacing
from w2s_lab.system.randomness import OwnRandomness

START, PAD = "<|endoftext|>", "<|pad|>"
NOT_ARCHITECTURE = {"_name_or_path", "architectures", "dtype", "transformers_version", "use_cache"}  # of a config
CARD = "w2s_lab.json"  # beside the weights of a model that was trained
CARD_FIELDS = ("instruction", "max_tokens", "chat_template", "precision")
MAX_LENGTH = 1024  # tokens that a pocket model accepts; its rotary positions need no table


def ladder() -> tuple[str, ...]:
    """Names of the installed pocket models, smallest first."""
    sizes = {p.parent.name: p.stat().st_size for p in assets.MODELS.glob("pocket-*/model.safetensors")}
    return tuple(sorted(sizes, key=sizes.__getitem__))


def pocket_folder(name: str) -> Path | None:
    """The folder of an installed pocket model; pocket-m-25 and pocket-l-seed-1 lie in folders of their own."""
    places = (assets.MODELS / name, *(assets.MODELS / inside / name for inside in ("leakage", "further")))
    return next((place for place in places if name.startswith("pocket-") and place.is_dir()), None)


def pick_device(device: str = "auto") -> torch.device:
    """The torch device of this name; `auto` is a GPU if there is one, else the CPU.

    Raises:
        ValueError: the device is unknown, or this machine has none.
    """
    if device != "auto":
        try:
            return torch.empty(0, device=device).device
        except (RuntimeError, AssertionError):  # torch without CUDA asserts
            raise ValueError(
                f"device {device!r} is not available; expected auto, cpu, or cuda or mps if present"
            ) from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers, bars and log: an exception says what goes wrong."""
    bar_enabled, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar_enabled:
            transformers_logging.enable_progress_bar()


_MEASURED: dict[str, dict] = {}  # architecture -> what was measured of it in this process
Start = str | Path | LanguageModel | tuple[torch.nn.Module, PreTrainedTokenizerBase]  # what `load_model` takes


def load_model(
    start: Start,
    *,
    revision: str | None = None,
    device: str = "auto",
    name: str | None = None,
    like: LanguageModel | None = None,
    digest: str | None = None,
) -> LanguageModel:
    """A language model by ladder name (`pocket-l`), a name of `w2s-lab fetch`, local folder, or Hub id.

    A Hub id is `owner/name` or `owner/name@revision`. A network and a tokenizer that transformers loaded already become
    a language model too, as the pair `(network, tokenizer)`: checked like a model from a folder, and copied, in
    float32, so that nothing here changes yours.

    `scratch:NAME` is the same architecture and tokenizer with new random weights (drawn from seed 0). A model that was
    downloaded once is read from the Hub's cache. The access token comes from HF_TOKEN or from the Hub's own login.

    Args:
        start: as above. A `LanguageModel` is returned as it is, or as a copy on another device.
        revision: branch, tag or commit of a model of the Hub; None: the one in `name`, else the main branch.
        device: auto, cpu, cuda or mps.
        name: what messages and tables call the model; None: the name that was given, or that of the network.
        like: a model that this one was trained from: its tokenizer is this one's, and its network was measured already.
        digest: of the model of a folder, for who knows it already, such as the store; None: it is computed.

    Raises:
        TypeError: `start` is none of these.
        ValueError: there is no such model or it cannot be fetched, its safetensors weights are missing, damaged or do
            not fit, it needs its own code, it is not a causal language model, its tokenizer is missing, has no end
            token, or has more tokens than the network, or its network does not read a text in the usual way.

    Warns:
        UserWarning: its network needs slower ways of reading (see `models.abilities`).
    """
    check_arguments(load_model, locals())
    chosen_device = pick_device(device)
    if isinstance(start, LanguageModel):
        same = start.device == chosen_device or device == "auto"
        model = start if same else replace(start.copy(), history=start.history)
        model.network.to(model.device if same else chosen_device)
        return replace(model, name=name) if name else model
    if isinstance(start, tuple):
        return _of_objects(*start, chosen_device, name)
    own_name, name = name, str(start)
    scratch, bare = name.startswith("scratch:"), name.removeprefix("scratch:")
    folder = _locate(bare, revision, weights=not scratch)
    _check_files(name, folder, weights=not scratch)
    try:
        with quiet():
            tokenizer = _read_tokenizer(folder) if like is None else like.tokenizer
            network, unusable = _read_network(folder, scratch)
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"model {name!r} cannot be loaded: {_loading_problem(error)}") from error
    network = _unscaled(network).to(chosen_device).eval()
    _check_model(name, tokenizer, network, unusable)
    digest = digest or network_digest(network, tokenizer, read_from=None if scratch else folder)
    model = _wrapped(own_name or name, network, tokenizer, digest, like)
    return model if scratch else replace(model, **_read_card(folder, tokenizer))


def _wrapped(
    name: str,
    network: Any,
    tokenizer: PreTrainedTokenizerBase,
    digest: str,
    like: LanguageModel | None = None,
) -> LanguageModel:
    if not isinstance(network, Llama):
        from transformers import GenerationConfig

        # plain argmax, not the sampling settings of the model's authors
        network.generation_config = GenerationConfig.from_model_config(network.config)
    model = LanguageModel(name, digest, tokenizer, network)
    if like is not None:
        model.behaves_like(like)
    elif isinstance(network, Llama):  # of one architecture, all behave alike, since the code is ours
        model._measured = _MEASURED.setdefault(repr(network.config), {})
    _ = model.abilities  # measured now, before anything is trained
    heap.give_back()  # 300 MB of a model with 135 million parameters
    return model


def _unscaled(network: Any) -> Any:
    """RWKV would scale its weights in place for float16, also those that are saved."""
    if getattr(network.config, "rescale_every", 0):
        network.config.rescale_every = 0
    return network


def model_name(start: Start) -> str:
    """What messages and tables call a start that may not have been loaded yet."""
    if isinstance(start, LanguageModel):
        return start.name
    if isinstance(start, tuple):
        return str(getattr(start[0].config, "_name_or_path", "") or type(start[0]).__name__)
    return str(start)


def _of_objects(
    network: Any, tokenizer: PreTrainedTokenizerBase, device: torch.device, name: str | None
) -> LanguageModel:
    """A copy of a network and a tokenizer of transformers, as a language model."""
    name = name or model_name((network, tokenizer))
    expected = "Expected a causal language model in ordinary precision, as from AutoModelForCausalLM"
    if network.config.is_encoder_decoder or network.get_output_embeddings() is None:
        raise ValueError(f"model {name!r}: a {type(network).__name__} does not predict the next token. {expected}")
    if getattr(network, "quantization_method", None) is not None or any(p.is_meta for p in network.parameters()):
        raise ValueError(f"model {name!r}: its weights are quantised, or not in memory. {expected}")
    network, tokenizer = copy.deepcopy((network, tokenizer))
    network = _unscaled(network).to(device, torch.float32).eval().requires_grad_(True)
    _check_model(name, tokenizer, network, [])
    return _wrapped(name, network, tokenizer, network_digest(network, tokenizer))


def _locate(name: str, revision: str | None, *, weights: bool) -> Path:
    """The folder of a model; a model of the Hub is downloaded unless the cache has it."""
    folder = pocket_folder(name) or (fetch.folder(name) if fetchable(name) else assets.user_path(name))
    if name and folder.is_dir():
        if revision is not None:
            raise ValueError(f"model {name!r} is a folder; only a model of the Hub has revisions, such as {revision!r}")
        return folder
    bare, in_name = split_revision(name)
    if bare.count("/") == 1 and not bare.startswith((".", "/", "~")) and not bare.endswith("/"):
        if in_name is not None and revision not in (None, in_name):
            raise ValueError(f"model {name!r} names one revision, and revision={revision!r} another; expected one")
        expected = f"a model of the ladder ({', '.join(ladder())}), a folder, or owner/name as on huggingface.co"
        return fetch_model(bare, in_name or revision, weights=weights, expected=expected)
    fetched = [other for other in fetch.FETCHABLE if fetchable(other)]
    near = get_close_matches(name, (*ladder(), *fetched), n=1)
    raise ValueError(
        f"there is no model {name!r}{f'; did you mean {near[0]!r}' if near else ''}. Expected a model of the ladder "
        f"({', '.join(ladder())}), one that `w2s-lab fetch` gets ({', '.join(fetched)}), a folder that exists, or a "
        "Hub id such as owner/name or owner/name@revision"
    )


def fetchable(name: str) -> bool:
    """Whether `w2s-lab fetch` gets a model of this name."""
    return name in fetch.FETCHABLE and fetch.FETCHABLE[name].kind == "model"


def _check_files(name: str, folder: Path, *, weights: bool) -> None:
    """Raise ValueError where the configuration or the weights are missing, or a file of the weights is damaged."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"model {name!r} cannot be loaded: it has no config.json; expected a model of transformers")
    if not weights:
        return
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(
            f"model {name!r} has no weights in safetensors format. Weights in pickle format, such as "
            "pytorch_model.bin, are not read: opening a pickle can run code"
        )
    for path in files:
        try:
            with safe_open(path, "pt"):  # reads the header, and compares it with the file's size
                pass
        except (OSError, SafetensorError):
            size = path.stat().st_size if path.exists() else 0  # a link in the cache may be broken
            raise ValueError(
                f"model {name!r} cannot be loaded: its file {path.name} is damaged or cut off at "
                f"{size:,} bytes. Hint: delete {path.resolve()}, and fetch or make the model again"
            ) from None


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        if _is_plain_tokenizer(folder):  # what AutoTokenizer would come to, a second later
            return PreTrainedTokenizerFast.from_pretrained(folder)
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)  # the default asks on the terminal
    except Exception as error:  # the tokenizers library raises plain Exception
        if _needs_code(error):
            raise
        names = [path.name for path in folder.iterdir() if re.search(r"token|vocab|\.model$", path.name)]
        problem = f"its tokenizer cannot be read ({brief(error)})" if names else "it has no files of a tokenizer"
        raise ValueError(f"{problem}; expected one beside the network, such as tokenizer.json") from error


def _is_plain_tokenizer(folder: Path) -> bool:
    """Whether the folder's tokenizer is all in its tokenizer.json."""
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        return settings["tokenizer_class"] == "TokenizersBackend" and (folder / "tokenizer.json").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read_network(folder: Path, scratch: bool) -> tuple[Any, list[str]]:
    """The network in float32, and the names of its weights that the files lack or have in another shape."""
    if not scratch and (network := Llama.from_folder(folder)):
        return network, []
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.is_encoder_decoder:
        raise ValueError(f"it is an encoder-decoder ({type(config).__name__}); expected a causal language model")
    if scratch:
        with OwnRandomness(0):
            network = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
        return Llama.like(network) or network, []
    network, report = AutoModelForCausalLM.from_pretrained(
        folder,
        config=config,
        trust_remote_code=False,
        dtype=torch.float32,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported later, in one sentence
    )
    return network, [*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])]


def _needs_code(error: Exception) -> bool:
    return "custom code" in str(error) or "trust_remote_code" in str(error)


def _loading_problem(error: Exception) -> str:
    """What an error of transformers means, in words for a student."""
    if _needs_code(error):
        return "it needs its own code, which this kit does not run; expected an architecture of transformers"
    if not_causal := re.search(r"Unrecognized configuration class <class '[\w.]*?(\w+)'>", str(error)):
        return f"it is not a causal language model ({not_causal[1]}); expected one that generates text"
    return brief(error)


def _check_model(name: str, tokenizer: PreTrainedTokenizerBase, network: Any, unusable: list[str]) -> None:
    """Raise ValueError unless the two fit, the network is causal and whole, and the tokenizer encodes and has an end.

    A padding token is not needed: our batches are padded by a mask.
    """
    if tokenizer.eos_token_id is None:
        raise ValueError(f"model {name!r}: its tokenizer has no end-of-text token, so an answer could not end")
    # where the tokenizer's file is missing, transformers makes up an empty tokenizer
    if not tokenizer("Answer:", add_special_tokens=False)["input_ids"]:
        raise ValueError(f"model {name!r} cannot be loaded: its tokenizer is missing or has an empty vocabulary")
    if not isinstance(network, Llama) and not reads_forward(network):
        raise ValueError(
            f"model {name!r} is an encoder ({type(network).__name__}): its prediction of a token depends on the tokens "
            "after it, so it has no Pr(y|x). Expected a causal language model"
        )
    if unusable:
        raise ValueError(
            f"model {name!r}: the file lacks {len(unusable)} of the network's weights, or has them in another shape "
            f"({min(unusable)}, for one)"
        )
    ids, rows = 1 + max(tokenizer.get_vocab().values()), network.get_input_embeddings().weight.shape[0]
    if ids > rows:
        raise ValueError(
            f"model {name!r}: its tokenizer has {ids} token ids, but its network's embedding has {rows} rows; expected "
            "a row for each id. Hint: the tokenizer is that of another model"
        )


def network_digest(network: Any, tokenizer: PreTrainedTokenizerBase, *, read_from: Path | None = None) -> str:
    """Content key of all weights, the architecture, the vocabulary, and how the tokenizer cuts a text.

    Args:
        network, tokenizer: the two parts of a language model.
        read_from: the folder from which the weights were just read, whose digest may be remembered.
    """
    weights = weights_digest(network.state_dict(), read_from)
    # the weights' shapes do not show the number of heads or the base of the rotary positions
    facts, kind = network.config.to_dict(), getattr(network, "architecture", type(network).__name__)
    if kind == Llama.architecture and (plain := plain_config(facts)):
        facts = plain.to_dict()  # the same, whichever code reads the folder
    config = {key: value for key, value in facts.items() if key not in NOT_ARCHITECTURE}
    return content_key(weights, kind, config, sorted(tokenizer.get_vocab().items()), *_manner(tokenizer))


def _manner(tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    """How a tokenizer cuts a text, beyond its vocabulary; nothing where it does so as those of `train_tokenizer`."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    found = [*_parts(backend), tokenizer.bos_token_id, tokenizer.eos_token_id]
    return [] if found == [*_parts(_byte_level()), 0, 0] else found


def _parts(backend: Tokenizer | None) -> list[str | None]:
    """The state of each part, as JSON; of a tokenizer in Python, and of a part in Python, nothing is known."""
    found: list[str | None] = []
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        try:
            found.append(getattr(backend, name).__getstate__().decode())
        except Exception:  # there is none, or it is written in Python: the library raises plain Exception
            found.append(None)
    return found


def save_model(model: LanguageModel, folder: str | Path) -> None:
    """Write weights (safetensors), configuration and tokenizer to `folder`, in the layout that transformers reads.

    A file beside them, `w2s_lab.json`, says what a trained model was asked and how, so that `answer` can ask it again.
    """
    check_arguments(save_model, locals())
    folder = assets.user_path(folder)
    (folder / CARD).unlink(missing_ok=True)  # of the model that was there: this one may have been asked nothing
    with quiet():
        model.network.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
    if model.task is not None:
        card = {name: getattr(model, name) for name in CARD_FIELDS} | {"task": model.task.to_dict()}
        with replacing(folder / CARD) as new:
            new.write_text(json.dumps(card, indent=1), encoding="utf-8")


def _read_card(folder: Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What `save_model` wrote beside the weights, as fields of a `LanguageModel`; empty where nothing is there.

    Raises:
        ValueError: the file was altered.
    """
    if not (folder / CARD).is_file():
        return {}
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        task = Task(card["task"]["name"], card["task"]["answers"] and tuple(card["task"]["answers"]))
        recipe = Recipe(max_tokens=card["max_tokens"], precision=card["precision"])
        instruction, chat = card["instruction"], card["chat_template"]
        if not isinstance(instruction, str | None) or not isinstance(chat, bool):
            raise TypeError(f"instruction {instruction!r}, chat_template {chat!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / CARD} cannot be read ({error}). Hint: it only says what the model was asked; delete it, and "
            "give instruction and answers to w2s_lab.answer yourself"
        ) from error
    chat = chat and bool(getattr(tokenizer, "chat_template", None))
    as_trained = {"max_tokens": recipe.max_tokens, "precision": recipe.precision, "chat_template": chat}
    return {"task": task, "instruction": instruction, **as_trained}


# -- making new ones ---------------------------------------------------------------------------------------------


def train_tokenizer(texts: Iterator[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: any text can be encoded; every text starts with `<|endoftext|>`."""
    bpe = _byte_level()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[START, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=START,
        eos_token=START,
        pad_token=PAD,
        padding_side="left",
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def _byte_level() -> Tokenizer:
    """A byte-level BPE tokenizer that has learnt nothing yet; START has the id 0."""
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=[(START, 0)])
    return bpe


def new_llama(tokenizer: PreTrainedTokenizerFast, *, layers: int, width: int, heads: int, seed: int) -> Llama:
    """A network with random weights, as transformers draws them; torch's global generator is left as it was."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=-(-width * 8 // 3 // 8) * 8,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with OwnRandomness(seed):
        return Llama.like(LlamaForCausalLM(config))
