"""Models and data sets of the Hub: through the real client libraries, from a server on this machine."""

import io
import json
import random
import subprocess
import sys
from collections import Counter

import datasets
import pytest
import torch
from hub_server import ROOT, TOKEN, Hub, Worker, client_environment
from transformers import BertConfig, BertModel, T5Config, T5ForConditionalGeneration

from w2s_lab.data.hub import LONGEST, brief
from w2s_lab.data.presets import PRESETS, cosmosqa, preset_table, sciq
from w2s_lab.data.readers import DataError, DataWarning
from w2s_lab.data.sources import load_splits
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import new_llama, save_model, train_tokenizer
from w2s_lab.records import Example

LABELS = datasets.ClassLabel(names=["negative", "positive"])
NONE = "None of the above choices ."

# -- tiny repositories ------------------------------------------------------------------------------------------------


def parquet(rows: list[dict], **classes: datasets.ClassLabel) -> bytes:
    dataset = datasets.Dataset.from_list(rows)
    for column, feature in classes.items():
        dataset = dataset.cast_column(column, feature)
    file = io.BytesIO()
    dataset.to_parquet(file)
    return file.getvalue()


def jsonl(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


PLAIN = [{"text": f"film {i}", "label": "good" if i % 2 else "bad"} for i in range(50)]
SCIQ = [
    {
        "question": f"What is {i} plus one?",
        "correct_answer": str(i + 1),
        "distractor1": f"{i}0",
        "distractor2": f"{i}1",
        "distractor3": f"{i}2",
        "support": f"Count on from {i}.",
    }
    for i in range(80)
]
BOOLQ = [
    {"question": f"is {i} an even number", "answer": i % 2 == 0, "passage": f"{i} objects lie in pairs."}
    for i in range(50)
]
COSMOS = [
    {
        "id": str(i),
        "context": f"I went out at {i} .",
        "question": "What may have happened ?",
        **{f"answer{k}": NONE if k == 3 else f"choice {k} of {i}" for k in range(4)},
        "label": i % 4,
    }
    for i in range(60)
]
REVIEWS = [{"label": i % 2, "title": f"Title {i}", "content": f"It was {i} times as good."} for i in range(50)]
SENTENCES = [{"idx": i, "sentence": f"film {i} ", "label": i % 2} for i in range(50)]
TWO = b"---\nconfigs:\n- config_name: one\n  data_files: one/*\n- config_name: two\n  data_files: two/*\n---\n"
HUB_PARQUET = "refs/convert/parquet"


def put_data(hub: Hub) -> None:
    hub.put("datasets", "a/plain", {"train.jsonl": jsonl(PLAIN)})
    hub.put("datasets", "a/cut", {"train.jsonl": jsonl(PLAIN)})
    hub.put("datasets", "a/test-only", {"test.jsonl": jsonl(PLAIN)})
    hub.put("datasets", "a/two", {"README.md": TWO, "one/train.parquet": parquet(PLAIN), "two/train.jsonl": b"{}"})
    hub.put("datasets", "a/script", {"script.py": b"raise SystemExit('the code ran')"})
    for name in ("a/private", "a/hidden"):
        hub.put("datasets", name, {"train.jsonl": jsonl(PLAIN)}, access="private")
    hub.put("datasets", "a/gated", {"train.jsonl": jsonl(PLAIN)}, access="gated")
    parts = {"train": SCIQ[:60], "validation": SCIQ[60:70], "test": SCIQ[70:]}
    hub.put("datasets", "allenai/sciq", {f"data/{s}-00000-of-00001.parquet": parquet(r) for s, r in parts.items()})
    parts = {"train": BOOLQ[:40], "validation": BOOLQ[40:]}
    hub.put("datasets", "google/boolq", {f"data/{s}-00000-of-00001.parquet": parquet(r) for s, r in parts.items()})
    hub.put("datasets", "allenai/cosmos_qa", {"cosmos_qa.py": b"raise SystemExit('the code ran')"})
    unlabelled = [{**row, "label": -1} for row in COSMOS[:3]]
    parts = {"train": COSMOS[:50], "validation": COSMOS[50:], "test": unlabelled}
    files = {f"default/{s}/0000.parquet": parquet(r) for s, r in parts.items()}
    hub.put("datasets", "allenai/cosmos_qa", files, revision=HUB_PARQUET)
    files = {f"amazon_polarity/{s}-0.parquet": parquet(REVIEWS, label=LABELS) for s in ("train", "test")}
    hub.put("datasets", "fancyzhx/amazon_polarity", files)
    hidden = [{**row, "label": -1} for row in SENTENCES[:3]]
    parts = {"train": SENTENCES[:40], "validation": SENTENCES[40:], "test": hidden}
    files = {f"data/{s}-00000-of-00001.parquet": parquet(r, label=LABELS) for s, r in parts.items()}
    hub.put("datasets", "stanfordnlp/sst2", files)


def edited(files: dict[str, bytes], name: str, without: str = "", **values: object) -> dict[str, bytes]:
    """These files with another JSON file among them."""
    content = {key: value for key, value in json.loads(files[name]).items() if key != without}
    return {**files, name: json.dumps({**content, **values}).encode()}


def put_models(hub: Hub, llama: LanguageModel, folder) -> None:
    def files(network=llama.network, tokenizer=llama.tokenizer) -> dict[str, bytes]:
        save_model(LanguageModel("", "", tokenizer, network), folder / str(len(hub.names)))
        return {path.name: path.read_bytes() for path in (folder / str(len(hub.names))).iterdir()}

    whole, pickled = files(), {"pytorch_model.bin": b"a pickle"}
    beside = {
        "onnx/model.safetensors": b"not ours",
        "onnx/config.json": b"{}",
        "consolidated.safetensors": b"not ours",
        **pickled,
    }
    hub.put("models", "a/tiny", whole | beside)
    hub.put("models", "a/tiny", files(new_llama(llama.tokenizer, layers=1, width=16, heads=2, seed=3)), revision="v2")
    for access in ("private", "gated", "talkative"):
        hub.put("models", f"a/{access}", whole, access=access)
    hub.put("models", "a/cut", whole)
    weightless = {name: body for name, body in whole.items() if name != "model.safetensors"}
    hub.put("models", "a/pickle", weightless | pickled)
    code = {"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"}
    hub.put("models", "a/code", {**edited(whole, "config.json", model_type="mine", auto_map=code), "a.py": b"1/0"})
    hub.put("models", "a/no-tokenizer", {name: body for name, body in whole.items() if "token" not in name})
    hub.put("models", "a/no-end", edited(whole, "tokenizer_config.json", without="eos_token"))
    hub.put("models", "a/no-pad", edited(whole, "tokenizer_config.json", without="pad_token"))
    hub.put("models", "a/short", {**whole, "model.safetensors": whole["model.safetensors"][:-100]})
    small = train_tokenizer(iter([]), 258)
    hub.put("models", "a/more-ids", files(new_llama(small, layers=1, width=16, heads=2, seed=0)))
    hub.put("models", "a/fewer-ids", files(tokenizer=small))
    sizes = {"vocab_size": len(llama.tokenizer), "d_model": 16, "d_kv": 8, "d_ff": 16, "num_heads": 2}
    hub.put("models", "a/seq2seq", files(T5ForConditionalGeneration(T5Config(**sizes, num_layers=1))))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    hub.put("models", "a/encoder", files(BertModel(BertConfig(vocab_size=len(llama.tokenizer), **sizes))))


@pytest.fixture(scope="module")
def hub(llama, tmp_path_factory):
    hub = Hub()
    put_models(hub, llama, tmp_path_factory.mktemp("models"))
    put_data(hub)
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The client's cache, which outlives the processes."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def online(hub, home):
    worker = Worker(hub.endpoint, home)
    yield worker
    worker.close()
    assert TOKEN not in worker.errors.read_text()


def fails(answer: dict, *parts: str) -> None:
    """One sentence, on one line, with all parts, without the token, and without a cause that could quote it."""
    assert "error" in answer, answer
    for part in parts:
        assert part in answer["error"], answer["error"]
    assert "\n" not in answer["error"] and TOKEN not in json.dumps(answer)


# -- models ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_model_by_id_scores_as_the_one_that_was_saved(online, hub, llama):
    hub.log.clear()
    loaded = online("load", "a/tiny")
    prompts, answers = llama._prompt_tokens([Example("Judge.", "a great film")]), llama.encode_answers(["yes", "no"])
    with torch.no_grad():
        expected = llama.log_probs(prompts, answers)[0].tolist()
    assert loaded["digest"] == llama.digest and loaded["name"] == "a/tiny"
    assert loaded["scores"] == pytest.approx(expected, abs=1e-5)
    sent = {path.rpartition("/")[2] for path in hub.bodies()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= sent
    assert not sent & {"pytorch_model.bin", "consolidated.safetensors"} and not any("onnx" in p for p in hub.bodies())


@pytest.mark.slow
def test_a_revision_in_the_name_or_as_an_argument(online):
    main, named, given = online("load", "a/tiny"), online("load", "a/tiny@v2"), online("load", "a/tiny", revision="v2")
    assert named["digest"] == given["digest"] != main["digest"]
    assert online("load", "a/tiny@v2", revision="v2")["digest"] == named["digest"]
    fails(online("load", "a/tiny@v2", revision="v3"), "'a/tiny@v2' names one revision", "'v3'")


@pytest.mark.slow
def test_what_was_downloaded_is_not_downloaded_again(online, hub):
    first = online("load", "a/tiny")
    hub.log.clear()
    assert online("load", "a/tiny") == first
    assert hub.log and hub.bodies() == []


@pytest.mark.slow
def test_an_interrupted_download_says_so_and_is_finished_by_the_next(online, hub, llama):
    hub.log.clear()
    hub.cut = 3000  # bytes; config.json is shorter, the weights are longer
    broken = online("load", "a/cut")
    hub.cut = None
    fails(broken, "download of model 'a/cut' was interrupted", "run it again", "kept")
    resumed = [wanted for method, path, wanted, status in hub.log if wanted and status == 206]
    assert resumed, "the client did not resume within the call"
    hub.log.clear()
    assert online("load", "a/cut")["digest"] == llama.digest
    sent = {path.rpartition("/")[2] for path in hub.bodies()}
    assert "model.safetensors" in sent and "config.json" not in sent


@pytest.mark.slow
def test_a_private_model_needs_the_token(online, llama):
    fails(online("load", "a/private"), "there is no model 'a/private' on the Hub, or it is private", "HF_TOKEN")
    assert online("load", "a/private", token=TOKEN)["digest"] == llama.digest


@pytest.mark.slow
def test_a_token_that_the_server_quotes_is_left_out(online):
    fails(online("load", "a/talkative", token=TOKEN), "'a/talkative'", "you sent Bearer ***")


@pytest.mark.slow
@pytest.mark.parametrize(("what", "name"), [("load", "a/none"), ("read", "hub:a/none")])
def test_a_wrong_token(online, what, name):
    fails(online(what, name, token=f"{TOKEN}wrong"), "the Hub refused the access token", "HF_TOKEN")


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(("what", "name"), [("load", "a/gated"), ("read", "hub:a/gated")])
def test_gated_repositories(online, what, name, token):
    fails(online(what, name, token=token), "'a/gated' is gated", "conditions", "HF_TOKEN")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a/none", ("there is no model 'a/none' on the Hub", "pocket-s", "owner/name")),
        ("a/tiny@v9", ("'a/tiny' has no revision 'v9'", "branch, a tag or a commit")),
        ("a/bad name", ("model 'a/bad name'", "cannot be loaded")),
        ("a/pickle", ("no weights in safetensors format", "pytorch_model.bin")),
        ("a/code", ("'a/code' cannot be loaded: it needs its own code, which this kit does not run",)),
        ("a/seq2seq", ("encoder-decoder (T5Config)", "causal language model")),
        ("a/encoder", ("'a/encoder' is an encoder (Bert",)),
        ("a/no-tokenizer", ("'a/no-tokenizer' cannot be loaded: it has no files of a tokenizer", "tokenizer.json")),
        ("a/no-end", ("'a/no-end': its tokenizer has no end-of-text token",)),
        (
            "a/short",
            ("'a/short' cannot be loaded: its file model.safetensors is damaged or cut off at", "Hint: delete"),
        ),
    ],
)
@pytest.mark.slow
def test_a_model_that_cannot_be_used(online, name, parts):
    fails(online("load", name), *parts)


