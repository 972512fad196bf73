"""Features against the network's own logits; probes against scikit-learn, the theorem and doubled rows."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import in_transformers
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler

from w2s_lab.methods import probe as probe_module
from w2s_lab.methods.probe import (
    Probe,
    choose,
    confidence_probe,
    features,
    features_of_layers,
    fit_probe,
    nearest_distribution,
    predict,
    ridge_probe,
)
from w2s_lab.objective import AuxiliaryConfidence, Targets
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.training import labelling
from w2s_lab.training.labelling import weak_labels

# features


def alone(model, ids: list[int]) -> np.ndarray:
    """[V] logits behind one prompt, with nothing around it."""
    with torch.no_grad():
        return model.network(torch.tensor([ids])).logits[0, -1].numpy()


def through_head(model, states: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model.network.get_output_embeddings()(torch.from_numpy(states)).numpy()


@pytest.mark.parametrize("size", [100, 4096])
def test_features_times_the_head_are_the_logits_where_the_answer_begins(model, closed_set, size, monkeypatch):
    """Rows of different lengths, in pieces of every size, with the shared instruction and without."""
    monkeypatch.setitem(labelling.TOKENS, "cpu", size)
    found = features(model, closed_set)
    prompts, _ = model.encode_prompts(closed_set.examples, 200)
    assert found.shape == (48, 32) and found.dtype == np.float32
    assert len({len(ids) for ids in prompts}) > 3
    expected = np.array([alone(model, ids) for ids in prompts])
    assert np.ptp(expected, axis=0).max() > 1  # the rows differ
    np.testing.assert_allclose(through_head(model, found), expected, atol=2e-3, rtol=1e-3)


def test_features_are_those_of_the_base_model(model, closed_set):
    (ids,), _ = model.encode_prompts(closed_set.examples[:1], 200)
    with torch.no_grad():
        state = in_transformers(model.network).base_model(torch.tensor([ids])).last_hidden_state[0, -1]
    np.testing.assert_allclose(features(model, closed_set.take([0]))[0], state.numpy(), atol=1e-4, rtol=1e-4)


def test_hidden_leaves_the_network_as_it_was_and_lets_gradients_through(model, closed_set):
    prompts, _ = model.encode_prompts(closed_set.examples[:3], 200)
    trained = model.copy()
    trained.hidden(prompts).sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained.network.parameters())
    assert not model.network.get_output_embeddings()._forward_pre_hooks
    before = torch.get_rng_state()
    features(model, closed_set)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in model.network.parameters())


def test_features_do_not_look_at_answers_and_follow_the_order(llama, closed_set, open_set):
    found = features(llama, closed_set)
    other = replace(closed_set, answers=closed_set.answers[1:] + closed_set.answers[:1])
    np.testing.assert_array_equal(features(llama, other), found)
    order = np.random.default_rng(0).permutation(len(closed_set))
    np.testing.assert_allclose(features(llama, closed_set.take(order)), found[order], atol=1e-4, rtol=1e-4)
    assert features(llama, closed_set.take([])).shape == (0, 32)
    assert features(llama, open_set).shape == (12, 32)


def test_a_long_input_is_cut_as_for_the_weak_labels(llama, closed_set):
    long = Example(closed_set.examples[0].instruction, "a great film, then a dull one " * 30)
    narrow = replace(llama, max_tokens=80)
    inputs = LabelledSet(closed_set.task, (long,), (closed_set.task.answers[0],))
    with pytest.warns(UserWarning, match="1 of 1 inputs are longer"):
        found = features(narrow, inputs)
    longest = max(map(len, llama.encode_answers(closed_set.task.answers)))
    (ids,), _ = llama.encode_prompts([long], 80 - longest)
    np.testing.assert_allclose(through_head(llama, found)[0], alone(llama, ids), atol=2e-3, rtol=1e-3)


# other layers, and the mean over the input


def hidden_states(model, ids: list[int]) -> list[np.ndarray]:
    """Each layer's states [L, d] for one prompt, as transformers gives them."""
    with torch.no_grad():
        states = model.network(torch.tensor([ids]), output_hidden_states=True).hidden_states
    return [state[0].numpy() for state in states]


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_features_of_a_layer_are_the_hidden_states_of_transformers(model, closed_set, pool):
    layers = range(model.layers + 1)
    found = features_of_layers(model, closed_set, layers, pool=pool)
    prompts, _ = model.encode_prompts(closed_set.examples, 200)
    since = model.since(closed_set.examples, prompts)
    for row, ids in enumerate(prompts):
        for layer, states in enumerate(hidden_states(model, ids)):
            expected = states[-1] if pool == "last" else states[since[row] :].mean(0)
            np.testing.assert_allclose(found[row, layer], expected, atol=2e-4, rtol=1e-3)
    assert len({len(ids) - begin for ids, begin in zip(prompts, since, strict=True)}) > 3
    for layer in layers:
        one = features(model, closed_set, layer=layer, pool=pool)
        np.testing.assert_allclose(one, found[:, layer], atol=2e-4, rtol=1e-3)


