"""The benchmarks run, and what they compare is the same thing; nothing is asserted about time."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="transformers.Trainer needs the package accelerate")

from benchmarks import common, gpu, grading, growth, inference, loops, reading, stacked, throughput
from places import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def few_words():
    """Tokenizers of the benchmarks are large; here one of 400 tokens stands for all of them."""
    whole = common.tokenizer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "tokenizer", lambda vocabulary: whole(400))
        yield


def test_the_loops_compute_the_same_loss_and_gradient():
    model = common.new_model(common.SIZES["tiny"])
    data, _ = common.corpus()
    found = loops.differences(model, data.take(range(common.BATCH)), throughput.recipe(0))
    assert list(found) == list(loops.EXACT)
    for name, (loss, gradient) in found.items():
        assert loss < 1e-4 and gradient < 1e-4, name


def test_a_difference_would_be_seen(monkeypatch):
    def wrong(model, data, recipe, clock):
        return loops.kit(model, data, recipe, clock) + 1.0

    monkeypatch.setattr(loops, "EXACT", {"kit": loops.kit, "wrong": wrong})
    found = loops.differences(
        common.new_model(common.SIZES["tiny"]), common.corpus()[0].take(range(32)), throughput.recipe(0)
    )
    assert found["wrong"][0] == pytest.approx(1.0, abs=1e-5)


def test_throughput(capsys, tmp_path):
    file = tmp_path / "throughput.json"
    arguments = ["--steps", "2", "--repeats", "1", "--sizes", "tiny", "--no-memory", "--json", str(file)]
    tiny = throughput.main(arguments)["tiny"]
    assert file.stat().st_size
    assert tiny["facts"]["needed_flops"] > 6 * tiny["facts"]["needed_tokens"]
    assert tiny["facts"]["attainable"] > 0
    losses = [row["test_loss"][0] for row in tiny["loops"].values()]
    assert max(losses) - min(losses) < 0.05  # two steps from the same weights
    for row in tiny["loops"].values():
        assert all(seconds > 0 for seconds in row["seconds"])
        assert row["computed"] >= tiny["facts"]["needed_tokens"] * 0.5
    assert "kit is" in capsys.readouterr().out


def test_memory_is_that_of_the_loop():
    used = throughput.memory_of("kit", "tiny", 1, "cpu")
    assert used["peak_MB"] >= used["before_MB"] * 0.99 > 10


def test_closed_inference_agrees(capsys):
    result = inference.main(["--examples", "40", "--repeats", "1", "--models", "tiny"])["tiny, closed"]
    assert result["identical"] == 1.0 and result["log_prob_difference"] < 1e-3
    assert "tiny, closed" in capsys.readouterr().out


def test_open_inference_agrees(open_set, llama):
    texts = inference.plain_texts(llama, open_set)
    assert len(texts) == len(open_set)
    assert inference.open_task(llama, open_set, 1)["identical"] >= 0.9  # a near-tie may go the other way


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_an_exact_power_is_fitted(exponent):
    sizes = np.array([1.0, 2.0, 4.0, 8.0])
    fitted = growth.fit(sizes, 3 * sizes**exponent)
    assert fitted.exponent == pytest.approx(exponent, abs=1e-12) and fitted.error == pytest.approx(0, abs=1e-12)


def test_growth(tmp_path):
    figure = tmp_path / "growth.png"
    points = ["--examples", "32,64", "--parameters", "5e4,1e5", "--lengths", "20,40"]
    results = growth.main([*points, "--repeats", "1", "--size", "tiny", "--figure", str(figure)])
    assert set(results) == {"examples", "parameters", "length"} and figure.stat().st_size > 10_000
    for row in results.values():
        assert all(seconds > 0 for seconds in row["seconds"]) and math.isfinite(row["overall"]["exponent"])


def test_reading():
    found = reading.main(["--rows", "50,100", "--repeats", "1"])["results"]
    assert set(found) == {"read CSV", "read JSON lines", "near duplicates"}
    for row in found.values():
        assert row["kept"] == row["rows"] == [50, 100] and min(row["seconds"]) > 0 and len(row["exponents"]) == 1


def test_stacked_seeds_learn_what_each_learns_alone(tmp_path):
    file = tmp_path / "stacked.json"
    words = ["--models", "pocket-xs", "--seeds", "2", "--steps", "3", "--repeats", "1", "--threads", "1"]
    (result,) = stacked.main([*words, "--json", str(file)])["results"].values()
    assert result["speedup"] > 0 and file.stat().st_size
    found = result["difference"]
    assert found["loss"] < 1e-4 and found["weight"] < found["weight_change"] / 10


def test_stacked_seeds_differ_and_a_difference_would_be_seen():
    model = stacked.load_model("pocket-xs", device="cpu")
    data = stacked.load_splits("sentiment", seed=0).supervisor_train.take(range(3 * common.BATCH))
    (losses, weights), _ = stacked.stacked(model, data, 2)
    swapped = losses.flip(0), {name: weight.flip(0) for name, weight in weights.items()}
    found = stacked.difference((losses, weights), swapped)
    assert found["loss"] > 1e-2 and found["weight"] > 1e-4


def test_each_seed_is_clipped_on_its_own():
    gradients = {"a": torch.randn(3, 4, 5), "b": torch.randn(3, 6) * torch.tensor([[0.01], [1.0], [9.0]])}
    gradients["a"][0] *= 0.01  # the first needs no clipping
    alone = [[g[seed].clone().requires_grad_() for g in gradients.values()] for seed in range(3)]
    for seed, parts in enumerate(alone):
        for part, gradient in zip(parts, gradients.values(), strict=True):
            part.grad = gradient[seed].clone()
        torch.nn.utils.clip_grad_norm_(parts, 1.0)
    stacked.clip(gradients, 1.0)
    for place, gradient in enumerate(gradients.values()):
        torch.testing.assert_close(gradient, torch.stack([parts[place].grad for parts in alone]))


def test_inputs_have_the_length_that_is_asked_for():
    model = common.new_model(common.SIZES["tiny"])
    prompts, answers = common.encoded(model, growth.of_length(model, 64))
    assert {len(p) for p in prompts} <= set(range(59, 63)) and answers


def test_synthetic_inputs_have_the_stated_quantiles():
    examples = common.synthetic(4000)
    words = [len(example.input.split()) - 1 for example in examples]
    assert np.quantile(words, [0.25, 0.5, 0.75]) == pytest.approx([11, 18, 25], abs=1.5)
    assert len({example.id for example in examples}) == len(examples)


def test_work_is_that_of_the_profiler_without_padding():
    """Rows of one length: the formula against torch's own count of the operations of matrix products."""
    from torch.utils.flop_counter import FlopCounterMode

    model = common.in_transformers(common.new_model(common.SIZES["tiny"]))
    prompts, answers = [[5] * 30, [6] * 30, [7] * 30, [8] * 30], [[6, 0]] * 4
    model.network.set_attn_implementation("eager")
    _ = model.abilities  # measured once, at first use
    with FlopCounterMode(display=False) as counter:
        model.log_prob(prompts, answers).sum().backward()
    needed = common.needed_work(model, prompts, answers).flops
    assert 0.6 < needed / counter.get_total_flops() <= 1.0  # attention over the full square, one more position


