"""The usual plan and the usual sizes follow from the strong model's size, and options win."""

import json
from dataclasses import astuple

import pytest

from w2s_lab import assets
from w2s_lab.cli import commands
from w2s_lab.data.sources import SplitSizes, builtin_tasks
from w2s_lab.experiments.procedure import Plan
from w2s_lab.models.loading import ladder
from w2s_lab.planning import usual
from w2s_lab.planning.usual import fewer, is_large, parameters_of, usual_plan, usual_sizes
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.records import Task

CLOSED, OPEN = Task("reviews", ("negative", "positive")), Task("echo")
SMOLLM = "smollm2-135m-q4"


def test_what_is_large():
    assert [is_large(name) for name in (SMOLLM, "smollm2-135m", "Qwen/Qwen2.5-7B", "somebody/unknown")] == [True] * 4
    assert not any(is_large(name) for name in (*ladder(), f"scratch:{SMOLLM}", "no-such-model"))
    assert parameters_of(SMOLLM) == 134_515_008


def test_a_folder_whose_config_is_not_understood_counts_by_its_weights(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert parameters_of(str(tmp_path)) is None and not is_large(str(tmp_path))
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(4 * usual.LARGE)
    assert parameters_of(str(tmp_path)) == usual.LARGE and is_large(str(tmp_path))


def test_the_ladder_keeps_its_plans_and_sizes():
    for task in (*builtin_tasks().values(), CLOSED, OPEN):
        for strong in (None, *ladder()):
            assert usual_plan(task, strong) == Plan.for_task(task)
            assert usual_sizes(6000, strong, on_cpu=True) == SplitSizes.of(6000)


def test_a_large_model_is_fine_tuned_gently_on_few_labels():
    plan = usual_plan(CLOSED, SMOLLM)
    assert plan.recipe == Recipe(epochs=1, batch_size=8, learning_rate=5e-5, eval_every=20)
    assert (plan.weak, plan.strong, plan.weak_recipe) == (
        "bag-of-words:1500", SMOLLM, Plan.for_task(CLOSED).weak_recipe,
    )  # fmt: skip
    assert astuple(usual_sizes(10_070, SMOLLM, on_cpu=True)) == (1500, 480, 300, 100)
    assert astuple(usual_sizes(10_070, SMOLLM, on_cpu=False)) == (1500, 1500, 1000, 100)
    assert astuple(usual_sizes(400, SMOLLM, on_cpu=True)) == (100, 200, 90, 10)
    assert usual_plan(CLOSED, SMOLLM, labels=700).weak == "bag-of-words:700"
    assert usual_plan(OPEN, SMOLLM).weak == Plan.for_task(OPEN).weak  # a bag of words cannot answer freely


def test_a_large_supervisor_is_fine_tuned_gently_too():
    plan = usual_plan(CLOSED, "HuggingFaceTB/SmolLM2-360M", weak="smollm2-135m")
    assert plan.weak == "smollm2-135m" and plan.weak_recipe == plan.recipe
    small = usual_plan(CLOSED, SMOLLM, weak="pocket-s")
    assert (small.weak, small.weak_recipe) == ("pocket-s", Plan.for_task(CLOSED).weak_recipe)
    assert usual_plan(CLOSED, SMOLLM, weak="vader").weak == "vader"


def test_an_adapter_learns_faster_and_a_larger_model_slower():
    lora = LoRA(rank=8, alpha=16)
    adapted = usual_plan(CLOSED, SMOLLM, lora=lora).recipe
    assert adapted.lora == lora and adapted.learning_rate == pytest.approx(usual.ADAPTER_RATE * 5e-5)
    assert usual_plan(CLOSED, "Qwen/Qwen2.5-1.5B").recipe.learning_rate == 1e-5


def test_fewer_examples_for_the_student_only():
    sizes = SplitSizes(1500, 480, 300, 100)
    assert [astuple(one) for one in fewer(sizes)] == [(1500, number, 300, 100) for number in (480, 360, 240)]
    assert [one.student_train for one in fewer(SplitSizes(10, 20, 30, 4))] == [20]


@pytest.fixture
def seen(tmp_path, monkeypatch) -> list:
    """(plan, sizes) of every run that would begin; pocket-l counts as large, and loading and measuring cost nothing."""
    found = []

    def stop(plan, sizes, data, store, **options):
        found.append((plan, sizes, options["fixed"]))
        raise ValueError("enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(assets.STORE_VARIABLE, str(tmp_path / "runs"))
    monkeypatch.setattr(usual, "LARGE", parameters_of("pocket-l"))
    monkeypatch.setattr("w2s_lab.planning.forecast.forecast", stop)
    return found


def run(*options: str) -> None:
    assert commands.main(["run", "--strong", "pocket-l", "--device", "cpu", *options]) == 2


def test_the_command_takes_what_is_usual_for_the_model(seen, capsys):
    run("--weak", "pocket-s")
    ((plan, sizes, fixed),) = seen
    assert (plan.weak, plan.strong, plan.recipe) == ("pocket-s", "pocket-l", usual_plan(CLOSED, "pocket-l").recipe)
    assert astuple(sizes) == (1500, 480, 300, 100) and not fixed


def test_options_win(seen, capsys):
    run("--weak", "pocket-s", "--epochs", "3", "--batch-size", "16", "--learning-rate", "0.25", "--sizes", "9,8,7,6")
    run("--weak", "pocket-xs", "--lora", "4")
    run("--weak", "pocket-xs", "--lora", "4", "--learning-rate", "0.5", "--loss", "soft")
    (plan, sizes, fixed), (adapted, _, _), (both, _, _) = seen
    assert (plan.recipe.epochs, plan.recipe.batch_size, plan.recipe.learning_rate) == (3, 16, 0.25)
    assert plan.recipe.eval_every == 20 and astuple(sizes) == (9, 8, 7, 6) and fixed
    assert adapted.weak == "pocket-xs" and adapted.recipe.lora == LoRA(rank=4, alpha=8)
    assert adapted.recipe.learning_rate == pytest.approx(5e-5 * usual.ADAPTER_RATE)
    assert both.recipe.learning_rate == 0.5 and type(both.recipe.loss).__name__ == "SoftTargets"