@pytest.mark.slow
def test_a_tokenizer_with_more_ids_than_the_network_has_rows(online, llama):
    fails(online("load", "a/more-ids"), f"{len(llama.tokenizer)} token ids", "258 rows")
    assert "scores" in online("load", "a/fewer-ids")


@pytest.mark.slow
def test_a_tokenizer_without_padding_token_simply_works(online):
    padded, bare = online("load", "a/tiny"), online("load", "a/no-pad")
    assert padded["pad"] is not None and bare["pad"] is None
    assert bare["scores"] == padded["scores"]


@pytest.mark.slow
def test_scratch_downloads_no_weights(online, hub, llama):
    hub.log.clear()
    scratch = online("load", "scratch:a/tiny@v2")
    assert "digest" in scratch and scratch["digest"] not in (llama.digest, online("load", "a/tiny@v2")["digest"])
    hub.put("models", "a/scratch", hub.commits["models", "a/tiny"][hub.names["models", "a/tiny"]["main"]])
    hub.log.clear()
    assert "digest" in online("load", "scratch:a/scratch")
    assert hub.bodies() and not any("safetensors" in path for path in hub.bodies())


# -- data sets ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_data_set_by_its_id(online):
    found = online("read", "hub:a/plain")
    assert [(text, answer) for _, text, answer, *_ in found["examples"]] == [(r["text"], r["label"]) for r in PLAIN]
    assert set(found["answers"]) == {"good", "bad"}
    assert online("read", "hub:a/two:one")["examples"] == found["examples"]
    assert online("read", "hub:a/private", token=TOKEN)["examples"] == found["examples"]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("hub:a/none", ("there is no data set 'a/none' on the Hub", "owner/name", "sciq")),
        ("hub:sciqq", ("there is no data set 'sciqq'", "sciq, boolq, cosmosqa, amazon_polarity, sst2")),
        ("hub:a/hidden", ("there is no data set 'a/hidden' on the Hub, or it is private", "HF_TOKEN")),
        ("hub:a/plain@v9", ("'a/plain' has no revision 'v9'",)),
        ("hub:sst2@v9", ("'stanfordnlp/sst2' has no revision 'v9'",)),
        ("hub:a/two", ("'a/two' has more than one configuration; expected one of 'one', 'two'", "hub:a/two:one")),
        ("hub:a/two:three", ("'a/two' has no configuration 'three'; expected one of 'one', 'two'",)),
        ("hub:a/test-only", ("'a/test-only' has no split 'train'; its splits are 'test'",)),
        ("hub:a/script", ("'a/script' is a program", f"hub:a/script@{HUB_PARQUET}")),
        ("hub:sst2:default", ("hub:sst2:default: sst2 has its own columns", "hub:stanfordnlp/sst2")),
    ],
)
@pytest.mark.slow
def test_a_data_set_that_cannot_be_used(online, source, parts):
    fails(online("read", source), source, *parts)


