"""Losses as a user writes them: trained through the public door, named in the store by what they do, or refused."""

import importlib
import math
import sys
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

import w2s_lab as w2s
from w2s_lab.experiments.store import Store
from w2s_lab.models.loading import network_digest
from w2s_lab.objective import LOSSES, Distillation, Loss, Targets, check_loss
from w2s_lab.records import Task, content_key
from w2s_lab.training.gradient import BatchGradient
from w2s_lab.training.labelling import token_targets, weak_labels
from w2s_lab.training.requirements import check_offer

QUICK = w2s.Recipe(epochs=1, batch_size=16, learning_rate=1e-3)


@dataclass(frozen=True)
class GeneralisedCrossEntropy:
    """(1 - p^q) / q (Zhang & Sabuncu 2018): towards q = 0 it is -log p, at q = 1 it is 1 - p."""

    q: float = 0.7

    def reads(self, closed):
        return "list" if closed else None

    def needs(self, closed):
        return frozenset()

    def __call__(self, scores, targets):
        p = scores.softmax(-1).gather(-1, targets.answers[:, None])[:, 0]
        return (1 - p**self.q) / self.q


@dataclass(frozen=True)
class LabelSmoothing:
    """(1 - epsilon) -log p(y_hat) + epsilon times the mean of -log p over the list."""

    epsilon: float = 0.1

    def reads(self, closed):
        return "list" if closed else None

    def needs(self, closed):
        return frozenset()

    def __call__(self, scores, targets):
        nll = -scores.gather(-1, targets.answers[:, None])[:, 0]
        return (1 - self.epsilon) * nll - self.epsilon * scores.mean(-1)


@dataclass(frozen=True)
class Focal:
    """(1 - p)^gamma times -log p of the answer itself, for every task."""

    gamma: float = 2.0

    def reads(self, closed):
        return "answer"

    def needs(self, closed):
        return frozenset()

    def __call__(self, scores, targets):
        return -((1 - scores.exp()) ** self.gamma) * scores


@dataclass(frozen=True)
class WorstToken:
    """-log Pr of the least likely token of y_hat."""

    def reads(self, closed):
        return "tokens"

    def needs(self, closed):
        return frozenset()

    def __call__(self, scores, targets):
        return -torch.where(targets.mask, scores[..., 0], 0.0).amin(-1)


OWN = [GeneralisedCrossEntropy(), LabelSmoothing(), Focal(), WorstToken()]


def weights(model) -> dict[str, torch.Tensor]:
    return model.network.state_dict()


def far_apart(one, other) -> bool:
    return (
        max((a - b).abs().max().item() for a, b in zip(weights(one).values(), weights(other).values(), strict=True))
        > 1e-4
    )


def table(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


# -- by hand -----------------------------------------------------------------------------------------------------


def test_generalised_cross_entropy_by_hand():
    scores, targets = table((0.25, 0.75), (0.5, 0.5)) - 3, Targets(None, torch.tensor([0, 1]), [0.5, 0.5])
    np.testing.assert_allclose(GeneralisedCrossEntropy(0.5)(scores, targets), [1.0, 2 * (1 - math.sqrt(0.5))])
    np.testing.assert_allclose(GeneralisedCrossEntropy(1.0)(scores, targets), [0.75, 0.5])
    np.testing.assert_allclose(GeneralisedCrossEntropy(1e-7)(scores, targets), [math.log(4), math.log(2)], rtol=1e-5)


def test_label_smoothing_is_that_of_torch():
    scores = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log_softmax(-1)
    answers = torch.tensor([0, 3, 1, 1, 2, 0, 3, 2, 1])
    for epsilon in (0.0, 0.1, 0.5):
        theirs = torch.nn.functional.cross_entropy(scores, answers, label_smoothing=epsilon, reduction="none")
        torch.testing.assert_close(LabelSmoothing(epsilon)(scores, Targets(None, answers, [0.25] * 4)), theirs)
    by_hand = LabelSmoothing(0.2)(table((0.25, 0.75)), Targets(None, torch.tensor([0]), [0.5, 0.5])).item()
    assert by_hand == pytest.approx(0.9 * math.log(4) + 0.1 * math.log(4 / 3))


# -- trained -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (loss, labels)
        for loss in OWN
        for labels in ("truth", "weak labels", "open")
        if labels != "open" or loss.reads(False)
    ],
)
def test_it_is_called_and_trained(loss, labels, llama, closed_set, open_set, monkeypatch):
    """From true answers, which have no probabilities, and from weak labels; the weights are those of no other loss."""
    labelled = {"truth": closed_set, "open": open_set}.get(labels) or weak_labels(llama, closed_set)
    recipe, real, seen = replace(QUICK, loss=loss), type(loss).__call__, []
    monkeypatch.setattr(type(loss), "__call__", lambda self, s, t: seen.append((s.shape, t)) or real(self, s, t))
    model = w2s.train(llama, labelled, recipe)
    trial, *batches = seen
    assert trial[0][0] == 4 and sum(shape[0] for shape, _ in batches) == len(labelled)
    assert all(targets.probs is None for _, targets in batches)  # nobody asked for them
    monkeypatch.undo()
    assert far_apart(model, w2s.train(llama, labelled, QUICK))
    again = w2s.train(llama, labelled, recipe)
    assert all(torch.equal(a, b) for a, b in zip(weights(model).values(), weights(again).values(), strict=True))


