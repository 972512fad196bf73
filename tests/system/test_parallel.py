"""Two processes (gloo, on the CPU) get what one process gets: data-parallel, and sharded (FSDP)."""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import forked
from places import ROOT
from safetensors.torch import load_file

from w2s_lab.models.loading import load_model, save_model
from w2s_lab.objective import AuxiliaryConfidence, SoftTargets
from w2s_lab.recipe import Recipe
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.system import parallel
from w2s_lab.training.checkpoint import Checkpoint
from w2s_lab.training.evaluation import snapshot_to_json
from w2s_lab.training.labelling import weak_labels
from w2s_lab.training.loop import train


@dataclass(frozen=True)
class OfTheBatch:
    """Maximum likelihood, but what is above the batch's mean counts twice; over the tokens of an open answer."""

    def reads(self, closed):
        return "answer" if closed else "tokens"

    def needs(self, closed):
        return frozenset()

    def __call__(self, scores, targets):
        nll = -scores if targets.mask is None else -scores[..., 0].sum(-1)
        return torch.where(nll.detach() > nll.detach().mean(), 2 * nll, nll)


CASES = {  # 48 and 12 examples in batches of 5: the last one is of 3 rows, or 2; "one at a time" has 24
    "ml": Recipe(epochs=1, batch_size=5, learning_rate=1e-3, eval_every=6),
    "soft": Recipe(SoftTargets(0.5), epochs=1, batch_size=5, learning_rate=1e-3),
    "confidence": Recipe(AuxiliaryConfidence(0.7), epochs=1, batch_size=5, learning_rate=1e-3),
    "one at a time": Recipe(epochs=1, batch_size=1, learning_rate=2e-4),  # the second process has nothing to do
    "one at a time, by the list": Recipe(AuxiliaryConfidence(0.7), epochs=1, batch_size=1, learning_rate=2e-4),
    "own": Recipe(OfTheBatch(), epochs=1, batch_size=5, learning_rate=1e-3),
    "open": Recipe(epochs=1, batch_size=5, learning_rate=1e-3),
    "open, own": Recipe(OfTheBatch(), epochs=1, batch_size=5, learning_rate=1e-3),
}
CASES["interrupted"] = replace(CASES["ml"], epochs=2)
HALF = {  # the passes in bfloat16, which rounds otherwise in other batches
    "half": replace(CASES["ml"], precision="bfloat16"),
    "half, by the list": replace(CASES["confidence"], precision="bfloat16"),
}


def stored(labelled: LabelledSet) -> dict:
    probs = None if labelled.probs is None else labelled.probs.tolist()
    return {"task": asdict(labelled.task), "examples": [asdict(e) for e in labelled.examples], "probs": probs,
            "answers": labelled.answers}  # fmt: skip


def read(row: dict) -> LabelledSet:
    answers = row["task"]["answers"]
    task = Task(row["task"]["name"], answers and tuple(answers))
    examples = tuple(Example(**{**e, "tags": tuple(e["tags"])}) for e in row["examples"])
    return LabelledSet(task, examples, tuple(row["answers"]), row["probs"] and np.array(row["probs"]), source="test")


class Stop(Exception):
    pass


