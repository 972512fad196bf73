"""The objective against transformers, numpy, scipy and hand computation."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.special import log_softmax, logsumexp
from scipy.stats import entropy as scipy_entropy
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from w2s_lab.objective import (
    AuxiliaryConfidence,
    ConfidenceWindow,
    Distillation,
    ProductTargets,
    SoftTargets,
    Targets,
    answer_probs,
    balanced_predictions,
    entropy,
    expected_nll,
    kl_to_supervisor,
    sequence_log_prob,
    token_log_probs,
    with_temperature,
)

VOCABULARY = 13


def random_table(n: int, k: int, seed: int) -> torch.Tensor:
    """[n, k] normalised log-probabilities."""
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).log_softmax(-1)


# log Pr(y|x)


def tiny_gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=16, n_embd=8, n_layer=2, n_head=2))


def tiny_llama() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
    )
    return LlamaForCausalLM(config)


@pytest.mark.parametrize("build", [tiny_gpt2, tiny_llama])
def test_sequence_log_prob_is_the_loss_of_transformers(build):
    torch.manual_seed(0)
    model = build().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # away from the near-uniform start, where every bug looks small
            parameter.add_(0.3 * torch.randn_like(parameter))
    tokens = torch.randint(0, VOCABULARY, (4, 10))
    tokens[0, 2] = tokens[0, 7] = tokens[1, 9] = 0  # id 0 in prompt and answers is a token like any other
    answer_starts = torch.tensor([5, 9, 2, 6])
    is_answer = torch.arange(10) >= answer_starts[:, None]
    is_answer[2, 8:] = False  # padding behind a shorter text
    with torch.no_grad():
        logits = model(tokens).logits
        ours = sequence_log_prob(logits[:, :-1], tokens[:, 1:], is_answer[:, 1:])
        for row in range(4):
            labels = tokens[row].masked_fill(~is_answer[row], -100)
            theirs = model(tokens[row : row + 1], labels=labels[None]).loss * is_answer[row].sum()  # mean -> sum
            assert ours[row].item() == pytest.approx(-theirs.item(), rel=1e-5, abs=1e-5)
        together = model(tokens, labels=tokens.masked_fill(~is_answer, -100)).loss * is_answer.sum()
    assert ours.sum().item() == pytest.approx(-together.item(), rel=1e-5, abs=1e-5)
    assert ours.shape == (4,) and ours.max() < -0.5


def test_three_tokens_by_hand():
    probs = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]]])
    targets = torch.tensor([[0, 2, 1]])
    np.testing.assert_allclose(token_log_probs(probs.log(), targets), np.log([[0.5, 0.3, 0.2]]), rtol=1e-6)
    everything, answer = torch.ones(1, 3, dtype=torch.bool), torch.tensor([[False, True, True]])
    assert sequence_log_prob(probs.log(), targets, everything).item() == pytest.approx(math.log(0.5 * 0.3 * 0.2))
    assert sequence_log_prob(probs.log(), targets, answer).item() == pytest.approx(math.log(0.3 * 0.2))
    shifted = probs.log() + torch.tensor([[[3.0], [-2.0], [100.0]]])  # logits are defined up to a constant
    assert sequence_log_prob(shifted, targets, answer).item() == pytest.approx(math.log(0.3 * 0.2), rel=1e-5)


def test_prompt_tokens_carry_no_gradient():
    logits = torch.randn(1, 4, 5, requires_grad=True)
    mask = torch.tensor([[False, False, True, True]])
    sequence_log_prob(logits, torch.tensor([[1, 0, 0, 4]]), mask).sum().backward()
    assert logits.grad[0, :2].abs().max() == 0
    assert (logits.grad[0, 2:].abs().sum(-1) > 0).all()


def test_answer_probs_renormalise_over_the_list():
    log_probs = torch.tensor([[math.log(0.03), math.log(0.01)], [-500.0, -500.0]])
    np.testing.assert_allclose(answer_probs(log_probs), [[0.75, 0.25], [0.5, 0.5]], rtol=1e-5)


# expected negative log-likelihood


def test_expected_nll_of_one_hot_targets_is_the_likelihood_of_the_answer():
    log_probs, chosen = random_table(7, 4, seed=0), torch.tensor([0, 3, 1, 1, 2, 0, 3])
    one_hot = torch.nn.functional.one_hot(chosen, 4).double()
    torch.testing.assert_close(expected_nll(log_probs, one_hot), -log_probs[torch.arange(7), chosen])


def test_expected_log_likelihood_is_minus_kl_minus_entropy():
    student, weak = random_table(9, 3, seed=1), random_table(9, 3, seed=2).exp()
    kl, weak_entropy = scipy_entropy(weak, student.exp(), axis=-1), scipy_entropy(weak, axis=-1)
    assert kl.min() > 0.001  # the two do differ
    np.testing.assert_allclose(-expected_nll(student, weak), -kl - weak_entropy, rtol=1e-10)
    np.testing.assert_allclose(expected_nll(weak.log(), weak), weak_entropy, rtol=1e-10)


def test_its_gradient_is_that_of_the_distillation_loss():
    weak, logits = random_table(5, 3, seed=3).exp(), random_table(5, 3, seed=4).requires_grad_()
    (ours,) = torch.autograd.grad(expected_nll(logits.log_softmax(-1), weak).sum(), logits)
    kl = torch.nn.functional.kl_div(logits.log_softmax(-1), weak, reduction="sum")
    (theirs,) = torch.autograd.grad(kl, logits)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours, logits.softmax(-1) - weak)  # the closed form


# temperature


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1.0, 2.0, 10.0])
def test_temperature_by_its_definition(temperature):
    probs = random_table(6, 3, seed=5).exp()
    powers = probs.numpy() ** (1 / temperature)
    np.testing.assert_allclose(with_temperature(probs, temperature), powers / powers.sum(-1, keepdims=True), rtol=1e-10)


def test_temperature_limits():
    probs = torch.tensor([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(with_temperature(probs, 1.0), probs)
    torch.testing.assert_close(with_temperature(probs, 0.01), torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]))
    assert (with_temperature(probs, 1e4)[0] - 1 / 3).abs().max() < 1e-4


# hardening with balanced classes


@pytest.mark.parametrize("positives", [0, 1, 3, 5, 9, 10])
def test_two_answers_split_at_the_quantile_of_the_log_odds(positives):
    probs = random_table(10, 2, seed=6).exp()
    log_odds = np.log(probs[:, 1].numpy()) - np.log(probs[:, 0].numpy())
    from_the_top = np.sort(log_odds)[::-1]
    edges = np.concatenate([[np.inf], (from_the_top[:-1] + from_the_top[1:]) / 2, [-np.inf]])
    expected = (log_odds > edges[positives]).astype(int)
    found = balanced_predictions(probs, [1 - positives / 10, positives / 10])
    np.testing.assert_array_equal(found, expected)
    assert expected.sum() == positives


@given(st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.50001, 0.9, 1.0]), min_size=1, max_size=30), st.floats(0, 1))
def test_two_answers_have_the_largest_total_log_probability(ones, share):
    """Also where distributions are equal or certain: against scipy's assignment, which the rule for K answers uses."""
    probs = torch.tensor([[1 - p, p] for p in ones], dtype=torch.float64)
    found = balanced_predictions(probs, [1 - share, share])
    value = probs.clamp_min(1e-30).log()
    places = torch.tensor([0] * int((found == 0).sum()) + [1] * int(found.sum()))
    best = value[:, places].numpy()
    assert value.gather(1, found[:, None]).sum().item() == pytest.approx(
        best[linear_sum_assignment(best, maximize=True)].sum()
    )


