"""The training loop against hand computation, and what it must leave alone."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import in_transformers
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from w2s_lab.methods.simulated import random_errors
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import save_model
from w2s_lab.objective import AuxiliaryConfidence, MaximumLikelihood, SoftTargets
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.training.evaluation import evaluate
from w2s_lab.training.labelling import weak_labels
from w2s_lab.training.loop import (
    SORTED_TOGETHER,
    NonFiniteLoss,
    batches,
    learning_rate_at,
    train,
    training_key,
    training_steps,
)

QUICK = Recipe(epochs=1, batch_size=16, learning_rate=1e-3, seed=0)


def weights(model: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Equal to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def with_probs(labelled: LabelledSet, confidence: float) -> LabelledSet:
    """The same answers as distributions: `confidence` on the answer, the rest spread evenly over the others."""
    choices = labelled.task.answers
    rest = (1 - confidence) / (len(choices) - 1)
    rows = [[confidence if choice == answer else rest for choice in choices] for answer in labelled.answers]
    return replace(labelled, probs=np.array(rows))


def exact(model: LanguageModel) -> LanguageModel:
    """A copy in double precision and without dropout: two ways to the same gradient then differ by 1e-12, not 1e-6.

    (AdamW's first step is about the gradient's sign, so that rounding errors of a vanishing gradient would show.)
    """
    own = model.copy()
    own.network.double()
    for module in own.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return own


def rows_of(model: LanguageModel, labelled: LabelledSet, recipe: Recipe) -> list[np.ndarray]:
    """The rows of every step."""
    prompts, answers = model.encode_prompts(labelled.examples, 200)[0], model.encode_answers(labelled.answers)
    lengths, rng = [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)], np.random.default_rng(recipe.seed)
    return [rows for _ in range(recipe.epochs) for rows in batches(lengths, recipe.batch_size, rng)]


# batches


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=200), size=st.integers(1, 40), seed=st.integers(0, 9))
def test_an_epoch_has_every_row_once(lengths, size, seed):
    found = batches(lengths, size, np.random.default_rng(seed))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    assert len(found) == math.ceil(len(lengths) / size)
    assert max(map(len, found)) <= size
    again = batches(lengths, size, np.random.default_rng(seed))
    assert [rows.tolist() for rows in found] == [rows.tolist() for rows in again]


def test_rows_of_similar_length_are_together_but_in_random_order():
    lengths = np.random.default_rng(0).integers(10, 200, size=640)
    rng = np.random.default_rng(1)
    found = batches(lengths.tolist(), 16, rng)
    spread = np.mean([np.ptp(lengths[rows]) for rows in found])
    assert spread < 1.5 * np.ptp(lengths) / SORTED_TOGETHER
    means = [lengths[rows].mean() for rows in found]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5  # no curriculum from short to long
    second = batches(lengths.tolist(), 16, rng)
    assert {frozenset(rows.tolist()) for rows in found} != {frozenset(rows.tolist()) for rows in second}


# learning rate


@settings(max_examples=100, deadline=None)
@given(steps=st.integers(1, 400), fraction=st.floats(0, 1))
def test_the_learning_rate_rises_to_the_peak_and_falls_to_zero(steps, fraction):
    recipe = Recipe(learning_rate=2e-3, warmup_fraction=fraction)
    rates = [learning_rate_at(step, steps, recipe) for step in range(steps)]
    warmup = max(1, round(fraction * steps))
    assert min(rates) > 0 and max(rates) == pytest.approx(2e-3)
    assert rates[:warmup] == pytest.approx([2e-3 * (i + 1) / warmup for i in range(warmup)])
    assert all(a >= b for a, b in itertools.pairwise(rates[warmup - 1 :]))
    # no jump: neither while it rises, nor at the peak, nor while it falls
    steepest = 2e-3 * max(1 / warmup, math.pi / 2 / max(1, steps - warmup))
    assert all(abs(a - b) <= steepest * 1.0001 for a, b in itertools.pairwise(rates))
    if warmup < steps:
        assert rates[-1] <= 2e-3 * (math.pi / 2 / (steps - warmup)) ** 2 * 1.0001


@settings(max_examples=20, deadline=None)
@given(steps=st.integers(2, 80), fraction=st.floats(0, 0.9))
def test_after_the_warm_up_it_is_the_cosine_of_torch(steps, fraction):
    warmup = max(1, round(fraction * steps))
    assume(warmup < steps)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - warmup)
    recipe = Recipe(learning_rate=0.5, warmup_fraction=fraction)
    for step in range(warmup, steps):
        assert learning_rate_at(step, steps, recipe) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        schedule.step()


# the steps, by hand


def test_the_first_loss_is_the_mean_negative_log_likelihood(llama, closed_set):
    recipe = replace(QUICK, eval_every=1)
    rows = rows_of(llama, closed_set, recipe)[0]
    prompts, answers = llama.encode_prompts(closed_set.examples, 200)[0], llama.encode_answers(closed_set.answers)
    with torch.no_grad():
        losses = [
            in_transformers(llama.network)(
                input_ids=torch.tensor([prompts[i] + answers[i]]),
                labels=torch.tensor([[-100] * len(prompts[i]) + answers[i]]),
            ).loss.item()
            * len(answers[i])
            for i in rows
        ]
    _, first, *_ = training_steps(llama.copy(), closed_set, recipe)
    assert first.train_loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_three_steps_are_adamw_with_clipping_and_schedule(gpt2, closed_set):
    recipe = Recipe(epochs=1, batch_size=16, learning_rate=5e-3, warmup_fraction=0.5, weight_decay=0.3, seed=4)
    ours, theirs = exact(gpt2), exact(gpt2)
    parameters = list(theirs.network.parameters())
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    prompts, answers = ours.encode_prompts(closed_set.examples, 200)[0], ours.encode_answers(closed_set.answers)
    norms, rates = [], [5e-3 / 2, 5e-3, 5e-3]  # 2 of 3 steps warm up; then the cosine starts at the peak
    for step, (rows, rate) in enumerate(zip(rows_of(ours, closed_set, recipe), rates, strict=True), start=1):
        for i in rows:  # one by one: no batch, no padding
            (-theirs.log_prob([prompts[i]], [answers[i]])[0] / len(rows)).backward()
        norms.append(math.sqrt(sum(float((p.grad**2).sum()) for p in parameters)))
        with torch.no_grad():
            for p, m, v in zip(parameters, first, second, strict=True):
                gradient = p.grad * min(1.0, 1 / (norms[-1] + 1e-6))
                m.mul_(0.9).add_(0.1 * gradient)
                v.mul_(0.999).add_(0.001 * gradient**2)
                p.mul_(1 - rate * 0.3)
                p.sub_(rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8))
                p.grad = None
    assert max(norms) > 1  # the clipping did something
    before = weights(ours)
    *_, last = training_steps(ours, closed_set, recipe)
    assert last.step == 3
    assert not same(before, weights(ours))
    for name, value in ours.network.state_dict().items():
        torch.testing.assert_close(value, theirs.network.state_dict()[name], atol=1e-6, rtol=0)


def test_soft_targets_that_are_one_hot_are_maximum_likelihood(gpt2, closed_set):
    results = []
    for loss in (MaximumLikelihood(), SoftTargets(), SoftTargets(0.5), AuxiliaryConfidence(max_weight=0.0)):
        own = exact(gpt2)
        snapshots = list(training_steps(own, with_probs(closed_set, 1.0), replace(QUICK, loss=loss)))
        results.append((weights(own), snapshots[-1].train_loss))
    for found, loss in results[1:]:
        assert loss == pytest.approx(results[0][1], abs=1e-5)
        for name, value in results[0][0].items():
            torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0)


def test_soft_targets_are_not_the_hard_answers(llama, closed_set):
    hard, soft = llama.copy(), llama.copy()
    list(training_steps(hard, closed_set, QUICK))
    list(training_steps(soft, with_probs(closed_set, 0.5), replace(QUICK, loss=SoftTargets())))
    assert not same(weights(hard), weights(soft))


# snapshots


def test_snapshots_lie_on_the_grid_and_at_the_end(llama, closed_set):
    recipe = Recipe(epochs=2, batch_size=10, eval_every=4, learning_rate=1e-3, seed=1)
    sizes = [len(rows) for rows in rows_of(llama, closed_set, recipe)]
    assert sum(sizes) == 2 * len(closed_set) and len(set(sizes)) == 2  # one batch of each epoch is smaller
    done = []
    found = list(
        training_steps(llama.copy(), closed_set, recipe, on_step=lambda step, steps: done.append((step, steps)))
    )
    assert [s.step for s in found] == [0, 4, 8, 10]
    assert [s.examples_seen for s in found] == [0, sum(sizes[:4]), sum(sizes[:8]), 96]
    assert [s.evaluation for s in found] == [None] * 4
    assert done == [(step, 10) for step in range(1, 11)]
    every = list(training_steps(llama.copy(), closed_set, replace(recipe, eval_every=1)))
    assert [s.step for s in every] == list(range(11))
    losses = [s.train_loss for s in every[1:]]
    assert found[0].train_loss is None and every[0].train_loss is None
    expected = [np.mean(losses[:4]), np.mean(losses[4:8]), np.mean(losses[8:])]
    assert [s.train_loss for s in found[1:]] == pytest.approx(expected, rel=1e-5)
    assert len({round(loss, 3) for loss in losses}) == 10


def test_by_default_there_is_one_snapshot_an_epoch(llama, closed_set):
    recipe = Recipe(epochs=3, batch_size=20, learning_rate=1e-3)
    assert [s.step for s in training_steps(llama.copy(), closed_set, recipe)] == [0, 3, 6, 9]


def test_a_grid_wider_than_the_training_gives_its_two_ends(llama, closed_set):
    recipe = replace(QUICK, eval_every=1000)
    assert [s.step for s in training_steps(llama.copy(), closed_set, recipe)] == [0, 3]


def test_looking_changes_nothing(gpt2, closed_set):
    """The grid and the watched set have no influence on the weights, dropout included."""
    plain, watched = gpt2.copy(), gpt2.copy()
    list(training_steps(plain, closed_set, replace(QUICK, eval_every=1000)))
    list(training_steps(watched, closed_set, replace(QUICK, eval_every=1), watch=closed_set, reference=closed_set))
    assert same(weights(plain), weights(watched))


def test_the_watched_set_is_evaluated_as_the_model_stands(gpt2, closed_set):
    watch, own = closed_set.take(range(12)), gpt2.copy()
    reference = random_errors(watch, 0.5, seed=0)
    own.network.train()  # whatever the mode it comes in, dropout belongs to the steps only
    probs = []
    for snapshot in training_steps(own, closed_set, replace(QUICK, eval_every=1), watch=watch, reference=reference):
        assert not own.network.training
        now = evaluate(own, watch, reference)
        np.testing.assert_array_equal(snapshot.evaluation.probs, now.probs)
        assert snapshot.evaluation.predictions == now.predictions
        assert snapshot.evaluation.reference == reference.answers and snapshot.evaluation.truth == watch.answers
        probs.append(now.probs)
    np.testing.assert_array_equal(probs[0], weak_labels(gpt2, watch).probs)
    assert not np.allclose(probs[0], probs[1])


def test_who_leaves_the_loop_keeps_the_model_of_the_last_snapshot(gpt2, closed_set):
    recipe, full, left = replace(QUICK, epochs=2, eval_every=2), gpt2.copy(), gpt2.copy()
    at_step = {s.step: weights(full) for s in training_steps(full, closed_set, recipe)}
    for snapshot in training_steps(left, closed_set, recipe, watch=closed_set):
        if snapshot.step == 4:
            break
    assert same(weights(left), at_step[4]) and not same(at_step[4], at_step[6])
    np.testing.assert_array_equal(evaluate(left, closed_set).probs, snapshot.evaluation.probs)
    assert not left.network.training and all(p.grad is None for p in left.network.parameters())


# reproducibility


def global_states() -> tuple:
    kind, keys, *rest = np.random.get_state()
    return random.getstate(), (kind, keys.tobytes(), *rest), torch.get_rng_state().numpy().tobytes()


@pytest.mark.parametrize("loss", [MaximumLikelihood(), AuxiliaryConfidence()])
def test_the_same_seed_gives_the_same_weights(model, closed_set, loss):
    labelled, runs = with_probs(closed_set, 0.8), []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        np.random.seed(disturbance)
        random.seed(disturbance)
        own = model.copy()
        snapshots = []
        for snapshot in training_steps(own, labelled, replace(QUICK, loss=loss, eval_every=1), watch=closed_set):
            torch.rand(disturbance), np.random.rand(disturbance), random.random()  # the reader's own draws between
            snapshots.append(snapshot)
        runs.append((weights(own), snapshots))
    (one, these), (other, those) = runs
    assert same(one, other) and not same(one, weights(model))
    assert [(s.step, s.examples_seen, s.train_loss) for s in these] == [
        (s.step, s.examples_seen, s.train_loss) for s in those
    ]
    for a, b in zip(these, those, strict=True):
        np.testing.assert_array_equal(a.evaluation.probs, b.evaluation.probs)


def test_another_seed_gives_other_weights(model, closed_set):
    one, other = (train(model, closed_set, replace(QUICK, seed=seed)) for seed in (0, 1))
    assert not same(weights(one), weights(other))


def test_dropout_acts_and_is_drawn_from_the_seed(gpt2, closed_set):
    """One batch of everything, so that the seed decides nothing but order within the batch and dropout."""
    still = gpt2.copy()
    for module in still.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    recipe = Recipe(epochs=1, batch_size=48, learning_rate=1e-3)
    loss = {
        (name, seed): train(start, closed_set, replace(recipe, seed=seed)).history[-1].train_loss
        for name, start in (("dropout", gpt2), ("still", still))
        for seed in (0, 1)
    }
    assert loss["still", 0] == pytest.approx(loss["still", 1], rel=1e-5)
    assert abs(loss["dropout", 0] - loss["dropout", 1]) > 1e-3
    assert abs(loss["dropout", 0] - loss["still", 0]) > 1e-3


def test_training_leaves_the_global_generators_alone(model, closed_set):
    before = global_states()
    for _ in training_steps(model.copy(), closed_set, replace(QUICK, eval_every=1), watch=closed_set):
        assert global_states() == before
    assert global_states() == before


def test_the_truth_inside_the_examples_is_not_looked_at(llama, closed_set):
    labelled = with_probs(random_errors(closed_set, 0.5, seed=0), 0.9)
    results = []
    for answer in ("keep", None, closed_set.task.answers[0], "something else"):
        own = llama.copy()
        examples = tuple(e if answer == "keep" else replace(e, answer=answer) for e in labelled.examples)
        list(training_steps(own, replace(labelled, examples=examples), replace(QUICK, loss=AuxiliaryConfidence())))
        results.append(weights(own))
    assert all(same(results[0], other) for other in results[1:])


# what it learns


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "confidence"), [(MaximumLikelihood(), 1.0), (SoftTargets(), 0.8), (AuxiliaryConfidence(0.3), 0.9)]
)
def test_a_small_model_learns_any_labels_by_heart(loss, confidence, llama, closed_set):
    labelled = with_probs(random_errors(closed_set.take(range(32)), 0.4, seed=2), confidence)
    recipe = Recipe(loss=loss, epochs=60, batch_size=8, learning_rate=5e-3, eval_every=240)
    *_, last = training_steps(llama.copy(), labelled, recipe, watch=labelled, reference=labelled)
    assert last.evaluation.agreement > 0.95
    assert last.evaluation.accuracy < 0.6  # they were not the truth


@pytest.mark.slow
def test_an_open_task_is_learnt(llama, open_set):
    recipe = Recipe(epochs=60, batch_size=4, learning_rate=5e-3, eval_every=180)
    first, last = training_steps(llama.copy(), open_set, recipe, watch=open_set)
    assert first.evaluation.accuracy == 0
    assert last.evaluation.accuracy > 0.8


def test_over_long_inputs_are_cut_and_trained_on(llama, closed_set):
    long = tuple(replace(e, input=e.input + " and so on" * 40) for e in closed_set.examples[:8])
    labelled = LabelledSet.ground_truth(closed_set.task, long)
    recipe = Recipe(epochs=1, batch_size=4, max_tokens=60, learning_rate=1e-3)
    seen, own = [], llama.copy()
    own.network.register_forward_pre_hook(
        lambda _, args, named: seen.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    assert list(training_steps(own, labelled, recipe))[-1].examples_seen == 8
    assert max(seen) <= 60


# train


def test_train_leaves_its_start_alone_and_keeps_the_history(llama, closed_set):
    before = weights(llama)
    trained, own = train(llama, closed_set, QUICK, watch=closed_set), llama.copy()
    assert same(weights(llama), before)
    snapshots = list(training_steps(own, closed_set, QUICK))
    assert same(weights(trained), weights(own))
    assert [s.step for s in trained.history] == [0, 3]
    assert [s.train_loss for s in trained.history] == [s.train_loss for s in snapshots]
    assert trained.history[-1].evaluation.accuracy == evaluate(trained, closed_set).accuracy
    assert trained.name == "tiny llama trained on ground truth" and llama.history == ()
    assert trained.digest == training_key(llama, closed_set, QUICK) != llama.digest


def test_train_takes_a_name(llama, closed_set, tmp_path):
    save_model(llama, tmp_path / "saved")
    by_name = train(str(tmp_path / "saved"), closed_set, QUICK)
    if by_name.device.type == "cpu":  # load_model takes a GPU where there is one
        assert same(weights(by_name), weights(train(llama, closed_set, QUICK)))
    assert by_name.digest == training_key(llama, closed_set, QUICK)


def test_the_key_of_a_training_tells_trainings_apart(llama, gpt2, closed_set):
    keys = [
        training_key(llama, closed_set, QUICK),
        training_key(gpt2, closed_set, QUICK),
        training_key(llama, closed_set.take(range(40)), QUICK),
        training_key(llama, random_errors(closed_set, 0.9, seed=0), QUICK),
        training_key(llama, closed_set, replace(QUICK, seed=1)),
        training_key(llama, closed_set, replace(QUICK, loss=SoftTargets())),
        training_key(llama, closed_set, replace(QUICK, loss=AuxiliaryConfidence())),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == training_key(llama.copy(), closed_set.take(range(48)), replace(QUICK))


# what it refuses


def test_an_infinite_gradient_is_named_and_not_stepped_along(gpt2, closed_set):
    recipe = replace(QUICK, learning_rate=1e30)
    rows = rows_of(gpt2, closed_set, recipe)
    own, found = gpt2.copy(), []
    with pytest.raises(NonFiniteLoss) as caught:
        for snapshot in training_steps(own, closed_set, replace(recipe, eval_every=1)):
            found.append((snapshot.step, weights(own)))
    step, last = found[-1]
    message = str(caught.value)
    assert step >= 1 and f"step {step + 1} of 3" in message and "learning rate 1.00e+30" in message
    assert all(closed_set.ids[i] in message for i in rows[step][:4])
    assert same(weights(own), last) and not own.network.training


def test_poisoned_weights_are_noticed_at_the_first_step(gpt2, closed_set):
    own = gpt2.copy()
    with torch.no_grad():
        own.network.transformer.ln_f.weight[3] = math.nan
    with pytest.raises(NonFiniteLoss, match=r"step 1 of 3: the loss is nan .*Hint"):
        list(training_steps(own, closed_set, QUICK))
    own.network.load_state_dict(gpt2.network.state_dict())  # with good weights again, nothing of it is left
    list(training_steps(own, closed_set, QUICK))
    assert same(weights(own), weights(train(gpt2, closed_set, QUICK)))


@pytest.mark.parametrize("loss", [SoftTargets(), AuxiliaryConfidence()])
def test_a_loss_that_needs_probabilities_asks_for_them(llama, closed_set, open_set, loss):
    for labelled in (closed_set, open_set) if loss.reads(closed=False) else (closed_set,):
        hint = "weak_labels" if labelled is closed_set else "token_targets"
        with pytest.raises(ValueError, match=rf"{type(loss).__name__} needs .*\(ground truth\) .* none.*{hint}"):
            next(training_steps(llama, labelled, replace(QUICK, loss=loss)))


def test_an_empty_set_raises(llama, closed_set):
    with pytest.raises(ValueError, match="empty"):
        next(training_steps(llama, closed_set.take([]), QUICK))


def test_an_instruction_that_leaves_no_room_raises(llama, closed_set):
    with pytest.raises(ValueError, match="max_tokens"):
        next(training_steps(llama.copy(), closed_set, replace(QUICK, max_tokens=8)))
