"""From a GGUF file, in which weights have about four bits, to an ordinary folder that `load_model` reads.

transformers reads the file and dequantises it. Its `save_pretrained` refuses such models, so weights, configuration and
tokenizer are written one by one.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from w2s_lab.data.package_index import Progress
from w2s_lab.models.loading import quiet
from w2s_lab.system.files import said_with_path

# The dequantised numbers, d * q + m of two float16 numbers, lie nearer to float16 than to bfloat16: see
# docs/real_english.md.
STORED_AS = torch.float16


def smollm2(folder: Path, progress: Progress) -> None:
    """Replace `model.gguf` in a folder, a SmolLM2, by weights, configuration and tokenizer as transformers writes them.

    Args:
        folder: in which it lies.
        progress: is called with percent of the time that it takes.

    Raises:
        OSError: the disk is full.
    """
    what = "made readable"
    file = {"gguf_file": "model.gguf"}
    progress(what, 0, 100)
    with quiet():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, **file)
        progress(what, 20, 100)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **file)
        progress(what, 40, 100)
        network = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=torch.float32, trust_remote_code=False, **file
        )
        progress(what, 98, 100)
    weights = {name: value.to(STORED_AS).contiguous() for name, value in network.state_dict().items()}
    config = network.config
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    config.dtype, config.architectures = STORED_AS, [type(network).__name__]
    for name in ("quantization_config", "_model_name_or_path"):  # of the file, not of what is written
        vars(config).pop(name, None)
    # The file says "smollm" for: digits one by one, then GPT-2's pieces; transformers leaves the digits out.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = config.max_position_embeddings
    with said_with_path(folder / "model.safetensors"):
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "model.gguf").unlink()
    progress(what, 100, 100)
