"""What a network does right, measured: one small batch is held against single texts, read by the network alone.

Transformers' families differ in what they do with padding, with given positions, and with kept keys and values or
recurrent states; a family that does one of these otherwise often does so without an error.
"""

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

BEGINNING, PROMPTS, ANSWERS = 5, (10, 10, 7), (4, 2)  # tokens of the measured texts; the short answer is padded
PAIRS = ((0, 0), (1, 0), (2, 1))  # prompt and answer: two rows of equal length, and a shorter one
DRAWS = 3  # sets of texts that are tried where the first one fails: a router of experts may flip by rounding
OTHER_THINGS = "it keeps other things of a text than keys and values"
FLOOR, NUDGE = 16, 8  # times the precision: an error that is never one; how far the embeddings are nudged
ROUNDING = 30  # times the change that a nudge makes: what rounding may do
WINDOW = re.compile(r"window(_size)?$|attention_chunk_size$")  # of a config: an old token is not seen any more


WAYS = {  # of reading several texts, the fastest first; what is said where one does not hold
    "padded": "texts of different lengths are read one length after the other, since padding changes what is read",
    "equal": "texts are read one by one, since those of a batch change each other",
    "single": "",
}


LISTS = ("together", "continued", "apart")  # ways to read a closed list, the fastest first; see `Abilities`


@dataclass(frozen=True)
class Abilities:
    """How a network may be used so that each text gets the score, and the gradient, that it gets alone.

    Attributes:
        batch: which texts are read together: "padded", of any length, padded on the left; "equal", of the same length;
            "single", each alone.
        prefix: whether what all prompts of a batch begin with may be read once.
        answers: how the answers of a closed list are read: "together", in one row behind their prompt, where each sees
            the prompt and itself; "continued", each from a copy of the prompt's keys and values; "apart", each with
            its prompt.
        slower: for each faster way that does not hold, what is done instead, and why.
    """

    batch: str = "padded"
    prefix: bool = True
    answers: str = "together"
    slower: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Reading:
    """What was found of `PAIRS`: log Pr(y|x) in nats, [3], and their sum's slope in each token's embedding, if any."""

    scores: Tensor
    slope: Tensor | None


Score = Callable[[Any, "Trial"], Tensor]


