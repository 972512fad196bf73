"""Will it fit? How much of a card's memory each part of a fine-tuning takes, counted before anything is loaded."""

import ipywidgets as widgets

from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Mark
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, stops
from w2s_lab.figures.plots import ROLE, Role
from w2s_lab.planning.estimate import DEVICES, GB, RESERVE, Estimate, Texts, estimate_training
from w2s_lab.planning.hub_models import MODELS
from w2s_lab.recipe import LoRA, Recipe

EXAMPLES, EPOCHS = 1500, 2  # of the training whose minutes are told
TOKENS = (32, 64, 128, 256, 512, 1024, 2048)
ROWS = (1, 2, 4, 8, 16, 32, 64)
RANKS = (("none", 0), *((str(rank), rank) for rank in (4, 8, 16, 32, 64, 128)))
PARTS = ("weights", "gradients", "optimizer", "activations", "logits")
NAMES = {"optimizer": "AdamW's averages"}


def estimated(
    model: str, card: str, *, lora_rank: int = 0, checkpointing: bool = False, tokens: int = 256, batch_size: int = 32
) -> Estimate:
    """What one fine-tuning takes: a closed task of two answers, EXAMPLES examples of `tokens` tokens, EPOCHS passes.

    Args:
        model: a key of `pairs.MODELS`.
        card: a key of `estimate.DEVICES`.
        lora_rank: of the adapter; 0: all weights are trained.
        checkpointing: gradient checkpointing.
        tokens: of every prompt.
        batch_size: examples a step; if they do not fit at once, they go through in pieces.

    Raises:
        ValueError: no such model or card.
    """
    for name, known in ((model, MODELS), (card, DEVICES)):
        if name not in known:
            raise ValueError(f"{name!r} is unknown; expected one of {', '.join(known)}")
    recipe = Recipe(
        epochs=EPOCHS,
        batch_size=batch_size,
        max_tokens=max(tokens + 8, 16),
        lora=LoRA(rank=lora_rank) if lora_rank else None,
        gradient_checkpointing=checkpointing,
    )
    return estimate_training(MODELS[model], recipe, DEVICES[card], Texts(tokens, tokens, 2, 2), examples=EXAMPLES)


def _draw(model: str, card: str, lora_rank: int, gradient_checkpointing: bool, tokens: int, batch_size: int) -> View:
    options = {"lora_rank": lora_rank, "checkpointing": gradient_checkpointing}
    found = estimated(model, card, **options, tokens=tokens, batch_size=batch_size)
    memory = DEVICES[card].memory / GB
    usable = (1 - RESERVE) * memory
    total = Role("all together", ROLE["ceiling" if found.fits else "same"].color, "o", "")
    bars = [Bar(NAMES.get(part, part), getattr(found, part) / GB, "student", note="GB") for part in PARTS]
    bars.append(Bar("all together", found.memory / GB, total, note="GB, fits" if found.fits else "GB, too much"))
    says = _say(found, model, card, usable)
    reach = max(1.15 * memory, 1.1 * found.memory / GB)
    chart = BarChart("GB (10⁹ bytes)", tuple(bars), (0.0, reach), (Mark(usable, f"{card}: {usable:.1f} usable"),), says)
    return View(says, (chart,))


def _say(found: Estimate, model: str, card: str, usable: float) -> str:
    """Whether the training fits, in pieces of how many examples, and how long it takes."""
    name, parameters = model.partition("/")[2], MODELS[model].parameters / 1e6
    head = f"{name} ({parameters:,.0f} M parameters) takes {found.memory / GB:.1f} GB"
    if not found.fits:
        return f"{head}, even one example at a time: it does not fit into the {usable:.1f} GB that {card} leaves."
    pieces = "" if found.rows == found.wanted_rows else f", {found.rows} of {found.wanted_rows} examples at a time"
    minutes = found.seconds / 60
    time = f"{minutes:.0f}" if minutes >= 10 else f"{minutes:.1f}"
    return f"{head}{pieces}: it fits. {EPOCHS} passes over {EXAMPLES:,} examples take about {time} minutes."


def memory_explorer(model: str = "HuggingFaceTB/SmolLM2-1.7B", card: str = "T4") -> Panel:
    """Sliders over model, card, LoRA, gradient checkpointing, length and batch: memory by part, and whether it fits.

    The numbers are those of `estimate.estimate_training`, counted from the architecture; nothing is loaded. A real run
    takes a third to three times as long as estimated.

    Raises:
        ValueError: no such model or card.
    """
    estimated(model, card)
    models = [(f"{name.partition('/')[2]}", name) for name in MODELS]
    cards = [(f"{name}, {device.memory / GB:.0f} GB", name) for name, device in DEVICES.items()]
    controls = {
        "model": choice("model", models, model, width="230px"),
        "card": choice("card", cards, card, width="180px"),
        "lora_rank": stops("LoRA rank", RANKS, 0, width="250px"),
        "gradient_checkpointing": widgets.Checkbox(
            value=False, description="gradient checkpointing", indent=False, layout=widgets.Layout(width="200px")
        ),
        "tokens": stops("tokens", TOKENS, 256, width="240px"),
        "batch_size": stops("batch size", ROWS, 32, width="240px"),
    }
    return Panel("Will it fit?", controls, _draw)
