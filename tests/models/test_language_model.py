"""Models: tokens, log Pr(y|x), generation, loading and saving."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import INSTRUCTION, in_transformers, wake
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GenerationConfig,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTModel,
)

from w2s_lab import assets
from w2s_lab.models import language_model, loading
from w2s_lab.models.encoding import prompt
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model, network_digest, new_llama, save_model
from w2s_lab.records import Example

# Rows of different lengths, in prompts and answers, with the filler's id 0 at every kind of place.
PROMPTS = [[0, 40, 41, 42], [7], [0, 9, 0, 0, 12, 13, 14, 15, 16, 0], [30, 31, 0], [0, 5, 6, 7, 8, 9, 10, 11, 12]]
REPLIES = [[50, 51, 0], [0], [60, 0, 61, 62, 0], [70, 0], [0, 0, 0, 80, 0]]


def loss_of_transformers(model: LanguageModel, row: list[int], answer: list[int]) -> torch.Tensor:
    """-log Pr(answer|row) by transformers' own loss, on one sequence without padding."""
    ids = torch.tensor([row + answer])
    labels = torch.tensor([[-100] * len(row) + answer])
    return in_transformers(model.network)(input_ids=ids, labels=labels).loss * len(answer)


# log Pr(y|x)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_log_prob_is_the_loss_of_transformers(model, size):
    with torch.no_grad():
        expected = torch.stack([-loss_of_transformers(model, p, a) for p, a in zip(PROMPTS, REPLIES, strict=True)])
        found = torch.cat(
            [model.log_prob(PROMPTS[i : i + size], REPLIES[i : i + size]) for i in range(0, len(PROMPTS), size)]
        )
    assert expected.max() < -1 and expected.std() > 1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_log_prob_does_not_depend_on_the_padding_side_of_the_tokenizer(model, side, closed_set):
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.padding_side = tokenizer.truncation_side = side
    other = LanguageModel("other", "", tokenizer, model.network)
    prompts, _ = other.encode_prompts(closed_set.examples[:6], 200)
    answers = other.encode_answers(closed_set.answers[:6])
    with torch.no_grad():
        expected = torch.stack([-loss_of_transformers(model, p, a) for p, a in zip(prompts, answers, strict=True)])
        torch.testing.assert_close(other.log_prob(prompts, answers), expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.integers(0, 99), min_size=1, max_size=12), st.lists(st.integers(0, 99), min_size=1, max_size=6)
        ),
        min_size=2,
        max_size=5,
    )
)
def test_log_prob_of_a_row_does_not_depend_on_its_batch(llama, rows):
    prompts, answers = map(list, zip(*rows, strict=True))
    with torch.no_grad():
        together = llama.log_prob(prompts, answers)
        alone = torch.cat([llama.log_prob([p], [a]) for p, a in rows])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("answers", [REPLIES, [[3], [4], [0]], [[8, 9, 0]]], ids=["ragged", "one token", "one answer"])
def test_log_probs_shares_the_prompt_without_changing_the_numbers(model, answers):
    with torch.no_grad():
        table = model.log_probs(PROMPTS, answers)
        pairs = torch.stack([torch.cat([model.log_prob([p], [a]) for a in answers]) for p in PROMPTS])
    assert table.shape == (len(PROMPTS), len(answers))
    torch.testing.assert_close(table, pairs, atol=1e-5, rtol=1e-5)


def test_log_probs_has_the_gradient_of_log_prob(model):
    weights = torch.arange(len(PROMPTS) * len(REPLIES), dtype=torch.float32).view(len(PROMPTS), -1) / 10 - 1
    gradients = []
    for shared in (True, False):
        own = model.copy()
        if shared:
            table = own.log_probs(PROMPTS, REPLIES)
        else:
            table = torch.stack([own.log_prob([p] * len(REPLIES), REPLIES) for p in PROMPTS])
        (weights * table).sum().backward()
        gradients.append([p.grad for p in own.network.parameters()])
    for one, other in zip(*gradients, strict=True):
        scale = other.abs().max().item()
        assert scale > 0
        torch.testing.assert_close(one, other, atol=1e-5 * max(1.0, scale), rtol=1e-4)


# text to tokens


