"""A language model and its two abilities: to score an answer, log Pr(y|x), and to generate one.

It works with any tokenizer and any causal network that behave as those of transformers do; `loading.py` loads them,
`encoding.py` makes tokens of text, `states.py` looks inside.
"""

import contextlib
import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from w2s_lab.models import half_weights
from w2s_lab.models.abilities import Abilities, measure, pads_right
from w2s_lab.models.chat import has_template
from w2s_lab.models.encoding import Encoding
from w2s_lab.models.generation import Way, search, way_of
from w2s_lab.models.rows import AnswerList, in_rows, tokens_behind, with_prefix_row
from w2s_lab.models.states import InnerStates
from w2s_lab.objective import sequence_log_prob
from w2s_lab.recipe import Recipe
from w2s_lab.records import Snapshot, Task
from w2s_lab.system import parallel
from w2s_lab.system.randomness import replayed
from w2s_lab.system.record import abbreviated

BFLOAT16_PAYS = 10_000_000  # parameters: on a CPU, 1.4 times as fast at 13 million, a tenth slower at one million
WORTH_SHARING = 4  # tokens: from this length on, a prefix that all prompts of a batch share is read once
FLASH = "cuda"  # the kind of device whose attention is faster without a mask
FLASH_PAYS = 8  # predicted, not measured: a shared prefix of less than an eighth of a row saves less than a mask costs


# What transformers calls the recomputation of activations on the way back: gradient checkpointing in 5.17, later
# activation checkpointing; the old names warn then.
RECOMPUTING = ("activation_checkpointing", "gradient_checkpointing")


def is_recomputing(network: torch.nn.Module) -> bool:
    """Whether activations are computed a second time on the way back instead of being kept."""
    return next((getattr(network, f"is_{name}") for name in RECOMPUTING if hasattr(network, f"is_{name}")), False)


def recompute(network: torch.nn.Module, yes: bool) -> None:
    """From now on compute activations a second time on the way back, or keep them."""
    name = next(name for name in RECOMPUTING if hasattr(network, f"{name}_enable"))
    if yes:
        getattr(network, f"{name}_enable")(
            {"use_reentrant": False, "preserve_rng_state": False, "context_fn": replayed}
        )
    else:
        getattr(network, f"{name}_disable")()


