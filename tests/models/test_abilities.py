"""Families of networks that behave otherwise in a batch: every number is that of a text that is read alone."""

import contextlib
import copy
import warnings
from dataclasses import replace

import pytest
import torch
from architectures import FAMILIES, alone, network
from conftest import ANSWERS
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_lab.models.abilities import Abilities, can_stop
from w2s_lab.models.generation import Way
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model, save_model
from w2s_lab.recipe import Recipe
from w2s_lab.training.labelling import weak_labels
from w2s_lab.training.loop import train

RECURRENT = ("Mamba", "Mamba2", "Rwkv", "RecurrentGemma", "Qwen3Next", "Lfm2", "GraniteMoeHybrid", "Jamba", "FalconH1")
NO_PADDING = ("Rwkv", "RecurrentGemma")
WINDOWS = ("GPTNeo", "Mistral", "Gemma2", "Gemma3Text", "GptOss")
NO_POSITIONS = ("Bloom", "Mpt")
OWN_MASKS = ("Falcon", "XGLM")  # add something to a mask, or expect numbers
PROMPTS = [[0, 5, 6, 7, 8, 9, *range(20, 20 + more)] for more in (3, 9, 3, 30)] + [[0, 5, 6, 7, 8, 9, 70]]
REPLIES = [[50, 51, 0], [60, 0], [70, 3, 71, 72, 0]]
CLOSE = {"atol": 2e-3, "rtol": 1e-5}  # log Pr of an answer is about -60 nats
FAMILY = {}


@pytest.fixture(params=FAMILIES)
def family(request, tokenizer) -> LanguageModel:
    """A model of each family, made and measured once."""
    return of(request.param, tokenizer)


def of(name: str, tokenizer) -> LanguageModel:
    if name not in FAMILY:
        FAMILY[name] = LanguageModel(name, name, tokenizer, network(name, tokenizer))
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            FAMILY[name].abilities, FAMILY[name].generation()
        FAMILY[name].told = [str(one.message) for one in warned if "slower ways are taken" in str(one.message)]
    return FAMILY[name]


def states_alone(model: LanguageModel, prompt: list[int]) -> torch.Tensor:
    given = model.network(input_ids=torch.tensor([prompt]), use_cache=False, output_hidden_states=True).hidden_states
    return torch.stack([state[0, -1] for state in given])


@torch.no_grad()
def test_scores_are_those_of_single_texts(family):
    expected = torch.stack([torch.stack([alone(family, p, a) for a in REPLIES]) for p in PROMPTS])
    torch.testing.assert_close(family.log_probs(PROMPTS, REPLIES), expected, **CLOSE)
    pairs = [(p, a) for p in range(len(PROMPTS)) for a in range(3)]
    found = family.log_prob([PROMPTS[p] for p, _ in pairs], [REPLIES[a] for _, a in pairs])
    torch.testing.assert_close(found.view(-1, 3), expected, **CLOSE)


@torch.no_grad()
def test_states_are_those_of_single_texts(family):
    layers = list(range(family.layers))
    expected = torch.stack([states_alone(family, p) for p in PROMPTS])
    found = family.hidden(PROMPTS, layers=layers)
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected[:, layers], atol=1e-4 * scale, rtol=1e-4)
    last = family.hidden(PROMPTS)
    for row, p in enumerate(PROMPTS):
        torch.testing.assert_close(last[row], family.hidden([p])[0], atol=1e-4 * scale, rtol=1e-4)


@torch.no_grad()
def test_generated_answers_are_argmax_token_by_token(family):
    texts, scores = family.generate_scored(PROMPTS, max_new_tokens=3)
    for prompt, text, score in zip(PROMPTS, texts, scores, strict=True):
        ids = list(prompt)
        while len(ids) < len(prompt) + 3 and (ids[-1] != family.tokenizer.eos_token_id or len(ids) == len(prompt)):
            ids.append(family.network(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax().item())
        assert text == family.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True).strip()
        (answer,) = family.encode_answers([text])
        torch.testing.assert_close(score, alone(family, prompt, answer), **CLOSE)


def test_training_follows_the_gradient_of_single_texts(family, closed_set):
    """One step of plain descent on a batch of rows of different lengths, against the sum of their own gradients."""
    few = closed_set.take(range(5))
    prompts, _ = family.encode_prompts(few.examples, 200)
    answers = family.encode_answers(few.answers)
    own = family.copy()
    own.log_prob(prompts, answers).sum().backward()
    found = {name: p.grad for name, p in own.network.named_parameters() if p.grad is not None}
    own.network.zero_grad()
    sum(alone(own, p, a) for p, a in zip(prompts, answers, strict=True)).backward()
    expected = {name: p.grad for name, p in own.network.named_parameters() if p.grad is not None}
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    assert found.keys() == expected.keys() and largest > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=2e-4 * largest, rtol=1e-3)