def test_the_mean_begins_behind_the_instruction(model, closed_set):
    examples = (*closed_set.examples[:3], Example("Name the mood of this.", "A film."), Example("", "A film."))
    prompts, _ = model.encode_prompts(examples, 200)
    since = model.since(examples, prompts)
    for example, ids, begin in zip(examples, prompts, since, strict=True):
        text = model.tokenizer.decode(ids[begin:])
        assert example.input.split()[-1] in text and (not example.instruction or example.instruction[:8] not in text)
    assert 0 <= since[-1] <= 1  # no instruction: at most the start token is left out


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_bfloat16_gives_float32_features_that_are_nearly_the_same(llama, closed_set, pool):
    half = replace(llama, precision="bfloat16")
    found = features_of_layers(half, closed_set, [0, 1], pool=pool)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, features_of_layers(llama, closed_set, [0, 1], pool=pool), atol=0.05, rtol=0.05)


def test_the_network_is_stopped_at_the_layer(model, closed_set):
    passes = []
    lists = [m for m in model.network.modules() if isinstance(m, torch.nn.ModuleList)]
    last = next(blocks for blocks in lists if len(blocks) == model.layers)[-1]
    hook = last.register_forward_hook(lambda *_: passes.append(1))
    try:
        features(model, closed_set, layer=model.layers - 1, pool="mean")
        assert not passes
        features(model, closed_set, layer=model.layers, pool="mean")
        assert passes
    finally:
        hook.remove()
    assert not any(m._forward_pre_hooks for m in model.network.modules())


@pytest.mark.parametrize("layer", [-1, 99, 1.5])
def test_a_layer_that_is_not_there_is_named(llama, closed_set, layer):
    with pytest.raises(ValueError, match=f"layer .*{layer}.*expected 0 to {llama.layers}"):
        features(llama, closed_set, layer=layer)


def test_an_unknown_pool_is_named(llama, closed_set):
    with pytest.raises(ValueError, match=r"'max'.*last, mean"):
        features(llama, closed_set, pool="max")


# the choice of layer and C


def test_the_choice_is_that_of_a_hand_made_search():
    table, labels = toy(150, 4, 2)
    rng = np.random.default_rng(5)
    tables = {2: rng.normal(size=table.shape), 5: table, 7: table + rng.normal(size=table.shape) * 20}
    found = choose(tables, labels, Cs=(0.001, 1.0), folds=3, seed=1)
    assert found.layer == 5
    parts = np.random.default_rng(1).permutation(150) % 3
    for (layer, C), score in found.scores.items():
        answers = np.empty(150, dtype=object)
        for part in range(3):
            held = parts == part
            scaler = StandardScaler().fit(tables[layer][~held])
            plain = LogisticRegression(C=C, solver="newton-cholesky")
            plain.fit(scaler.transform(tables[layer][~held]), np.array(labels.answers)[~held])
            answers[held] = plain.predict(scaler.transform(tables[layer][held]))
        assert score == pytest.approx(np.mean(answers == np.array(labels.answers)))
    assert len(found.scores) == 6 and max(found.scores.values()) == found.scores[found.layer, found.C]


def test_trusted_examples_are_judged_by_their_truth():
    """The weak labels follow the first feature, the truth the second: held-out weak labels and the truth disagree."""
    rng = np.random.default_rng(0)
    weak, truth = rng.normal(size=(2, 300))
    task = Task("toy", ("no", "yes"))
    examples = tuple(Example("Say.", str(i), task.answers[int(truth[i] > 0)]) for i in range(300))
    labels = LabelledSet(
        task, examples, tuple(task.answers[int(w + 0.5 * t > 0)] for w, t in zip(weak, truth, strict=True))
    )
    tables = {1: weak[:, None], 2: truth[:, None]}
    train, held = labels.take(range(200)), labels.take(range(200, 300))
    train_tables = {layer: table[:200] for layer, table in tables.items()}
    assert choose(train_tables, train).layer == 1
    trusted = ({layer: table[200:] for layer, table in tables.items()}, held)
    assert choose(train_tables, train, trusted=trusted).layer == 2