@dataclass(eq=False)
class Trial:
    """Random texts, and how the network reads each of them alone.

    Attributes:
        model: the language model.
        seed: of the texts.
    """

    model: Any
    seed: int
    prompts: list[list[int]] = field(init=False)
    answers: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        ids = _ordinary_ids(self.model)

        def draw(count: int) -> list[int]:
            return rng.choice(ids, count).tolist()

        shared = draw(BEGINNING)
        self.prompts = [shared + draw(length - BEGINNING) for length in PROMPTS]
        self.answers = [draw(length) for length in ANSWERS]

    @cached_property
    def reference(self) -> Reading:
        """Each text alone, without padding, mask, positions or cache; without slope where the network has none."""
        try:
            with torch.set_grad_enabled(not self.model.in_bfloat16):  # there, rounding would hide an error in a slope
                return self.read(_alone)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # of the way back, or of the way forward: the second try tells
            with torch.no_grad():
                return self.read(_alone)

    @cached_property
    def nudged(self) -> Reading:
        """The reference after a nudge to the embeddings: how far rounding errors can carry this network."""
        with torch.set_grad_enabled(self.reference.slope is not None):
            return self.read(_alone, nudge=NUDGE * self.precision)

    @property
    def precision(self) -> float:
        """The relative rounding error of the network's matrix products."""
        return torch.finfo(torch.bfloat16 if self.model.in_bfloat16 else torch.float32).eps

    def read(self, score: Score, abilities: Abilities | None = None, *, nudge: float = 0.0) -> Reading:
        """Scores and slope of the pairs, where the model is used with these abilities."""
        with _watched_embeddings(self.model.network, nudge) as seen:
            scores = score(replace(self.model, _as_if=abilities), self)
            leaves = [leaf for _, leaf in seen]
            slopes = torch.autograd.grad(scores.sum(), leaves) if torch.is_grad_enabled() and leaves else ()
        found = scores.detach().float()
        if not slopes:
            return Reading(found, None)
        used = sorted({0, *(token for row in (*self.prompts, *self.answers) for token in row)})  # 0: the filler
        table = torch.tensor(used, device=found.device)
        places = torch.cat([torch.searchsorted(table, ids.contiguous()).flatten() for ids, _ in seen])
        slope = torch.cat([slope.flatten(0, -2) for slope in slopes]).float()
        return Reading(found, slope.new_zeros(len(used), slope.shape[-1]).index_add(0, places, slope))

    def score_alone(self, prompt: list[int], answer: list[int]) -> Tensor:
        """log Pr(answer|prompt) in nats, read by the network without padding, mask, positions or cache."""
        logits = self.model.read_plainly(torch.tensor([prompt + answer[:-1]], device=self.model.device)).logits
        return logits[0, -len(answer) :].float().log_softmax(-1)[range(len(answer)), answer].sum()

    def scores_alone(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]], *, nudge: bool = False
    ) -> Tensor:
        """`score_alone` of several pairs, [B]; with a nudge to the embeddings, if asked."""
        with _watched_embeddings(self.model.network, NUDGE * self.precision if nudge else 0.0):
            return torch.stack([self.score_alone(p, a) for p, a in zip(prompts, answers, strict=True)]).detach()

    def off(self, score: Score, abilities: Abilities) -> str | None:
        """What does not hold where the model is used with these abilities; None: all is as alone, but for rounding."""
        try:
            with torch.set_grad_enabled(self.reference.slope is not None):
                found = self.read(score, abilities)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of any kind: a network's code was not made for what is tried here
            return said(error)
        if far := self._far(found.scores, lambda reading: reading.scores):
            return f"scores were off by {far:.2g} nats"
        if found.slope is not None and (far := self._far(found.slope, lambda reading: reading.slope)):
            return f"gradients were off by {far / self.reference.slope.abs().max().item():.1%}"
        return None

    def _far(self, found: Tensor, part: Callable[[Reading], Tensor]) -> float | None:
        """The largest difference from the reference, if rounding does not explain it."""
        expected = part(self.reference)
        return far_off(found, expected, lambda: part(self.nudged), self.precision)


def far_off(found: Tensor, expected: Tensor, nudged: Callable[[], Tensor], precision: float) -> float | None:
    """The largest difference between two results, if rounding at this precision does not explain it.

    Args:
        found, expected: the results, of one shape.
        nudged: `expected` after a nudge to the embeddings; it is asked for only where the two differ.
        precision: relative rounding error.
    """
    far = (found - expected).abs().max().item()
    if far <= FLOOR * precision * expected.abs().max().item():
        return None
    return None if far <= ROUNDING * (nudged() - expected).abs().max().item() else far


def measure(model: Any) -> Abilities:
    """The abilities of a language model's network; weights, mode and torch's global generator stay as they were.

    A network that computes in bfloat16 must show them in float32, where an error stands out, and then in bfloat16.

    Raises:
        ValueError: not even a single text is read right.

    Warns:
        UserWarning: faster ways do not hold for this network, and slower ones are taken.
    """
    left = replace(model, padding="left")
    with undisturbed(model.network):
        found = _measured(replace(left, precision="float32"), Abilities())
        if model.in_bfloat16:
            found = _measured(left, found)
    warn_slower(model, found.slower)
    return found


def warn_slower(model: Any, slower: Sequence[str]) -> None:
    """Warn, in one sentence, if there is something that takes a slower way."""
    if slower:
        warnings.warn(
            f"model {model.name!r} ({family(model)}) behaves otherwise than most in a batch. To get the numbers that "
            f"each text gets alone, slower ways are taken: {'; '.join(slower)}",
            stacklevel=3,
        )