@pytest.mark.parametrize(("balance", "counts"), [((0.5, 1 / 3, 1 / 6), (3, 2, 1)), ((0.1, 0.1, 0.8), (1, 0, 5))])
@pytest.mark.parametrize("seed", range(3))
def test_three_answers_by_brute_force(balance, counts, seed):
    table = random_table(6, 3, seed=seed)
    legal = [a for a in itertools.product(range(3), repeat=6) if tuple(a.count(k) for k in range(3)) == counts]
    best = max(legal, key=lambda assignment: sum(table[row, k].item() for row, k in enumerate(assignment)))
    assert tuple(balanced_predictions(table.exp(), balance).tolist()) == best


@pytest.mark.parametrize(
    ("n", "balance", "counts"),
    [
        (10, (0.07, 0.58, 0.35), [1, 6, 3]),  # .7, 5.8, 3.5: the remainders .8 and .7 are the largest
        (7, (0.5, 0.25, 0.25), [3, 2, 2]),  # 3.5, 1.75, 1.75
        (100, (0.29, 0.71), [29, 71]),  # .29 * 100 is 28.999999999999996
        (3, (1.0, 0.0), [3, 0]),
        (1, (0.4, 0.6), [0, 1]),
    ],
)
def test_class_counts_are_rounded_by_largest_remainder(n, balance, counts):
    found = balanced_predictions(random_table(n, len(balance), seed=7).exp(), balance)
    assert torch.bincount(found, minlength=len(balance)).tolist() == counts