def piece_tokenizer(*, bos: bool, eos: bool) -> PreTrainedTokenizerFast:
    """Like sentencepiece: a space is part of the word that follows it, and every text starts with one."""
    bpe = Tokenizer(BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace()
    bpe.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=200,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=[chr(i) for i in range(33, 127)] + ["\n"],
        show_progress=False,
    )
    bpe.train_from_iterator(["Answer: positive", f"{INSTRUCTION} great film, dull film"] * 3, trainer)
    template = " ".join(["<s>"] * bos + ["$A"] + ["</s>"] * eos)
    bpe.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def colon_tokenizer() -> PreTrainedTokenizerFast:
    """No pre-tokenizer at all, so that "Answer: yes" becomes a single token."""
    bpe = Tokenizer(BPE(unk_token="<unk>"))
    bpe.decoder = decoders.Fuse()
    alphabet = [chr(i) for i in range(32, 127)] + ["\n"]
    trainer = trainers.BpeTrainer(special_tokens=["<unk>", "</s>"], initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(["Answer: yes", "Answer: positive", "\nAnswer:"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>", unk_token="<unk>")


KINDS = {
    "pieces, bos": lambda: piece_tokenizer(bos=True, eos=False),
    "pieces, bos and eos": lambda: piece_tokenizer(bos=True, eos=True),
    "pieces, eos": lambda: piece_tokenizer(bos=False, eos=True),
    "pieces, neither": lambda: piece_tokenizer(bos=False, eos=False),
    "merges across the colon": colon_tokenizer,
}


@pytest.fixture(params=["byte-level", *KINDS])
def reader(request) -> LanguageModel:
    """A model that only reads, for every kind of tokenizer."""
    kind = request.getfixturevalue("tokenizer") if request.param == "byte-level" else KINDS[request.param]()
    return LanguageModel(request.param, "", kind, None)


READ = Example("Is it good?", "a great film")
READ_ANSWERS = ("positive", "yes", "hard to say", "3.5", "yes:no")


def test_prompt_and_answer_decode_to_the_text_and_end_once(reader):
    ((start,), cut), eos = reader.encode_prompts([READ], 1000), reader.tokenizer.eos_token_id
    assert cut == 0
    assert start[-1] != eos
    for answer, ids in zip(READ_ANSWERS, reader.encode_answers(READ_ANSWERS), strict=True):
        assert ids[-1] == eos and eos not in ids[:-1] and reader.tokenizer.bos_token_id not in ids[:-1]
        decoded = reader.tokenizer.decode(start + ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert decoded == f"Is it good?\na great film\nAnswer: {answer}"


def test_answers_are_encoded_alike_whatever_stands_beside_them(reader):
    assert reader.encode_answers(["yes", "positive", "yes"]) == [
        *reader.encode_answers(["yes"]),
        *reader.encode_answers(["positive"]),
        *reader.encode_answers(["yes"]),
    ]


def test_an_empty_answer_ends_at_once(reader):
    assert reader.encode_answers([""]) == [[reader.tokenizer.eos_token_id]]


def test_nothing_to_encode(reader):
    assert reader.encode_prompts([], 100) == ([], 0)
    assert reader.encode_answers([]) == []


def test_the_prompt_starts_with_the_start_token_where_the_tokenizer_says_so(tokenizer):
    ((ids,), _) = LanguageModel("reader", "", tokenizer, None).encode_prompts([READ], 1000)
    assert ids[0] == tokenizer.bos_token_id and tokenizer.bos_token_id not in ids[1:]


@pytest.mark.parametrize("text", ["good <|endoftext|> bad", "<|endoftext|>", "a<|pad|>b", "</s> and <s>"])
def test_special_tokens_in_a_users_text_are_text(reader, text):
    ((ids,), _) = reader.encode_prompts([Example("Judge.", text)], 1000)
    (answer,) = reader.encode_answers([text])
    special = set(reader.tokenizer.all_special_ids) - {reader.tokenizer.unk_token_id}
    assert not special & set(ids[1:]) and not special & set(answer[:-1])
    decoded = reader.tokenizer.decode(ids + answer, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert decoded == f"Judge.\n{text}\nAnswer: {text}"


def test_the_prompt_is_instruction_input_and_the_word_answer():
    assert prompt(Example("Judge.", "a film")) == "Judge.\na film\nAnswer:"
    assert prompt(Example("Judge.", "")) == "Judge.\nAnswer:"


# over-long inputs

LONG = " ".join(f"a great film in town {i}, unforgettably dull" for i in range(20))


@pytest.mark.parametrize("limit", [30, 35, 37, 38, 39, 40, 44, 75])
def test_an_over_long_input_is_cut_at_its_end(reader, limit):
    short, long = Example("Judge.", "ok"), Example("Judge.", LONG)
    with pytest.warns(UserWarning, match=f"1 of 3 inputs are longer than {limit} tokens"):
        prompts, cut = reader.encode_prompts([short, long, short], limit)
    assert cut == 1
    assert prompts[0] == prompts[2] == reader.encode_prompts([short], 1000)[0][0]
    text = reader.tokenizer.decode(prompts[1], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    kept = text.removeprefix("Judge.\n").removesuffix("\nAnswer:")
    assert text == f"Judge.\n{kept}\nAnswer:"
    assert 0 < len(kept) < len(LONG) and LONG.startswith(kept)
    # the longest prefix that fits: no longer one does
    every = reader.encode_prompts([Example("Judge.", LONG[:end]) for end in range(len(LONG) + 1)], 10_000)[0]
    assert len(kept) == max(end for end, ids in enumerate(every) if len(ids) <= limit)


def test_an_input_can_be_cut_to_nothing(reader):
    bare = reader.encode_prompts([Example("Judge.", "")], 1000)[0][0]
    prompts, cut = reader.encode_prompts([Example("Judge.", LONG)], len(bare))
    assert (prompts, cut) == ([bare], 1)


def test_an_instruction_that_is_too_long_raises(reader):
    bare = reader.encode_prompts([Example("Judge this for me.", "")], 1000)[0][0]
    with pytest.raises(ValueError, match=rf"'Judge this for me.'.* takes {len(bare)} tokens.*max_tokens"):
        reader.encode_prompts([Example("Judge this for me.", LONG)], len(bare) - 1)


# generation


def greedy_by_hand(model: LanguageModel, start: list[int], steps: int) -> list[int]:
    ids = list(start)
    for _ in range(steps):
        with torch.no_grad():
            best = model.network(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item()
        if best == model.tokenizer.eos_token_id:
            break
        ids.append(best)
    return ids[len(start) :]


def as_text(model: LanguageModel, ids: list[int]) -> str:
    return model.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()


def ends_sometimes(model: LanguageModel, prompts: list[list[int]]) -> LanguageModel:
    """A bias towards the end token, so large that it is the most likely one at an eighth of the prompts' positions."""
    own, eos = model.copy(), model.tokenizer.eos_token_id
    own.network = in_transformers(own.network)  # its head may have a bias
    with torch.no_grad():
        logits = torch.cat([own.network(input_ids=torch.tensor([p])).logits[0] for p in prompts])
        head = torch.nn.Linear(own.network.lm_head.in_features, own.network.lm_head.out_features)
        head.weight.copy_(own.network.lm_head.weight)
        head.bias.zero_()
        head.bias[eos] = (logits.max(-1).values - logits[:, eos]).quantile(0.125)
    own.network.lm_head = head
    return own


def test_greedy_generation_is_argmax_token_by_token(model, closed_set):
    prompts, _ = model.encode_prompts(closed_set.examples[:12], 200)
    own = ends_sometimes(model, prompts)
    by_hand = [greedy_by_hand(own, p, 12) for p in prompts]
    assert len({len(ids) for ids in by_hand}) > 1  # some end before the limit, and not all at the same place
    assert own.generate(prompts, max_new_tokens=12) == [as_text(own, ids) for ids in by_hand]


def test_one_prompt_or_many_generate_the_same(model, closed_set):
    prompts, _ = model.encode_prompts(closed_set.examples[:5], 200)
    together = model.generate(prompts, beams=3, max_new_tokens=5)
    assert together == [model.generate([p], beams=3, max_new_tokens=5)[0] for p in prompts]


def test_beam_search_with_enough_beams_is_exhaustive_search(llama):
    """Two tokens at most and as many beams as tokens: every answer is looked at."""
    small = loading.train_tokenizer(iter([]), 258)
    network = wake(new_llama(small, layers=1, width=16, heads=2, seed=0), seed=5)
    own, size, eos = LanguageModel("toy", "", small, network), len(small), small.eos_token_id
    for start in ([0, 70, 80], [0, 90], [0, 35, 36, 37, 38]):
        with torch.no_grad():
            first = own.network(torch.tensor([start])).logits[0, -1].log_softmax(-1)
            second = own.network(torch.tensor([[*start, i] for i in range(size)])).logits[:, -1].log_softmax(-1)
        value = first[:, None] + second
        value[eos] = first[eos]  # the end needs no second token
        best = [*divmod(value.argmax().item(), size)]
        assert own.generate([start], beams=size, max_new_tokens=2) == [as_text(own, best)]


def test_beam_search_finds_likelier_answers_than_greedy(model, closed_set):
    prompts, _ = model.encode_prompts(closed_set.examples[:16], 200)
    own = ends_sometimes(model, prompts)

    def value(beams: int) -> torch.Tensor:
        """log Pr of the token sequences themselves, as far as they were generated."""
        eos, ids_mask = own.tokenizer.eos_token_id, own.pad_left(prompts)
        options = {"num_beams": beams, "do_sample": False, "max_new_tokens": 6, "length_penalty": 0.0}
        out = own.network.generate(
            input_ids=ids_mask[0], attention_mask=ids_mask[1], eos_token_id=eos, pad_token_id=eos, **options
        )
        new = [row[ids_mask[0].shape[1] :].tolist() for row in out]
        new = [row[: row.index(eos) + 1] if eos in row else row for row in new]
        assert own.generate(prompts, beams=beams, max_new_tokens=6) == [as_text(own, row) for row in new]
        with torch.no_grad():
            return own.log_prob(prompts, new)

    greedy, beam = value(1), value(6)
    assert (beam >= greedy - 1e-4).float().mean() > 0.8
    assert beam.mean() > greedy.mean() + 0.05


def test_generation_leaves_the_global_generator_alone(llama):
    before = torch.get_rng_state()
    llama.generate([[0, 5]], max_new_tokens=2)
    assert torch.equal(torch.get_rng_state(), before)


# loading and saving


@pytest.fixture
def folder(tmp_path, model):
    """The path of a saved model."""
    save_model(model, tmp_path / "saved")
    return tmp_path / "saved"


def edit_json(path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_saved_model_is_the_same_model(folder, model, closed_set):
    loaded = load_model(str(folder), device="cpu")
    assert loaded.digest == model.digest == network_digest(model.network, model.tokenizer)
    assert (loaded.name, loaded.parameters, loaded.history) == (str(folder), model.parameters, ())
    assert not loaded.network.training and loaded.network.dtype == torch.float32
    prompts, answers = (
        loaded.encode_prompts(closed_set.examples, 200)[0],
        loaded.encode_answers(closed_set.task.answers),
    )
    assert prompts == model.encode_prompts(closed_set.examples, 200)[0]
    with torch.no_grad():
        assert torch.equal(loaded.log_probs(prompts, answers), model.log_probs(prompts, answers))


def test_loading_and_saving_print_nothing(folder, model, tmp_path, capfd):
    loaded = load_model(str(folder), device="cpu")
    load_model(f"scratch:{folder}", device="cpu")
    save_model(loaded, tmp_path / "again")
    loaded.encode_prompts([Example("Judge.", LONG * 10)], 100)
    assert capfd.readouterr() == ("", "")


def test_loading_leaves_the_global_generator_alone(folder, tokenizer):
    before = torch.get_rng_state()
    load_model(str(folder), device="cpu")
    load_model(f"scratch:{folder}", device="cpu")
    new_llama(tokenizer, layers=1, width=16, heads=2, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_scratch_is_the_same_architecture_with_other_weights(folder, model):
    scratch = load_model(f"scratch:{folder}", device="cpu")
    shapes = {name: value.shape for name, value in model.network.state_dict().items()}
    assert {name: value.shape for name, value in scratch.network.state_dict().items()} == shapes
    assert type(scratch.network) is type(model.network)
    assert scratch.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    assert scratch.digest != model.digest
    torch.rand(3)  # whatever was drawn before
    assert load_model(f"scratch:{folder}", device="cpu").digest == scratch.digest
    assert not torch.equal(scratch.network.get_input_embeddings().weight, model.network.get_input_embeddings().weight)


def test_scratch_needs_no_weights(folder):
    (folder / "model.safetensors").unlink()
    assert load_model(f"scratch:{folder}", device="cpu").parameters > 0


def test_the_authors_taste_in_generation_plays_no_part(llama, tmp_path, closed_set):
    """A repetition penalty in generation_config.json would make greedy search something else than argmax."""
    save_model(llama, tmp_path)
    GenerationConfig(repetition_penalty=9.0, no_repeat_ngram_size=1, min_new_tokens=5).save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), device="cpu")
    prompts, _ = llama.encode_prompts(closed_set.examples[:4], 200)
    assert loaded.generate(prompts, max_new_tokens=12) == llama.generate(prompts, max_new_tokens=12)


def test_a_copy_has_weights_of_its_own(llama):
    other = llama.copy()
    with torch.no_grad():
        other.network.get_input_embeddings().weight.zero_()
    assert llama.network.get_input_embeddings().weight.abs().sum() > 0


def test_the_digest_tells_models_apart(tokenizer):
    def key(**options) -> str:
        network = new_llama(tokenizer, **{"layers": 1, "width": 16, "heads": 2, "seed": 0, **options})
        return network_digest(network, tokenizer)

    assert key() == key()
    keys = [key(), key(seed=1), key(layers=2), key(width=32), key(heads=1)]  # other heads, but the very same weights
    assert len(set(keys)) == len(keys)


@pytest.fixture
def own_ladder(tmp_path, llama, monkeypatch):
    """A ladder of three models, the smallest last in the alphabet."""
    for name, width in (("pocket-xs", 16), ("pocket-l", 32), ("pocket-s", 24)):
        network = new_llama(llama.tokenizer, layers=1, width=width, heads=2, seed=0)
        save_model(LanguageModel(name, "", llama.tokenizer, network), tmp_path / name)
    (tmp_path / "pocket-unfinished").mkdir()
    monkeypatch.setattr(assets, "MODELS", tmp_path)


def test_the_ladder_goes_from_small_to_large(own_ladder):
    assert loading.ladder() == ("pocket-xs", "pocket-s", "pocket-l")
    sizes = [load_model(name, device="cpu").parameters for name in loading.ladder()]
    assert sizes == sorted(sizes)
    assert load_model("pocket-s", device="cpu").name == "pocket-s"


@pytest.mark.parametrize("name", ["pocket-x", "scratch:pocket-x", "pocketxs"])
def test_an_unknown_name_is_answered_with_the_nearest(own_ladder, name):
    with pytest.raises(ValueError, match=r"did you mean 'pocket-xs'.*pocket-xs, pocket-s, pocket-l.*a folder.*Hub id"):
        load_model(name)


@pytest.mark.parametrize("name", ["zebra", "./nowhere", "/no/where", "../a", ""])
def test_an_unknown_name_far_from_all_others(own_ladder, name):
    with pytest.raises(ValueError, match=r"there is no model") as caught:
        load_model(name)
    assert "did you mean" not in str(caught.value)


def test_weights_that_are_only_a_pickle_are_refused(folder, model):
    (folder / "model.safetensors").unlink()
    torch.save(model.network.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"no weights in safetensors format.*pytorch_model.bin.*can run code"):
        load_model(str(folder))


def test_missing_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="no weights in safetensors format"):
        load_model(str(folder))


def test_damaged_weights(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_model(str(folder))


@pytest.mark.parametrize("change", [{"num_hidden_layers": 3, "n_layer": 3}, {"vocab_size": 77}], ids=["more", "other"])
def test_weights_that_do_not_fit_are_not_filled_up_at_random(folder, change, capfd):
    edit_json(folder / "config.json", **change)
    with pytest.raises(ValueError, match=r"lacks \d+ of the network's weights, or has them in another shape"):
        load_model(str(folder), device="cpu")
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_a_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_model(str(folder))


def test_a_tokenizer_without_an_end(folder):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "eos_token"}))
    with pytest.raises(ValueError, match="no end-of-text token"):
        load_model(str(folder))


@pytest.mark.parametrize("build", [BertModel, BertForMaskedLM])
@pytest.mark.parametrize("prefix", ["", "scratch:"])
def test_an_encoder_is_refused(build, prefix, tokenizer, tmp_path, capfd):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    network = build(BertConfig(vocab_size=len(tokenizer), **sizes))
    save_model(LanguageModel("bert", "", tokenizer, network), tmp_path)
    with pytest.raises(ValueError, match=r"is an encoder \(Bert.*Expected a causal language model"):
        load_model(f"{prefix}{tmp_path}", device="cpu")
    assert capfd.readouterr() == ("", "")


def test_a_model_with_code_of_its_own_is_refused_without_a_question(folder, monkeypatch):
    def question(*_):
        pytest.fail("asked on the terminal")

    monkeypatch.setattr("builtins.input", question)
    edit_json(folder / "config.json", model_type="mine", auto_map={"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"})
    (folder / "a.py").write_text("raise SystemExit('the code ran')")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_model(str(folder))


def test_code_of_its_own_is_the_reason_that_is_given(folder):
    edit_json(folder / "config.json", model_type="mine", auto_map={"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"})
    with pytest.raises(ValueError, match="needs its own code, which this kit does not run"):
        load_model(str(folder))


def test_damaged_weights_are_named(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"model.safetensors is damaged or cut off at {path.stat().st_size:,} bytes"):
        load_model(str(folder))


@pytest.mark.parametrize("prefix", ["", "scratch:"])
def test_other_kinds_of_networks_are_refused(prefix, tokenizer, tmp_path):
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    bart = BartForConditionalGeneration(BartConfig(vocab_size=len(tokenizer), **sizes, **heads))
    save_model(LanguageModel("bart", "", tokenizer, bart), tmp_path / "bart")
    with pytest.raises(ValueError, match=r"encoder-decoder \(BartConfig\); expected a causal language model"):
        load_model(f"{prefix}{tmp_path / 'bart'}", device="cpu")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    save_model(LanguageModel("vit", "", tokenizer, ViTModel(ViTConfig(**sizes))), tmp_path / "vit")
    with pytest.raises(ValueError, match=r"not a causal language model \(ViTConfig\)"):
        load_model(f"{prefix}{tmp_path / 'vit'}", device="cpu")


def test_a_tokenizer_and_a_network_of_different_sizes(tokenizer, tmp_path):
    small = loading.train_tokenizer(iter([]), 258)
    for name, words, rows in (("more", tokenizer, small), ("fewer", small, tokenizer)):
        network = new_llama(rows, layers=1, width=16, heads=2, seed=0)
        save_model(LanguageModel(name, "", words, network), tmp_path / name)
    with pytest.raises(ValueError, match=rf"tokenizer has {len(tokenizer)} token ids.* embedding has 258 rows"):
        load_model(str(tmp_path / "more"), device="cpu")
    assert load_model(str(tmp_path / "fewer"), device="cpu").generate([[0, 5]], max_new_tokens=2)


def test_a_tokenizer_without_padding_token_scores_and_generates_alike(folder, model):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "pad_token"}))
    loaded = load_model(str(folder), device="cpu")
    assert loaded.tokenizer.pad_token_id is None and model.tokenizer.pad_token_id is not None
    with torch.no_grad():
        assert torch.equal(loaded.log_probs(PROMPTS, REPLIES), model.log_probs(PROMPTS, REPLIES))
    assert loaded.generate(PROMPTS, max_new_tokens=4) == model.generate(PROMPTS, max_new_tokens=4)


def test_a_folder_without_configuration(folder):
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"has no config\.json"):
        load_model(str(folder))