def test_what_is_attainable_is_counted_over_the_model_s_own_products(monkeypatch):
    """Each product takes a second here. tiny: width 16, one layer, 32 inside of it, vocabulary 400."""
    monkeypatch.setattr(common, "timed", lambda work, device: work() and 1.0)
    found = common.attainable(common.new_model(common.SIZES["tiny"]), tokens=100, scored=7, seconds=0)
    assert found == pytest.approx((6 * 100 * (4 * 16 * 16 + 3 * 32 * 16) + 6 * 7 * 400 * 16) / 8)


def test_gpu_on_a_cpu(capsys, tmp_path):
    words = ["--cpu-smoke", "--loops", "kit,left,trainer", "--checkpointing", "--json", str(tmp_path / "gpu.json")]
    results = gpu.main(words)
    assert len(results["runs"]) == 3
    for name, run in results["runs"].items():
        assert run.get("tokens_per_s", 0) > 0, (name, run)
        assert run["of_peak"] == run["flops_per_s"] / results["peaks"]["bfloat16"] and run["peak_MB"] > 0
    assert "0.0000" in capsys.readouterr().out


def test_gpu_ends_in_time(monkeypatch):
    """No configuration begins that might end too late."""
    now, began = [0.0], []

    def slow(loop, *_):
        began.append(now[0])
        now[0] += 60.0
        return {"parameters": 1, "tokens_per_s": 1, "flops_per_s": 1, "needed_over_computed": 1, "peak_MB": 1}

    monkeypatch.setattr(gpu, "run", slow)
    monkeypatch.setattr(gpu.time, "monotonic", lambda: now[0])
    results = gpu.main(["--cpu-smoke", "--sizes", "0.00003,0.00004,0.00005"])
    assert began == [0.0, 60.0, 120.0] and len(results["runs"]) == 6
    assert sum("would not suffice" in run.get("error", "") for run in results["runs"].values()) == 3


WITHOUT = """
import socket, sys
for name in ("jupyterlab", "IPython", "ipykernel", "ipywidgets", "nbformat", "nbclient", "matplotlib", "pytest"):
    sys.modules[name] = None  # importing it fails
def no_network(*_, **__):
    raise OSError("there is no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = no_network
from tests.benchmarks import gpu
assert all("error" not in run for run in gpu.main(["--cpu-smoke", "--threads", "1"])["runs"].values())
"""


def test_gpu_needs_neither_jupyter_nor_matplotlib_nor_a_network():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=600, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_one_failure_leaves_the_others(monkeypatch):
    def fails(size, *args, **options):
        if size.vocabulary == 400:
            raise torch.OutOfMemoryError("no memory")
        return common.new_model(size, *args, **options)

    monkeypatch.setattr(gpu, "new_model", fails)
    options = ["--device", "cpu", "--sizes", "0.00003", "--vocabularies", "400,450", "--tokens", "30", "--steps", "1"]
    first, second = gpu.main([*options, "--loops", "kit"])["runs"].values()
    assert "no memory" in first["error"] and second["tokens_per_s"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys):
    with pytest.raises(SystemExit) as stopped:
        gpu.main([])
    assert stopped.value.code == 2 and "GPU" in capsys.readouterr().err


def test_grading(capsys, tmp_path):
    file = tmp_path / "grading.json"
    grading.main(["--students", "4", "--json", str(file)])
    assert "seconds beyond, each" in capsys.readouterr().out
    found = json.loads(file.read_text())
    assert found["students"] == 4 and found["submissions with something wrong"] == 0
