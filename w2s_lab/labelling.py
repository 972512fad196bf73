"""Labels from a model, and labels with errors made on purpose."""

import numpy as np
import torch

from w2s_lab.language_model import LanguageModel
from w2s_lab.objective import answer_probs
from w2s_lab.records import LabelledSet

MAX_TOKENS = 256  # prompt and answer together
MAX_NEW_TOKENS = 48  # a generated answer


@torch.no_grad()
def weak_labels(
    model: LanguageModel, inputs: LabelledSet, *, beams: int = 1, batch_size: int = 128, max_tokens: int = MAX_TOKENS
) -> LabelledSet:
    """y_hat = argmax_y Pr^w(y|x) for every example of `inputs`, whose own answers are not looked at.

    Exact for a closed list of answers, where `probs` is the softmax of their sequence log-probabilities. For an open
    task the answer is found by greedy (`beams=1`) or beam search, and `probs` is None.

    Returns:
        The same examples in the same order, with answers, probs [N, K] or None, and log_prob [N] in nats.
    """
    choices = inputs.task.answers
    closed = model.encode_answers(choices) if choices else None
    longest = max(map(len, closed)) if closed else MAX_NEW_TOKENS
    prompts, _ = model.encode_prompts(inputs.examples, max_tokens - longest)
    order = np.argsort([len(p) for p in prompts], kind="stable")
    answers: list[str] = [""] * len(prompts)
    log_prob = np.zeros(len(prompts))
    probs = np.zeros((len(prompts), len(choices))) if choices else None
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = [prompts[i] for i in rows]
        if choices:
            table = model.log_probs(batch, closed)
            probs[rows] = answer_probs(table).cpu().numpy()
            best = table.argmax(-1)
            texts, values = [choices[j] for j in best.tolist()], table.gather(-1, best[:, None])[:, 0]
        else:
            texts = model.generate(batch, beams=beams, max_new_tokens=MAX_NEW_TOKENS)
            values = model.log_prob(batch, model.encode_answers(texts))
        log_prob[rows] = values.cpu().numpy()
        for i, text in zip(rows, texts, strict=True):
            answers[i] = text
    return LabelledSet(
        inputs.task, inputs.examples, tuple(answers), probs, log_prob, source=f"weak labels of {model.name}"
    )


def random_errors(truth: LabelledSet, accuracy: float, *, seed: int) -> LabelledSet:
    """The true answers with errors at random places, so that exactly round(accuracy * N) of them are right.

    The control for weak labels: the same label accuracy, but nothing about the input predicts which label is wrong.

    Raises:
        ValueError: the task is open, a truth is unknown, or `accuracy` is not between 0 and 1.
    """
    choices = truth.task.answers
    if choices is None:
        raise ValueError(f"random_errors: the task {truth.task.name!r} is open; expected a closed list of answers")
    if not 0 <= accuracy <= 1:
        raise ValueError(f"random_errors: accuracy is {accuracy}; expected a fraction from 0 to 1")
    right = LabelledSet.ground_truth(truth.task, truth.examples)
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(right))[round(accuracy * len(right)) :]
    answers = list(right.answers)
    for i in wrong:
        answers[i] = rng.choice([other for other in choices if other != answers[i]]).item()
    return LabelledSet(
        right.task, right.examples, tuple(answers), source=f"random errors, label accuracy {accuracy:.3f}"
    )
