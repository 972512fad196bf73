"""The network that is written here, held against transformers' Llama."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import wake
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from transformers import LlamaConfig as TheirConfig

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.llama import Llama
from w2s_lab.models.loading import load_model, save_model
from w2s_lab.models.pretrained import plain_config
from w2s_lab.models.rows import AnswerList, in_rows, tokens_behind

SIZES = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
KINDS = {
    "as the ladder": {},
    "keys for two heads each": {"num_key_value_heads": 2},
    "heads of another width": {"head_dim": 10},
    "a head of its own": {"tie_word_embeddings": False},
    "another base": {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}, "rms_norm_eps": 1e-3},
}
CLOSE = {"atol": 2e-5, "rtol": 2e-5}


def theirs_of(seed: int = 0, **options) -> LlamaForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LlamaForCausalLM(TheirConfig(vocab_size=60, **SIZES | {"tie_word_embeddings": True} | options))
    return wake(network, seed=seed + 1)


def padded(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, mask and positions of rows of these lengths, padded on the left."""
    ids = torch.randint(60, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(max(lengths), 0, -1) <= torch.tensor(lengths)[:, None]).long()
    return ids, mask, (mask.cumsum(-1) - 1).clamp_min(0)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_are_those_of_transformers(kind):
    theirs = theirs_of(**KINDS[kind])
    own = Llama.like(theirs)
    ids, mask, positions = padded([9, 4, 7])
    found = []
    for network in (theirs, own):
        logits = network(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=3).logits
        logits.logsumexp(-1).sum().backward()
        found.append((logits, {name: weight.grad for name, weight in network.named_parameters()}))
    torch.testing.assert_close(found[1][0], found[0][0], **CLOSE)
    assert found[0][1].keys() == found[1][1].keys()
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, **CLOSE, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_all_layers_are_those_of_transformers(kind):
    theirs = theirs_of(**KINDS[kind])
    ids = padded([6, 6])[0]
    expected, found = (n(input_ids=ids, output_hidden_states=True).hidden_states for n in (theirs, Llama.like(theirs)))
    assert len(found) == len(expected) == 1 + SIZES["num_hidden_layers"]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_each_reads_the_folder_of_the_other(kind, tmp_path):
    theirs = theirs_of(**KINDS[kind])
    ids = padded([8, 8])[0]
    theirs.save_pretrained(tmp_path / "theirs")
    own = Llama.from_folder(tmp_path / "theirs")
    assert torch.equal(own.state_dict()["model.norm.weight"], theirs.state_dict()["model.norm.weight"])
    own.save_pretrained(tmp_path / "own")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "own")
    assert type(again) is LlamaForCausalLM
    assert torch.equal(again(ids).logits, theirs(ids).logits)
    assert torch.equal(Llama.from_folder(tmp_path / "own")(ids).logits, own(ids).logits)


MORE = {  # what a config.json may ask for that the page does not do
    "biases": {"attention_bias": True},
    "biases between": {"mlp_bias": True},
    "another activation": {"hidden_act": "gelu"},
    "dropout": {"attention_dropout": 0.1},
    "stretched positions": {"rope_parameters": {"rope_theta": 1e4, "rope_type": "linear", "factor": 2.0}},
}


@pytest.mark.parametrize("what", MORE)
def test_what_the_page_does_not_do_is_left_to_transformers(what, tokenizer, tmp_path):
    theirs = wake(LlamaForCausalLM(TheirConfig(vocab_size=len(tokenizer), **SIZES, **MORE[what])), seed=1)
    theirs.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert type(loaded.network) is LlamaForCausalLM
    ids = torch.tensor([[1, 5, 9, 3]])
    assert torch.equal(loaded.network(ids).logits, theirs(ids).logits)


@pytest.mark.parametrize("field", ["sliding_window", "quantization_config", "anything_new"])
def test_a_setting_that_is_not_known_is_left_to_transformers(field):
    facts = TheirConfig(architectures=["LlamaForCausalLM"], **SIZES).to_dict()
    assert plain_config(facts).head_dim == 6
    assert plain_config(facts | {field: None}) == plain_config(facts)
    assert plain_config(facts | {field: 4}) is None


def test_older_names_of_settings():
    facts = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 60, **SIZES}
    old = plain_config(facts | {"rope_theta": 500.0, "rope_scaling": None, "torch_dtype": "float16"})
    assert (old.rope_theta, old.head_dim, old.num_key_value_heads, old.tie_word_embeddings) == (500.0, 6, 4, False)
    assert plain_config(facts | {"rope_scaling": {"type": "linear", "factor": 2.0}}) is None


def test_a_damaged_folder_is_refused_in_words(llama, tmp_path):
    save_model(llama, tmp_path)
    facts = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(facts | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"lacks \d+ of the network's weights"):
        load_model(tmp_path)


def test_half_of_the_precision_in_the_file_is_float32_in_memory(tmp_path):
    theirs = theirs_of()
    theirs.half().save_pretrained(tmp_path)
    own = Llama.from_folder(tmp_path)
    assert {value.dtype for value in own.state_dict().values()} == {torch.float32}
    assert torch.equal(own.lm_head.weight, theirs.float().lm_head.weight)


def test_weights_that_are_one_stay_one(llama):
    for network in (llama.network, llama.copy().network, llama.copy().network.to(torch.float64)):
        assert network.lm_head.weight is network.model.embed_tokens.weight
    assert llama.copy().network.lm_head.weight is not llama.network.lm_head.weight