def _measured(model: Any, best: Abilities) -> Abilities:
    """The abilities in the model's precision, none of them better than `best`."""
    first = Trial(model, 0)
    _check_reference(first)

    def off(score: Score, abilities: Abilities) -> str | None:
        found = first.off(score, abilities)
        if found is None or all(Trial(model, seed).off(score, abilities) is None for seed in range(1, DRAWS)):
            return None  # a router that chose other experts after rounding differs in one draw, not in all
        return found

    slower, batch, reason = list(best.slower), "", None
    for batch in list(WAYS)[list(WAYS).index(best.batch) :]:
        if (reason := off(pairs, Abilities(batch, prefix=False, answers="apart"))) is None:
            break
        slower.append(f"{WAYS[batch]} ({reason})")
    if reason:
        raise ValueError(
            f"model {model.name!r}: {family(model)} scores even a single text otherwise when its mask and positions "
            f"are given ({reason}), so this kit cannot use it. Hint: take a model of another family"
        )
    found = Abilities(batch, prefix=False, answers="apart")
    kept = _keeps_from_sharing(model) if best.prefix and batch == "padded" else ""  # "": known already
    ways = [way for way in LISTS[LISTS.index(best.answers) :] if way != "together" or _takes_any_mask(model)]
    if kept is None:
        for way in ways[:-1]:
            both = replace(found, prefix=True, answers=way)
            if off(_table, both) is None:
                return replace(both, slower=tuple(slower))
    for way in ways:
        found = replace(found, answers=way)
        if way == "apart" or (reason := off(_table, found)) is None:
            break
    if found.answers == "apart" != best.answers:
        slower.append(
            f"each answer of a closed list is read with its prompt, since answers cannot share the prompt's keys "
            f"and values ({reason})"
        )
    if kept != "":
        reason = kept or off(_table, replace(found, prefix=True))
        found = replace(found, prefix=not reason)
        if reason:
            slower.append(f"what all prompts of a batch begin with is read again for each of them ({reason})")
    return replace(found, slower=tuple(slower))


def _check_reference(trial: Trial) -> None:
    """Raise ValueError unless the network gives a text alone a score."""
    model = trial.model
    try:
        reference = trial.reference
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise ValueError(f"model {model.name!r}: {family(model)} cannot read a text ({said(error)})") from error
    if not reference.scores.isfinite().all():
        raise ValueError(
            f"model {model.name!r}: {family(model)} gives scores that are not finite. Hint: its weights may be damaged"
        )


@torch.no_grad()
def reads_forward(network: Any) -> bool:
    """Whether the predictions after the first tokens stay the same when the tokens that follow them change."""
    ids = torch.tensor([[0, 1, 0, 0, 0], [0, 1, 0, 1, 1]], device=network.device)

    def read(nudge: float) -> Tensor:
        with _watched_embeddings(network, nudge):
            return network(input_ids=ids).logits[:, :3].float()

    precision = torch.finfo(network.dtype).eps
    with undisturbed(network):
        first, second = found = read(0.0)
        if not found.isfinite().all():
            return True  # `measure` says so
        return far_off(second, first, lambda: read(NUDGE * precision)[0], precision) is None


def pads_right(model: Any) -> bool:
    """Whether rows may be padded on the right, without a mask, in float32 and in the model's precision."""
    with undisturbed(model.network):
        for precision in dict.fromkeys(("float32", model.precision)):
            trial = Trial(replace(model, precision=precision, padding="right"), 0)
            if trial.off(pairs, Abilities(prefix=False, answers="apart")):
                return False
    return True


def can_stop(model: Any) -> bool:
    """Whether what goes into a block of the network is the state that the network itself gives for that layer.

    Raises:
        ValueError: neither is known.
    """
    trial = Trial(model, 0)
    layers = list(range(model.layers))  # the input of the output head, after them, is its own definition

    def given(nudge: float = 0.0) -> list[Tensor]:
        with _watched_embeddings(model.network, nudge):
            all_states = [
                model.read_plainly(torch.tensor([p], device=model.device), output_hidden_states=True).hidden_states
                for p in trial.prompts
            ]
        if any(states is None or len(states) != len(layers) + 1 for states in all_states):
            raise ValueError("it does not give the states of its layers")
        return [torch.stack([states[layer][0, -1].float() for states in all_states]) for layer in layers]

    with undisturbed(model.network), torch.no_grad():
        try:
            expected = given()
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(
                f"model {model.name!r}: the states inside {family(model)} cannot be read ({error}); only its last "
                f"layer, {model.layers}, can"
            ) from error
        try:
            found = torch.cat([model.states_by_stopping([prompt], layers) for prompt in trial.prompts])
        except (ValueError, KeyError, TypeError, RuntimeError):
            return False
        return all(
            far_off(
                found[:, layer],
                expected[layer],
                lambda layer=layer: given(NUDGE * trial.precision)[layer],
                trial.precision,
            )
            is None
            for layer in layers
        )


