"""The gradient of a batch: in pieces when memory is short, recomputed, through an adapter, in bfloat16."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from conftest import in_transformers

from w2s_lab.models import language_model
from w2s_lab.objective import (
    AuxiliaryConfidence,
    ConfidenceWindow,
    Distillation,
    MaximumLikelihood,
    NextToken,
    ProductTargets,
    SoftTargets,
    Targets,
    expected_nll,
)
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.system.token_budget import TokenBudget
from w2s_lab.training import gradient as gradient_module
from w2s_lab.training.checkpoint import Checkpoint
from w2s_lab.training.gradient import BatchGradient
from w2s_lab.training.labelling import token_targets, weak_labels
from w2s_lab.training.loop import NonFiniteLoss, train, training_steps

LOSSES = [
    MaximumLikelihood(),
    SoftTargets(0.5),
    AuxiliaryConfidence(0.6),
    Distillation(2.0, "cosine"),
    ProductTargets(0.5, 2.0),
    ConfidenceWindow(0.6),
    NextToken(),
]
ROWS = [3, 20, 7, 41, 0, 12, 30]


@pytest.fixture(scope="module")
def weak_set(closed_set, llama):
    return replace(closed_set, probs=weak_labels(llama, closed_set).probs)


def gradients(model) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.network.named_parameters() if p.grad is not None}
    model.network.zero_grad(set_to_none=True)
    return found


def assert_close(found: dict, expected: dict, *, tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys() and len(found) > 5
    for name in found:
        torch.testing.assert_close(found[name], expected[name], atol=tolerance, rtol=1e-4, msg=name)


def short_of_memory(model, most: int, monkeypatch) -> list[int]:
    """From now on, more than `most` padded tokens at once are too many; the sizes that were tried."""
    real, tried = model.network.forward, []

    @functools.wraps(real)
    def forward(*args, input_ids, **options):
        tried.append(input_ids.numel())
        if tried[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate (simulated)")
        return real(*args, input_ids=input_ids, **options)

    monkeypatch.setattr(model.network, "forward", forward)
    return tried


# -- token budget ----------------------------------------------------------------------------------------------------


def test_pieces_keep_the_order_and_the_budget():
    lengths = [5, 9, 2, 30, 4, 4, 4]
    pieces = TokenBudget(20).pieces([0, 1, 2, 3, 4, 5, 6], lengths)
    assert pieces == [[0, 1], [2], [3], [4, 5, 6]]  # 2 x 9 tokens; 3 x 9 would be 27; 30 is too long, and alone


def test_the_budget_is_half_of_what_did_not_fit():
    budget = TokenBudget(1000)
    budget.shrink([[0, 1, 2, 3]], [10, 20, 15, 5])
    assert budget.tokens == 40
    with pytest.raises(MemoryError, match="a single example of 20 tokens does not fit"):
        budget.shrink([[1]], [10, 20, 15, 5])


# -- the gradient of a batch -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_it_is_that_of_plain_autograd(loss, llama, weak_set):
    model = llama.copy()
    batch = BatchGradient(model, weak_set, Recipe(loss))
    value = batch(ROWS, 0.5)
    found = gradients(model)
    prompts, answers = [batch.prompts[i] for i in ROWS], [batch.answers[i] for i in ROWS]
    if loss.reads(True) == "list":
        targets = Targets(batch.probs[ROWS], batch.numbers[ROWS], batch.class_balance, 0.5)
        expected = loss(model.log_probs(prompts, batch.closed), targets).mean()
    else:
        expected = -model.log_prob(prompts, answers).mean()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    assert_close(found, gradients(model))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("tokens", [1, 90, 100])
def test_pieces_add_up_to_the_same(tokens, loss, llama, weak_set, monkeypatch):
    model = llama.copy()
    whole = BatchGradient(model, weak_set, Recipe(loss))
    expected_value, expected = whole(ROWS, 0.5), gradients(model)
    monkeypatch.setattr(gradient_module, "TRAINING_TOKENS", tokens)
    pieces = BatchGradient(model, weak_set, Recipe(loss))
    assert len(pieces.budget.pieces(ROWS, pieces.lengths)) > 1
    assert pieces(ROWS, 0.5).item() == pytest.approx(expected_value.item(), rel=1e-5)
    assert_close(gradients(model), expected)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_out_of_memory_halves_and_goes_on(loss, llama, weak_set, monkeypatch):
    recipe = Recipe(loss, epochs=1, batch_size=16, learning_rate=1e-3, eval_every=1)
    own, short = llama.copy(), llama.copy()
    expected = [snapshot.train_loss for snapshot in training_steps(own, weak_set, recipe)]
    tried = short_of_memory(short, 120, monkeypatch)
    found = [snapshot.train_loss for snapshot in training_steps(short, weak_set, recipe)]
    assert max(tried) > 120 and sum(size > 120 for size in tried) < 6  # it does not run into the wall again and again
    assert found[1:] == pytest.approx(expected[1:], rel=1e-4)
    for one, other in zip(own.network.parameters(), short.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_memory_that_ends_on_the_way_back(llama, weak_set, monkeypatch):
    """A backward pass that fails half-way has left part of its gradient behind, which must not count."""
    model = llama.copy()
    batch = BatchGradient(model, weak_set, Recipe())
    expected_value, expected = batch(ROWS, 0.0), gradients(model)
    real, failed = torch.Tensor.backward, []

    def backward(self, *args, **options):
        real(self, *args, **options)
        if self.numel() > 3:
            failed.append(self.numel())
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")

    monkeypatch.setattr(torch.Tensor, "backward", backward)
    assert batch(ROWS, 0.0).item() == pytest.approx(expected_value.item(), rel=1e-5)
    assert failed
    assert_close(gradients(model), expected)


def test_a_single_example_that_does_not_fit_is_said(llama, weak_set, monkeypatch):
    model = llama.copy()
    short_of_memory(model, 3, monkeypatch)
    with pytest.raises(MemoryError, match=r"a single example of \d+ tokens does not fit.*Hint"):
        list(training_steps(model, weak_set, Recipe(epochs=1)))


@pytest.mark.parametrize("kind", ["closed", "open"])
def test_labelling_with_little_memory(kind, llama, closed_set, open_set, monkeypatch):
    inputs = closed_set if kind == "closed" else open_set.take(range(6))
    expected = weak_labels(llama, inputs)
    short = llama.copy()
    tried = short_of_memory(short, 200, monkeypatch)
    found = weak_labels(short, inputs)
    assert max(tried) > 200
    assert found.answers == expected.answers
    np.testing.assert_allclose(found.log_prob, expected.log_prob, atol=1e-4)


# -- other ways to compute it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_gradient_checkpointing_changes_nothing_but_memory(loss, llama, weak_set):
    recipe = Recipe(loss, epochs=1, batch_size=16, learning_rate=1e-3)
    plain = train(llama, weak_set, recipe)
    less = train(llama, weak_set, replace(recipe, gradient_checkpointing=True))
    assert not language_model.is_recomputing(less.network)
    for one, other in zip(plain.network.parameters(), less.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=5e-5, rtol=1e-4)  # AdamW makes whole steps of tiny gradients


def test_gradient_checkpointing_keeps_less(llama, weak_set):
    def kept(recipe: Recipe) -> int:
        model, sizes = llama.copy(), []
        steps = training_steps(model, weak_set, replace(recipe, eval_every=1))
        next(steps)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            next(steps)
        return sum(sizes)

    assert kept(Recipe(gradient_checkpointing=True)) < 0.5 * kept(Recipe())


def test_a_lora_is_merged_into_the_weights(llama, closed_set):
    recipe = Recipe(epochs=12, batch_size=16, learning_rate=2e-2, lora=LoRA(rank=4, alpha=8), seed=3)
    model = llama.copy()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    few = closed_set.take(range(16))
    snapshots = list(training_steps(model, few, recipe, watch=few))
    after = model.network.state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    assert changed and all(name.endswith("_proj.weight") for name in changed)
    for name in changed:  # the change is a product of two matrices of that inner width
        assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-4) <= 4
    assert snapshots[-1].train_loss < 0.5 * snapshots[1].train_loss
    assert weak_labels(model, few).answers == snapshots[-1].evaluation.predictions
    assert all(parameter.requires_grad for parameter in model.network.parameters())
    again = train(llama, few, recipe)
    assert all(torch.equal(again.network.state_dict()[name], after[name]) for name in after)
    other = train(llama, few, replace(recipe, lora=LoRA(rank=2, alpha=8)))
    assert not torch.equal(other.network.state_dict()[min(changed)], after[min(changed)])


def test_an_interrupted_lora_goes_on(llama, closed_set, tmp_path):
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=2e-2, lora=LoRA(rank=4, alpha=8))
    expected = train(llama, closed_set, recipe)

    def stop(done: int, steps: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    checkpoint, done = Checkpoint(tmp_path / "state", "key", seconds=0.0), []
    with pytest.raises(KeyboardInterrupt):
        train(llama, closed_set, recipe, checkpoint=checkpoint, on_step=stop)
    assert (tmp_path / "state").stat().st_size < 0.8 * 4 * llama.parameters  # the adapter and its optimizer alone
    found = train(llama, closed_set, recipe, checkpoint=checkpoint, on_step=lambda step, _: done.append(step))
    assert done[0] > 1
    for one, other in zip(expected.network.parameters(), found.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_who_leaves_an_adapted_training_has_an_ordinary_model(llama, closed_set):
    model = llama.copy()
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=2e-2, lora=LoRA(rank=4), gradient_checkpointing=True)
    for snapshot in training_steps(model, closed_set, recipe):
        if snapshot.step:
            break
    assert model.network.state_dict().keys() == llama.network.state_dict().keys()
    assert not language_model.is_recomputing(model.network)
    with pytest.raises(NonFiniteLoss):
        list(training_steps(model, closed_set, replace(recipe, learning_rate=1e30)))
    assert model.network.state_dict().keys() == llama.network.state_dict().keys()
    assert not language_model.is_recomputing(model.network) and all(p.requires_grad for p in model.network.parameters())


def test_without_peft_a_lora_says_what_to_install(llama, closed_set, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(ValueError, match=r"peft.*pip install"):
        next(training_steps(llama.copy(), closed_set, Recipe(lora=LoRA())))


def test_bfloat16_is_used_where_it_is_asked_for(llama, weak_set):
    exact, rough = (BatchGradient(llama.copy(), weak_set, Recipe()) for _ in range(2))
    rough.model.precision = "bfloat16"
    a, b = exact(ROWS, 0.0).item(), rough(ROWS, 0.0).item()
    assert a != b and b == pytest.approx(a, rel=0.05)
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in rough.model.network.parameters())
    for one, other in zip(gradients(exact.model).values(), gradients(rough.model).values(), strict=True):
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.98


def test_a_cpu_computes_in_bfloat16_where_it_pays(llama, monkeypatch):
    for able, size, expected in ((True, 0, True), (True, 10**9, False), (False, 0, False)):
        monkeypatch.setattr(language_model, "_instructions", lambda able=able: {"avx512_bf16"} if able else {"avx2"})
        monkeypatch.setattr(language_model, "BFLOAT16_PAYS", size)
        assert replace(llama, precision="auto").in_bfloat16 == expected
        assert replace(llama, precision="bfloat16").in_bfloat16
        assert not replace(llama, precision="float32").in_bfloat16


def test_a_lora_in_bfloat16(llama, closed_set):
    recipe = Recipe(epochs=10, batch_size=16, learning_rate=2e-2, lora=LoRA(rank=4, alpha=8), precision="bfloat16")
    few = closed_set.take(range(16))
    model = train(llama, few, recipe, watch=few)
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    assert model.history[-1].train_loss < 0.6 * model.history[1].train_loss


def test_the_loss_may_look_at_the_whole_batch(llama, weak_set, monkeypatch):
    """A loss that is no sum over examples is also right in pieces."""

    @dataclass(frozen=True)
    class Spread:
        def reads(self, closed):
            return "list" if closed else None

        def needs(self, closed):
            return frozenset({"probs"})

        def __call__(self, log_probs, targets):
            return expected_nll(log_probs, targets.probs).std().expand(len(log_probs))

    model = llama.copy()
    batch = BatchGradient(model, weak_set, Recipe(loss=Spread()))
    expected_value, expected = batch(ROWS, 0.0), gradients(model)
    batch.budget = TokenBudget(90)
    assert batch(ROWS, 0.0).item() == pytest.approx(expected_value.item(), rel=1e-5)
    assert_close(gradients(model), expected)


# -- weights, tokens, documents ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES[:2])
def test_a_weight_multiplies_an_examples_share(llama, weak_set, loss):
    model, weight = llama.copy(), np.random.default_rng(0).uniform(0, 3, len(weak_set))
    plain, weighted = (
        BatchGradient(model, labelled, Recipe(loss=loss)) for labelled in (weak_set, replace(weak_set, weight=weight))
    )
    values, shares = [], []
    for row in ROWS:
        values.append(plain([row], 0.0).item())
        shares.append({name: g * float(weight[row]) / len(ROWS) for name, g in gradients(model).items()})
    assert weighted(ROWS, 0.0).item() == pytest.approx(np.mean(weight[ROWS] * values), rel=1e-5)
    assert_close(gradients(model), {name: sum(share[name] for share in shares) for name in shares[0]})


def test_next_token_training_is_that_of_transformers(model, closed_set):
    """The input alone, behind the start token; instruction and answer play no part."""
    model = model.copy()
    batch = BatchGradient(model, closed_set, Recipe(loss=NextToken()))
    found, expected = batch(ROWS, 0.0).item(), []
    for row in ROWS:
        ids = model.tokenizer(closed_set.examples[row].input)["input_ids"]
        ids = torch.tensor([ids if ids[0] == model.tokenizer.bos_token_id else [model.tokenizer.bos_token_id, *ids]])
        with torch.no_grad():
            expected.append(in_transformers(model.network)(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1))
    assert found == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("loss", [SoftTargets(2.0), Distillation(0.7, "linear", temperature=0.5)])
def test_soft_labels_of_an_open_task_token_by_token(llama, gpt2, open_set, loss):
    """Every token of the vocabulary kept, against one example at a time with torch's own functions."""
    teacher, model = llama, gpt2.copy()
    vocabulary = len(llama.tokenizer)
    labels = token_targets(teacher, open_set, top=vocabulary)
    found, expected = BatchGradient(model, labels, Recipe(loss=loss))([4, 1, 9], 0.25).item(), []
    for row in (4, 1, 9):
        (prompt,), _ = model.encode_prompts(labels.examples[row : row + 1], 200)
        (answer,) = model.encode_answers(labels.answers[row : row + 1])
        ids, end = torch.tensor([prompt + answer]), len(prompt) - 1
        with torch.no_grad():
            q, p = (m.network(input_ids=ids).logits[0, end:-1] for m in (teacher, model))
        q, p = (q.log_softmax(-1) / loss.temperature).log_softmax(-1), p.log_softmax(-1)
        if isinstance(loss, SoftTargets):
            expected.append(-(q.exp() * p).sum().item())
        else:
            kl = torch.nn.functional.kl_div(p, q, reduction="sum", log_target=True)
            expected.append(
                (0.7 * 0.75 * kl + torch.nn.functional.cross_entropy(p, ids[0, end + 1 :], reduction="sum")).item()
            )
    assert found == pytest.approx(np.mean(expected), rel=1e-4)


def test_the_most_likely_tokens_stand_for_all(llama, open_set):
    labels = token_targets(llama, open_set, top=3)
    target = labels.token_targets[0]
    assert target.tokens.shape == (len(llama.encode_answers(open_set.answers)[0]), 3)
    np.testing.assert_allclose(target.probs.sum(-1), 1, rtol=1e-5)
    assert (np.diff(target.probs, axis=-1) <= 0).all()
    assert labels.answers == open_set.answers and labels.take([2]).token_targets[0] is labels.token_targets[2]


def test_soft_labels_of_an_open_task_are_asked_for(llama, open_set):
    with pytest.raises(
        ValueError, match=r"SoftTargets needs.*open task.*Hint: token_targets\(weak, labels\) gives them"
    ):
        BatchGradient(llama.copy(), open_set, Recipe(loss=SoftTargets()))
    with pytest.raises(ValueError, match="AuxiliaryConfidence cannot learn from an open task"):
        BatchGradient(llama.copy(), token_targets(llama, open_set), Recipe(loss=AuxiliaryConfidence()))