def test_nothing_to_choose_from_is_an_error():
    table, labels = toy(10, 2, 2)
    for tables, options in (
        ({}, {}),
        ({1: table}, {"Cs": ()}),
        ({1: table}, {"folds": 1}),
        ({1: table}, {"folds": 11}),
    ):
        with pytest.raises(ValueError, match=r"choose: .* expected at least one layer"):
            choose(tables, labels, **options)


# the logistic probe

NAMES = ("a", "b", "c")


def toy(n: int, d: int, k: int, *, seed: int = 0, noise: float = 1.0) -> tuple[np.ndarray, LabelledSet]:
    """Features of different scale, and answers that a linear model explains up to noise."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, d)) * rng.uniform(0.1, 10, d) + rng.normal(size=d)
    scores = (table - table.mean(0)) / table.std(0) @ rng.normal(size=(d, k)) + noise * rng.gumbel(size=(n, k))
    task = Task("toy", NAMES[:k])
    answers = tuple(NAMES[i] for i in scores.argmax(-1))
    probs = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return table, LabelledSet(task, tuple(Example("Say.", str(i), NAMES[i % k]) for i in range(n)), answers, probs)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("newton", [512, 0])
def test_the_probe_is_scikit_learns(k, C, newton, monkeypatch):
    monkeypatch.setattr(probe_module, "NEWTON", newton)
    table, labels = toy(200, 5, k)
    probe = fit_probe(table, labels, C=C)
    scaler = StandardScaler().fit(table)
    plain = LogisticRegression(C=C, max_iter=1000).fit(scaler.transform(table), labels.answers)
    fresh, inputs = toy(50, 5, k, seed=1)
    found = predict(probe, fresh, inputs)
    np.testing.assert_allclose(found.probs, plain.predict_proba(scaler.transform(fresh)), atol=2e-3)
    assert found.answers == tuple(plain.predict(scaler.transform(fresh)))
    assert len(set(found.answers)) == k
    np.testing.assert_allclose(found.log_prob, np.log(found.probs.max(-1)))
    assert found.ids == inputs.ids and f"C={C:g}" in found.source


def test_soft_labels_minimise_the_cross_entropy_with_the_distributions():
    """Against scipy's minimum of the same objective, with weights."""
    table, labels = toy(60, 2, 3)
    labels = replace(labels, weight=np.linspace(0, 2, 60))
    scaler = StandardScaler().fit(table, sample_weight=labels.weight)
    x = scaler.transform(table)

    def objective(flat):
        coef, intercept = flat[:6].reshape(3, 2), flat[6:]
        scores = x @ coef.T + intercept
        log_probs = scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)
        return -0.5 * (labels.weight[:, None] * labels.probs * log_probs).sum() + (coef**2).sum() / 2

    best = minimize(objective, np.zeros(9), tol=1e-10)
    probe = fit_probe(table, labels, C=0.5, soft=True)
    assert objective(np.r_[probe.coef.ravel(), probe.intercept]) == pytest.approx(best.fun, abs=1e-4)
    np.testing.assert_allclose(probe.coef.ravel(), best.x[:6], atol=0.01)
    hard = fit_probe(table, labels, C=0.5)
    assert objective(np.r_[hard.coef.ravel(), hard.intercept]) > best.fun + 1e-3
    assert "soft" in probe.source and "soft" not in hard.source


def confidence_objective(table: np.ndarray, labels: LabelledSet, C: float, alpha: float, fitted: Probe) -> tuple:
    """The value of 1/2 |coef|^2 + C sum of `AuxiliaryConfidence`, at a fitted probe, and its gradient by torch.

    The parameters are the rows of the answers behind the first, whose row the probe holds at 0 where there are two.
    """
    rows = torch.tensor((table - fitted.mean) / fitted.scale)
    coef, intercept = (torch.tensor(one, requires_grad=True) for one in (fitted.coef, fitted.intercept))
    balance = [labels.answers.count(answer) / len(labels) for answer in labels.task.answers]
    targets = Targets(torch.tensor(labels.probs), torch.zeros(len(labels)), balance, progress=1.0)
    loss = AuxiliaryConfidence(alpha, 0.0)((rows @ coef.T + intercept).log_softmax(-1), targets)
    value = 0.5 * coef.square().sum() + C * loss.sum()
    value.backward()
    first = 1 if len(balance) == 2 else 0
    return value.item(), coef.grad[first:].abs().max().item(), intercept.grad.abs().max().item()