def _keeps_from_sharing(model: Any) -> str | None:
    """Why no prefix can be shared, where that is known without trying; a short trial would not notice a long window."""
    if window := _window(model):
        return f"it does not see further back than {window} tokens"
    if not model.takes_positions:
        return "it takes no positions of tokens"
    if model.shares_prefix:
        return None
    from w2s_lab.models.shared_prefix import can_share  # imports transformers

    return None if model.cache_name and can_share(model.network) else OTHER_THINGS


def _takes_any_mask(model: Any) -> bool:
    """Whether it may be tried to give a network a mask of its own for each token, in place of the one it would make."""
    return model.takes_positions and not _window(model)


def _window(model: Any) -> int | None:
    """How far back a network sees, in tokens; None: without a limit."""
    config = model.network.config.get_text_config().to_dict()
    return min(
        (value for name, value in config.items() if WINDOW.search(name) and isinstance(value, int) and value > 0),
        default=None,
    )


def family(model: Any) -> str:
    """The class of the network, such as GPT2LMHeadModel."""
    return type(model.network).__name__


def said(error: Exception) -> str:
    """An error in a few words."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def _alone(model: Any, trial: Trial) -> Tensor:
    return torch.stack([trial.score_alone(trial.prompts[p], trial.answers[a]) for p, a in PAIRS])


def pairs(model: Any, trial: Trial) -> Tensor:
    """log Pr(y|x) of `PAIRS`, in one batch, [3]."""
    return model.log_prob([trial.prompts[p] for p, _ in PAIRS], [trial.answers[a] for _, a in PAIRS])


def _table(model: Any, trial: Trial) -> Tensor:
    table = model.log_probs(trial.prompts, trial.answers)
    return torch.stack([table[p, a] for p, a in PAIRS])


def _ordinary_ids(model: Any) -> np.ndarray:
    """Token ids that texts consist of: no special ones, such as that of the padding."""
    rows = model.network.get_input_embeddings().weight.shape[0]
    padding = model.network.config.get_text_config().pad_token_id
    special = [*getattr(model.tokenizer, "all_special_ids", []), *([] if padding is None else [padding])]
    found = np.setdiff1d(np.arange(rows), special)
    return found if len(found) else np.arange(rows)


@contextlib.contextmanager
def undisturbed(network: torch.nn.Module) -> Iterator[None]:
    """Inside the block the network is in evaluation mode, and a GPU computes float32 in full; then as before."""
    learning = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with torch.enable_grad(), torch.backends.cudnn.flags(allow_tf32=False):
            yield
    finally:
        for module in learning:
            module.training = True


@contextlib.contextmanager
def _watched_embeddings(network: torch.nn.Module, nudge: float) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Inside the block, embeddings are leaves of the gradient, nudged by the fraction `nudge`; yields ids and leaf."""
    seen: list[tuple[Tensor, Tensor]] = []

    def hook(_: Any, inputs: tuple, named: dict, output: Tensor) -> Tensor:
        output = output.detach()
        if nudge:
            signs = torch.randn(output.shape, generator=torch.Generator().manual_seed(len(seen))).sign()
            output = output * (1 + nudge * signs.to(output))
        seen.append((inputs[0] if inputs else named["input"], output.requires_grad_(torch.is_grad_enabled())))
        return output.clone()  # some networks scale them in place, which a leaf does not allow

    handle = network.get_input_embeddings().register_forward_hook(hook, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()