def result(case: str, folder: Path, sets: dict) -> dict:
    """One training, evaluated and labelled with: plain values, and the weights in a file beside."""
    start = load_model(str(folder / "start"), device="cpu")
    labelled = read(sets["open" if case.startswith("open") else "closed"])
    labelled = labelled.take(range(24)) if case.startswith("one at a time") else labelled
    recipe = (CASES | HALF)[case]
    options = {"watch": labelled.take(range(5 if case.startswith("open") else 24))}
    if case == "interrupted":
        checkpoint = Checkpoint(folder / f"{os.environ.get('MODE')}.safetensors", "key", seconds=0.0)
        options["checkpoint"] = checkpoint

        def stop(done: int, steps: int) -> None:
            if done == 13:
                raise Stop

        try:
            train(start, labelled, recipe, **options, on_step=stop)
        except Stop:
            pass
    kinds = set()
    if case in HALF and os.environ.get("MODE") == "fsdp":
        start.network = start.network.to_transformers()  # which is what FSDP spreads
    start.network.base_model.layers[1].mlp.register_forward_pre_hook(
        lambda module, inputs: kinds.add(str(inputs[0].dtype)) if module.training else None
    )
    model = train(start, labelled, recipe, **options)
    labels = weak_labels(model, labelled)
    return {
        "weights": model.network.state_dict(),
        "history": [snapshot_to_json(one) for one in model.history],
        "answers": list(labels.answers),
        "log_prob": labels.log_prob.tolist(),
        "kinds": sorted(kinds),
    }


WORKER = """
import json, os, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from w2s_lab.system import parallel
from test_parallel import CASES, HALF, result

sizes, real = [], torch.distributed.all_reduce

def watched(tensor, *args, **options):
    sizes.append((tensor.numel(), torch._C._current_graph_task_id() >= 0))  # whether a backward pass is going on
    return real(tensor, *args, **options)

torch.distributed.all_reduce, parallel.BUCKET = watched, 20_000
folder = Path(sys.argv[1])
assert parallel.start("cpu") == "cpu"
sets = json.loads((folder / "sets.json").read_text())
for mode, sharded in (("ddp", "false"), ("fsdp", "true")):
    os.environ["MODE"], os.environ["ACCELERATE_USE_FSDP"] = mode, sharded
    for case in CASES | HALF:
        sizes.clear()
        found = result(case, folder, sets)
        found["sums"] = sizes[:]
        name = f"{mode} {case} {parallel.rank()}"
        save_file({k: v.clone() for k, v in found.pop("weights").items()}, folder / f"{name}.safetensors")
        (folder / f"{name}.json").write_text(json.dumps(found))
parallel.stop()
"""


def environment() -> dict[str, str]:
    paths = (ROOT, ROOT / "tests", Path(__file__).parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, llama, closed_set, open_set):
    """What two processes found, in files."""
    folder = tmp_path_factory.mktemp("parallel")
    save_model(llama, folder / "start")
    sets = {"closed": stored(replace(closed_set, probs=weak_labels(llama, closed_set).probs)), "open": stored(open_set)}
    (folder / "sets.json").write_text(json.dumps(sets))
    (folder / "worker.py").write_text(WORKER)
    launch = [forked(), "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, str(folder / "worker.py"), str(folder)],
        capture_output=True, text=True, timeout=600, env=environment(), cwd=ROOT,
    )  # fmt: skip
    if done.returncode:  # said even where the second try goes well
        warnings.warn(f"two processes ended with {done.returncode}: {done.stderr[-3000:]}", stacklevel=1)
    first = [line for line in done.stderr.splitlines() if line.startswith("[rank0]")]  # the others only miss it
    assert done.returncode == 0, "\n".join(first)[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    sets = json.loads((folder / "sets.json").read_text())
    return {case: result(case, folder, sets) for case in CASES | HALF}


@pytest.mark.slow
@pytest.mark.flaky(reruns=1)  # once in nine runs one of the two processes ended, on a busy machine; why is not known
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_two_processes_find_what_one_finds(mode, case, folder, alone):
    expected = alone[case]
    for rank in (0, 1):
        found = json.loads((folder / f"{mode} {case} {rank}.json").read_text())
        weights = load_file(folder / f"{mode} {case} {rank}.safetensors")
        moved = 0.0
        start = load_file(folder / "start" / "model.safetensors")
        for name, value in weights.items():
            torch.testing.assert_close(value, expected["weights"][name], atol=2e-4, rtol=2e-3)
            moved = max(moved, (value - start.get(name, value)).abs().max().item())
        assert moved > 2e-3  # far more than the tolerance
        assert found["answers"] == expected["answers"]
        np.testing.assert_allclose(found["log_prob"], expected["log_prob"], atol=5e-3)
        assert [one["step"] for one in found["history"]] == [one["step"] for one in expected["history"]]
        for one, other in zip(found["history"], expected["history"], strict=True):
            assert one["train_loss"] == pytest.approx(other["train_loss"], abs=1e-3)
            assert list(one["predictions"]) == list(other["predictions"])


@pytest.mark.slow
@pytest.mark.parametrize("case", HALF)
@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_two_processes_in_bfloat16(mode, case, folder, alone):
    """The same course, within rounding; every process has the same float32 weights in the end."""
    expected, start = alone[case], load_file(folder / "start" / "model.safetensors")
    both = [load_file(folder / f"{mode} {case} {rank}.safetensors") for rank in (0, 1)]
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])
    moved, should = (
        torch.cat([(ends[name] - start[name]).flatten() for name in start]) for ends in (both[0], expected["weights"])
    )
    assert torch.nn.functional.cosine_similarity(moved, should, dim=0) > 0.95 and should.abs().max() > 2e-3
    assert (both[0]["model.norm.weight"] != both[0]["model.norm.weight"].bfloat16()).any()
    for rank in (0, 1):
        found = json.loads((folder / f"{mode} {case} {rank}.json").read_text())
        assert found["kinds"] == expected["kinds"] == ["torch.bfloat16"]
        for one, other in zip(found["history"][1:], expected["history"][1:], strict=True):
            assert one["train_loss"] == pytest.approx(other["train_loss"], rel=0.03)