@pytest.mark.parametrize(("k", "alpha"), [(2, 0.5), (2, 0.8), (3, 0.5)])
def test_the_confidence_probe_is_at_rest_in_the_confidence_loss(k, alpha):
    """No gradient is left, and the probe of soft labels is above it; with as much of any answer as the labels have."""
    table, labels = toy(120, 4, k, noise=2.0)
    rng = np.random.default_rng(3)
    probs = rng.dirichlet(np.ones(k), size=120)
    labels = replace(labels, probs=probs, answers=tuple(labels.task.answers[i] for i in probs.argmax(-1)))
    fitted = confidence_probe(table, labels, C=0.5, alpha=alpha)
    soft = fit_probe(table, labels, C=0.5, soft=True)
    value, *gradients = confidence_objective(table, labels, 0.5, alpha, fitted)
    at_soft, *moving = confidence_objective(table, labels, 0.5, alpha, soft)
    assert value < at_soft and max(gradients) < 0.01 < max(moving)
    assert f"confidence loss {alpha}" in fitted.source


def test_the_confidence_probe_by_hand():
    """Four examples, one feature: the wrong soft label is outvoted by the probe's own answers, at alpha 0.5."""
    table, weak = np.array([[-3.0], [-1.0], [1.0], [3.0]]), np.array([0.1, 0.1, 0.4, 0.6])
    task = Task("toy", ("no", "yes"))
    examples = tuple(Example("Say.", str(i)) for i in range(4))
    labels = LabelledSet(task, examples, ("no", "no", "yes", "yes"), np.column_stack([1 - weak, weak]))
    # half of the answers are "yes", and the probe ranks by the feature: its hardened answers are no, no, yes, yes
    mixed = 0.5 * weak + 0.5 * np.array([0, 0, 1, 1])
    scaled = table[:, 0] / np.sqrt(5)

    def loss(at: np.ndarray) -> float:
        z = at[0] * scaled + at[1]
        return 0.5 * at[0] ** 2 + 2.0 * (np.logaddexp(0, z) - mixed * z).sum()

    found = confidence_probe(table, labels, C=2.0)
    best = minimize(loss, [0.0, 0.0], tol=1e-12).x
    assert [found.coef[1, 0], found.intercept[1]] == pytest.approx(best, abs=1e-4)


def test_without_weight_on_itself_the_confidence_probe_is_scikit_learns_of_soft_labels():
    table, labels = toy(150, 5, 2)
    labels = replace(labels, probs=np.random.default_rng(1).dirichlet((1, 1), size=150))
    found = confidence_probe(table, labels, C=0.3, alpha=0.0)
    scaled, (no, yes) = StandardScaler().fit_transform(table), labels.probs.T
    plain = LogisticRegression(C=0.3, tol=1e-8, max_iter=1000)
    plain.fit(np.vstack([scaled, scaled]), np.repeat([0, 1], 150), np.concatenate([no, yes]))
    np.testing.assert_allclose(found.coef[1] - found.coef[0], plain.coef_[0], atol=1e-3)
    with pytest.raises(ValueError, match=r"alpha is 1.5; expected a number from 0 to 1"):
        confidence_probe(table, labels, alpha=1.5)
    with pytest.raises(ValueError, match=r"confidence_probe: soft labels asked for"):
        confidence_probe(table, replace(labels, probs=None))


def one_hot(labels: LabelledSet) -> np.ndarray:
    return np.eye(len(labels.task.answers))[[labels.task.answers.index(answer) for answer in labels.answers]]


@pytest.mark.parametrize("fit", [fit_probe, ridge_probe])
def test_certain_soft_labels_are_hard_labels(fit):
    table, labels = toy(80, 4, 3)
    certain = replace(labels, probs=one_hot(labels))
    np.testing.assert_allclose(fit(table, certain, soft=True).coef, fit(table, labels).coef, atol=1e-9)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("fit", [fit_probe, ridge_probe])