def test_a_short_training_and_its_labels(family, closed_set):
    few = closed_set.take(range(6))
    trained = train(family, few, Recipe(epochs=1, learning_rate=1e-4, batch_size=3))
    assert all(torch.isfinite(p).all() for p in trained.network.parameters())
    assert trained.history[-1].train_loss > 0
    labels = weak_labels(trained, few)
    prompts, _ = trained.encode_prompts(few.examples, 200)
    closed = trained.encode_answers(ANSWERS)
    with torch.no_grad():
        expected = torch.stack([torch.stack([alone(trained, p, a) for a in closed]) for p in prompts]).softmax(-1)
    torch.testing.assert_close(torch.tensor(labels.probs), expected.double(), atol=2e-3, rtol=1e-3)


def test_what_each_family_can(family):
    """The faster ways are taken where they hold, and the user is told where they do not."""
    found, name = family.abilities, family.name
    assert found.batch == ("equal" if name in NO_PADDING else "padded")
    assert found.prefix == (name not in (*RECURRENT, *WINDOWS, *NO_POSITIONS))
    not_together = (*WINDOWS, *NO_POSITIONS, *OWN_MASKS)
    assert found.answers == ("apart" if name in RECURRENT else "continued" if name in not_together else "together")
    assert (family.generation() == Way("padded", True)) == (name not in NO_PADDING)
    assert bool(found.slower) == (not found.prefix or found.answers == "apart")
    told = " ".join(family.told)
    assert bool(told) == bool(found.slower)
    assert not told or (repr(name) in told and type(family.network).__name__ in told)
    assert ("padding changes" in told) == (name in NO_PADDING)


@pytest.mark.parametrize("name", ["Llama", "GPT2", "GPTNeo", "Mamba", "Rwkv", "Mixtral"])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_batch_of_any_prompts(name, tokenizer, data):
    model = of(name, tokenizer)
    ids = st.integers(0, len(tokenizer) - 1)
    begin = data.draw(st.lists(ids, max_size=12))
    prompts = data.draw(
        st.lists(st.lists(ids, min_size=1, max_size=14).map(lambda row: begin + row), min_size=1, max_size=5)
    )
    answers = data.draw(st.lists(st.lists(ids, min_size=1, max_size=5), min_size=1, max_size=3))
    with torch.no_grad():
        expected = torch.stack([torch.stack([alone(model, p, a) for a in answers]) for p in prompts])
        torch.testing.assert_close(model.log_probs(prompts, answers), expected, **CLOSE)
        found = model.log_prob(prompts, [answers[i % len(answers)] for i in range(len(prompts))])
    torch.testing.assert_close(found, torch.stack([row[i % len(answers)] for i, row in enumerate(expected)]), **CLOSE)


# -- networks that lie -----------------------------------------------------------------------------------------------


def lying(model: LanguageModel, lie) -> LanguageModel:
    """The model with a network whose logits go through `lie(logits, arguments)`."""
    other = copy.deepcopy(model.network)
    inner = other.forward

    def forward(input_ids, attention_mask=None, position_ids=None, cache=None, use_cache=None, **others):
        others |= {"attention_mask": attention_mask, "position_ids": position_ids, "use_cache": use_cache}
        output = inner(input_ids=input_ids, **others, **({model.cache_name: cache} if cache else {}))
        output.logits = lie(output.logits, input_ids, attention_mask, cache)
        return output

    other.forward = forward
    return LanguageModel("liar", "", model.tokenizer, other)


def louder(logits: torch.Tensor, where) -> torch.Tensor:
    return torch.where(torch.as_tensor(where).reshape(-1, 1, 1), logits * 1.01, logits)


LIES = {
    "padded": (
        lambda logits, ids, mask, cache: logits if mask is None else louder(logits, (mask == 0).flatten(1).any(-1)),
        Abilities("equal", False, "apart"),
        "padding changes",
    ),
    "batch": (
        lambda logits, ids, mask, cache: louder(logits, torch.tensor([len(ids) > 1] * len(ids))),
        Abilities("single", False, "together"),
        "read one by one",
    ),
    "cache": (
        lambda logits, ids, mask, cache: logits * (1.0 if cache is None else 1.01),
        Abilities("padded", False, "together"),
        "is read again for each",
    ),
    "mask": (
        lambda logits, ids, mask, cache: logits * (1.0 if mask is None or mask.ndim == 2 else 1.01),
        Abilities("padded", True, "continued"),
        None,
    ),
    "mask and cache": (
        lambda logits, ids, mask, cache: logits * (1.0 if cache is None and (mask is None or mask.ndim == 2) else 1.01),
        Abilities("padded", False, "apart"),
        "cannot share the prompt's keys and values",
    ),
}