def test_hardening_stands_certainty_and_an_unlikely_balance():
    certain = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.9, 0.1]])
    assert balanced_predictions(certain, [0.75, 0.25]).tolist() == [0, 0, 0, 1]


def batch_loss(loss, log_probs, weak, progress, balance):
    """The mean over a batch whose answers are the supervisor's."""
    return loss(log_probs, Targets(weak, weak.argmax(-1), balance, progress)).mean()


# auxiliary confidence loss


def test_the_weight_rises_linearly_from_zero_and_stays():
    loss = AuxiliaryConfidence(max_weight=0.6, warmup_fraction=0.25)
    progress = np.linspace(0, 1, 1001)
    found = np.array([loss.weight(p) for p in progress])
    assert found[0] == 0
    np.testing.assert_allclose(found, np.interp(progress, [0, 0.25, 1], [0, 0.6, 0.6]), atol=1e-12)
    assert np.abs(np.diff(found)).max() <= 0.6 / 0.25 * 0.001 + 1e-12  # no jump anywhere


def test_without_a_warm_up_the_weight_is_constant():
    assert [AuxiliaryConfidence(0.6, 0.0).weight(p) for p in (0.0, 0.5, 1.0)] == [0.6] * 3


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.2, 1.0])
def test_confidence_loss_by_numpy(progress):
    # Sequence log-probabilities: they do not sum to 1 over the list, since the model may say something else.
    log_probs = random_table(8, 2, seed=8) - 1.5
    weak = random_table(8, 2, seed=9).exp()
    found = batch_loss(AuxiliaryConfidence(0.5, 0.2), log_probs, weak, progress, [0.625, 0.375]).item()
    own = log_softmax(log_probs.numpy(), axis=-1)
    hardened = np.zeros((8, 2))
    hardened[:, 0] = 1
    hardened[np.argsort(own[:, 0] - own[:, 1])[:3]] = [0, 1]  # the three with the lowest odds for answer 0
    a = 0.5 * min(1, progress / 0.2)
    target = (1 - a) * weak.numpy() + a * hardened
    assert found == pytest.approx(-(target * log_probs.numpy()).sum(-1).mean(), rel=1e-10)
    if progress:
        assert found != pytest.approx(expected_nll(log_probs, weak).mean().item(), rel=1e-3)


