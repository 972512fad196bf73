"""The cascade against a plain loop over items, and its cost against torch's own count."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import in_transformers
from torch.utils.flop_counter import FlopCounterMode

from w2s_lab.methods.cascade import POINTS, CascadePoint, cascade, cascade_curve, fit_threshold, flops_per_item
from w2s_lab.models.loading import new_llama
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.training.labelling import weak_labels

TASK = Task("toy", ("a", "b"))


def said(answers: str, confidence: list[float], *, truth: str, source: str) -> LabelledSet:
    examples = tuple(Example("Say.", str(i), t) for i, t in enumerate(truth))
    sure = np.array(confidence, dtype=float)
    is_a = np.array([answer == "a" for answer in answers])
    probs = np.stack([np.where(is_a, sure, 1 - sure), np.where(is_a, 1 - sure, sure)], -1)
    return LabelledSet(TASK, examples, tuple(answers), probs, np.log(sure), source)


# the weak model is wrong on the second and third item, the strong one on the fourth
WEAK = said("abba", [0.9, 0.6, 0.7, 0.9], truth="aaaa", source="weak")
STRONG = said("aaab", [0.8, 0.8, 0.8, 0.8], truth="aaaa", source="strong")


def random_pair(n: int, seed: int) -> tuple[LabelledSet, LabelledSet]:
    rng = np.random.default_rng(seed)
    truth = "".join(rng.choice(["a", "b"], n))
    sets = []
    for name, skill in (("weak", 1.0), ("strong", 2.5)):
        logit = skill * np.where([t == "a" for t in truth], 1, -1) + rng.normal(size=n) * 1.5
        p = 1 / (1 + np.exp(-logit))
        answers = "".join("a" if value >= 0.5 else "b" for value in p)
        sets.append(said(answers, np.maximum(p, 1 - p).round(3).tolist(), truth=truth, source=name))
    return sets[0], sets[1]


# one threshold


def test_who_answers_what():
    labels, asked = cascade(WEAK, STRONG, 0.7)
    assert asked == 1 and labels.answers == ("a", "a", "b", "a")  # 0.7 is enough for the weak model
    np.testing.assert_array_equal(labels.probs, np.stack([WEAK.probs[0], STRONG.probs[1], *WEAK.probs[2:]]))
    np.testing.assert_array_equal(labels.log_prob, np.log([0.9, 0.8, 0.7, 0.9]))
    assert labels.examples == WEAK.examples and labels.label_accuracy == 0.75
    assert labels.source == "cascade of [weak; strong] at confidence 0.7"


def test_never_and_always():
    never, always = cascade(WEAK, STRONG, 0.0), cascade(WEAK, STRONG, math.inf)
    assert never[0].answers == WEAK.answers and never[1] == 0
    assert always[0].answers == STRONG.answers and always[1] == 4


def test_a_certain_weak_model_is_not_asked_twice_at_threshold_one():
    certain = said("ab", [1.0, 0.99], truth="aa", source="weak")
    assert cascade(certain, said("aa", [0.5, 0.5], truth="aa", source="strong"), 1.0)[1] == 1


def test_examples_are_matched_by_id():
    labels, asked = cascade(WEAK, STRONG.take([3, 1, 0, 2]), 0.7)
    assert labels.digest == cascade(WEAK, STRONG, 0.7)[0].digest and asked == 1
    with pytest.raises(ValueError, match="lacks 1 examples"):
        cascade(WEAK, STRONG.take([0, 1, 2]), 0.7)


def test_without_the_strong_probabilities_answers_remain():
    labels, _ = cascade(WEAK, replace(STRONG, probs=None, log_prob=None), 0.7)
    assert labels.probs is None and labels.log_prob is None and labels.answers == ("a", "a", "b", "a")


def test_what_cannot_be_thresholded_raises(open_set):
    with pytest.raises(ValueError, match="threshold is nan"):
        cascade(WEAK, STRONG, math.nan)
    with pytest.raises(ValueError, match="has no probs"):
        cascade(replace(WEAK, probs=None), STRONG, 0.5)
    with pytest.raises(ValueError, match="has no probs"):
        cascade(open_set, open_set, 0.5)


# the curve


def test_the_curve_by_hand():
    curve = cascade_curve(WEAK, STRONG, cost=(1.0, 10.0))
    assert curve == (
        CascadePoint(0.0, 0.0, 1.0, 0.5),
        CascadePoint(0.7, 0.25, 3.5, 0.75),
        CascadePoint(0.9, 0.5, 6.0, 1.0),
        CascadePoint(math.inf, 1.0, 11.0, 0.75),
    )


def test_every_point_is_what_the_cascade_does():
    weak, strong = random_pair(60, 0)
    for point in cascade_curve(weak, strong, cost=(2.0, 30.0)):
        labels, asked = cascade(weak, strong, point.threshold)
        assert point.asked == asked / 60 and point.cost == pytest.approx(2 + 30 * asked / 60)
        assert point.accuracy == labels.label_accuracy


def test_all_cascades_are_on_the_curve_of_a_small_set():
    weak, strong = random_pair(40, 1)
    found = {(p.asked, p.accuracy) for p in cascade_curve(weak, strong, cost=(0, 1))}
    every = set()
    for threshold in np.linspace(0, 1.001, 2003):
        labels, asked = cascade(weak, strong, threshold)
        every.add((asked / 40, labels.label_accuracy))
    assert found == every and len(found) > 20


def test_a_large_set_is_taken_at_quantiles():
    weak, strong = random_pair(3000, 2)
    curve = cascade_curve(weak, strong, cost=(0, 1))
    assert 90 < len(curve) <= POINTS
    asked = np.array([point.asked for point in curve])
    assert (asked[0], asked[-1]) == (0, 1) and (np.diff(asked) > 0).all() and np.diff(asked).max() < 0.03
    assert (curve[0].accuracy, curve[-1].accuracy) == (weak.label_accuracy, strong.label_accuracy)


def test_many_items_with_the_least_confidence_give_one_point_only():
    """At its quantiles and at 0 nobody is asked: once is enough."""
    n = 1000
    weak = said("a" * n, [0.5] * 600 + np.linspace(0.6, 0.9, 400).tolist(), truth="a" * n, source="weak")
    asked = [point.asked for point in cascade_curve(weak, weak, cost=(1, 1))]
    assert asked[0] == 0 and asked[1] == 0.6 and len(set(asked)) == len(asked)


def test_the_curve_matches_examples_by_id():
    weak, strong = random_pair(60, 4)
    order = np.random.default_rng(0).permutation(60)
    expected = cascade_curve(weak, strong, cost=(1, 2))
    assert cascade_curve(weak, strong.take(order), cost=(1, 2)) == expected
    assert fit_threshold(weak, strong.take(order)) == fit_threshold(weak, strong)


@pytest.mark.parametrize("n", [1, 500])
def test_a_weak_model_that_is_always_equally_sure(n):
    """All confidences are 1: it is all or nothing."""
    weak = said("a" * n, [1.0] * n, truth="a" * n, source="weak")
    assert [p.asked for p in cascade_curve(weak, weak, cost=(1, 1))] == [0, 1]


@pytest.mark.parametrize("cost", [(-1, 1), (1, math.nan), (math.inf, 1), (1, 2, 3)])
def test_a_cost_that_is_none_raises(cost):
    with pytest.raises(ValueError, match="expected two finite numbers from 0 up"):
        cascade_curve(WEAK, STRONG, cost=cost)


def test_the_curve_needs_items_and_truth():
    with pytest.raises(ValueError, match="is empty"):
        cascade_curve(WEAK.take([]), STRONG.take([]), cost=(1, 1))
    blind = [replace(s, examples=tuple(replace(e, answer=None) for e in s.examples)) for s in (WEAK, STRONG)]
    with pytest.raises(ValueError, match="no true answer"):
        cascade_curve(*blind, cost=(1, 1))


# the threshold


def test_the_cheapest_within_the_tolerance():
    assert fit_threshold(WEAK, STRONG) == 0.9
    assert fit_threshold(WEAK, STRONG, tolerance=0.24) == 0.9
    assert fit_threshold(WEAK, STRONG, tolerance=0.25) == 0.7
    assert fit_threshold(WEAK, STRONG, tolerance=0.5) == 0.0


def test_a_useless_strong_model_is_never_asked_and_a_perfect_one_always():
    assert fit_threshold(STRONG, said("bbbb", [0.9] * 4, truth="aaaa", source="useless")) == 0.0
    wrong = said("bbbb", [0.9, 0.8, 0.7, 0.6], truth="aaaa", source="wrong")
    assert fit_threshold(wrong, said("aaaa", [0.9] * 4, truth="aaaa", source="perfect")) == math.inf


@pytest.mark.parametrize("tolerance", [0.0, 0.02, 0.1])
def test_no_cheaper_threshold_is_as_good(tolerance):
    weak, strong = random_pair(80, 3)
    curve = cascade_curve(weak, strong, cost=(1, 5))
    best = max(point.accuracy for point in curve)
    chosen = next(p for p in curve if p.threshold == fit_threshold(weak, strong, tolerance=tolerance))
    assert chosen.accuracy >= best - tolerance - 1e-9
    assert all(p.cost >= chosen.cost for p in curve if p.accuracy >= best - tolerance - 1e-9)
    assert 0 < chosen.asked < 1


@pytest.mark.parametrize("tolerance", [-0.01, math.nan])
def test_a_bad_tolerance_raises(tolerance):
    with pytest.raises(ValueError, match=r"tolerance is .*from 0 up"):
        fit_threshold(WEAK, STRONG, tolerance=tolerance)


# cost


def counted(model, prompts: list[list[int]]) -> float:
    """FLOPs of one plain forward pass per prompt, as torch counts them, on average."""
    network = copy.deepcopy(in_transformers(model.network))
    network.set_attn_implementation("eager")  # torch does not count a fused attention on a CPU
    total = 0
    for prompt in prompts:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(input_ids=torch.tensor([prompt]))
        total += counter.get_total_flops()
    return total / len(prompts)


def test_flops_against_torchs_own_count(model, closed_set):
    """What torch counts beyond it, a tenth or less on networks as small as these, is the attention left out."""
    inputs = closed_set.take(range(8))
    prompts, _ = model.encode_prompts(inputs.examples, 200)
    found, total = flops_per_item(model, inputs), counted(model, prompts)
    assert 0.9 < found / total < 1
    layers, width = 2, 32
    attention = np.mean([4 * layers * width * len(prompt) ** 2 for prompt in prompts])
    assert (total - found) / attention == pytest.approx(1, rel=0.05)


def test_a_head_of_its_own_costs_as_much_as_a_shared_one(llama, tokenizer, closed_set):
    inputs = closed_set.take(range(4))
    apart = replace(llama, network=new_llama(tokenizer, layers=2, width=32, heads=2, seed=0))
    assert llama.network.config.tie_word_embeddings
    apart.network.config = replace(apart.network.config, tie_word_embeddings=False)
    apart.network.lm_head.weight = torch.nn.Parameter(apart.network.lm_head.weight.detach().clone())
    assert apart.parameters > llama.parameters
    assert flops_per_item(apart, inputs) == flops_per_item(llama, inputs)


def test_longer_prompts_cost_in_proportion(llama, closed_set):
    prompts, _ = llama.encode_prompts(closed_set.examples, 200)
    lengths = np.array([len(prompt) for prompt in prompts])
    short, long = (closed_set.take([int(pick(lengths))]) for pick in (np.argmin, np.argmax))
    assert flops_per_item(llama, long) / flops_per_item(llama, short) == pytest.approx(lengths.max() / lengths.min())
    with pytest.raises(ValueError, match="is empty"):
        flops_per_item(llama, closed_set.take([]))


def test_the_whole_way_with_two_models(llama, gpt2, closed_set):
    weak, strong = weak_labels(llama, closed_set), weak_labels(gpt2, closed_set)
    cost = flops_per_item(llama, closed_set), flops_per_item(gpt2, closed_set)
    curve = cascade_curve(weak, strong, cost=cost)
    assert curve[0].cost == cost[0] and curve[-1].cost == pytest.approx(sum(cost))
    labels, asked = cascade(weak, strong, fit_threshold(weak, strong))
    assert labels.label_accuracy == max(p.accuracy for p in curve) and 0 <= asked <= 48