@pytest.mark.slow
def test_an_interrupted_data_set(online, hub):
    hub.cut = 600
    broken = online("read", "hub:a/cut")
    hub.cut = None
    fails(broken, "download of data set 'a/cut' was interrupted", "run it again")
    assert online("read", "hub:a/cut")["examples"] == online("read", "hub:a/plain")["examples"]


EXPECTED = {
    "boolq": {
        (f"Question: {row['question']}?\nPassage: {row['passage']}", "yes" if row["answer"] else "no") for row in BOOLQ
    },
    "amazon_polarity": {(f"{r['title']}\n{r['content']}", LABELS.names[r["label"]]) for r in REVIEWS},
    "sst2": {(row["sentence"].strip(), LABELS.names[row["label"]]) for row in SENTENCES},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_classification_presets(online, name):
    found = online("read", f"hub:{name}")
    assert (found["task"], set(found["answers"])) == (name, {answer for _, answer in EXPECTED[name]})
    assert {(text, answer) for _, text, answer, *_ in found["examples"]} == EXPECTED[name]
    assert len(found["examples"]) == 50 and found["warnings"] == []
    assert len({instruction for instruction, *_ in found["examples"]}) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("sciq", SCIQ), ("cosmosqa", COSMOS)])
def test_multiple_choice_presets(online, name, rows):
    """Every question once, and the answer is yes exactly where the candidate is the correct one."""
    found = online("read", f"hub:{name}")
    assert (found["task"], found["answers"], len(found["examples"])) == (name, ["yes", "no"], len(rows))
    for row, (_, text, answer, tags, _) in zip(rows, found["examples"], strict=True):
        question, candidate, *context = text.split("\n")
        candidate = candidate.removeprefix("Proposed answer: ")
        if name == "sciq":
            correct, choices = (
                row["correct_answer"],
                {row["correct_answer"], *(row[f"distractor{k}"] for k in (1, 2, 3))},
            )
            assert not context
        else:
            correct, choices = row[f"answer{row['label']}"], {row[f"answer{k}"] for k in range(4)}
            assert context == [f"Context: {row['context']}"] and tags == ["none-of-the-above"] * (candidate == NONE)
        assert question == f"Question: {row['question']}" and candidate in choices
        assert answer == ("yes" if candidate == correct else "no")
    assert {answer for _, _, answer, *_ in found["examples"]} == {"yes", "no"}


