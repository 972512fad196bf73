"""Greedy and beam search by transformers, in the fastest way that a network does right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from w2s_lab.models.abilities import Trial, family, far_off, said, undisturbed, warn_slower
from w2s_lab.objective import token_log_probs
from w2s_lab.system import parallel

TRIED = 4  # tokens that are generated to see whether a way is right


@dataclass(frozen=True)
class Way:
    """How answers are generated: `batch` as in `Abilities`, and whether keys and values are kept between the steps."""

    batch: str
    cached: bool


WAYS = {  # the fastest first; what is done where the one before did not hold
    Way("padded", True): "",
    Way("equal", True): "answers are generated for prompts of one length after the other",
    Way("single", True): "answers are generated one by one",
    Way("equal", False): "answers are generated for prompts of one length after the other, and each is read anew for "
    "each of its tokens",
    Way("single", False): "answers are generated one by one, and each is read anew for each of its tokens",
}


def way_of(model: Any, with_beams: bool) -> Way:
    """The fastest way in which the generated tokens have the probabilities that the search reckons with.

    Raises:
        ValueError: none does.

    Warns:
        UserWarning: it is not the fastest of all.
    """
    reason = None
    with undisturbed(model.network):
        for way, instead in WAYS.items():
            found = _off(model, way, 2 if with_beams else 1)
            if found is None:
                if reason:
                    warn_slower(model, [f"{instead} ({reason})"])
                return way
            reason = reason or found
    raise ValueError(
        f"model {model.name!r}: {family(model)} cannot generate text ({reason}), so it fits only tasks with a closed "
        "list of answers. Hint: give the task such a list, or take a model of another family"
    )


@torch.no_grad()
def _off(model: Any, way: Way, beams: int) -> str | None:
    """What does not hold for this way; None: the scores of its answers are those of the answers read alone."""
    trial = Trial(model, 0)
    groups = {"padded": [[0, 1, 2]], "equal": [[0, 1], [2]], "single": [[0], [1], [2]]}[way.batch]
    try:
        for group in groups:
            prompts = [trial.prompts[i] for i in group]
            tokens, scores = search(model, prompts, beams=beams, max_new_tokens=TRIED, cached=way.cached)
            answers = [_until(row, model.tokenizer.eos_token_id) for row in tokens.tolist()]
            expected = trial.scores_alone(prompts, answers)

            def nudged(prompts: list = prompts, answers: list = answers) -> Tensor:
                return trial.scores_alone(prompts, answers, nudge=True)

            if (far := far_off(scores.float(), expected, nudged, trial.precision)) is not None:
                return f"scores were off by {far:.2g} nats"
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of any kind: see `Trial.off`
        return said(error)
    return None


def _until(row: list[int], end: int) -> list[int]:
    return row[: row.index(end) + 1] if end in row else row


def search(
    model: Any, prompts: Sequence[list[int]], *, beams: int, max_new_tokens: int, cached: bool
) -> tuple[Tensor, Tensor]:
    """The tokens [B, T] of the best answers, and log Pr of each as the search found it, [B], its end included."""
    ids, mask = model.pad_left(prompts)
    end = model.tokenizer.eos_token_id
    greedy_score = _GreedyScore(end)
    # rank beams by log Pr(y|x) itself, as argmax_y asks, not by a mean per token
    ranking = {"length_penalty": 0.0, "output_scores": True} if beams > 1 else {}
    with model.autocast():
        output = model.network.generate(
            input_ids=ids,
            attention_mask=mask,
            num_beams=beams,
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=end,
            pad_token_id=end,
            use_cache=cached,
            synced_gpus=parallel.is_sharded(model.network),  # else a process that ends first blocks the others
            logits_processor=[greedy_score] if beams == 1 else None,
            return_dict_in_generate=True,
            **ranking,
        )
    generated = output.sequences[:, ids.shape[1] :]
    return generated, output.sequences_scores if beams > 1 else greedy_score.of(generated)


class _GreedyScore:
    """Adds up log Pr of the tokens that greedy search chooses; `generate` calls it with the logits of each step."""

    def __init__(self, eos: int) -> None:
        self.eos, self.total, self.last, self.alive = eos, 0.0, None, None

    def __call__(self, ids: Tensor, logits: Tensor) -> Tensor:
        if self.last is not None:
            self._add(ids[:, -1])
        self.last = logits
        return logits

    def _add(self, chosen: Tensor) -> None:
        alive = torch.ones_like(chosen, dtype=torch.bool) if self.alive is None else self.alive
        scores = token_log_probs(self.last, chosen)
        self.total = self.total + torch.where(alive, scores, 0.0)
        self.alive = alive & (chosen != self.eos)

    def of(self, generated: Tensor) -> Tensor:
        """The sums, [B], the end-of-answer token included, given all generated tokens."""
        self._add(generated[:, -1])
        return self.total