@dataclass(eq=False)
class LanguageModel(Encoding, InnerStates):
    """A causal language model with its tokenizer.

    Attributes:
        name: the name that the user gave, or how the model was trained.
        digest: content key of weights and tokenizer.
        tokenizer: a `PreTrainedTokenizerBase` of transformers.
        network: a `Llama` of this kit or a causal `PreTrainedModel` of transformers, float32 on `device`.
        history: snapshots of the training that made it; empty for a model that was loaded.
        max_tokens, chat_template, precision: as in `Recipe`, in training and afterwards.
        task: the task that it was trained on, for `w2s_lab.answer`; None: unknown.
        instruction: the most frequent one among its training examples; None: unknown.
        padding: where prompts with their answers are padded: "left", with a mask; "right", without one, so that a GPU's
            flash kernel applies; "auto": right on a GPU where that should pay. Either gives the same numbers.
        in_half: whether the network has its weights in bfloat16 at this moment (see `models.half_weights`).
    """

    name: str
    digest: str
    tokenizer: Any
    network: Any
    history: tuple[Snapshot, ...] = ()
    max_tokens: int = Recipe.max_tokens
    chat_template: bool = False
    precision: str = "auto"
    task: Task | None = None
    instruction: str | None = None
    padding: str = "auto"
    in_half: bool = False
    _prompts: dict = field(default_factory=dict, repr=False)
    _measured: dict = field(default_factory=dict, repr=False)  # shared by copies, whose networks behave alike
    _as_if: Abilities | None = field(default=None, repr=False)  # while they are measured

    def __repr__(self) -> str:
        learnt = f", trained on {self.task.name!r}" if self.task else ""
        what = f"{type(self.network).__name__}, {self.parameters:,} parameters, {self.device}"
        return f"LanguageModel({abbreviated(self.name)}: {what}{learnt}, {len(self.history)} snapshots)"

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return self.network.device

    @property
    def parameters(self) -> int:
        """Number of parameters, shared ones counted once."""
        return sum(p.numel() for p in self.network.parameters())

    def copy(self) -> "LanguageModel":
        """The same model with its own copy of the weights and an empty history."""
        return replace(self, network=copy.deepcopy(self.network), history=())

    def read_as(self, recipe: Recipe) -> None:
        """Take `max_tokens`, `precision` and (if the tokenizer has one) `chat_template` from the recipe.

        Raises:
            ValueError: the recipe asks for the chat template, and the template cannot be used (see `models.chat`).

        Warns:
            UserWarning: it asks for a chat template, and there is none.
        """
        self.max_tokens, self.precision = recipe.max_tokens, recipe.precision
        self.chat_template = recipe.chat_template and has_template(self.tokenizer)
        if self.chat_template:
            _ = self._chat_frame
        elif recipe.chat_template:
            warnings.warn(
                f"model {self.name!r}: its tokenizer has no chat template, so prompts are written as without one. "
                "Hint: models that were tuned for chats, often named ...-Instruct or ...-it, have one",
                stacklevel=2,
            )

    def try_out(self, *, generates: bool) -> None:
        """Raise now what reading, and generating if asked, would raise later; raises and warns as `abilities` does."""
        _ = self.abilities, self._may_pad_right  # measured now: a training may lend the network other weights
        if generates:
            self.generation()

    @property
    def window(self) -> int:
        """Tokens that prompt and answer may take together: `max_tokens`, or fewer if the network reads fewer."""
        return min(self.max_tokens, getattr(self.network.config, "max_position_embeddings", None) or self.max_tokens)

    @property
    def in_bfloat16(self) -> bool:
        """Whether matrix products are computed in bfloat16."""
        return self.chosen_precision(self.precision, self.device) == "bfloat16"

    def chosen_precision(self, precision: str, device: torch.device) -> str:
        """The precision of a recipe, with "bfloat16" for an "auto" that means it on this device."""
        if precision != "auto":
            return precision
        if device.type == "cuda":
            pays = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            able = device.type == "cpu" and {"avx512_bf16", "amx_bf16"} & _instructions()
            pays = bool(able) and self._size >= BFLOAT16_PAYS
        return "bfloat16" if pays else precision

    @cached_property
    def _size(self) -> int:
        return self.parameters

    @property
    def abilities(self) -> Abilities:
        """How the network may be used, measured at first use on its device and in its precision.

        Raises:
            ValueError: not even a single text is read right.

        Warns:
            UserWarning: faster ways do not hold for this network, and slower ones are taken.
        """
        return self._as_if or self._measure(measure)

    @property
    def takes_half_weights(self) -> bool:
        """Whether a training may lend the network its weights in bfloat16, measured at first use."""
        return self._measure(half_weights.takes)

    def behaves_like(self, other: "LanguageModel") -> None:
        """Take over what was measured of another model with the same kind of network."""
        self._measured = other._measured

    def _measure(self, what: Callable[["LanguageModel"], Any], *of: Any) -> Any:
        """The result of a measurement, made once for each device and precision."""
        key = (what, *of, type(self.network), self.device.type, self.in_bfloat16)
        if key not in self._measured:
            self._measured[key] = what(self, *of)
        return self._measured[key]

    # -- log Pr(y|x) ---------------------------------------------------------------------------------------------

    @property
    def _accepts(self) -> frozenset[str]:
        forward = self.network.forward
        return _arguments(getattr(forward, "__func__", forward))

    @property
    def cache_name(self) -> str | None:
        """The name by which the network takes and returns its keys and values; None if it takes none.

        transformers has called them `cache` since 5.24. A network ignores an unknown name without an error.
        """
        return next((name for name in ("cache", "past_key_values") if name in self._accepts), None)

    def read_plainly(self, ids: Tensor, **options: Any) -> Any:
        """The network's own output for texts of one length, [B, L]: no mask, no positions, no cache."""
        if "use_cache" in self._accepts:
            options = {"use_cache": False} | options
        with self.autocast():
            return self.network(input_ids=ids, **options)

    def autocast(self) -> contextlib.AbstractContextManager:
        """Inside the block, matrix products are computed in the model's precision."""
        if self.in_half or not self.in_bfloat16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor, keep: int, **extra):
        """The network's output with logits at the last `keep` positions."""
        if "position_ids" in self._accepts:
            extra["position_ids"] = positions
        if "logits_to_keep" in self._accepts:
            extra["logits_to_keep"] = keep
        if "use_cache" not in self._accepts:
            extra.pop("use_cache", None)
        with self.autocast():
            output = self.network(input_ids=ids, attention_mask=mask, **extra)
        output.logits = output.logits[:, -keep:]
        return output

    def log_prob(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> Tensor:
        """log Pr(answer|prompt) of B pairs, in nats per answer, [B], with gradient."""
        return sequence_log_prob(*self.answer_logits(prompts, answers))

    def answer_logits(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """For B answers after their prompts: logits [B, T, V] that predict them, their tokens [B, T], the mask [B, T].

        If rows are padded on the left, all answers end at the last position, so logits are computed for the last T
        positions only. The network predicts the last token of an answer but never reads it.
        """
        width = max(map(len, answers))
        rows = [p + a[:-1] for p, a in zip(prompts, answers, strict=True)]
        if self._pads_right(rows, prompts):
            return self._read_right(rows, width), *self.pad_left(answers)

        def read(group: list[int]) -> Tensor:
            logits = self._read([rows[i] for i in group], [prompts[i] for i in group], width)[0].logits
            return torch.nn.functional.pad(logits, (0, 0, width - logits.shape[1], 0))

        return self._in_groups(rows, read), *self.pad_left(answers)

    @property
    def _may_pad_right(self) -> bool:
        wished = self.padding == "right" or (self.padding == "auto" and self.device.type == FLASH)
        return wished and (self._as_if is not None or self._measure(pads_right))

    def _pads_right(self, rows: Sequence[list[int]], prompts: Sequence[list[int]]) -> bool:
        if not self._may_pad_right or self.padding == "right":
            return self._may_pad_right
        return self._shared_prefix(rows, prompts) * FLASH_PAYS < max(map(len, rows))

    def _read_right(self, rows: Sequence[list[int]], width: int) -> Tensor:
        """Logits [B, T, V] at the last `width` tokens of each row; rows are padded on the right.

        A causal network reads nothing of what follows a token, so neither mask nor positions are given.
        """
        lengths = np.array([[len(row)] for row in rows])
        ids = self._filled(rows, np.arange(lengths.max()) < lengths)
        starts = np.arange(len(rows))[:, None] * ids.shape[1]
        places = self._send((starts + np.maximum(lengths + np.arange(-width, 0), 0)).flatten())

        def at_answers(_: torch.nn.Module, inputs: tuple[Tensor]) -> Tensor:
            return inputs[0].flatten(0, 1).index_select(0, places).unflatten(0, (len(rows), width))

        hook = self.network.get_output_embeddings().register_forward_pre_hook(at_answers)
        try:
            return self.read_plainly(ids).logits
        finally:
            hook.remove()

    def log_probs(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> Tensor:
        """log Pr(y_k|x) of K answers for each of B prompts, in nats per answer, [B, K], with gradient.

        The network reads each prompt once for all K answers, if its abilities allow.
        """
        way = self.abilities.answers
        if way == "apart" or (way == "continued" and self._recomputes):  # then no keys and values are kept
            return torch.stack([self.log_prob(prompts, [answer] * len(prompts)) for answer in answers], 1)
        if way == "continued":
            return self._in_groups(prompts, lambda group: self._continued([prompts[i] for i in group], answers))

        lists = [AnswerList(some, self.device) for some in in_rows(answers)]

        def read(group: list[int]) -> Tensor:
            rows = [prompts[i] for i in group]
            outputs = ((one, self._read(rows, rows, 1 + len(one), behind=one)[0]) for one in lists)
            return torch.cat([one.log_probs(output.logits) for one, output in outputs], 1)

        return self._in_groups(prompts, read)

    def tokens_with(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> list[int]:
        """For each prompt, how many tokens go through the network, or are kept, when it is read with a closed list."""
        if self.abilities.answers == "together":
            behind = max(map(tokens_behind, in_rows(answers)))
            return [len(prompt) + 1 + behind for prompt in prompts]
        times = len(answers) if self.abilities.answers == "continued" else 1
        return [(len(prompt) + max(map(len, answers))) * times for prompt in prompts]

    def _continued(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> Tensor:
        """`log_probs` of prompts that may be read together; each answer goes on from a copy of the prompt's keys."""
        batch, k, width = len(prompts), len(answers), max(map(len, answers))
        read, mask = self._read(prompts, prompts, 1, use_cache=True)
        targets = torch.tensor([a + [0] * (width - len(a)) for a in answers], device=self.device)
        answer_mask = torch.tensor([[i < len(a) for i in range(width)] for a in answers], device=self.device)
        targets, answer_mask = targets.repeat(batch, 1), answer_mask.repeat(batch, 1)
        logits = read.logits.repeat_interleave(k, 0)
        if width > 1:
            cache = getattr(read, self.cache_name)
            cache.batch_repeat_interleave(k)
            full_mask = torch.cat([mask.repeat_interleave(k, 0), answer_mask[:, :-1].long()], -1)
            positions = self._positions(full_mask)[:, 1 - width :]
            own = {self.cache_name: cache}
            continued = self._forward(targets[:, :-1], full_mask, positions, width - 1, **own, use_cache=True)
            logits = torch.cat([logits, continued.logits], 1)
        return sequence_log_prob(logits, targets, answer_mask).view(batch, k)

    def _in_groups(
        self, rows: Sequence[list[int]], read: Callable[[list[int]], Tensor], batch: str | None = None
    ) -> Tensor:
        """What `read` returns for groups of row numbers that may be read together, [B, ...] in the rows' order."""
        batch = batch or self.abilities.batch
        if batch == "padded":
            return read(list(range(len(rows))))
        if parallel.is_sharded(self.network):  # its processes must run the network equally often
            raise ValueError(
                f"{self.name}: {type(self.network).__name__} cannot read texts of different lengths in one batch, so "
                "it cannot be spread over several GPUs. Hint: run it on one GPU, or take another model"
            )
        groups: dict[int, list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault(len(row) if batch == "equal" else number, []).append(number)
        order = torch.tensor(list(chain.from_iterable(groups.values())), device=self.device)
        return torch.cat([read(group) for group in groups.values()])[order.argsort()]

    def _read(
        self,
        rows: Sequence[list[int]],
        prompts: Sequence[list[int]],
        keep: int,
        longest: int | None = None,
        behind: AnswerList | None = None,
        **extra,
    ) -> tuple[Any, Tensor]:
        """The network's output for rows that begin with `prompts`, with logits at the last `keep` positions; the mask.

        A prefix that all prompts share, such as the instruction, is read once; at most its first `longest` tokens. The
        rows may have a list of answers behind them.
        """
        shared = self._shared_prefix(rows, prompts, longest)
        ids, mask = self.pad_left([row[shared:] for row in rows])
        if shared:
            ids, mask = with_prefix_row(ids, mask, torch.tensor(prompts[0][:shared], device=self.device))
        seen, positions = mask, self._positions(mask)[:, -ids.shape[1] :]
        if behind:
            ids, seen, positions = behind.behind(ids, mask, positions)
        if not shared:
            return self._forward(ids, seen, positions, keep, **({"use_cache": False} | extra)), mask
        if self.shares_prefix:
            read = self._forward(ids, seen, positions, keep, shared=shared)
        else:
            from w2s_lab.models.shared_prefix import shared_cache  # imports transformers

            cache = shared_cache(self.network, shared)
            read = self._forward(ids, seen, positions, keep, **{self.cache_name: cache}, use_cache=True)
            if extra:  # the caller will continue the rows, but not the prefix row
                cache.batch_select_indices(torch.arange(len(rows), device=self.device))
        read.logits = read.logits[:-1]
        return read, mask[:-1]

    def _shared_prefix(
        self, rows: Sequence[list[int]], prompts: Sequence[list[int]], longest: int | None = None
    ) -> int:
        """How many tokens at the start of all prompts are worth reading once; never a prompt's last token."""
        if (
            len(prompts) == 1
            or self._recomputes
            or not self.abilities.prefix
            or (self.network.training and self._drops)
        ):
            return 0  # with dropout, each row needs its own random draws
        first, last = min(prompts), max(prompts)  # in sorted order: a prefix of both is a prefix of all
        shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        # the prefix becomes a row of the batch: it should not be longer than the remaining parts of the other rows
        shared = min(shared, min(map(len, prompts)) - 1, max(map(len, rows)) // 2)
        shared = shared if longest is None else min(shared, longest)
        return shared if shared >= WORTH_SHARING else 0

    def _positions(self, mask: Tensor) -> Tensor:
        """At which position each token of rows with this mask stands, [B, L]; padding stands anywhere."""
        return (mask.cumsum(-1) - 1).clamp_min(0)

    @property
    def shares_prefix(self) -> bool:
        """Whether the network itself can read a prefix once, as `Llama` does."""
        return "shared" in self._accepts

    @property
    def takes_positions(self) -> bool:
        """Whether the network lets its caller say at which position a token stands."""
        return "position_ids" in self._accepts

    @property
    def _recomputes(self) -> bool:
        return self.network.training and is_recomputing(self.network)

    @cached_property
    def _drops(self) -> bool:
        """Whether the network uses dropout in training."""
        values = self.network.config.to_dict().items()
        return any("drop" in name and isinstance(value, float) and value > 0 for name, value in values)

    def pad_left(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """[B, L] token ids and 0/1 mask. The filler's id is arbitrary: only the mask says what is padding."""
        lengths = np.array([len(row) for row in rows])
        mask = np.arange(lengths.max(), 0, -1) <= lengths[:, None]
        return self._filled(rows, mask), self._send(mask.astype(np.int64))

    def _filled(self, rows: Sequence[list[int]], mask: np.ndarray) -> Tensor:
        """[B, L] the rows' token ids where the mask is true, row after row, and the filler elsewhere."""
        ids = np.zeros(mask.shape, dtype=np.int64)
        ids[mask] = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=mask.sum())
        return self._send(ids)

    def _send(self, array: np.ndarray) -> Tensor:
        """The array on the device; copied to a GPU from pinned memory, so that the CPU need not wait for the copy."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    # -- generation ----------------------------------------------------------------------------------------------

    def generate(self, prompts: Sequence[list[int]], *, beams: int = 1, max_new_tokens: int = 48) -> list[str]:
        """The most likely answer by greedy (`beams=1`) or beam search, one text per prompt."""
        return self.generate_scored(prompts, beams=beams, max_new_tokens=max_new_tokens)[0]

    @torch.no_grad()
    def generate_scored(
        self, prompts: Sequence[list[int]], *, beams: int = 1, max_new_tokens: int = 48
    ) -> tuple[list[str], Tensor]:
        """The texts that `generate` returns, and log Pr(text|prompt) of each text as an answer, in nats, [B]."""
        way, texts = self.generation(beams), [""] * len(prompts)

        def read(group: list[int]) -> Tensor:
            asked = [prompts[i] for i in group]
            tokens, scores = search(self, asked, beams=beams, max_new_tokens=max_new_tokens, cached=way.cached)
            found = self.tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            for i, text in zip(group, found, strict=True):
                texts[i] = text.strip()
            answers = self.encode_answers([texts[i] for i in group])
            # a text that was cut off, or that the tokenizer encodes otherwise, has other tokens than those generated
            other = [row for row, a in enumerate(answers) if beams > 1 or tokens[row, : len(a)].tolist() != a]
            if other:
                scores[other] = self.log_prob([asked[row] for row in other], [answers[row] for row in other])
            return scores

        scores = self._in_groups(prompts, read, way.batch)
        return texts, scores

    def generation(self, beams: int = 1) -> Way:
        """How answers are generated, measured at first use; raises ValueError if this network cannot do it."""
        return self._measure(way_of, beams > 1)


@lru_cache(maxsize=16)
def _arguments(forward: Callable) -> frozenset[str]:
    """The names of what a function takes."""
    return frozenset(inspect.signature(forward).parameters)


@cache
def _instructions() -> set[str]:
    """The instruction sets of this CPU, by torch's names; none where torch is too old to say."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return {name for name, supported in capabilities.items() if supported is True}


def needs_language_model(model: object, who: str) -> None:
    """Raise TypeError, in one sentence, if `who` was given a supervisor that is no language model, such as a rule."""
    if hasattr(model, "answer") and not hasattr(model, "encode_prompts"):
        what = getattr(model, "name", None) or type(model).__name__
        raise TypeError(f"{who} needs a language model; {what} is none. Hint: Bench.labels_of gives the labels of any")
