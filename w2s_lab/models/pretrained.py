"""What a network of transformers can do besides reading, for one that is written here: folders, devices, generation.

transformers' own modelling code takes seconds to import. It is needed to generate text, for a LoRA, to spread a network
over several GPUs, and for networks of other kinds.
"""

import json
from dataclasses import dataclass, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from w2s_lab.system.files import replacing
from w2s_lab.system.record import Record

PLAIN = {  # of a config.json, besides the sizes: what `Llama` does, and transformers' Llama by default
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
}
IGNORED = {  # without influence on the logits
    *("_name_or_path", "dtype", "torch_dtype", "transformers_version", "use_cache", "pretraining_tp"),
    *("unk_token_id", "initializer_range", "transformers.js_config", "is_llama_config", "rope_interleaved"),
    *("return_dict", "output_hidden_states", "output_attentions", "chunk_size_feed_forward", "id2label", "label2id"),
    *("is_encoder_decoder", "problem_type"),
}


@dataclass(frozen=True)
class LlamaConfig(Record):
    """The sizes of a network, by the names of transformers' config.json.

    Attributes:
        num_key_value_heads: heads of keys and values; each serves as many heads of queries as come to it.
        rope_theta: base of the rotary positions.
        tie_word_embeddings: whether a token's logit is the product of the last state with the token's own embedding.
    """

    is_encoder_decoder: ClassVar[bool] = False

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    tie_word_embeddings: bool = True
    max_position_embeddings: int = 1024
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None

    def get_text_config(self) -> "LlamaConfig":
        """Itself: there is nothing but text."""
        return self


class Pretrained(nn.Module):
    """A network of `config`, whose blocks are `model.layers`, with the weights' names that transformers gives them."""

    config: LlamaConfig
    architecture = PLAIN["architectures"][0]

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return next(self.parameters()).dtype

    @property
    def base_model(self) -> nn.Module:
        """All but the output head."""
        return self.model

    def get_input_embeddings(self) -> nn.Module:
        """The module that turns token ids into states."""
        return self.model.embed_tokens

    def get_output_embeddings(self) -> nn.Module:
        """The module that turns states into logits."""
        return self.lm_head

    def tie(self) -> Self:
        """The same network, whose head and embeddings are one matrix again if the configuration says so."""
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight
        return self

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activations are computed a second time on the way back instead of being kept."""
        return any("forward" in vars(block) for block in self.model.layers)

    def gradient_checkpointing_enable(self, options: dict[str, Any]) -> None:
        """From now on keep of each block only what goes in."""
        for block in self.model.layers:
            block.forward = partial(checkpoint, block.forward, **options)

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations again."""
        for block in self.model.layers:
            vars(block).pop("forward", None)

    # -- folders -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_folder(cls, folder: Path) -> Self | None:
        """The network of a folder in the layout of transformers, in float32; None if it is not quite of this kind."""
        try:
            config = plain_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
            files = sorted(folder.glob("*.safetensors"))
            weights = {name: value for path in files for name, value in load_file(path).items()}
            return config and cls._of(config, weights, copy=True)
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError):
            return None  # transformers says what is wrong, or reads it in some other way

    @classmethod
    def like(cls, network: nn.Module, *, copy: bool = True) -> Self | None:
        """The same network, in float32, as transformers has it, with its weights or a copy; None: of no such kind."""
        config = plain_config(network.config.to_dict())
        return config and cls._of(config, network.state_dict(), copy)

    @classmethod
    def _of(cls, config: LlamaConfig, weights: dict[str, Tensor], copy: bool) -> Self:
        """A network with these weights; raises RuntimeError where names or shapes do not fit."""
        with torch.device("meta"), _NoFirstWeights():
            network = cls(config)
        weights = {name: value for name, value in weights.items() if not name.endswith("rotary_emb.inv_freq")}
        if config.tie_word_embeddings:
            weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        weights = {name: value.to(torch.float32, copy=copy) for name, value in weights.items()}
        network.load_state_dict(weights, assign=True)
        return network.tie().eval()

    def save_pretrained(self, folder: Path) -> None:
        """Write configuration and weights in the layout of transformers."""
        weights = {name: value.contiguous() for name, value in self.state_dict().items()}
        if self.config.tie_word_embeddings:
            del weights["lm_head.weight"]
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "config.json") as new:
            new.write_text(json.dumps(self._facts(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        kinds = {name: value for name, value in self.config.to_dict().items() if name.endswith("_token_id")}
        how = {"_from_model_config": True, **kinds, "transformers_version": version("transformers")}
        with replacing(folder / "generation_config.json") as new:
            new.write_text(json.dumps(how, indent=2) + "\n", encoding="utf-8")
        with replacing(folder / "model.safetensors") as new:
            save_file(weights, new, metadata={"format": "pt"})

    def _facts(self) -> dict[str, Any]:
        """What config.json says."""
        sizes = self.config.to_dict()
        rope = {"rope_theta": sizes.pop("rope_theta"), "rope_type": "default"}
        return sizes | PLAIN | {"rope_parameters": rope, "dtype": str(self.dtype).removeprefix("torch.")}

    # -- transformers ------------------------------------------------------------------------------------------------

    def to_transformers(self) -> Any:
        """The same network as transformers writes it; the weights are those of this one, not a copy."""
        from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
        from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

        config = LlamaConfig(**self._facts())
        with torch.device("meta"), _NoFirstWeights():
            twin = LlamaForCausalLM(config)
        twin.load_state_dict(self.state_dict(), assign=True)
        twin.tie_weights()
        twin.model.rotary_emb = LlamaRotaryEmbedding(config=config).to(self.device)  # holds numbers, no weights
        twin.generation_config = GenerationConfig.from_model_config(config)
        return twin.train(self.training)

    def generate(self, **options: Any) -> Any:
        """What transformers' `generate` returns for this network."""
        return self.to_transformers().generate(**options)


class _NoFirstWeights(TorchFunctionMode):
    """Inside the block, layers do not draw the weights they begin with; on the meta device that alone takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def plain_config(facts: dict[str, Any]) -> LlamaConfig | None:
    """The sizes that a config.json gives; None where it asks for anything that `Llama` does not do."""
    facts = {name: value for name, value in facts.items() if value is not None and name not in IGNORED}
    rope = facts.pop("rope_parameters", None) or {"rope_theta": facts.pop("rope_theta", 10_000.0)}
    asked = {name: facts.pop(name, usual) for name, usual in PLAIN.items()}
    if asked != PLAIN or rope.pop("rope_type", "default") != "default" or set(rope) != {"rope_theta"}:
        return None
    facts.setdefault("num_key_value_heads", facts["num_attention_heads"])
    facts.setdefault("head_dim", facts["hidden_size"] // facts["num_attention_heads"])
    facts = {"tie_word_embeddings": False} | facts | rope
    if set(facts) - {field.name for field in fields(LlamaConfig)}:
        return None
    return LlamaConfig(**facts)
