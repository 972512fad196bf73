"""The memory explorer: what the bars say is what the estimate says, and what one counts by hand."""

import re

import pytest
from pictures import sound, stored

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.memory_explorer import estimated, memory_explorer
from w2s_lab.planning.estimate import DEVICES, GB
from w2s_lab.planning.hub_models import MODELS
from w2s_lab.recipe import LoRA

LARGE, SMALL = "HuggingFaceTB/SmolLM2-1.7B", "HuggingFaceTB/SmolLM2-135M"


def bars(panel) -> dict[str, float]:
    return {bar.label: bar.value for bar in panel.view.charts[0].bars}


def test_all_weights_take_sixteen_bytes_each():
    panel = memory_explorer(SMALL, "T4")
    found, parameters = bars(panel), MODELS[SMALL].parameters
    assert found["weights"] == pytest.approx(4 * parameters / GB)
    assert found["gradients"] == pytest.approx(4 * parameters / GB)
    assert found["AdamW's averages"] == pytest.approx(8 * parameters / GB)
    assert found["all together"] == pytest.approx(sum(v for name, v in found.items() if name != "all together"))
    assert "it fits" in panel.view.says and f"{found['all together']:.1f} GB" in panel.view.says


def test_an_adapter_makes_a_large_model_fit():
    panel = memory_explorer(LARGE, "T4")
    assert "does not fit into the 14.4 GB" in panel.view.says
    assert panel.view.charts[0].bars[-1].note == "GB, too much"
    panel.set(lora_rank=16, gradient_checkpointing=True)
    adapter = MODELS[LARGE].adapter_parameters(LoRA(rank=16))
    assert bars(panel)["gradients"] == pytest.approx(4 * adapter / GB)
    assert bars(panel)["weights"] == pytest.approx(4 * (MODELS[LARGE].parameters + adapter) / GB)
    assert "it fits" in panel.view.says and panel.view.charts[0].bars[-1].note == "GB, fits"
    assert "LoRA" not in panel.summary and "lora rank 16" in panel.summary


@pytest.mark.parametrize(
    ("control", "low", "high", "part"),
    [("tokens", 64, 1024, "activations"), ("batch_size", 1, 8, "activations"), ("batch_size", 1, 8, "logits")],
)
def test_controls_move_their_part_alone(control, low, high, part):
    panel = memory_explorer(SMALL, "H200")
    first = bars(panel.set(**{control: low}))
    second = bars(panel.set(**{control: high}))
    assert second[part] > first[part]
    assert all(second[name] == first[name] for name in ("weights", "gradients", "AdamW's averages"))


def test_a_smaller_card_takes_a_batch_in_pieces():
    panel = memory_explorer("HuggingFaceTB/SmolLM2-360M", "T4").set(tokens=1024, batch_size=64)
    at_once, of = map(int, re.search(r"(\d+) of (\d+) examples at a time", panel.view.says).groups())
    assert at_once < of == 64
    assert bars(panel)["all together"] <= 0.9 * DEVICES["T4"].memory / GB
    assert "at a time" not in panel.set(card="H200").view.says


def test_every_position_can_be_drawn():
    panel = memory_explorer()
    for model in MODELS:
        for card in DEVICES:
            panel.set(model=model, card=card)
            assert sound(panel.view.charts[0]).get("aria-label") == panel.view.says and "GB" in panel.view.says


def test_the_stored_notebook_has_a_picture():
    bundle = stored(room.memory_explorer(SMALL, "L4"))
    assert bundle["text/plain"].startswith("Will it fit? [model SmolLM2-135M, card L4, 24 GB")


@pytest.mark.parametrize(("model", "card"), [("pocket-l", "T4"), (SMALL, "RTX 9")])
def test_the_unknown_is_named(model, card):
    with pytest.raises(ValueError, match="is unknown; expected one of"):
        memory_explorer(model, card)
    with pytest.raises(ValueError):
        estimated(model, card)