def test_the_twin_of_transformers_has_the_same_weights(llama):
    own = llama.copy()
    twin = own.network.to_transformers()
    with torch.no_grad():
        own.network.model.layers[0].mlp.up_proj.weight.mul_(1.5)
    ids = torch.tensor([[1, 5, 9, 3, 7]])
    torch.testing.assert_close(twin(ids).logits, own.network(ids).logits, **CLOSE)
    assert twin.lm_head.weight is twin.model.embed_tokens.weight


def test_activations_computed_again_give_the_same_gradient(llama):
    ids, mask, positions = padded([7, 5])
    gradients = []
    for again in (False, True):
        network = llama.copy().network.train()
        if again:
            network.gradient_checkpointing_enable({"use_reentrant": False})
            assert network.is_gradient_checkpointing
        network(ids, mask, positions, 2).logits.logsumexp(-1).sum().backward()
        network.gradient_checkpointing_disable()
        assert not network.is_gradient_checkpointing
        gradients.append([weight.grad for weight in network.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


# -- closed lists in one pass --------------------------------------------------------------------------------------


@st.composite
def lists(draw):
    """Prompts with or without a shared beginning, and answers, which may be one token long or the same twice."""
    row = st.lists(st.integers(2, 59), min_size=1, max_size=7)
    beginning = draw(st.lists(st.integers(2, 59), max_size=8))
    prompts = [beginning + one for one in draw(st.lists(row, min_size=1, max_size=5))]
    return prompts, draw(st.lists(row, min_size=1, max_size=6))


@settings(max_examples=60, deadline=None)
@given(lists(), st.sampled_from(["own", "theirs"]), st.sampled_from(["together", "continued"]))
def test_a_closed_list_scores_as_each_answer_alone(tokenizer, case, whose, way):
    prompts, answers = case
    theirs = theirs_of()
    network = Llama.like(theirs) if whose == "own" else theirs
    model = LanguageModel("tiny", "", tokenizer, network)
    if way == "continued" and whose == "own":
        way = "apart"  # it keeps no keys and values
    model._as_if = replace(model.abilities, answers=way)
    with torch.no_grad():
        expected = [
            [
                theirs(torch.tensor([p + a[:-1]])).logits[0, -len(a) :].log_softmax(-1)[range(len(a)), a].sum()
                for a in answers
            ]
            for p in prompts
        ]
        torch.testing.assert_close(model.log_probs(prompts, answers), torch.tensor(expected), **CLOSE)


def test_a_long_list_is_read_in_several_rows(llama):
    answers = [[2 + (7 * k + j) % 50 for j in range(5)] for k in range(150)]
    rows = list(in_rows(answers))
    assert (
        [answer for row in rows for answer in row] == answers and len(rows) > 1 and max(map(tokens_behind, rows)) <= 256
    )
    prompts = [[1, 5, 9, 3], [1, 8]]
    assert llama.abilities.answers == "together"
    with torch.no_grad():
        one_by_one = torch.stack([llama.log_prob(prompts, [answer] * 2) for answer in answers], 1)
        torch.testing.assert_close(llama.log_probs(prompts, answers), one_by_one, **CLOSE)
    assert list(in_rows([[3] * 999])) == [[[3] * 999]]
    # what is counted is what the network gets
    seen = []
    own = llama.copy()
    own.network.register_forward_pre_hook(
        lambda _, a, given: seen.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    own.log_probs(prompts[:1], answers)
    assert max(seen) + 1 == own.tokens_with(prompts[:1], answers)[0]


def test_gradients_of_a_closed_list_are_those_of_single_pairs(llama):
    prompts, answers = [[1, 5, 9, 3, 8, 8, 2], [1, 5, 9, 3, 4]], [[4, 6, 0], [7, 0], [4, 2, 9, 0]]
    gradients = []
    for way in ("together", "apart"):
        own = llama.copy()
        own._as_if = replace(llama.abilities, answers=way)
        table = own.log_probs(prompts, answers)
        (table * torch.arange(1.0, 7.0).view(2, 3)).sum().backward()
        gradients.append([weight.grad for weight in own.network.parameters()])
    for one, other in zip(*gradients, strict=True):  # weighted sums in float32: some CPUs round away more than CLOSE
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_window_keeps_a_list_apart_from_one_row(tokenizer):
    """A short trial would not notice that a mask of our own takes the window's place."""
    from transformers import MistralConfig, MistralForCausalLM

    network = wake(MistralForCausalLM(MistralConfig(vocab_size=len(tokenizer), **SIZES, num_key_value_heads=2)), seed=1)
    assert network.config.sliding_window
    with pytest.warns(UserWarning, match="does not see further back"):
        model = LanguageModel("windowed", "", tokenizer, network)
        assert model.abilities.answers != "together"


def test_the_positions_behind_a_prompt(llama):
    one = AnswerList([[4, 6, 0], [7, 0]], torch.device("cpu"))
    ids, mask, positions = padded([3, 2])
    ids, sees, positions = one.behind(ids, mask, positions)
    assert ids[:, 3:].tolist() == [[4, 6, 7]] * 2
    assert positions.tolist() == [[0, 1, 2, 3, 4, 3], [0, 0, 1, 2, 3, 2]]
    assert sees[1, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],  # padding sees itself
        [0, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 1, 1, 0, 0, 1],  # the second answer does not see the first
    ]