def test_weights_are_repeats(fit, soft):
    """Weight 0 is not there, weight 3 is there three times."""
    table, labels = toy(90, 4, 3)
    times = np.arange(90) % 4
    rows = np.repeat(np.arange(90), times)
    examples = tuple(Example("Say.", f"copy {i}") for i in range(len(rows)))
    answers = tuple(labels.answers[i] for i in rows)
    copies = LabelledSet(labels.task, examples, answers, labels.probs[rows])
    weighted, repeated = (
        fit(table, replace(labels, weight=times.astype(float)), soft=soft),
        fit(table[rows], copies, soft=soft),
    )
    np.testing.assert_allclose(weighted.probs(table), repeated.probs(table), atol=2e-3)
    assert np.abs(weighted.probs(table) - fit(table, labels, soft=soft).probs(table)).max() > 0.01


def test_answers_that_were_never_seen_have_no_probability():
    table, labels = toy(90, 4, 3)
    two = labels.take([answer != "b" for answer in labels.answers])
    rows = [answer != "b" for answer in labels.answers]
    found = predict(fit_probe(table[rows], two), table, labels)
    assert (found.probs[:, 1] == 0).all() and set(found.answers) == {"a", "c"}
    np.testing.assert_allclose(found.probs.sum(-1), 1)
    plain = LogisticRegression(max_iter=1000).fit(StandardScaler().fit_transform(table[rows]), two.answers)
    probs = plain.predict_proba(StandardScaler().fit(table[rows]).transform(table))
    np.testing.assert_allclose(found.probs[:, [0, 2]], probs, atol=2e-3)


@pytest.mark.parametrize("fit", [fit_probe, ridge_probe])
def test_one_class_is_always_the_answer(fit):
    table, labels = toy(40, 4, 3)
    only = replace(labels, answers=("b",) * 40)
    found = predict(fit(table, only), table, labels)
    assert set(found.answers) == {"b"}
    np.testing.assert_allclose(found.probs, np.tile([0, 1, 0], (40, 1)), atol=1e-9)


def test_a_feature_that_never_changes_does_no_harm():
    table, labels = toy(60, 3, 2)
    found = fit_probe(np.c_[table, np.full(60, 7.0)], labels)
    np.testing.assert_allclose(found.coef[:, :3], fit_probe(table, labels).coef, atol=1e-9)
    assert (found.coef[:, 3] == 0).all() and np.isfinite(found.scale).all()