@pytest.mark.parametrize(("loss", "progress"), [(AuxiliaryConfidence(0.0), 1.0), (AuxiliaryConfidence(0.75), 0.0)])
def test_weight_zero_is_the_plain_loss(loss, progress):
    log_probs, weak = random_table(6, 3, seed=10), random_table(6, 3, seed=11).exp()
    found = batch_loss(loss, log_probs, weak, progress, [0.5, 0.3, 0.2])
    torch.testing.assert_close(found, expected_nll(log_probs, weak).mean())


def test_no_gradient_flows_through_the_hardened_prediction():
    log_probs, weak = random_table(6, 3, seed=12).requires_grad_(), random_table(6, 3, seed=13).exp()
    balance = [0.5, 0.3, 0.2]
    batch_loss(AuxiliaryConfidence(0.4, 0.0), log_probs, weak, 1.0, balance).backward()
    hardened = torch.nn.functional.one_hot(balanced_predictions(log_probs.detach().exp(), balance), 3)
    # The target is a constant, so the loss is linear in log_probs and its gradient is minus the target.
    torch.testing.assert_close(log_probs.grad, -(0.6 * weak + 0.4 * hardened) / 6)
    assert not balanced_predictions(log_probs.exp(), balance).requires_grad


# soft targets, and what is refused


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_soft_targets_of_a_certain_supervisor_are_maximum_likelihood(temperature):
    log_probs, chosen = random_table(6, 3, seed=14), torch.tensor([0, 1, 2, 2, 1, 0])
    certain = torch.nn.functional.one_hot(chosen, 3).double()
    found = batch_loss(SoftTargets(temperature), log_probs, certain, 0.5, [1 / 3] * 3)
    torch.testing.assert_close(found, -log_probs[torch.arange(6), chosen].mean())


def test_soft_targets_with_temperature_by_numpy():
    log_probs, weak = random_table(6, 3, seed=15), random_table(6, 3, seed=16).exp()
    scaled = np.log(weak.numpy()) / 2
    target = np.exp(scaled - logsumexp(scaled, axis=-1, keepdims=True))
    found = batch_loss(SoftTargets(2.0), log_probs, weak, 0.5, [1 / 3] * 3).item()
    assert found == pytest.approx(-(target * log_probs.numpy()).sum(-1).mean(), rel=1e-10)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_an_illegal_temperature_is_named(value):
    with pytest.raises(ValueError, match=f"temperature is {value}; expected a finite number above 0"):
        SoftTargets(value)


@pytest.mark.parametrize("name", ["max_weight", "warmup_fraction"])
@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan])
def test_an_illegal_weight_or_warm_up_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; expected a number from 0 to 1"):
        AuxiliaryConfidence(**{name: value})


# distillation


def test_the_objective_on_sampled_labels_is_minus_kl_minus_entropy():
    """E over y_hat ~ Pr^w of log Pr^s(y_hat|x) = -KL(Pr^w || Pr^s) - H(Pr^w): exactly, and by drawing labels."""
    log_probs, weak = random_table(5, 3, seed=20) - 0.7, random_table(5, 3, seed=21).exp()
    by_hand = sum(weak[:, k] * log_probs[:, k] for k in range(3))
    found = -kl_to_supervisor(log_probs, weak) - entropy(weak)
    torch.testing.assert_close(found, by_hand)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(weak, 200_000, replacement=True, generator=generator)
    torch.testing.assert_close(log_probs.gather(1, drawn).mean(1), found, atol=5e-3, rtol=0)


def test_kl_and_entropy_are_those_of_torch():
    log_probs, weak = random_table(6, 4, seed=22), random_table(6, 4, seed=23).exp()
    expected = torch.nn.functional.kl_div(log_probs, weak, reduction="none").sum(-1)
    torch.testing.assert_close(kl_to_supervisor(log_probs, weak), expected)
    torch.testing.assert_close(entropy(weak), torch.distributions.Categorical(probs=weak).entropy())
    assert entropy(torch.tensor([1.0, 0.0])).item() == 0


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [2, 2, 2]), ("linear", [2, 1, 0]), ("cosine", [2, 1, 0])],
)
def test_lambda_over_the_training(schedule, expected):
    found = [Distillation(2.0, schedule).shares(progress)[1] for progress in (0.0, 0.5, 1.0)]
    assert found == pytest.approx(expected)
    assert Distillation(2.0, "cosine").shares(0.25)[1] == pytest.approx(1 + math.cos(math.pi / 4))