@pytest.mark.slow
def test_a_preset_takes_another_instruction(online):
    found = online("read", "hub:sst2", instruction="Judge.")
    assert {instruction for instruction, *_ in found["examples"]} == {"Judge."}
    fails(online("read", "hub:sst2", answer_column="label"), "sst2 has its own columns", "hub:stanfordnlp/sst2")


# -- presets, without a server -----------------------------------------------------------------------------------------


class Rows(list):
    """As much of a `datasets.Dataset` as a preset uses."""

    def select(self, places):
        return Rows(self[place] for place in places)


class Endless:
    """3.6 million rows, each made when it is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 3_600_000

    def select(self, places):
        self.asked += places
        return ({"label": i % 2, "title": "T", "content": f"number {i}"} for i in places)


def inputs(table) -> list[str]:
    return [row.values["input"] for row in table.rows]


@pytest.mark.slow
def test_a_sample_of_a_large_data_set_reads_only_what_it_keeps():
    parts = [Endless(), Endless()]
    tables = [preset_table("hub:amazon_polarity", PRESETS["amazon_polarity"], [part]) for part in parts]
    assert len(tables[0].rows) == len(parts[0].asked) == len(set(parts[0].asked)) == 20_000
    assert inputs(tables[0]) == inputs(tables[1]) and parts[0].asked == sorted(parts[0].asked)
    assert max(parts[0].asked) > 3_500_000
    assert tables[0].notes == ("a sample of 20,000 of the 3,600,000 rows of train, drawn with seed 0.",)


@pytest.mark.parametrize("preset", [sciq, cosmosqa])
def test_the_candidate_is_a_fair_coin_and_depends_on_content_alone(preset):
    rows = [
        dict(row, question=f"{row['question']} {i}") for i in range(50) for row in (SCIQ, COSMOS)[preset is cosmosqa]
    ]
    examples = {json.dumps(row): preset(row) for row in rows}
    counts = Counter(example.answer for example in examples.values())
    assert abs(counts["yes"] / len(rows) - 0.5) < 3 * 0.5 / len(rows) ** 0.5
    lines = list(examples)
    random.Random(0).shuffle(lines)
    assert [preset(json.loads(line)) for line in lines] == [examples[line] for line in lines]
    if preset is sciq:  # each distractor as often as the others, in whatever column it is
        swapped = [{**row, "distractor1": row["distractor3"], "distractor3": row["distractor1"]} for row in rows]
        assert [preset(row) for row in swapped] == [preset(row) for row in rows]
        wrong = Counter(e.input.split("\n")[1][-1] for e in examples.values() if e.answer == "no")
        assert max(wrong.values()) < 1.2 * min(wrong.values()) and len(wrong) == 3


def test_a_question_that_occurs_twice_is_kept_once():
    again = {
        **SCIQ[0],
        "correct_answer": "another",
        "distractor1": "some",
        "distractor2": "other",
        "distractor3": "words",
    }
    with pytest.warns(DataWarning, match="1 row left out: the same question"):
        table = preset_table("hub:sciq", PRESETS["sciq"], [Rows(SCIQ[:10]), Rows([again]), Rows(SCIQ[10:20])])
    assert inputs(table) == [sciq(row).input for row in SCIQ[:20]]


def test_values_that_are_not_as_expected():
    def message(name: str, *parts: list[dict]) -> str:
        with pytest.raises(DataError) as caught:
            preset_table(f"hub:{name}", PRESETS[name], [Rows(part) for part in parts])
        return str(caught.value)

    hidden = {**SENTENCES[0], "label": -1}
    assert "hub:sst2, split validation, row 2: column 'label' is -1; expected 0, 1" in message(
        "sst2", SENTENCES, [SENTENCES[1], hidden]
    ).replace("one of ", "")
    renamed = [{"text": "a", "label": 1}]
    text = message("sst2", renamed, [])
    assert (
        "row 1: column 'sentence' is None; expected a text" in text and "the columns here are 'text', 'label'" in text
    )
    assert "column 'answer' is None" in message("boolq", [{**BOOLQ[0], "answer": None}], [])
    assert "has no rows" in message("sst2", [], [])


def test_presets_are_documented():
    for name, preset in PRESETS.items():
        for part in (
            preset.repository,
            "Split",
            "Answers: " + ", ".join(preset.answers)[:3],
            "Licence:",
            "according to",
        ):
            assert part in preset.example.__doc__, (name, part)


def test_a_preset_comes_in_through_load_splits(monkeypatch):
    """Four disjoint parts, with the same ids whatever the order of the rows."""
    found = []
    for rows in (SCIQ, SCIQ[::-1]):
        monkeypatch.setattr(datasets, "load_dataset", lambda *_, rows=rows, **__: [Rows(rows), Rows(), Rows()])
        splits = load_splits("hub:sciq")
        found.append(
            [getattr(splits, part).ids for part in ("supervisor_train", "student_train", "test", "validation")]
        )
    assert found[0] == found[1]
    assert {i for part in found[0] for i in part} == {sciq(row).id for row in SCIQ}


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_message_is_short_and_has_no_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a secret")
    text = brief(ValueError(f"refused\n\n  'a secret' and {TOKEN} {'x' * 500}"))
    assert text.startswith("refused '***' and *** xxx") and len(text) == LONGEST
    assert brief(KeyError()) == "KeyError"


# -- another process: the command line; and without a network ----------------------------------------------------------


COMMANDS = """
import sys
from w2s_lab.cli.commands import main