@pytest.mark.slow
def test_gradients_are_summed_in_few_messages_while_others_are_computed(folder):
    found = json.loads((folder / "ddp ml 0.json").read_text())
    parameters = sum(value.numel() for value in load_file(folder / "start" / "model.safetensors").values())
    buckets = [size for size, _ in found["sums"] if size > 1]
    steps = 10
    assert sum(buckets) == steps * parameters  # each gradient once a step
    assert 2 * steps < len(buckets) < steps * parameters * 4 / 10_000
    early = [during for size, during in found["sums"] if size > 1]
    assert not any(early[: len(buckets) // steps])  # nothing is known of the memory yet
    assert sum(early) > len(early) / 2


@pytest.mark.slow
def test_accelerate_launches_the_command_line(tmp_path):
    command = [
        "-m", "w2s_lab", "run", "--sizes", "200,100,100,20", "--weak", "pocket-xs", "--strong", "pocket-s",
        "--epochs", "2", "--weak-epochs", "1", "--seeds", "1", "--device", "cpu",
    ]  # fmt: skip
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
              "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    numbers, outputs = [], []
    # Two true processes: what accelerate's launcher sees to when they start is seen here.
    for name, program, words in (("two", sys.executable, launch), ("one", forked(), [])):
        own = ["--store", str(tmp_path / name), "--json", str(tmp_path / f"{name}.json")]
        done = subprocess.run(
            [program, *words, *command, *own], capture_output=True, text=True, timeout=600, env=environment()
        )
        assert done.returncode == 0, done.stderr[-3000:]
        numbers.append(json.loads((tmp_path / f"{name}.json").read_text()))
        outputs.append(done.stdout)
    two, one = numbers
    assert outputs[0].count("strong ceiling  ") == outputs[1].count("strong ceiling  ")  # only one of them prints
    for role, interval in one["accuracy"].items():
        assert two["accuracy"][role]["mean"] == pytest.approx(interval["mean"], abs=0.021)


def test_a_single_process_is_its_own_main():
    assert parallel.is_main() and parallel.world() == 1 and parallel.start("cpu") == "cpu"
    rows = torch.arange(5)
    assert parallel.own(rows) is not None and torch.equal(parallel.gathered(parallel.own(rows), 5), rows)
    assert parallel.gathered_objects("a") == ["a"] and parallel.from_main(lambda: 3) == 3