def test_distillation_by_hand():
    """One example, two answers: truth "b" (log .25), supervisor .8 / .2, temperature 1/2: q = .64 / .68, .04 / .68."""
    log_probs = torch.tensor([[0.75, 0.25]]).log()
    targets = Targets(torch.tensor([[0.8, 0.2]]), torch.tensor([1]), [0.5, 0.5], progress=0.5)
    q = np.array([16 / 17, 1 / 17])
    kl = (q * np.log(q / np.array([0.75, 0.25]))).sum()
    found = Distillation(3.0, "linear", temperature=0.5)(log_probs, targets).item()
    assert found == pytest.approx(math.log(4) + 1.5 * kl, rel=1e-5)


def test_distillation_without_weight_is_maximum_likelihood():
    log_probs, weak = random_table(6, 3, seed=24), random_table(6, 3, seed=25).exp()
    answers = torch.tensor([2, 0, 1, 1, 0, 2])
    found = Distillation(0.0)(log_probs, Targets(weak, answers, [1 / 3] * 3))
    torch.testing.assert_close(found, -log_probs[torch.arange(6), answers])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight is -1.0; expected a finite number from 0 up"),
        ({"schedule": "sine"}, "schedule is 'sine'; expected one of constant, linear, cosine"),
        ({"temperature": 0.0}, "temperature is 0.0; expected a finite number above 0"),
    ],
)
def test_an_illegal_distillation_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        Distillation(**options)


# product of predictions and labels


def test_the_product_by_hand():
    """Student .6 / .4 within the list, supervisor .1 / .9, alpha 1/2, beta 2: q is to .36 sqrt .1 as .16 sqrt .9."""
    log_probs = torch.tensor([[0.6, 0.4]], dtype=torch.float64).log() - 0.7  # not normalised over the list
    loss = ProductTargets(alpha=0.5, beta=2.0)
    q = np.array([0.36 * math.sqrt(0.1), 0.16 * math.sqrt(0.9)])
    q /= q.sum()
    found = batch_loss(loss, log_probs, torch.tensor([[0.1, 0.9]], dtype=torch.float64), 0.5, [0.5, 0.5]).item()
    assert found == pytest.approx(-(q * (np.log([0.6, 0.4]) - 0.7)).sum(), rel=1e-10)
    assert 0 < q[0] < 0.5


def test_the_product_by_numpy_and_its_gradient():
    """The target is a constant: the gradient is minus the target."""
    log_probs, weak = (random_table(7, 3, seed=30) - 1.5).requires_grad_(), random_table(7, 3, seed=31).exp()
    p = log_softmax(log_probs.detach().numpy(), axis=-1)
    target = np.exp(1.5 * p) * weak.numpy() ** 0.7
    target /= target.sum(-1, keepdims=True)
    found = batch_loss(ProductTargets(0.7, 1.5), log_probs, weak, 0.0, [1 / 3] * 3)
    found.backward()
    assert found.item() == pytest.approx(-(target * log_probs.detach().numpy()).sum(-1).mean(), rel=1e-10)
    np.testing.assert_allclose(log_probs.grad, -target / 7, rtol=1e-10)


