"""Loading, saving and making language models: a name, a folder or a Hub id becomes a `LanguageModel`.

This is the only module that imports transformers.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from w2s_lab.language_model import LanguageModel
from w2s_lab.records import content_key

LADDER_FOLDER = Path(__file__).resolve().parents[1] / "data" / "models"
START, PAD = "<|endoftext|>", "<|pad|>"
NOT_ARCHITECTURE = {"_name_or_path", "architectures", "dtype", "transformers_version", "use_cache"}  # of a config
MAX_LENGTH = 1024  # tokens that a pocket model accepts; rotary positions have no table to run out of


def ladder() -> tuple[str, ...]:
    """Names of the pocket models that are there, smallest first."""
    sizes = {p.parent.name: p.stat().st_size for p in LADDER_FOLDER.glob("pocket-*/model.safetensors")}
    return tuple(sorted(sizes, key=sizes.__getitem__))


def pick_device(device: str = "auto") -> torch.device:
    """`auto` is a GPU if there is one, else the CPU; ValueError where the device is unknown or not there."""
    if device != "auto":
        try:
            return torch.empty(0, device=device).device
        except (RuntimeError, AssertionError):  # torch without CUDA asserts
            raise ValueError(f"device {device!r} is not there; expected auto, cpu, or cuda or mps if present") from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Loading a model of a megabyte needs no progress bar, and what goes wrong is said by an exception."""
    shown, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()


def load_model(name: str, *, revision: str | None = None, device: str = "auto") -> LanguageModel:
    """A language model by ladder name (`pocket-l`), local folder, or Hub id (`owner/name`).

    `scratch:NAME` is the same architecture and tokenizer with new random weights (drawn from seed 0).

    Raises:
        ValueError: there is no such model, its safetensors weights are missing or do not fit, it needs code of its own,
            it is not a causal model, or its tokenizer has no end token.
    """
    scratch, bare = name.startswith("scratch:"), name.removeprefix("scratch:")
    source = _locate(bare)
    if not scratch and Path(source).is_dir() and not any(Path(source).glob("*.safetensors")):
        raise ValueError(
            f"model {name!r} has no weights in safetensors format. Weights in pickle format, such as "
            "pytorch_model.bin, are not read: opening a pickle can run code"
        )
    where = {"revision": revision, "trust_remote_code": False}  # False refuses; the default asks on the terminal
    unusable = []
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(source, **where)
            if scratch:
                config = AutoConfig.from_pretrained(source, **where)
                with torch.random.fork_rng():
                    torch.manual_seed(0)
                    network = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
            else:
                network, found = AutoModelForCausalLM.from_pretrained(
                    source,
                    **where,
                    dtype=torch.float32,
                    use_safetensors=True,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,  # reported below, in one sentence
                )
                unusable = [*found["missing_keys"], *(entry[0] for entry in found["mismatched_keys"])]
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"model {name!r} cannot be loaded: {error}") from error
    if tokenizer.eos_token_id is None:
        raise ValueError(f"model {name!r}: its tokenizer has no end-of-text token, so an answer could not end")
    if not tokenizer("Answer:", add_special_tokens=False)["input_ids"]:  # what transformers makes up without its file
        raise ValueError(f"model {name!r} cannot be loaded: its tokenizer is missing or has an empty vocabulary")
    network.to(pick_device(device)).eval()
    if not _reads_forward(network):
        raise ValueError(
            f"model {name!r} is an encoder ({type(network).__name__}): its prediction of a token depends on the tokens "
            "after it, so it has no Pr(y|x). Expected a causal language model"
        )
    if unusable:
        raise ValueError(
            f"model {name!r}: the file lacks {len(unusable)} of the network's weights, or has them in another shape "
            f"({min(unusable)}, for one)"
        )
    network.generation_config = GenerationConfig.from_model_config(network.config)  # argmax, not its authors' taste
    return LanguageModel(name, network_digest(network, tokenizer), tokenizer, network)


@torch.no_grad()
def _reads_forward(network: PreTrainedModel) -> bool:
    """Whether the prediction after the first token stays the same when the tokens that follow it change."""
    ids = torch.tensor([[0, 0, 0], [0, 1, 1]], device=network.device)
    first = network(input_ids=ids).logits[:, 0]
    return torch.allclose(first[0], first[1], rtol=1e-5, atol=1e-5)


def _locate(name: str) -> str:
    """A folder's path for ladder names and folders; a Hub id as it is."""
    if name in ladder():
        return str(LADDER_FOLDER / name)
    if name and Path(name).is_dir():
        return name
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name
    near = get_close_matches(name, ladder(), n=1)
    raise ValueError(
        f"there is no model {name!r}{f'; did you mean {near[0]!r}' if near else ''}. Expected a model of the ladder "
        f"({', '.join(ladder())}), a folder that exists, or a Hub id such as owner/name"
    )


def network_digest(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """Content key of all weights, the architecture and the vocabulary."""
    seen = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        seen.update(key.encode())
        seen.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    # heads or the base of the rotary positions leave no trace in the weights' shapes
    config = {key: value for key, value in network.config.to_dict().items() if key not in NOT_ARCHITECTURE}
    return content_key(seen.hexdigest(), type(network).__name__, config, sorted(tokenizer.get_vocab().items()))


def save_model(model: LanguageModel, folder: Path) -> None:
    """Weights (safetensors), configuration and tokenizer, as transformers reads them."""
    with _quiet():
        model.network.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)


# -- making new ones ---------------------------------------------------------------------------------------------


def train_tokenizer(texts: Iterator[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: any text can be encoded; every text starts with `<|endoftext|>`."""
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[START, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=[(START, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=START,
        eos_token=START,
        pad_token=PAD,
        padding_side="left",
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def new_llama(
    tokenizer: PreTrainedTokenizerFast, *, layers: int, width: int, heads: int, seed: int
) -> LlamaForCausalLM:
    """A Llama-style model with random weights; torch's global generator is left as it was."""
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
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)
