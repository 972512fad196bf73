"""The table that is printed before anything is loaded."""

import re
import socket
from dataclasses import replace

import pytest
import transformers

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.procedure import Plan
from w2s_lab.models import loading
from w2s_lab.objective import SoftTargets
from w2s_lab.planning.dry_run import REMEDIES, dry_run_table, plan_estimate
from w2s_lab.planning.estimate import DEVICES, GB, Device, Texts, estimate_training
from w2s_lab.planning.hub_models import MODELS, PAIRS, pair_plan
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.records import Example
from w2s_lab.training import loop

SIZES = SplitSizes(1500, 1500, 1000, 100)
TEXTS = Texts(prompt=50, longest=200, answer=2, choices=2)
EXAMPLES = [Example("Is the review good?", "x" * n, "yes" if n % 2 else "no") for n in range(40, 240)]
CPU = Device("cpu", 16 * GB, 5e10)
MODEL, PARAMETERS, MEMORY, MINUTES = range(1, 5)


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a dry run loads no model and opens no connection")

    for name in ("AutoModelForCausalLM", "AutoTokenizer", "AutoConfig", "PreTrainedTokenizerFast"):
        monkeypatch.setattr(getattr(transformers, name), "from_pretrained", refuse)
    monkeypatch.setattr(loading, "load_model", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def table_of(text: str) -> dict[str, list[str]]:
    """First cell of a row -> all its cells; the second row of a name gets a prime."""
    found = {}
    lines = text.splitlines()
    for line in lines[2 : lines.index("", 2)]:
        cells = re.split(r" {3,}", line.strip())
        found[cells[0] + "'" * (cells[0] in found)] = cells
    return found


def table(plan: Plan, **options) -> tuple[str, dict[str, list[str]]]:
    text = dry_run_table(plan, SIZES, EXAMPLES, ["yes", "no"], **options)
    return text, table_of(text)


# -- pairs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_fits_its_card(name):
    """In bfloat16 and, for the cards that have none, in float32."""
    pair = PAIRS[name]
    for fast in (None, 1e14) if pair.memory <= 16 else (1e14,):
        card = Device("card", pair.memory * GB, 1e13, fast)
        rows = plan_estimate(pair_plan(name), SIZES, TEXTS, card)
        assert len(rows) == 6 and all(row.estimate.fits for row in rows)


@pytest.mark.parametrize("name", PAIRS)
def test_models_that_wait_are_in_main_memory(name):
    weak, strong = (4 * MODELS[model].parameters for model in (PAIRS[name].weak, PAIRS[name].strong))
    on_card = [row.estimate.beside for row in plan_estimate(pair_plan(name), SIZES, TEXTS, DEVICES["H200"])]
    in_main = [row.estimate.beside for row in plan_estimate(pair_plan(name), SIZES, TEXTS, CPU)]
    waiting = [weak + strong, strong, strong, strong, strong, strong]
    assert [a - b for a, b in zip(in_main, on_card, strict=True)] == waiting


# -- the table ---------------------------------------------------------------------------------------------------


def test_the_table():
    text, rows = table(pair_plan("smollm2-16gb"), seeds=3, device="T4")
    assert text.startswith("an estimate for T4 (16 GB, 8.1 TFLOP/s in float32); nothing has been loaded\n\n")
    assert list(rows) == [
        "model", "weak supervisor", "weak labels", "strong student", "evaluated 5 times", "strong ceiling",
        "evaluated once", "one seed", "3 seeds",
    ]  # fmt: skip
    assert rows["model"] == ["model", "parameters", "memory, GB", "minutes"]
    assert rows["weak labels"][MODEL:MEMORY] == ["HuggingFaceTB/SmolLM2-135M", "134.5 M"]
    assert rows["strong ceiling"][MODEL:MEMORY] == ["HuggingFaceTB/SmolLM2-1.7B", "1,711.4 M"]
    assert 6.8 < float(rows["strong student"][MEMORY]) < 16
    parts = [float(cells[MINUTES]) for name, cells in rows.items() if len(cells) == 5]
    one, three = float(rows["one seed"][-1]), float(rows["3 seeds"][-1])
    assert len(parts) == 6 and one == pytest.approx(sum(parts), abs=0.8) and three == pytest.approx(3 * one, abs=2)
    ends = [len(line) for line in text.splitlines()[2:11]]
    assert len(set(ends)) == 1  # the last column is aligned
    assert max(map(len, text.splitlines())) <= 125
    assert "It fits: at most" in text and "does not fit" not in text
    assert "apache-2.0" in text.splitlines()[-1]


def test_rows_are_the_estimates_of_the_plan():
    plan, card = pair_plan("qwen-80gb"), DEVICES["H200"]
    _, rows = table(plan, device="H200")
    texts = Texts.of(EXAMPLES, ["yes", "no"])
    found = plan_estimate(plan, SIZES, texts, card)
    shown = [cells for cells in rows.values() if len(cells) == 5]
    assert [cells[MEMORY] for cells in shown] == [f"{row.estimate.memory / GB:.1f}" for row in found]
    assert len(shown) == 6 and "2 seeds" not in rows


def test_a_licence_that_restricts_is_said():
    text, _ = table(pair_plan("qwen-80gb"), device="A100")
    assert "Qwen/Qwen2.5-3B: qwen-research (research and evaluation only, no commercial use)" in text
    assert "Qwen/Qwen2.5-0.5B: apache-2.0" in text
    assert "MIT (made by this kit)" in table(Plan(), device=CPU)[0]


def test_the_default_plan_on_a_cpu():
    text, rows = table(Plan(), device=CPU)
    assert rows["strong student"][MODEL:MEMORY] == ["pocket-l", "1.0 M"]
    assert "It fits" in text and "Hub" not in text


@pytest.mark.parametrize(
    ("weak", "strong", "unknown"),
    [("owner/a", "pocket-l", 2), ("pocket-s", "owner/b", 4), ("owner/a", "owner/b", 6)],
)
def test_an_unknown_model_gets_no_number(weak, strong, unknown):
    text, rows = table(Plan(weak, strong), device=CPU, seeds=2)
    named = [cells for cells in rows.values() if len(cells) == 5]
    missing = [cells for cells in named if cells[MODEL].startswith("owner/")]
    assert len(named) == 6 and len(missing) == unknown
    assert all(cells[PARAMETERS:] == ["unknown"] * 3 for cells in missing)
    assert rows["one seed"][-1] == rows["2 seeds"][-1] == "unknown"
    first = weak if weak.startswith("owner") else strong
    assert f"Whether it fits cannot be said: {first}: its size is unknown before it is downloaded" in text
    assert "It fits" not in text and f"{first}: unknown here" in text


# -- does it fit, and what to change -----------------------------------------------------------------------------


def test_a_batch_in_pieces_is_said():
    plan = Plan("EleutherAI/pythia-70m", "EleutherAI/pythia-160m", Recipe(), Recipe())
    text, _ = table(plan, device=Device("small", 3.6 * GB, 1e13))
    assert re.search(r"The strong student learns from (1|2|4|8|16) of the 32 examples of a batch at a time", text)
    assert "It fits" in text


@pytest.mark.parametrize(("memory", "remedy"), [(12, "a LoRA"), (10.5, "a LoRA"), (6, "No recipe makes it fit")])
def test_what_would_help_is_tried(memory, remedy):
    plan = Plan("EleutherAI/pythia-70m", "EleutherAI/pythia-1.4b", Recipe(), Recipe(max_tokens=512))
    card = Device("card", memory * GB, 1e13)
    text, _ = table(plan, device=card)
    assert f"It does not fit into {memory:.0f} GB" in text and remedy in text
    changes = dict(REMEDIES).get(remedy)
    if changes:
        cured, _ = table(replace(plan, recipe=replace(plan.recipe, **changes)), device=card)
        assert "It fits" in cured
        needed = re.search(r"it would fit \((.*) GB\)", text)[1]
        assert f"at most {needed} of" in cured
    else:
        enough = int(re.search(r"a device with (\d+) GB or more", text)[1])
        assert "It fits" in table(plan, device=Device("card", enough * GB, 1e13))[0]


def test_gradient_checkpointing_alone_can_be_enough():
    texts = [Example("Read.", "x" * 8000, "yes")]
    recipe = Recipe(max_tokens=2048)
    plan = Plan("EleutherAI/pythia-70m", "EleutherAI/pythia-160m", replace(recipe, lora=LoRA()), recipe)
    card = Device("card", 3.8 * GB, 1e13)
    text = dry_run_table(plan, SIZES, texts, ["yes"], device=card)
    assert "It does not fit" in text and "With gradient checkpointing it would fit" in text


def test_where_the_system_does_not_say_how_much_memory_there_is():
    text, _ = table(Plan(), device=Device("cpu", None, 5e10))
    assert "this system does not say" in text and "TFLOP/s" in text.splitlines()[0]


# -- the procedure -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("examples", "batch_size", "epochs", "grid"), [(12, 5, 2, None), (12, 4, 1, 2), (7, 4, 3, 4)])
def test_as_many_evaluations_as_the_training_makes(llama, closed_set, examples, batch_size, epochs, grid):
    recipe = Recipe(batch_size=batch_size, epochs=epochs, eval_every=grid)
    history = loop.train(llama, closed_set.take(range(examples)), recipe).history
    rows = plan_estimate(Plan(recipe=recipe), SplitSizes(9, examples, 5, 0), TEXTS, CPU)
    assert rows[3].what == f"  evaluated {len(history)} times"


def test_the_ceiling_learns_by_maximum_likelihood():
    soft = Plan(recipe=Recipe(loss=SoftTargets()))
    student, ceiling = (plan_estimate(soft, SIZES, TEXTS, CPU)[row].estimate for row in (2, 4))
    assert student.flops > ceiling.flops == plan_estimate(Plan(recipe=Recipe()), SIZES, TEXTS, CPU)[4].estimate.flops


def test_an_adaptation_is_counted():
    """Next-token training has logits at every token; both models pay for it, in proportion to the inputs."""
    plan = replace(Plan(), adapt=Recipe(epochs=2, learning_rate=1e-3))
    plain, adapted = (plan_estimate(one, SIZES, TEXTS, CPU) for one in (Plan(), plan))
    assert [row.what for row in adapted[:2]] == ["weak model adapted", "strong model adapted"]
    assert [row.name for row in adapted[:2]] == [plan.weak, plan.strong] and len(adapted) == len(plain) + 2
    assert [row.estimate.flops for row in adapted[2:]] == [row.estimate.flops for row in plain]
    twice = plan_estimate(plan, SIZES, TEXTS, CPU, inputs=2 * (SIZES.supervisor_train + SIZES.student_train))
    assert twice[1].estimate.flops == 2 * adapted[1].estimate.flops
    with_answers = estimate_training(
        adapted[1].model, plan.adapt, CPU, TEXTS, examples=SIZES.supervisor_train + SIZES.student_train
    )
    assert adapted[1].estimate.logits > with_answers.logits