run = ["run", "--data", "hub:sst2", "--seeds", "1", "--epochs", "1", "--device", "cpu", "--store", sys.argv[1]]
assert main([*run, "--weak", "a/tiny@v2", "--strong", "a/tiny"]) == 0
sys.exit(main([*run, "--weak", "a/none"]))
"""


@pytest.mark.slow
def test_the_command_line(hub, home, tmp_path):
    """A run from the Hub alone; then a model that is not there, said in one line."""
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(tmp_path)],
        env=client_environment(hub.endpoint, home, HF_TOKEN=TOKEN),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=200,
    )
    assert done.returncode == 2, done.stderr
    assert "note: 50 rows read, 50 examples kept" in done.stdout and "a/tiny@v2 supervises a/tiny" in done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("w2s-lab: ") and "there is no model 'a/none' on the Hub" in last
    assert TOKEN not in done.stdout + done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_offline_and_without_a_network(online, hub, home, llama):
    """What the cache has still works; the rest is said to be missing, with the reason."""
    data = online("read", "hub:boolq")["examples"]
    assert online("load", "a/tiny")["digest"] == llama.digest
    hub.put("models", "a/late", hub.commits["models", "a/tiny"][hub.names["models", "a/tiny"]["main"]])
    hub.stop()
    hub.log.clear()
    offline = Worker(hub.endpoint, home, HF_HUB_OFFLINE="1")
    try:
        assert online("load", "a/tiny")["digest"] == llama.digest
        fails(online("load", "a/late"), "'a/late': the Hub cannot be reached", "check the network", "ladder")
        assert offline("load", "a/tiny")["digest"] == llama.digest
        assert offline("load", "a/tiny@v2")["digest"] == online("load", "a/tiny@v2")["digest"] != llama.digest
        fails(offline("load", "a/late"), "'a/late' is not in the cache", "HF_HUB_OFFLINE")
        assert offline("read", "hub:boolq")["examples"] == data
        fails(offline("read", "hub:a/late"), "'a/late' is not in the cache", "HF_HUB_OFFLINE", "sentiment")
        fails(offline("read", "hub:a/two:two"), "is not in the cache", "HF_HUB_OFFLINE")
        assert hub.log == []
    finally:
        offline.close()
        hub.start()
