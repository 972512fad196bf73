"""Inference throughput: the kit's weak labels beside plain loops over batches of 32 in file order.

    python -m tests.benchmarks.inference --examples 1000 --repeats 5 --models pocket-l,small,large --threads 2

* closed task  `w2s_lab.weak_labels` beside this: for every batch and every answer, prompt and answer as one row, padded
               on the right, read whole, logits at every position. `pocket-l` reads the built-in sentiment task, the
               models with random weights (small, large) SST-2.
* open task    `w2s_lab.weak_labels` beside `generate` for every batch, padded on the left. `pocket-l` on the built-in
               task summary, fine-tuned for a few steps, so that its answers end. The kit also computes log Pr(y|x) of
               what it generates; the plain loop does not.

Both sides start from texts, and their answers have to be equal.
"""

from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
import torch

from w2s_lab.data.sources import load_splits
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.training.labelling import MAX_NEW_TOKENS, weak_labels
from w2s_lab.training.loop import train

from .common import BATCH, SIZES, arguments, corpus, in_transformers, new_model, save, timed, use_threads


def padded(rows: Sequence[list[int]], side: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, L] token ids and mask."""
    length = max(map(len, rows))
    ids, mask = torch.zeros(2, len(rows), length, dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(length - len(row), None) if side == "left" else slice(len(row))
        ids[number, place], mask[number, place] = torch.tensor(row), 1
    return ids.to(device), mask.to(device)


@torch.no_grad()
def plain_scores(model: LanguageModel, data: LabelledSet) -> np.ndarray:
    """log Pr(y_k|x) of every answer, in nats, [N, K]: batches in file order, full rows, full logits."""
    closed = model.encode_answers(data.task.answers)
    prompts, _ = model.encode_prompts(data.examples, model.window - max(map(len, closed)))
    table = np.zeros((len(prompts), len(closed)))
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        for k, answer in enumerate(closed):
            ids, mask = padded([row + answer for row in batch], "right", model.device)
            chances = model.network(input_ids=ids, attention_mask=mask).logits.float().log_softmax(-1)
            ends = torch.tensor([len(row) - 1 for row in batch], device=model.device)
            where = ends[:, None] + torch.arange(len(answer), device=model.device)
            rows = torch.arange(len(batch), device=model.device)[:, None]
            found = chances[rows, where, torch.tensor(answer, device=model.device)].sum(-1)
            table[start : start + len(batch), k] = found.cpu().numpy()
    return table


@torch.no_grad()
def plain_texts(model: LanguageModel, data: LabelledSet) -> list[str]:
    """Greedy answers: `generate` for every batch in file order."""
    prompts, _ = model.encode_prompts(data.examples, model.window - MAX_NEW_TOKENS)
    eos, texts = model.tokenizer.eos_token_id, []
    for start in range(0, len(prompts), BATCH):
        ids, mask = padded(prompts[start : start + BATCH], "left", model.device)
        output = model.network.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=MAX_NEW_TOKENS,
            eos_token_id=eos,
            pad_token_id=eos,
        )
        texts += model.tokenizer.batch_decode(output[:, ids.shape[1] :], skip_special_tokens=True)
    return [text.strip() for text in texts]


def in_turns(first: Callable, second: Callable, repeats: int, device: torch.device) -> tuple[list, list]:
    """Seconds of each repeat of both, which take turns after one call each that is not timed."""
    first(), second()
    pairs = [(timed(first, device), timed(second, device)) for _ in range(repeats)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def closed_task(model: LanguageModel, data: LabelledSet, repeats: int) -> dict:
    """Speed of both sides, and how far their answers agree."""
    twin = in_transformers(model)
    labels, table = weak_labels(model, data), plain_scores(twin, data)
    chosen = [data.task.answers[k] for k in table.argmax(-1)]
    ours, plain = in_turns(lambda: weak_labels(model, data), lambda: plain_scores(twin, data), repeats, model.device)
    return {
        "kit_s": ours,
        "plain_s": plain,
        "identical": float(np.mean([a == b for a, b in zip(labels.answers, chosen, strict=True)])),
        "log_prob_difference": float(np.abs(labels.log_prob - table.max(-1)).max()),
    }


def open_task(model: LanguageModel, data: LabelledSet, repeats: int) -> dict:
    """Speed of both sides, and the fraction of identical texts."""
    twin = in_transformers(model)
    labels, texts = weak_labels(model, data), plain_texts(twin, data)
    ours, plain = in_turns(lambda: weak_labels(model, data), lambda: plain_texts(twin, data), repeats, model.device)
    same = float(np.mean([a == b for a, b in zip(labels.answers, texts, strict=True)]))
    return {"kit_s": ours, "plain_s": plain, "identical": same}


def show(name: str, examples: int, result: dict) -> None:
    """One line; rates are medians."""
    kit, plain = median(result["kit_s"]), median(result["plain_s"])
    line = f"{name:30}{examples / kit:>12.1f}{examples / plain:>12.1f}{plain / kit:>8.2f}x{result['identical']:>12.2%}"
    more = result.get("log_prob_difference")
    print(line + ("" if more is None else f"{more:>14.1e}"), flush=True)


def main(argv: Sequence[str] | None = None) -> dict:
    """Measure, print, and return what was measured."""
    parser = arguments(
        __doc__,
        examples={"type": int, "default": 1000, "help": "examples to label (default 1000)"},
        repeats={"type": int, "default": 5, "help": "runs of each side (default 5)"},
        models={"default": "pocket-l,small,large", "help": f"of the ladder, or of {', '.join(SIZES)}"},
        steps={"type": int, "default": 60, "help": "fine-tuning steps before the open task (default 60)"},
        device={"default": "cpu", "choices": ("cpu", "cuda")},
    )
    options = parser.parse_args(argv)
    print(use_threads(options.threads))
    print(f"{'examples/s':30}{'kit':>12}{'plain':>12}{'kit is':>9}{'identical':>12}{'|d log Pr|':>14}")
    results = {}
    for name in options.models.split(","):
        random = name in SIZES
        model = new_model(SIZES[name], name, device=options.device) if random else load_model(name)
        model.network.to(options.device)
        data = corpus()[0] if random else load_splits("sentiment").student_train
        data = data.take(range(min(options.examples, len(data))))
        results[f"{name}, closed"] = closed_task(model, data, options.repeats)
        show(f"{name}, closed", len(data), results[f"{name}, closed"])
        if not random:
            splits = load_splits("summary")
            taught = splits.supervisor_train.take(range(min(options.steps * BATCH, len(splits.supervisor_train))))
            model = train(model, taught, Recipe(epochs=1, learning_rate=1e-3))
            data = splits.student_train.take(range(min(options.examples, len(splits.student_train))))
            results[f"{name}, open"] = open_task(model, data, options.repeats)
            show(f"{name}, open", len(data), results[f"{name}, open"])
    return save(results, options.json)


if __name__ == "__main__":
    main()