@pytest.mark.parametrize("kind", LIES)
def test_a_network_that_lies_is_caught_and_read_right(kind, tokenizer):
    model = of("Llama", tokenizer)
    lie, expected, said = LIES[kind]
    liar = lying(model, lie)
    with pytest.warns(UserWarning, match=said) if said else contextlib.nullcontext():
        found = liar.abilities
    assert replace(found, slower=()) == expected
    with torch.no_grad():
        torch.testing.assert_close(liar.log_probs(PROMPTS, REPLIES), model.log_probs(PROMPTS, REPLIES), **CLOSE)


def test_what_cannot_be_read_right_is_refused_before_anything_is_trained(tokenizer, closed_set):
    liar = lying(of("Llama", tokenizer), lambda logits, ids, mask, cache: logits * (1.0 if mask is None else 1.01))
    before = copy.deepcopy(liar.network.state_dict())
    with pytest.raises(ValueError, match=r"'liar': LlamaForCausalLM scores even a single text otherwise .* nats"):
        train(liar, closed_set, Recipe(epochs=1))
    for name, values in liar.network.state_dict().items():
        assert torch.equal(values, before[name])


def test_weights_that_are_no_numbers_are_refused(tokenizer):
    broken = of("Llama", tokenizer).copy()
    with torch.no_grad():
        broken.network.model.layers[1].mlp.down_proj.weight[3] = float("nan")
    broken._measured = {}
    with pytest.raises(ValueError, match=r"scores that are not finite.*Hint"):
        _ = broken.abilities


def test_a_network_that_cannot_generate_is_refused_for_open_tasks(tokenizer, open_set, closed_set, monkeypatch):
    model = of("Llama", tokenizer).copy()
    model._measured = {}

    def broken(**_):
        raise RuntimeError("no state")

    monkeypatch.setattr(model.network, "generate", broken)
    with pytest.raises(ValueError, match=r"LlamaForCausalLM cannot generate text \(RuntimeError: no state\).*closed"):
        model.try_out(generates=True)
    model.try_out(generates=False)


# -- rounding is no error --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.02, 1.0, 3.0])
@pytest.mark.parametrize("name", ["Llama", "GPT2", "Mixtral", "DeepseekV3"])
@pytest.mark.filterwarnings("error:.*slower ways are taken")
def test_badly_scaled_networks_and_routers_of_experts_are_not_suspected(name, spread, tokenizer):
    for seed in range(3):
        found = LanguageModel(name, "", tokenizer, network(name, tokenizer, spread=spread, seed=seed)).abilities
        assert found == Abilities()


@pytest.mark.parametrize("name", ["Llama", "Mamba", "Rwkv"])
def test_bfloat16_changes_nothing_of_it(name, tokenizer):
    model = replace(of(name, tokenizer), precision="bfloat16")
    assert model.in_bfloat16
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model.abilities
    assert replace(found, slower=()) == replace(of(name, tokenizer).abilities, slower=())


@pytest.mark.parametrize("name", ["GPT2", "Rwkv"])
def test_measuring_disturbs_nothing(name, tokenizer):
    model = LanguageModel(name, "", tokenizer, network(name, tokenizer))
    model.network.train()
    frozen = next(module for module in model.network.modules() if isinstance(module, torch.nn.LayerNorm)).eval()
    weights, modes = copy.deepcopy(model.network.state_dict()), [m.training for m in model.network.modules()]
    generator = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.abilities, model.generation()
        can_stop(model)
    assert torch.equal(torch.get_rng_state(), generator)
    assert [m.training for m in model.network.modules()] == modes and not frozen.training
    assert all(torch.equal(values, weights[key]) for key, values in model.network.state_dict().items())
    assert all(p.grad is None for p in model.network.parameters())
    hooks = [h for m in model.network.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    assert not [hook for hook in hooks if hook.__module__.startswith("w2s_lab")]  # transformers leaves some of its own


def test_it_is_measured_at_loading(tokenizer, tmp_path):
    model = of("Rwkv", tokenizer)
    save_model(model, tmp_path)
    with pytest.warns(UserWarning, match="RwkvForCausalLM.*one length after the other"):
        loaded = load_model(str(tmp_path), device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(loaded.log_probs(PROMPTS, REPLIES), model.log_probs(PROMPTS, REPLIES), **CLOSE)