ROWS = [3, 20, 7, 41, 0, 12, 30]


def grads(model) -> list[torch.Tensor]:
    found = [parameter.grad.clone() for parameter in model.network.parameters() if parameter.grad is not None]
    model.network.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("tokens", [1, 90, 65_536])
@pytest.mark.parametrize("loss", OWN, ids=lambda loss: type(loss).__name__)
def test_its_gradient_is_that_of_plain_autograd(loss, tokens, llama, closed_set, monkeypatch):
    """In pieces as well: a user's loss sees the whole batch, however little fits into the memory."""
    monkeypatch.setattr("w2s_lab.training.gradient.TRAINING_TOKENS", tokens)
    model = llama.copy()
    batch = BatchGradient(model, closed_set, w2s.Recipe(loss=loss))
    value, found = batch(ROWS, 0.0), grads(model)
    prompts, answers = [batch.prompts[i] for i in ROWS], [batch.answers[i] for i in ROWS]
    table, own = model.log_probs(prompts, batch.closed), model.log_prob(prompts, answers)
    if isinstance(loss, GeneralisedCrossEntropy):
        p = torch.softmax(table, -1)[range(7), batch.numbers[ROWS]]
        expected = ((1 - p**0.7) / 0.7).mean()
    elif isinstance(loss, LabelSmoothing):
        expected = (0.9 * -own - 0.1 * table.sum(-1) / 3).mean()
    elif isinstance(loss, Focal):
        expected = (-((1 - own.exp()) ** 2) * own).mean()
    else:
        logits, ids, mask = model.answer_logits(prompts, answers)
        nll = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids, reduction="none")
        expected = (nll * mask).amax(-1).mean()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    for one, other in zip(found, grads(model), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


# What each built-in loss is, once more and in other words: [B, K] log p, [B] log p(y_hat), [B, K] q.
FORMULAS = {
    "ml": lambda loss, lp, own, q: -own,
    "soft": lambda loss, lp, own, q: torch.nn.functional.cross_entropy(lp, q, reduction="none") - lp.logsumexp(-1),
    "distillation": lambda loss, lp, own, q: -own + torch.nn.functional.kl_div(lp, q, reduction="none").sum(-1),
    "product": lambda loss, lp, own, q: -(lp * _normed(lp.detach().softmax(-1) * q)).sum(-1),
    "window": lambda loss, lp, own, q: -(lp * q).sum(-1) * (lp.detach().softmax(-1).max(-1).values < 1 / 3 + 0.15),
}


def _normed(table: torch.Tensor) -> torch.Tensor:
    return table / table.sum(-1, keepdim=True)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_built_in_loss_has_the_gradient_of_its_formula(name, llama, closed_set):
    model = llama.copy()
    labels = weak_labels(llama, closed_set)
    loss = LOSSES[name]()
    batch = BatchGradient(model, labels, w2s.Recipe(loss=loss))
    rows = list(range(len(labels)))
    value, found = batch(rows, 0.0), grads(model)
    lp = model.log_probs(batch.prompts, batch.closed)
    own = lp[rows, [labels.task.answers.index(answer) for answer in labels.answers]]
    expected = FORMULAS[name](loss, lp, own, torch.tensor(labels.probs, dtype=torch.float32)).mean()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    for one, other in zip(found, grads(model), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_over_tokens_it_gets_what_the_supervisor_kept(llama, open_set):
    """Distillation, written once more on what a loss is given."""

    @dataclass(frozen=True)
    class Mine:
        def reads(self, closed):
            return "tokens"

        def needs(self, closed):
            return frozenset({"token_targets"})

        def __call__(self, scores, targets):
            assert scores.shape == (*targets.mask.shape, 1 + targets.probs.shape[-1])
            gap = torch.special.xlogy(targets.probs, targets.probs) - targets.probs * scores[..., 1:]
            return -scores[..., 0].sum(-1) + gap.sum((-1, -2))

    labels = token_targets(llama, open_set, top=5)
    for tokens in (65_536, 60):
        values, found = [], []
        for loss in (Mine(), Distillation()):
            model = llama.copy()
            batch = BatchGradient(model, labels, w2s.Recipe(loss=loss))
            batch.budget.tokens = tokens
            values.append(batch([4, 1, 9], 0.25).item())
            found.append(grads(model))
        assert values[0] == pytest.approx(values[1], rel=1e-5)
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_the_whole_procedure_with_a_loss_of_ones_own(tmp_path):
    """Student and ceiling learn with it; each part is kept, and found again."""
    splits = w2s.load_splits("sentiment", seed=0, sizes=w2s.SplitSizes(24, 16, 12, 4))
    recipe = w2s.Recipe(epochs=1, learning_rate=1e-3)
    plan = w2s.Plan("pocket-xs", "pocket-xs", recipe, replace(recipe, loss=LabelSmoothing(0.2)), "cpu")
    store = Store(tmp_path)
    outcome = w2s.weak_to_strong(splits, plan, store, seed=0)
    assert {run["role"]: run["recipe"]["loss"]["name"] for run in store.runs()} == {
        "weak supervisor": "MaximumLikelihood", "strong student": "LabelSmoothing", "strong ceiling": "LabelSmoothing"
    }  # fmt: skip
    assert len(outcome.comparison.student) == 12 and len(store.asked) == 3


# -- in the store ------------------------------------------------------------------------------------------------

KEYS = {  # content keys of version 0.2.0 as they have always been
    w2s.MaximumLikelihood(): "23496383ff6bff5b",
    w2s.NextToken(): "8546b1db463f7ba9",
    w2s.SoftTargets(): "7926ac80d22d3546",
    w2s.SoftTargets(0.5): "715a9db642d829b6",
    w2s.Distillation(): "29d9ac945ebf80f5",
    w2s.Distillation(0.5, "cosine", 2.0): "878ffd39e2df360e",
    w2s.AuxiliaryConfidence(): "ac6de42f7e6273cf",
    w2s.AuxiliaryConfidence(0.75, 0.0): "da452637d2d89928",
}


@pytest.mark.parametrize("loss", KEYS, ids=repr)
def test_the_key_of_a_built_in_loss_stays(loss):
    recipe = w2s.Recipe(loss, lora=w2s.LoRA())
    assert content_key("train", "model", "data", recipe.to_dict(), "0.2.0") == KEYS[loss]
    assert recipe.unknown_source is None


OTHER = """
from dataclasses import dataclass
import torch

@dataclass(frozen=True)
class LabelSmoothing:
    epsilon: float = 0.1
    by_row = True

    def reads(self, closed):
        return "list" if closed else None

    def needs(self, closed):
        return frozenset()

    def __call__(self, scores, targets):
        nll = -scores.gather(-1, targets.answers[:, None])[:, 0]
        return (1 - self.epsilon) * nll - self.epsilon * scores.{kind}(-1){more}
"""


@pytest.fixture
def smoothing(tmp_path, monkeypatch):
    """Makes `LabelSmoothing` in a module of its own, written as the arguments say."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, *, kind: str = "mean", more: str = "") -> Loss:
        (tmp_path / f"{name}.py").write_text(OTHER.format(kind=kind, more=more))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name).LabelSmoothing

    return make


def test_two_losses_of_one_name_share_no_key(smoothing, llama, closed_set, tmp_path):
    one, same, other = smoothing("one"), smoothing("same"), smoothing("other", kind="amax")
    keys = [w2s.training.loop.training_key(llama, closed_set, replace(QUICK, loss=loss)) for loss in
            (one(), same(), other(), one(0.2), LabelSmoothing())]  # fmt: skip
    assert keys[0] == keys[1] and len(set(keys)) == 4 and None not in keys
    store = Store(tmp_path / "store")
    found = [store.train(llama, closed_set, replace(QUICK, loss=loss()), role="student") for loss in (one, same, other)]
    assert len(store.runs()) == 2 and len(set(store.asked)) == 2
    assert far_apart(found[0], found[2])
    assert {run["recipe"]["loss"]["name"] for run in store.runs()} == {"LabelSmoothing"}


def test_what_cannot_be_told_is_trained_and_not_stored(llama, closed_set, tmp_path):
    space: dict = {"__name__": "typed"}
    exec(OTHER.format(kind="mean", more=""), space)
    recipe, store = replace(QUICK, loss=space["LabelSmoothing"]()), Store(tmp_path)
    assert w2s.training.loop.training_key(llama, closed_set, recipe) is None
    assert recipe.to_dict()["loss"] == {"name": "LabelSmoothing", "source": None, "dials": {"epsilon": 0.1}}
    with pytest.warns(UserWarning, match=r"student is not stored: the source of LabelSmoothing\.\w+ cannot be read"):
        model = store.train(llama, closed_set, recipe, role="student")
    assert store.runs() == [] and store.asked == [] and not list(tmp_path.iterdir())
    assert model.digest == network_digest(model.network, model.tokenizer)  # labels of it are kept under what it is
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = w2s.train(llama, closed_set, replace(QUICK, loss=LabelSmoothing()))
    assert all(torch.equal(a, b) for a, b in zip(weights(model).values(), weights(same).values(), strict=True))
    assert same.digest != model.digest


# -- refused -----------------------------------------------------------------------------------------------------


def made(
    frozen: bool = True, dataclassed: bool = True, reads="list", needs=frozenset(), answer=None, without=()
) -> Loss:
    """A loss with a fault."""

    class Faulty:
        def reads(self, closed):
            return reads if closed or reads != "list" else None

        def needs(self, closed):
            return needs

        def __call__(self, scores, targets):
            return (answer or (lambda s: -s.sum(-1)))(scores)

    for name in without:
        delattr(Faulty, name)
    return (dataclass(frozen=frozen)(Faulty) if dataclassed else Faulty)()


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda: w2s.SoftTargets, TypeError, r"the loss is the class SoftTargets; expected.*SoftTargets\(\)"),
        (lambda: "soft", TypeError, "str is no loss: it has no method reads"),
        (lambda: made(dataclassed=False), TypeError, r"Faulty is no dataclass; expected @dataclass\(frozen=True\)"),
        (lambda: type("Heir", (w2s.SoftTargets,), {})(), TypeError, "Heir is no dataclass"),
        (lambda: made(frozen=False), TypeError, "Faulty is not frozen"),
        (lambda: made(without=["needs"]), TypeError, "Faulty is no loss: it has no method needs"),
        (lambda: made(without=["__call__"]), TypeError, "Faulty is no loss: it has no method __call__"),
        (lambda: made(reads="lists"), ValueError, r"reads\(closed=True\) is 'lists'; expected 'answer', 'list', "),
        (lambda: made(reads=None), ValueError, "Faulty learns from neither kind of task"),
        (lambda: made(needs="probs"), ValueError, r"needs\(closed=True\) is 'probs'; expected a frozenset of 'probs'"),
        (lambda: made(needs=frozenset({"logits"})), ValueError, r"is frozenset\(\{'logits'\}\); expected"),
    ],
)
def test_what_is_no_loss_is_refused_by_name(loss, error, message):
    with pytest.raises(error, match=message):
        w2s.Recipe(loss=loss())


def test_a_list_of_an_open_task_is_refused():
    @dataclass(frozen=True)
    class Listing:
        reads = lambda self, closed: "list"  # noqa: E731
        needs = lambda self, closed: frozenset()  # noqa: E731
        __call__ = lambda self, scores, targets: -scores.mean(-1)  # noqa: E731

    with pytest.raises(ValueError, match="an open task has no list"):
        check_loss(Listing())


FAULTS = [
    (lambda s: 0.5, TypeError, "Faulty returned a float; expected a tensor with the loss of each row"),
    (lambda s: None, TypeError, "Faulty returned a NoneType"),
    (lambda s: -s.mean(), ValueError, r"shape \[\] for 4 rows; expected \[4\].*Hint: no mean over the batch"),
    (lambda s: -s, ValueError, r"shape \[4, 3\] for 4 rows; expected \[4\], the loss of each row"),
    (lambda s: -s.sum(-1).detach(), ValueError, "Faulty returned losses without gradient"),
    (lambda s: torch.zeros(len(s)), ValueError, "Faulty returned losses without gradient"),
]


@pytest.mark.parametrize(("answer", "error", "message"), FAULTS)
def test_what_computes_no_loss_is_said_before_anything_is_trained(answer, error, message, llama, closed_set):
    before = {name: value.clone() for name, value in weights(llama).items()}
    with pytest.raises(error, match=message):
        w2s.train(llama, closed_set, replace(QUICK, loss=made(answer=answer)))
    with pytest.raises(error, match=message):
        next(w2s.training_steps(llama, closed_set, replace(QUICK, loss=made(answer=answer))))
    assert all(torch.equal(value, before[name]) for name, value in weights(llama).items())


def test_a_plan_is_refused_before_the_supervisor_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("w2s_lab.experiments.store.train", lambda *args, **options: pytest.fail("trained for nothing"))
    closed, open_ = w2s.load_splits("sentiment", seed=0), w2s.load_splits("summary", seed=0)
    usual = w2s.Plan("pocket-xs", "pocket-xs")

    def refused(splits, message, **recipes):
        with pytest.raises((TypeError, ValueError), match=message):
            w2s.weak_to_strong(splits, replace(usual, **recipes), Store(tmp_path), seed=0)

    refused(open_, r"SoftTargets needs.*\(token_targets\).*weak labels", recipe=w2s.Recipe(w2s.SoftTargets()))
    refused(open_, "AuxiliaryConfidence cannot learn from an open task.*Hint: losses that can: MaximumLikelihood$",
            recipe=w2s.Recipe(w2s.AuxiliaryConfidence()))  # fmt: skip
    refused(open_, "GeneralisedCrossEntropy cannot learn from an open", recipe=w2s.Recipe(GeneralisedCrossEntropy()))
    refused(closed, r"SoftTargets needs.*the supervisor's true answers", weak_recipe=w2s.Recipe(w2s.SoftTargets()))
    refused(closed, "Faulty returned a float", recipe=w2s.Recipe(made(answer=lambda s: 1.0)))
    assert not list(tmp_path.iterdir())


def test_a_closed_task_can_be_refused_too():
    with pytest.raises(ValueError, match="Faulty cannot learn from a closed task, only from an open one"):

        @dataclass(frozen=True)
        class Faulty(WorstToken):
            def reads(self, closed):
                return None if closed else "tokens"

        check_offer(Faulty(), Task("reviews", ("a", "b")), offered=("probs",), source="test")


def test_every_built_in_loss_fulfils_the_protocol():
    for kind in LOSSES.values():
        check_loss(kind())
        assert isinstance(kind(), Loss) and getattr(w2s, kind.__name__) is kind