def test_a_product_of_one_factor():
    log_probs, weak = random_table(6, 3, seed=32), random_table(6, 3, seed=33).exp()
    alone = batch_loss(ProductTargets(1.0, 0.0), log_probs, weak, 0.5, [1 / 3] * 3)
    torch.testing.assert_close(alone, batch_loss(SoftTargets(), log_probs, weak, 0.5, [1 / 3] * 3))
    own = batch_loss(ProductTargets(0.0, 1.0), log_probs, weak, 0.5, [1 / 3] * 3)
    torch.testing.assert_close(own, entropy(log_probs.exp()).mean())
    certain = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 2, 1, 0]), 3).double()
    for alpha, expected in ((1.0, -log_probs[certain.bool()].mean()), (0.0, own)):  # 0^alpha, and 0^0 = 1
        torch.testing.assert_close(batch_loss(ProductTargets(alpha), log_probs, certain, 0, [1 / 3] * 3), expected)


# confidence window


def test_the_window_by_hand():
    """Three students of two answers, .5, .6 and .7 sure, radius .15: the third, above .65, learns nothing."""
    table = torch.tensor([[0.5, 0.5], [0.4, 0.6], [0.7, 0.3]], dtype=torch.float64)
    log_probs, weak = (
        (table.log() - 2).requires_grad_(),
        torch.tensor([[0.2, 0.8], [0.9, 0.1], [0.3, 0.7]], dtype=torch.float64),
    )
    rows = ConfidenceWindow(0.15)(log_probs, Targets(weak, weak.argmax(-1), [0.5, 0.5]))
    expected = [2 - math.log(0.5), 2 - 0.9 * math.log(0.4) - 0.1 * math.log(0.6), 0.0]
    np.testing.assert_allclose(rows.detach(), expected, rtol=1e-10)
    rows.mean().backward()
    np.testing.assert_allclose(log_probs.grad, -weak * torch.tensor([[1.0], [1.0], [0.0]]) / 3, rtol=1e-10)


def test_a_wide_window_is_soft_targets_and_a_narrow_one_nothing():
    log_probs, weak = random_table(9, 3, seed=34), random_table(9, 3, seed=35).exp()
    targets = Targets(weak, weak.argmax(-1), [1 / 3] * 3)
    torch.testing.assert_close(ConfidenceWindow(0.7)(log_probs, targets), SoftTargets()(log_probs, targets))
    assert ConfidenceWindow(1e-9)(log_probs, targets).abs().max() == 0
    sure = log_probs.exp().max(-1).values  # 1/3 + radius is the threshold for three answers
    for radius in (0.2, 0.25):
        learnt = ConfidenceWindow(radius)(log_probs, targets) > 0
        assert torch.equal(learnt, sure < 1 / 3 + radius) and 0 < learnt.sum() < 9


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (ProductTargets, {"alpha": -0.1}, "ProductTargets: alpha is -0.1; expected a finite number from 0 up"),
        (ProductTargets, {"beta": math.inf}, "ProductTargets: beta is inf; expected a finite number from 0 up"),
        (ConfidenceWindow, {"radius": 0.0}, "ConfidenceWindow: radius is 0.0; expected a finite number above 0"),
        (SoftTargets, {"temperature": math.inf}, "SoftTargets: temperature is inf; expected a finite number above 0"),
    ],
)
def test_an_illegal_dial_is_named(loss, options, message):
    with pytest.raises(ValueError, match=message):
        loss(**options)


def test_token_targets_by_torch():
    """Against the cross-entropy of torch with soft targets, over the whole vocabulary; the padding is not looked at."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 5, generator=generator)
    q = torch.randn(2, 3, 5, generator=generator).softmax(-1)
    mask = torch.tensor([[False, True, True], [True, True, True]])
    table = torch.where(mask[..., None], logits.log_softmax(-1), 0.0)
    scores = torch.cat([table[..., :1], table], -1)  # y_hat is token 0 each time
    targets = Targets(torch.where(mask[..., None], q, 0.0), None, None, mask=mask)
    loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), q.transpose(1, 2), reduction="none")
    torch.testing.assert_close(SoftTargets()(scores, targets), (loss * mask).sum(-1))
    expected = ((loss - entropy(q)) * mask).sum(-1) * 2.0 - table[..., 0].sum(-1)
    torch.testing.assert_close(Distillation(2.0)(scores, targets), expected)