def test_float32_features_and_separable_classes_fit_without_a_warning():
    table, labels = toy(300, 20, 3, noise=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = predict(fit_probe(table.astype(np.float32), labels, C=1e4), table, labels)
    assert found.answers == labels.answers


# least squares


@pytest.mark.parametrize("soft", [False, True])
def test_without_regularisation_it_is_least_squares(soft):
    table, labels = toy(100, 5, 3)
    targets = labels.probs if soft else one_hot(labels)
    plain = LinearRegression().fit(table, targets)
    probe = ridge_probe(table, labels, alpha=0, soft=soft)
    scores = (table - probe.mean) / probe.scale @ probe.coef.T + probe.intercept
    np.testing.assert_allclose(scores, plain.predict(table), atol=1e-9)
    np.testing.assert_allclose(scores.sum(-1), 1)


def test_ridge_is_the_closed_form():
    table, labels = toy(100, 5, 3)
    labels = replace(labels, weight=np.linspace(0.5, 2, 100))
    probe = ridge_probe(table, labels, alpha=30.0)
    x, w = (table - probe.mean) / probe.scale, np.diag(labels.weight)
    np.testing.assert_allclose(labels.weight @ x, 0, atol=1e-9)  # so that the intercept is the mean target
    coef = np.linalg.solve(x.T @ w @ x + 30 * np.eye(5), x.T @ w @ one_hot(labels)).T
    np.testing.assert_allclose(probe.coef, coef, atol=1e-9)
    np.testing.assert_allclose(probe.intercept, labels.weight @ one_hot(labels) / labels.weight.sum())


def test_the_gain_is_the_misfit():
    """Charikar et al. (2024), with a linear truth: |truth - weak|^2 = |truth - student|^2 + |student - weak|^2."""
    table, labels = toy(200, 6, 2)
    rng = np.random.default_rng(3)
    truth = 0.5 + (table - table.mean(0)) / table.std(0) @ rng.uniform(-0.05, 0.05, 6)
    weak = np.clip(truth + 0.2 * rng.normal(size=200), 0, 1)
    labels = replace(labels, probs=np.stack([weak, 1 - weak], -1))
    student = ridge_probe(table, labels, alpha=0, soft=True).probs(table)[:, 0]
    gain = ((truth - weak) ** 2).sum() - ((truth - student) ** 2).sum()
    assert gain == pytest.approx(((student - weak) ** 2).sum()) and gain > 1


def test_more_features_than_examples_have_the_shortest_solution():
    table, labels = toy(10, 30, 2)
    probe = ridge_probe(table, labels, alpha=0)
    assert predict(probe, table, labels).answers == labels.answers
    standard = (table - probe.mean) / probe.scale
    shortest = np.linalg.pinv(standard, rcond=1e-10) @ (one_hot(labels) - one_hot(labels).mean(0))
    np.testing.assert_allclose(probe.coef, shortest.T, atol=1e-9)


def test_the_nearest_distribution():
    scores = np.array([[0.2, 0.3, 0.5], [1.4, -0.2, -0.2], [0.7, 0.6, -0.3], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    expected = [[0.2, 0.3, 0.5], [1, 0, 0], [0.55, 0.45, 0], [1, 0, 0], [1 / 3] * 3]
    np.testing.assert_allclose(nearest_distribution(scores), expected, atol=1e-12)
    rng = np.random.default_rng(0)
    scores, others = rng.normal(size=(20, 4)), rng.dirichlet(np.full(4, 0.5), size=500)
    found = nearest_distribution(scores)
    assert (found >= 0).all() and np.allclose(found.sum(-1), 1)
    assert (found.argmax(-1) == scores.argmax(-1)).all()
    distance = ((others[None] - scores[:, None]) ** 2).sum(-1).min(-1)
    assert (((found - scores) ** 2).sum(-1) <= distance + 1e-12).all()


# on a model, and what cannot be fitted


def test_a_probe_learns_from_weak_labels_on_real_features(model, closed_set):
    labels, table = weak_labels(model, closed_set), features(model, closed_set)
    assert len(set(labels.answers)) > 1
    probe = fit_probe(table, labels, C=100.0)
    found = predict(probe, table, closed_set)
    assert found.answers == labels.answers  # 48 examples, 32 features: all can be fitted
    assert found.source == f"logistic probe (C=100) on {labels.source}"
    soft = predict(fit_probe(table, labels, soft=True), table, closed_set)
    assert np.abs(soft.probs - labels.probs).mean() < np.abs(1 / 3 - labels.probs).mean() / 2


def test_what_cannot_be_fitted_raises(open_set):
    table, labels = toy(20, 3, 2)
    for fit in (fit_probe, ridge_probe):
        who = fit.__name__
        with pytest.raises(ValueError, match=rf"{who}: the task 'echo' is open"):
            fit(np.zeros((12, 3)), open_set)
        with pytest.raises(ValueError, match=rf"{who}: features have shape \(19, 3\); expected \[20, d\]"):
            fit(table[:19], labels)
        with pytest.raises(ValueError, match=rf"{who}: features have shape \(20,\)"):
            fit(table[:, 0], labels)
        with pytest.raises(ValueError, match=rf"{who}: soft labels asked for, but 'plain' has no probs"):
            fit(table, replace(labels, probs=None, source="plain"), soft=True)
        with pytest.raises(ValueError, match=rf"{who}: 0 examples of total weight 0"):
            fit(table[:0], labels.take([]))
        with pytest.raises(ValueError, match=rf"{who}: 20 examples of total weight 0"):
            fit(table, replace(labels, weight=np.zeros(20)))
    for C in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=r"C is .*above 0"):
            fit_probe(table, labels, C=C)
    with pytest.raises(ValueError, match="alpha is -1; expected a number from 0 up"):
        ridge_probe(table, labels, alpha=-1)


def test_predict_checks_task_and_shape():
    table, labels = toy(20, 3, 2)
    probe = fit_probe(table, labels)
    assert isinstance(probe, Probe)
    with pytest.raises(ValueError, match=r"answers are \('a', 'b', 'c'\); expected \('a', 'b'\)"):
        predict(probe, table, toy(20, 3, 3)[1])
    with pytest.raises(ValueError, match=r"shape \(20, 2\); expected \[N, 3\]"):
        predict(probe, table[:, :2], labels)
    with pytest.raises(ValueError, match=r"shape \(19, 3\); expected \[20, d\]"):
        predict(probe, table[:19], labels)