def test_only_the_hub_has_revisions(folder):
    with pytest.raises(ValueError, match="is a folder; only a model of the Hub has revisions"):
        load_model(str(folder), revision="v2")
    with pytest.raises(ValueError, match="names one revision, and revision='v2' another"):
        load_model("owner/name@v1", revision="v2")


def test_a_device_that_is_not_there_is_said_before_anything_is_loaded():
    with pytest.raises(ValueError, match="device 'abacus' is not available"):
        load_model("owner/name", device="abacus")


# -- what all prompts begin with is read once ------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
def test_a_shared_beginning_changes_no_score(training, model, closed_set):
    """The rows share an instruction; alone, each is read whole."""
    model = model.copy()
    model.network.train(training)
    prompts, _ = model.encode_prompts(closed_set.examples[:7], 200)
    answers = model.encode_answers(closed_set.task.answers)
    for module in model.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    shared = model._shared_prefix(prompts, prompts)
    assert (shared >= 4) == (not (training and model._drops))
    assert all(p[:shared] == prompts[0][:shared] for p in prompts)
    together = model.log_probs(prompts, answers)
    pairs = model.log_prob(prompts, [answers[i % 3] for i in range(7)])
    for row, p in enumerate(prompts):
        for k, answer in enumerate(answers):
            alone = model.log_prob([p], [answer])[0]
            torch.testing.assert_close(together[row, k], alone, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(pairs[row], together[row, row % 3], atol=1e-4, rtol=1e-5)


def test_a_shared_beginning_has_its_gradient(llama, closed_set, monkeypatch):
    prompts, _ = llama.encode_prompts(closed_set.examples[:7], 200)
    answers = llama.encode_answers(closed_set.answers[:7])
    found = []
    for worth in (1, 10_000):
        monkeypatch.setattr(language_model, "WORTH_SHARING", worth)
        own = llama.copy()
        assert bool(own._shared_prefix(prompts, prompts)) == (worth == 1)
        own.log_prob(prompts, answers).sum().backward()
        found.append([p.grad for p in own.network.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def renamed(network: torch.nn.Module, name: str | None) -> torch.nn.Module:
    """A copy that calls its keys and values `name` (None: that has none), and swallows other names as networks do."""
    network = copy.deepcopy(network)
    inner, known = network.forward, language_model.LanguageModel("", "", None, network).cache_name

    def with_cache(values=None, **others):
        output = inner(**others | ({known: values} if values is not None else {}))
        return SimpleNamespace(logits=output.logits, **{name: getattr(output, known)} if name else {})

    def newer(
        input_ids, attention_mask=None, position_ids=None, cache=None, logits_to_keep=0, use_cache=None, **swallowed
    ):
        return with_cache(cache, input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids)

    def older(
        input_ids,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        logits_to_keep=0,
        use_cache=None,
        **swallowed,
    ):
        return newer(input_ids, attention_mask, position_ids, past_key_values)

    def without(input_ids, attention_mask=None, position_ids=None, **swallowed):
        return newer(input_ids, attention_mask, position_ids)

    network.forward = {"cache": newer, "past_key_values": older, None: without}[name]
    return network


@pytest.mark.parametrize("name", ["cache", "past_key_values", None])
def test_keys_and_values_under_either_name_or_none(name, model, closed_set):
    """A library that renames them and swallows the old name must not change an answer."""
    other = LanguageModel("renamed", "", model.tokenizer, renamed(in_transformers(model.network), name))
    assert other.cache_name == name and other.abilities.answers == "together"
    other._as_if = replace(other.abilities, answers="continued" if name else "apart")
    prompts, _ = model.encode_prompts(closed_set.examples[:7], 200)
    answers = model.encode_answers(closed_set.task.answers)
    with torch.no_grad():
        expected, found = model.log_probs(prompts, answers), other.log_probs(prompts, answers)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_equal_prompts_keep_their_last_token(llama):
    def shared(*prompts: list[int]) -> int:
        return llama._shared_prefix([[*p, *[1] * 9] for p in prompts], prompts)

    assert shared([5, 6, 7, 8, 9, 10], [5, 6, 7, 8, 9, 10]) == 5
    assert shared([5, 6, 7, 8, 9, 10], [5, 6, 7, 8, 9]) == 4
    assert shared([5, 6], [5, 6, 7, 8]) == shared([1, 2, 3, 4, 5, 6]) == 0
    long = list(range(20))
    assert llama._shared_prefix([long, long], [long, long]) == 10  # a row of the batch, no longer than the others


@pytest.mark.parametrize("length", [3, 48])
def test_a_generated_answer_is_scored_on_the_way(length, model, open_set):
    prompts, _ = model.encode_prompts(open_set.examples, 200)
    texts, scores = model.generate_scored(prompts, max_new_tokens=length)
    with torch.no_grad():
        torch.testing.assert_close(scores, model.log_prob(prompts, model.encode_answers(texts)), atol=2e-3, rtol=1e-4)
    assert texts == model.generate(prompts, max_new_tokens=length)
