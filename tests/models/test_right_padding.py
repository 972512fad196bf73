"""Rows padded on the right, without a mask: the numbers of rows padded on the left, and of texts read alone."""

import copy
import warnings
from dataclasses import replace

import pytest
import torch
from architectures import FAMILIES, alone, network
from conftest import in_transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_lab.models import language_model
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.training.loop import train

PROMPTS = [[0, 5, 6, 7, 8, 9, *range(20, 20 + more)] for more in (3, 9, 1, 30)] + [[0, 70], [4]]
ANSWERS = [[50, 51, 0], [60, 0], [70, 3, 71, 72, 0], [0], [61, 62, 0], [63, 0]]
CLOSE = {"atol": 2e-3, "rtol": 1e-5}  # log Pr of an answer is about -60 nats


@pytest.fixture
def attention(monkeypatch) -> list[bool]:
    """Of each call of attention, whether the flash kernel of a GPU could take it: causal, and no mask."""
    calls, real = [], torch.nn.functional.scaled_dot_product_attention

    def watched(*args, attn_mask=None, is_causal=False, **options):
        calls.append(attn_mask is None and is_causal)
        return real(*args, attn_mask=attn_mask, is_causal=is_causal, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    return calls


def gradients(model: LanguageModel, score: torch.Tensor) -> dict[str, torch.Tensor]:
    model.network.zero_grad()
    score.backward()
    return {name: p.grad.clone() for name, p in model.network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", FAMILIES)
def test_scores_and_gradients_are_those_of_single_texts(name, tokenizer):
    model = LanguageModel(name, name, tokenizer, network(name, tokenizer), padding="right")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is read otherwise on the left
        found = model.log_prob(PROMPTS, ANSWERS)
    expected = torch.stack([alone(model, p, a) for p, a in zip(PROMPTS, ANSWERS, strict=True)])
    torch.testing.assert_close(found, expected, **CLOSE)
    ours, theirs = gradients(model, found.sum()), gradients(model, expected.sum())
    largest = max(gradient.abs().max().item() for gradient in theirs.values())
    assert ours.keys() == theirs.keys() and largest > 0
    for key, gradient in theirs.items():
        torch.testing.assert_close(ours[key], gradient, atol=2e-4 * largest, rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(
            st.lists(st.integers(2, 99), min_size=1, max_size=24), st.lists(st.integers(0, 99), min_size=1, max_size=9)
        ),
        min_size=1,
        max_size=7,
    )
)
@torch.no_grad()
def test_both_sides_give_the_same_logits(pairs, llama):
    prompts, answers = [list(p) for p, _ in pairs], [list(a) for _, a in pairs]
    left, tokens, mask = llama.answer_logits(prompts, answers)
    right, others, other_mask = replace(llama, padding="right").answer_logits(prompts, answers)
    assert torch.equal(tokens, others) and torch.equal(mask, other_mask) and left.shape == right.shape
    torch.testing.assert_close(right[mask.bool()], left[mask.bool()], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=2, batch_size=7, learning_rate=1e-3),
        Recipe(epochs=1, batch_size=7, learning_rate=1e-3, gradient_checkpointing=True),
        Recipe(epochs=1, batch_size=7, learning_rate=2e-2, lora=LoRA(rank=2)),
    ],
    ids=["plain", "checkpointing", "lora"],
)
def test_a_training_takes_the_same_course(recipe, llama, closed_set, attention):
    """All but a LoRA in double precision, so that rounding explains little: that of rotary angles, in float32."""
    if recipe.lora:
        pytest.importorskip("peft")
    start = llama.copy()
    if recipe.lora:
        start.network = in_transformers(start.network)  # in which a LoRA is learnt
    else:
        start.network.double()
    close, courses = (1e-4, 1e-4) if recipe.lora else (1e-6, 1e-6), []
    for padding in ("left", "right"):
        train(replace(start, padding=padding), closed_set.take(range(2)), recipe)  # what has to be measured is, now
        attention.clear()
        model = train(replace(start, padding=padding), closed_set, replace(recipe, eval_every=1))
        assert all(attention) if padding == "right" else not any(attention)
        courses.append(model)
    left, right = courses
    for one, other in zip(left.history[1:], right.history[1:], strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=close[1])
    moved = 0.0
    for name, value in left.network.state_dict().items():
        torch.testing.assert_close(right.network.state_dict()[name], value, atol=close[0], rtol=0)
        moved = max(moved, (value - start.network.state_dict()[name]).abs().max().item())
    assert moved > 100 * close[0]


def test_the_passes_of_a_training_in_bfloat16(llama, closed_set, attention, monkeypatch):
    """Both ways that pay on a GPU at once, in a training that is the first to use the model."""
    monkeypatch.setattr(language_model, "FLASH", "cpu")
    monkeypatch.setattr(language_model, "FLASH_PAYS", 1)
    tried, real = [], language_model.pads_right
    monkeypatch.setattr(language_model, "pads_right", lambda model: tried.append(model.in_half) or real(model))
    recipe = Recipe(epochs=2, batch_size=7, learning_rate=1e-3, precision="bfloat16")
    attention.clear()
    found = train(replace(llama, _measured={}), closed_set, recipe)
    assert all(attention[-2 * len(closed_set) // 7 :])
    assert tried == [False]  # with the float32 weights
    expected = train(replace(llama, padding="left"), closed_set, recipe)
    for one, other in zip(expected.history[1:], found.history[1:], strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=0.02)


def test_where_nothing_is_said_only_a_gpu_pads_right_and_only_where_little_is_shared(
    llama, closed_set, attention, monkeypatch
):
    model = replace(llama, _measured={})
    prompts = model.encode_prompts(closed_set.examples, 200)[0][:6]  # most of them is one instruction
    answers = model.encode_answers(closed_set.answers[:6])
    different = [[30 + row, *prompt] for row, prompt in enumerate(prompts)]
    _ = model.abilities

    def flash(prompts: list[list[int]]) -> bool:
        attention.clear()
        model.log_prob(prompts, answers)
        assert len(set(attention)) == 1
        return attention[0]

    assert not flash(prompts) and not flash(different)
    monkeypatch.setattr(language_model, "FLASH", "cpu")
    model.log_prob(different, answers)  # measured here, once
    assert not flash(prompts) and flash(different)


def test_a_network_that_does_it_otherwise_is_padded_on_the_left(llama):
    """Its output head is not the module that it names, so the answers' places cannot be picked out."""
    other = copy.deepcopy(llama.network)
    other.get_output_embeddings = lambda: torch.nn.Linear(32, 400)
    model = LanguageModel("other", "other", llama.tokenizer, other, padding="right")
    assert torch.equal(model.log_prob(PROMPTS, ANSWERS), llama.log_prob(PROMPTS, ANSWERS))
