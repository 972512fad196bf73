"""What the kit draws is its own: other threads draw the numbers that they would have drawn without it."""

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from conftest import in_transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from w2s_lab.methods.proposals import sample_documents
from w2s_lab.models.loading import load_model, new_llama, save_model
from w2s_lab.objective import MaximumLikelihood
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.system.randomness import OwnRandomness, replayed
from w2s_lab.training.loop import train, training_steps

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=1e-3)
needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")


@dataclass(frozen=True)
class Noisy(MaximumLikelihood):
    """A loss of a user's own that draws, from the second half of the training on."""

    def __call__(self, scores, targets):
        losses = super().__call__(scores, targets)
        return losses * (1 + torch.rand(len(losses))) if targets.progress >= 0.5 else losses


def same(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def forked(seed: int, draw: Callable[[], object]) -> object:
    """What `draw` gives after `torch.manual_seed(seed)`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return draw()


DRAWS = {
    "rand": lambda n: torch.rand(n, 2),
    "randn": lambda n: torch.randn(n),
    "normal": lambda n: torch.normal(torch.zeros(n), 1.0),
    "randint": lambda n: torch.randint(9, (n,)),
    "randint from to": lambda n: torch.randint(2, 9, (n,)),
    "randperm": torch.randperm,
    "rand_like": lambda n: torch.rand_like(torch.ones(n)),
    "randn_like": lambda n: torch.randn_like(torch.ones(n)),
    "randint_like": lambda n: torch.randint_like(torch.ones(n), 7),
    "bernoulli": lambda n: torch.bernoulli(torch.full((n,), 0.4)),
    "bernoulli_": lambda n: torch.empty(n).bernoulli_(0.4),
    "exponential_": lambda n: torch.empty(n).exponential_(),
    "multinomial": lambda n: torch.multinomial(torch.ones(n + 1), n),
    "poisson": lambda n: torch.poisson(torch.full((n,), 3.0)),
    "dropout": lambda n: torch.nn.functional.dropout(torch.ones(n), 0.3),
    "attention": lambda n: torch.nn.functional.scaled_dot_product_attention(
        *(torch.ones(1, 2, n, 4),) * 3, dropout_p=0.5
    ),
    "layer": lambda n: torch.nn.Linear(n, 3).weight.detach(),
    "init": lambda n: torch.nn.init.trunc_normal_(torch.empty(n)),
    "gumbel": lambda n: torch.nn.functional.gumbel_softmax(torch.zeros(n)),
    "rrelu": lambda n: torch.nn.functional.rrelu(-torch.ones(n), training=True),
}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(sorted(DRAWS)), st.integers(1, 40)), max_size=6), st.integers(0, 2**40))
def test_any_draws_are_those_of_the_seed_and_leave_the_global_generator(draws, seed):
    wanted = forked(seed, lambda: [DRAWS[name](n) for name, n in draws])
    before = torch.get_rng_state()
    with OwnRandomness(seed) as own:
        found = [DRAWS[name](n) for name, n in draws]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert own.drew == bool(draws)


def test_what_draws_nothing_is_known_to():
    with OwnRandomness(0) as own:
        x = torch.ones(1, 2, 5, 4)
        torch.nn.functional.scaled_dot_product_attention(x, x, x).softmax(-1)
        torch.nn.functional.dropout(x, 0.5, training=False)
        torch.rand(3, generator=torch.Generator().manual_seed(1))
    assert not own.drew


def test_a_generator_of_ones_own_stays_in_use():
    with OwnRandomness(0):
        found = torch.rand(3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(found, torch.rand(3, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("draws_before", [0, 3])
def test_recomputed_activations_meet_the_same_dropout(draws_before):
    def loss(recomputed: bool) -> torch.Tensor:
        x = start = torch.linspace(-1, 1, 64, requires_grad=True)
        with OwnRandomness(5):
            torch.rand(draws_before)
            block = lambda h: torch.nn.functional.dropout(h.sin(), 0.5)  # noqa: E731
            for _ in range(3):
                options = {"use_reentrant": False, "preserve_rng_state": False, "context_fn": replayed}
                x2 = torch.utils.checkpoint.checkpoint(block, x, **options) if recomputed else block(x)
                x = x2 + x
            after = torch.rand(2)
            (slope,) = torch.autograd.grad(x.sum(), start)
        return torch.cat([x.detach(), slope, after])

    assert torch.equal(loss(True), loss(False))


# -- trainings ---------------------------------------------------------------------------------------------------------

RECIPES = {
    "plain": RECIPE,
    "recomputed": replace(RECIPE, gradient_checkpointing=True),
    "own loss": replace(RECIPE, loss=Noisy()),
    "lora": replace(RECIPE, lora=LoRA(rank=2, alpha=4)),
}
KINDS = [pytest.param(name, marks=needs_peft if name == "lora" else ()) for name in RECIPES]


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_in_a_thread_leaves_everyones_draws_alone(kind, model, closed_set):
    """The main thread draws at every moment that the training lets it: before, between and inside of its steps."""
    failed: list[BaseException] = []
    go, done = threading.Semaphore(0), threading.Semaphore(0)
    drawn: list[torch.Tensor] = []

    def step(*_: object) -> None:
        done.release()
        go.acquire(timeout=60)

    def work() -> None:
        own = model.copy()
        hook = own.network.get_input_embeddings().register_forward_pre_hook(step)  # inside of a step
        try:
            for _ in training_steps(own, closed_set, RECIPES[kind], watch=closed_set.take(range(4)), on_step=step):
                step()
        except BaseException as error:
            failed.append(error)
        finally:
            hook.remove()
            finished.set()
            done.release()

    finished = threading.Event()
    torch.manual_seed(7)
    np.random.seed(7)
    before = np.random.get_state()[1].tobytes()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while not finished.is_set():
        done.acquire(timeout=60)
        drawn.append(torch.rand(3))
        go.release()
    thread.join(60)
    assert not failed and len(drawn) > 15
    assert np.random.get_state()[1].tobytes() == before
    assert torch.equal(torch.cat(drawn), forked(7, lambda: torch.cat([torch.rand(3) for _ in drawn])))


@pytest.mark.parametrize("kind", KINDS)
def test_two_trainings_at_once_end_as_one_after_the_other(kind, model, closed_set):
    recipes = [replace(RECIPES[kind], seed=seed) for seed in (0, 1)]
    expected = [train(model, closed_set, recipe) for recipe in recipes]
    assert not same(expected[0].network, expected[1].network)
    found, meet = [None, None], threading.Barrier(2)

    def work(place: int) -> None:
        def together(done: int, steps: int) -> None:
            meet.wait(60)
            torch.rand(place + 1)  # and each of them draws numbers of its own between the steps

        found[place] = train(model, closed_set, recipes[place], on_step=together)

    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in (0, 1)]
    [thread.start() for thread in threads]
    [thread.join(120) for thread in threads]
    assert all(same(one.network, two.network) for one, two in zip(expected, found, strict=True))


def test_dropout_is_the_same_with_recomputed_activations(gpt2, closed_set):
    plain, recomputed = (train(gpt2, closed_set, RECIPES[kind]) for kind in ("plain", "recomputed"))
    losses = [[snapshot.train_loss for snapshot in one.history[1:]] for one in (plain, recomputed)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_loss_that_draws_is_repeated_by_its_seed(llama, closed_set):
    torch.manual_seed(1)
    one = train(llama, closed_set, RECIPES["own loss"])
    torch.manual_seed(2)
    assert same(one.network, train(llama, closed_set, RECIPES["own loss"]).network)


# -- models and texts --------------------------------------------------------------------------------------------------


def test_new_networks_and_sampled_texts_leave_everyones_draws_alone(llama, tokenizer, tmp_path):
    save_model(llama, tmp_path)
    before = torch.get_rng_state()
    networks = [new_llama(tokenizer, layers=1, width=16, heads=2, seed=seed) for seed in (3, 3, 4)]
    scratch = [load_model(f"scratch:{tmp_path}", device="cpu") for _ in range(2)]
    texts = [sample_documents(llama, 3, seed=seed, max_new_tokens=5) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before)
    assert same(networks[0], networks[1]) and not same(networks[0], networks[2])
    assert same(scratch[0].network, scratch[1].network)
    assert texts[0] == texts[1] != texts[2]
    assert same(networks[0], forked(3, lambda: LlamaForCausalLM(in_transformers(networks[0]).config)))
