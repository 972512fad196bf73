"""Language models: a name, a folder or a Hub id becomes a tokenizer and a causal model with two abilities.

A `LanguageModel` scores answers, log Pr(y|x), and generates them. This is the only module that imports transformers.
"""

import contextlib
import copy
import hashlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from torch import Tensor
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

from w2s_lab.objective import sequence_log_prob
from w2s_lab.records import Example, Snapshot, content_key

LADDER_FOLDER = Path(__file__).resolve().parents[1] / "data" / "models"
START, PAD = "<|endoftext|>", "<|pad|>"
NOT_ARCHITECTURE = {"_name_or_path", "architectures", "dtype", "transformers_version", "use_cache"}  # of a config
LONGEST_WORD = 32  # characters looked at beyond the place where an over-long input is cut
MAX_LENGTH = 1024  # tokens that a pocket model accepts; rotary positions have no table to run out of


@dataclass(eq=False)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        name: as the user gave it, or how it came about.
        digest: content key of weights and tokenizer.
        tokenizer: of transformers.
        network: of transformers, float32 on `device`.
        history: snapshots of the training that made it; empty for a model that was loaded.
    """

    name: str
    digest: str
    tokenizer: PreTrainedTokenizerBase
    network: PreTrainedModel
    history: tuple[Snapshot, ...] = ()

    @property
    def device(self) -> torch.device:
        return self.network.device

    @property
    def parameters(self) -> int:
        """Number of parameters, shared ones counted once."""
        return sum(p.numel() for p in self.network.parameters())

    def copy(self) -> "LanguageModel":
        """The same model with weights of its own."""
        return LanguageModel(self.name, self.digest, self.tokenizer, copy.deepcopy(self.network))

    # -- text to tokens ------------------------------------------------------------------------------------------

    def _tokens(self, texts: Sequence[str], *, special: bool = True) -> list[list[int]]:
        if not texts:
            return []
        # split_special_tokens: a user's text that contains "<|endoftext|>" is text, not the end of it
        return self.tokenizer(
            list(texts), add_special_tokens=special, split_special_tokens=True, truncation=False, verbose=False
        )["input_ids"]

    def encode_answers(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of each answer as it follows a prompt, the end-of-answer token included."""
        (stem,) = self._tokens(["Answer:"], special=False)
        unique = list(dict.fromkeys(answers))
        table = {}
        texts = [f"Answer: {answer}" if answer else "Answer:" for answer in unique]  # an empty answer ends at once
        for answer, ids in zip(unique, self._tokens(texts, special=False), strict=True):
            if ids[: len(stem)] == stem:
                body = ids[len(stem) :]
            else:  # the tokenizer merged across the colon: take the answer on its own
                (body,) = self._tokens([f" {answer}"], special=False)
            table[answer] = [*body, self.tokenizer.eos_token_id]
        return [table[answer] for answer in answers]

    def encode_prompts(self, examples: Sequence[Example], max_tokens: int) -> tuple[list[list[int]], int]:
        """Token ids of each prompt, at most `max_tokens`, and how many inputs had to be cut at their end for that.

        Raises:
            ValueError: an instruction alone is too long.
        """
        prompts = self._prompt_tokens(examples)
        cut = 0
        for row, example in enumerate(examples):
            if len(prompts[row]) > max_tokens:
                prompts[row] = self._cut_input(example, max_tokens)
                cut += 1
        return prompts, cut

    def _prompt_tokens(self, examples: Sequence[Example]) -> list[list[int]]:
        """Token ids of whole prompts, without the end-of-text token that some tokenizers put after every text."""
        rows = self._tokens([prompt(example) for example in examples])
        return [row[:-1] if row[-1] == self.tokenizer.eos_token_id else row for row in rows]

    def _cut_input(self, example: Example, max_tokens: int) -> list[int]:
        """The longest prefix of the input, by characters, whose prompt has at most `max_tokens` tokens."""

        def tokens(*characters: int) -> list[list[int]]:
            return self._prompt_tokens([Example(example.instruction, example.input[:end]) for end in characters])

        low, high = 0, len(example.input)
        (shortest,) = tokens(low)
        if len(shortest) > max_tokens:
            raise ValueError(
                f"the instruction {example.instruction[:40]!r}... takes {len(shortest)} tokens; "
                f"expected at most {max_tokens}. Hint: raise the recipe's max_tokens"
            )
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if len(tokens(middle)[0]) <= max_tokens else (low, middle - 1)
        # half a word can take more tokens than the whole one, so a few characters more may fit again
        more = tokens(*range(low, min(low + LONGEST_WORD, len(example.input)) + 1))
        return [row for row in more if len(row) <= max_tokens][-1]

    # -- log Pr(y|x) ---------------------------------------------------------------------------------------------

    @cached_property
    def _accepts(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.network.forward).parameters)

    def _forward(self, ids: Tensor, mask: Tensor, keep: int, **more):
        """The network's output with logits at the last `keep` positions."""
        if "position_ids" in self._accepts:
            more["position_ids"] = (mask.cumsum(-1) - 1).clamp_min(0)[:, -ids.shape[1] :]
        if "logits_to_keep" in self._accepts:
            more["logits_to_keep"] = keep
        output = self.network(input_ids=ids, attention_mask=mask, **more)
        output.logits = output.logits[:, -keep:]
        return output

    def log_prob(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> Tensor:
        """log Pr(answer|prompt) of B pairs, in nats per answer, [B], with gradient.

        Rows are padded on the left, so that all answers end at the last position and logits are computed only there.
        """
        width = max(map(len, answers))
        ids, mask = self._pad_left([p + a for p, a in zip(prompts, answers, strict=True)])
        lengths = torch.tensor([len(a) for a in answers], device=self.device)
        answer_mask = torch.arange(width, 0, -1, device=self.device) <= lengths[:, None]
        logits = self._forward(ids, mask, width + 1, use_cache=False).logits
        return sequence_log_prob(logits[:, :-1], ids[:, -width:], answer_mask)

    def log_probs(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> Tensor:
        """log Pr(y_k|x) of K answers for each of B prompts, in nats per answer, [B, K], with gradient.

        The prompt is read once; its keys and values are shared by the K answers.
        """
        ids, mask = self._pad_left(prompts)
        batch, k, width = len(prompts), len(answers), max(map(len, answers))
        read = self._forward(ids, mask, 1, use_cache=True)
        targets = torch.tensor([a + [0] * (width - len(a)) for a in answers], device=self.device)
        answer_mask = torch.tensor([[i < len(a) for i in range(width)] for a in answers], device=self.device)
        targets, answer_mask = targets.repeat(batch, 1), answer_mask.repeat(batch, 1)
        logits = read.logits.repeat_interleave(k, 0)
        if width > 1:
            cache = read.past_key_values
            cache.batch_repeat_interleave(k)
            full_mask = torch.cat([mask.repeat_interleave(k, 0), answer_mask[:, :-1].long()], -1)
            rest = self._forward(targets[:, :-1], full_mask, width - 1, past_key_values=cache, use_cache=True)
            logits = torch.cat([logits, rest.logits], 1)
        return sequence_log_prob(logits, targets, answer_mask).view(batch, k)

    def _pad_left(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """[B, L] token ids and 0/1 mask. The filler's id is arbitrary: only the mask says what is padding."""
        length = max(map(len, rows))
        ids = torch.tensor([[0] * (length - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self.device, non_blocking=True), mask.to(self.device, non_blocking=True)

    # -- generation ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(self, prompts: Sequence[list[int]], *, beams: int = 1, max_new_tokens: int = 48) -> list[str]:
        """The most likely answer by greedy (`beams=1`) or beam search, one text per prompt."""
        ids, mask = self._pad_left(prompts)
        eos = self.tokenizer.eos_token_id
        # rank beams by log Pr(y|x) itself, as argmax_y asks, not by a mean per token
        ranking = {"length_penalty": 0.0} if beams > 1 else {}
        output = self.network.generate(
            input_ids=ids,
            attention_mask=mask,
            num_beams=beams,
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=eos,
            pad_token_id=eos,
            **ranking,
        )
        return [
            text.strip()
            for text in self.tokenizer.batch_decode(
                output[:, ids.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        ]


def prompt(example: Example) -> str:
    """The text x that a model reads: instruction, input, and the word "Answer:"."""
    return "\n".join(part for part in (example.instruction, example.input, "Answer:") if part)


# -- loading and saving ------------------------------------------------------------------------------------------


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
