"""Training with weights in bfloat16 and float32 masters, against a plain loop of torch and against float32."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from architectures import network
from conftest import in_transformers
from safetensors.torch import load_file

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model, network_digest, save_model
from w2s_lab.objective import AuxiliaryConfidence
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.system.token_budget import TokenBudget
from w2s_lab.training.checkpoint import Checkpoint
from w2s_lab.training.evaluation import evaluate
from w2s_lab.training.gradient import BatchGradient
from w2s_lab.training.labelling import weak_labels
from w2s_lab.training.loop import batches, learning_rate_at, train, training_steps

HALF = Recipe(epochs=2, batch_size=16, learning_rate=1e-3, eval_every=1, precision="bfloat16")


def change(model: LanguageModel, start: LanguageModel) -> torch.Tensor:
    """How far a training has moved all weights, in one vector."""
    return torch.cat(
        [
            (a - b).flatten().detach()
            for a, b in zip(model.network.parameters(), start.network.parameters(), strict=True)
        ]
    )


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(one, other, dim=0).item()


def plain_loop(
    start: LanguageModel, labelled, recipe: Recipe, *, masters: bool = True
) -> tuple[list[float], torch.Tensor]:
    """The losses of all steps and the change of the weights: a network in bfloat16, one row at a time, torch's AdamW.

    Without masters, the optimizer moves the weights in bfloat16 themselves.
    """
    net = copy.deepcopy(start.network)
    exact = [p.detach().clone() for p in net.parameters()]
    net.bfloat16()
    learnt = [p.clone() for p in exact] if masters else list(net.parameters())
    optimizer = torch.optim.AdamW(learnt, weight_decay=recipe.weight_decay)
    prompts, answers = start.encode_prompts(labelled.examples, 200)[0], start.encode_answers(labelled.answers)
    lengths, rng = [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)], np.random.default_rng(recipe.seed)
    steps, losses = recipe.steps(len(labelled))[0], []
    schedule = itertools.chain.from_iterable(batches(lengths, recipe.batch_size, rng) for _ in range(recipe.epochs))
    for step, rows in enumerate(schedule):
        total = 0.0
        for row in rows:
            ids, first = torch.tensor([prompts[row] + answers[row]]), len(prompts[row])
            logits = net(input_ids=ids[:, :-1]).logits[0, first - 1 :].float()
            loss = torch.nn.functional.cross_entropy(logits, ids[0, first:], reduction="sum") / len(rows)
            loss.backward()
            total += loss.item()
        losses.append(total)
        gradients = [p.grad.float() if masters else p.grad for p in net.parameters()]
        norm = torch.sqrt(sum(g.float().square().sum() for g in gradients))
        for weight, gradient in zip(learnt, gradients, strict=True):
            weight.grad = gradient * min(1.0, 1 / (norm.item() + 1e-6))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps, recipe)
        optimizer.step()
        net.zero_grad()
        with torch.no_grad():
            for p, weight in zip(net.parameters(), learnt, strict=True):
                p.copy_(weight)
    return losses, torch.cat([(p.float() - q).flatten().detach() for p, q in zip(learnt, exact, strict=True)])


def test_it_takes_the_course_of_a_plain_loop_with_masters(llama, closed_set):
    expected, moved = plain_loop(llama, closed_set, HALF)
    model = train(llama, closed_set, HALF)
    assert [s.train_loss for s in model.history[1:]] == pytest.approx(expected, rel=0.02)
    assert expected[-1] < 0.8 * expected[0]
    assert cosine(change(model, llama), moved) > 0.98
    assert change(model, llama).norm().item() == pytest.approx(moved.norm().item(), rel=0.02)


def test_updates_that_bfloat16_cannot_hold_are_kept(llama, closed_set):
    slow = replace(HALF, learning_rate=1e-6)
    expected = change(train(llama, closed_set, replace(slow, precision="float32")), llama)
    found = change(train(llama, closed_set, slow), llama)
    assert cosine(found, expected) > 0.98
    assert found.norm().item() == pytest.approx(expected.norm().item(), rel=0.02)
    _, lost = plain_loop(llama, closed_set, slow, masters=False)  # the same, without masters
    assert (lost - found).norm() > found.norm()


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)], ids=["all weights", "lora"])
def test_the_passes_see_bfloat16_and_nobody_else_does(lora, llama, closed_set):
    if lora:
        pytest.importorskip("peft")
    model, seen = llama.copy(), []
    if lora:
        model.network = in_transformers(model.network)  # in which a LoRA is learnt

    def look(module: torch.nn.Module, *_) -> None:
        kinds = {p.dtype for p in module.parameters()}
        seen.append((module.training, kinds, torch.is_autocast_enabled("cpu")))

    model.network.base_model.layers[1].register_forward_pre_hook(look)
    for snapshot in training_steps(model, closed_set, replace(HALF, lora=lora), watch=closed_set):
        learnt = [p for p in model.network.parameters() if p.requires_grad]
        assert {p.dtype for p in learnt} == {torch.float32} and not model.in_half
        np.testing.assert_array_equal(snapshot.evaluation.probs, evaluate(model, closed_set).probs)
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    in_training = [row[1:] for row in seen if row[0]]
    assert in_training and all(row == ({torch.bfloat16}, False) for row in in_training)
    assert all(autocast for training, _, autocast in seen[-3:] if not training)


def test_the_masters_are_saved_and_digested(llama, closed_set, tmp_path):
    model = train(llama, closed_set, HALF)
    save_model(model, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for name, value in weights.items():
        assert torch.equal(value, model.network.state_dict()[name])
    assert any((value != value.bfloat16()).any() for value in weights.values())
    assert network_digest(load_model(tmp_path, device="cpu").network, model.tokenizer) == network_digest(
        model.network, model.tokenizer
    )


def test_an_interrupted_training_goes_on_to_the_same_bits(llama, closed_set, tmp_path):
    def stop(done: int, steps: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    checkpoint, done = Checkpoint(tmp_path / "state", "key", seconds=0.0), []
    with pytest.raises(KeyboardInterrupt):
        train(llama, closed_set, HALF, checkpoint=checkpoint, on_step=stop)
    saved = load_file(tmp_path / "state")
    assert {value.dtype for name, value in saved.items() if name.startswith("weight/")} == {torch.float32}
    found = train(llama, closed_set, HALF, checkpoint=checkpoint, on_step=lambda step, _: done.append(step))
    assert done[0] > 1
    expected = train(llama, closed_set, HALF)
    assert not change(found, expected).any() and change(found, llama).any()
    assert [s.train_loss for s in found.history] == [s.train_loss for s in expected.history]


def test_gradients_of_pieces_are_summed_in_float32(llama, closed_set):
    """Among many pieces, sums in bfloat16 would lose more than the passes themselves round."""
    pytest.importorskip("torch", minversion="2.10", reason="sums them in bfloat16")
    from w2s_lab.models.half_weights import lender

    model = replace(llama.copy(), precision="bfloat16")
    lent, batch = lender(model), BatchGradient(model, closed_set, Recipe())
    _ = model.abilities

    def gradient(rows: list[int], tokens: int) -> torch.Tensor:
        model.network.zero_grad()
        batch.budget = TokenBudget(tokens)
        with lent():
            batch(rows, 0.0)
        assert all(p.grad.dtype == torch.float32 for p in model.network.parameters())
        return torch.cat([p.grad.flatten() for p in model.network.parameters()])

    rows = list(range(32))  # a power of two: to divide by it rounds nothing
    one_by_one = sum(gradient([row], 1) for row in rows) / len(rows)
    torch.testing.assert_close(gradient(rows, 1), one_by_one, atol=2e-6, rtol=0.02)
    assert cosine(gradient(rows, 10**6), one_by_one) > 0.99


def test_a_loss_over_the_list(llama, closed_set):
    """The answers share a prompt's keys and values, in bfloat16 too."""
    recipe, labels = replace(HALF, loss=AuxiliaryConfidence(0.5), learning_rate=3e-4), weak_labels(llama, closed_set)
    exact, found = (train(llama, labels, replace(recipe, precision=p)) for p in ("float32", "bfloat16"))
    assert cosine(change(exact, llama), change(found, llama)) > 0.9


@pytest.mark.parametrize("name", ["GPT2", "GptOss", "Mamba", "DeepseekV3", "Gemma3Text"])
def test_other_families(name, tokenizer, closed_set):
    start = LanguageModel(name, name, tokenizer, network(name, tokenizer))
    recipe = Recipe(epochs=1, batch_size=8, learning_rate=1e-4, precision="bfloat16")
    found = train(start, closed_set, recipe)
    exact = train(start, closed_set, replace(recipe, precision="float32"))
    assert found.history[-1].train_loss == pytest.approx(exact.history[-1].train_loss, rel=0.05)
    assert cosine(change(found, start), change(exact, start)) > 0.5


def test_a_network_that_cannot_is_computed_under_autocast(tokenizer, closed_set):
    """XGLM adds positions in float32 to what it reads, and its norms then meet weights of another type."""
    start = LanguageModel("xglm", "xglm", tokenizer, network("XGLM", tokenizer))
    with pytest.warns(UserWarning, match="XGLMForCausalLM.*weights stay float32 in the passes of a training"):
        model = train(start, closed_set.take(range(8)), replace(HALF, epochs=1))
    assert change(model, start).any() and {p.dtype for p in model.network.parameters()} == {torch.float32}
