"""Language models of the Hub with their sizes and licences; pairs of them with recipes, for a GPU.

Nothing here is loaded or downloaded. The facts are numbers of each model's config.json and the licence of its card; the
tests build every architecture without memory for its weights and count its parameters.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from w2s_lab import assets
from w2s_lab.data import fetch
from w2s_lab.experiments.procedure import Plan
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.system.registry import Registry

FAMILIES = ("llama", "mistral", "qwen2", "olmo2", "gpt_neox")  # `model_type` of the configs that are understood


class UnknownSize(ValueError):
    """The size of a model cannot be known before it is downloaded or loaded; the message says why."""


@dataclass(frozen=True)
class Architecture:
    """The numbers of a causal language model that decide its memory and its speed.

    Attributes:
        name: Hub id, folder, or name in the ladder.
        family: `model_type` of its config.
        layers: transformer layers.
        width: of the hidden state.
        mlp_width: of the hidden layer of each MLP.
        heads: attention heads.
        kv_heads: heads of keys and values, fewer where several query heads share one.
        vocabulary: rows of the embedding matrix.
        tied: the output matrix is the embedding matrix.
        context: the largest number of tokens that the model was made for.
        licence: identifier on the model card.
        source: where the numbers were found.
    """

    name: str
    family: str
    layers: int
    width: int
    mlp_width: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    context: int
    licence: str
    source: str

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of the linear maps of one layer."""
        d, m, kv = self.width, self.mlp_width, self.width * self.kv_heads // self.heads
        if self.family == "gpt_neox":  # queries, keys and values in one; an MLP without a gate
            return ((d, 3 * d), (d, d), (d, m), (m, d))
        return ((d, d), (d, kv), (d, kv), (d, d), (d, m), (d, m), (m, d))

    @property
    def layer_weights(self) -> int:
        """Entries of the matrices of all layers: what every token is multiplied with."""
        return self.layers * sum(into * out for into, out in self.matrices)

    @property
    def parameters(self) -> int:
        """Number of parameters, a shared matrix counted once: matrices, norms, biases, embeddings."""
        d, kv = self.width, self.width * self.kv_heads // self.heads
        vectors = {"qwen2": 3 * d + 2 * kv, "olmo2": 3 * d + kv, "gpt_neox": 9 * d + self.mlp_width}.get(
            self.family, 2 * d
        )
        last_norm = 2 * d if self.family == "gpt_neox" else d
        embeddings = self.vocabulary * d * (1 if self.tied else 2)
        return self.layer_weights + self.layers * vectors + last_norm + embeddings

    def adapter_parameters(self, lora: LoRA) -> int:
        """Parameters of a LoRA on every linear map of the layers: rank * (in + out) each."""
        return self.layers * sum(lora.rank * (into + out) for into, out in self.matrices)

    @classmethod
    def from_config(cls, config: Any, name: str, *, licence: str = "unknown", source: str = "config") -> "Architecture":
        """The architecture of a config of transformers, or of the mapping in a config.json.

        Biases that a config switches on beyond those of its family are not counted (they are below 0.1 %).

        Raises:
            UnknownSize: the family is not known here, or its heads have a width of their own.
        """
        facts: Mapping = config if isinstance(config, Mapping) else config.to_dict()
        family = facts.get("model_type")
        if family not in FAMILIES:
            raise UnknownSize(f"{name}: an estimate is made for {', '.join(FAMILIES)}, not for {family!r}")
        width, heads = facts["hidden_size"], facts["num_attention_heads"]
        if (facts.get("head_dim") or width // heads) * heads != width:
            raise UnknownSize(f"{name}: its attention heads are not width / heads wide, so no estimate is made")
        return cls(
            name,
            family,
            facts["num_hidden_layers"],
            width,
            facts["intermediate_size"],
            heads,
            facts.get("num_key_value_heads") or heads,
            facts["vocab_size"],
            facts.get("tie_word_embeddings", False),
            facts["max_position_embeddings"],
            licence,
            source,
        )


def architecture(name: str) -> Architecture:
    """The architecture of a model by Hub id (a revision may follow), ladder name, name of `w2s-lab fetch` or folder.

    `scratch:NAME` has the architecture of NAME. A model that is still to be fetched has that of the model in `MODELS`
    that its entry names as `like`.

    Raises:
        UnknownSize: a model of the Hub that is not in `MODELS`, or a folder without a config that is understood.
    """
    bare = name.removeprefix("scratch:")
    entry = fetch.FETCHABLE.get(bare)
    known = MODELS.get((entry.like or "") if entry else bare.partition("@")[0])  # owner/name@revision
    if entry and known and not fetch.here(bare):
        return replace(known, name=name, licence=entry.licence.lower())
    rung = bare in {path.parent.name for path in assets.MODELS.glob("*/config.json")}
    folder = assets.MODELS / bare if rung else fetch.folder(bare) if entry and fetch.here(bare) else Path(bare)
    if bare and folder.is_dir():
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            licence = "MIT (made by this kit)" if rung else card_licence(folder)
            return Architecture.from_config(config, name, licence=licence, source=str(folder / "config.json"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, UnknownSize):
                raise
            raise UnknownSize(f"{name}: its config.json cannot be read ({error})") from None
    if known is None:
        raise UnknownSize(f"{name}: its size is unknown before it is downloaded (see its page on the Hub)")
    return known


def card_licence(folder: Path) -> str:
    """The licence that a model's card names, in the first lines of its README.md; or that none is named."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown, since its folder has no card (README.md)"
    head = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    facts = dict(re.findall(r"^(license|license_name):[ \t]*[\"']?([^\s\"'#]+)", head[1] if head else "", re.MULTILINE))
    if facts.get("license") == "other" and "license_name" in facts:
        return f"{facts['license_name']}, see its README.md"
    return facts.get("license", "unknown, since its card (README.md) names none")


def _models() -> dict[str, Architecture]:
    """Name -> architecture; the numbers are in the order of the fields."""
    smollm, pythia, qwen = "SmolLM2 (arXiv 2502.02737)", "Pythia (arXiv 2304.01373)", "Qwen2.5 (arXiv 2412.15115)"
    apache = "apache-2.0"
    rows = (
        ("HuggingFaceTB/SmolLM2-135M", "llama", 30, 576, 1536, 9, 3, 49152, True, 8192, apache, smollm),
        ("HuggingFaceTB/SmolLM2-360M", "llama", 32, 960, 2560, 15, 5, 49152, True, 8192, apache, smollm),
        ("HuggingFaceTB/SmolLM2-1.7B", "llama", 24, 2048, 8192, 32, 32, 49152, True, 8192, apache, smollm),
        ("EleutherAI/pythia-70m", "gpt_neox", 6, 512, 2048, 8, 8, 50304, False, 2048, apache, pythia),
        ("EleutherAI/pythia-160m", "gpt_neox", 12, 768, 3072, 12, 12, 50304, False, 2048, apache, pythia),
        ("EleutherAI/pythia-410m", "gpt_neox", 24, 1024, 4096, 16, 16, 50304, False, 2048, apache, pythia),
        ("EleutherAI/pythia-1.4b", "gpt_neox", 24, 2048, 8192, 16, 16, 50304, False, 2048, apache, pythia),
        ("Qwen/Qwen2.5-0.5B", "qwen2", 24, 896, 4864, 14, 2, 151936, True, 32768, apache, qwen),
        ("Qwen/Qwen2.5-1.5B", "qwen2", 28, 1536, 8960, 12, 2, 151936, True, 32768, apache, qwen),
        ("Qwen/Qwen2.5-3B", "qwen2", 36, 2048, 11008, 16, 2, 151936, True, 32768, "qwen-research", qwen),
        ("Qwen/Qwen2.5-7B", "qwen2", 28, 3584, 18944, 28, 4, 152064, False, 131072, apache, qwen),
        ("allenai/OLMo-2-0425-1B", "olmo2", 16, 2048, 8192, 16, 16, 100352, False, 4096, apache, "arXiv 2501.00656"),
    )  # fmt: skip
    return {name: Architecture(name, *facts[:-1], f"config.json and card on the Hub; {facts[-1]}")
            for name, *facts in rows}  # fmt: skip


MODELS = _models()
RESTRICTED = {"qwen-research": "research and evaluation only, no commercial use"}  # licence -> what it restricts


@dataclass(frozen=True)
class HubPair:
    """A weak and a strong model with recipes, for a GPU.

    Attributes:
        weak, strong: Hub ids.
        memory: of the GPU that it is meant for, in GB (10^9 bytes).
        weak_recipe: of the weak supervisor.
        recipe: of the strong student and the strong ceiling.
        why: where the values come from.
    """

    weak: str
    strong: str
    memory: int
    weak_recipe: Recipe
    recipe: Recipe
    why: str


# The start values of openai/weak-to-strong: batches of 32, two epochs, 5e-5 up to GPT-2 medium (0.36 B), 1e-5 from
# GPT-2 large (0.77 B); models between the two sizes take 5e-5 here.
SMALL = Recipe(epochs=2, learning_rate=5e-5, max_tokens=512)
LARGE = Recipe(epochs=2, learning_rate=1e-5, max_tokens=512, eval_every=24, gradient_checkpointing=True)
# An adapter needs about ten times the learning rate of all weights (Schulman et al. 2025, LoRA Without Regret).
ADAPTER = Recipe(epochs=2, learning_rate=1e-4, max_tokens=512, eval_every=24, gradient_checkpointing=True, lora=LoRA())
FULL_WHY = "Rates and epochs are the start values of openai/weak-to-strong, not tuned there"
LORA_WHY = "The rate is ten times that of all weights (Schulman et al. 2025); EleutherAI/w2s starts from 8e-5"
NOT_RUN = "the pair itself was not run by the authors of this kit."

PAIRS: Registry[HubPair] = Registry("pair", {
    "smollm2-8gb": HubPair(
        "HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-360M", 8, SMALL,
        Recipe(epochs=2, learning_rate=5e-5, max_tokens=512, eval_every=24, gradient_checkpointing=True),
        f"All weights of both, for the GPU of a laptop. {FULL_WHY}; {NOT_RUN}",
    ),
    "smollm2-16gb": HubPair(
        "HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-1.7B", 16, SMALL, ADAPTER,
        f"An adapter, for a free 16 GB card, in float32 where it has no bfloat16 (T4). {LORA_WHY}; {NOT_RUN}",
    ),
    "pythia-16gb": HubPair(
        "EleutherAI/pythia-70m", "EleutherAI/pythia-1.4b", 16, SMALL, ADAPTER,
        f"The same data in the same order made both, so that only the size differs. {LORA_WHY}; {NOT_RUN}",
    ),
    "qwen-24gb": HubPair(
        "Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-1.5B", 24, SMALL, ADAPTER,
        f"An adapter on a model that is three times its supervisor. {LORA_WHY}; {NOT_RUN}",
    ),
    "qwen-80gb": HubPair(
        "Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-3B", 80, SMALL, LARGE,
        f"All weights of both, as in Burns et al. (2023). {FULL_WHY}; {NOT_RUN}",
    ),
    "qwen7b-80gb": HubPair(
        "Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-7B", 80, SMALL, ADAPTER,
        f"The widest gap here; all weights of 7 B would take more than 120 GB. {LORA_WHY}; {NOT_RUN}",
    ),
})  # fmt: skip


def pair_plan(name: str, *, device: str = "auto") -> Plan:
    """The plan of a named pair; ValueError where there is no such pair."""
    pair = PAIRS[name]
    return Plan(pair.weak, pair.strong, pair.weak_recipe, pair.recipe, device)
