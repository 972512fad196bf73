"""Tiny models and sets that every test may read; a test that trains takes a `.copy()` of a model."""

import signal

import pytest
import torch
from cpu_seconds import pytest_runtest_makereport, pytest_terminal_summary  # noqa: F401  (hooks)
from own_warnings import deprecated_calls_of_ours_fail  # noqa: F401  (a fixture of every test)
from transformers import GPT2Config, GPT2LMHeadModel

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import MAX_LENGTH, network_digest, new_llama, train_tokenizer
from w2s_lab.records import Example, LabelledSet, Task

if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):  # pytest was put into the background; what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)

ANSWERS = ("positive", "negative", "hard to say")
INSTRUCTION = "Is the review positive or negative?"
WORDS = {
    "positive": ("a great film", "i loved every minute", "warm and funny", "a joy"),
    "negative": ("a dull film", "i left early", "slow and grey", "what a bore"),
    "hard to say": ("a film", "two hours with friends", "long, and then over", "it exists"),
}
PLACES = ("", "in town, ", "on a train to the sea, ", "last night, after a long day of work and little sleep, ")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny matrices gain nothing from a second core, which may be busy with another test process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def labelled_examples() -> list[Example]:
    """48 examples: 16 for each of three answers, of different lengths and without an order."""
    examples = [
        Example(INSTRUCTION, f"{place}{words}", answer, ("long",) if len(place) > 20 else ("short", answer[:3]))
        for answer, reviews in WORDS.items()
        for words in reviews
        for place in PLACES
    ]
    return [examples[i * 29 % len(examples)] for i in range(len(examples))]


@pytest.fixture(scope="session")
def closed_set() -> LabelledSet:
    return LabelledSet.ground_truth(Task("reviews", ANSWERS), labelled_examples())


@pytest.fixture(scope="session")
def open_set() -> LabelledSet:
    """12 examples of an open task: say the input's last word, and all of it where it is short."""
    inputs = [example.input for example in labelled_examples()[:12]]
    return LabelledSet.ground_truth(
        Task("echo"),
        [Example("Repeat.", text, text if len(text) < 12 else text.split()[-1]) for text in inputs],
    )


@pytest.fixture(scope="session")
def tokenizer():
    texts = [f"{e.instruction}\n{e.input}\nAnswer: {e.answer}" for e in labelled_examples()]
    return train_tokenizer(iter(texts), 400)


def in_transformers(network: torch.nn.Module) -> torch.nn.Module:
    """The same weights in transformers' own code: an independent reference for the network that is written here."""
    return network.to_transformers() if hasattr(network, "to_transformers") else network


def wake(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Away from the near-uniform start, where every bug looks small."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.fixture(scope="session")
def llama(tokenizer) -> LanguageModel:
    network = wake(new_llama(tokenizer, layers=2, width=32, heads=2, seed=0), seed=1)
    return LanguageModel("tiny llama", network_digest(network, tokenizer), tokenizer, network)


@pytest.fixture(scope="session")
def gpt2(tokenizer) -> LanguageModel:
    """Absolute positions and dropout, which Llama has not."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=MAX_LENGTH,
        n_embd=32,
        n_layer=2,
        n_head=2,
        resid_pdrop=0.1,
        embd_pdrop=0.1,
        attn_pdrop=0.1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = wake(GPT2LMHeadModel(config), seed=8)
    return LanguageModel("tiny gpt2", network_digest(network, tokenizer), tokenizer, network)


@pytest.fixture(params=["llama", "gpt2"])
def model(request) -> LanguageModel:
    """Both tiny models, one after the other."""
    return request.getfixturevalue(request.param)
