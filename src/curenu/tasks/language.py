"""Questions and answers as a causal language model takes them, and what it says to them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from curenu.errors import BadRequest

__all__ = [
    "Answers",
    "Vocabulary",
    "generate",
    "next_token_logits",
    "score_answers",
    "text_alone",
    "train_vocabulary",
]

_IGNORED = -100  # a label that is no target, as in transformers
_BATCH = 16  # sequences scored or continued at once

Pair = tuple[str, str]
"""A question and an answer."""


@contextmanager
def text_alone() -> Iterator[None]:
    """Import transformers inside, without its image parts.

    It imports torchvision wherever that is installed (K-FAC's package brings it), and that
    import fails beside a CPU build of torch; text needs none of it.
    """
    if "torchvision" in sys.modules:
        yield
        return
    sys.modules["torchvision"] = None  # type: ignore[assignment]  # found as not installed
    try:
        from transformers.utils.import_utils import is_torchvision_available

        is_torchvision_available()  # its answer is kept for what is imported later
        yield
    finally:
        del sys.modules["torchvision"]


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and the token that ends an answer and fills what follows."""

    tokenizer: Any
    end: int

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return self.tokenizer.get_vocab_size()

    def prompt(self, question: str) -> list[int]:
        """The tokens before the answer."""
        text = f"Question: {question}\nAnswer:"
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def answer(self, answer: str) -> list[int]:
        """The tokens of the answer and its end."""
        text = f" {answer}"
        return [*self.tokenizer.encode(text, add_special_tokens=False).ids, self.end]

    def text(self, tokens: Sequence[int]) -> str:
        """What the tokens before the first end say."""
        kept = list(tokens)
        kept = kept[: kept.index(self.end)] if self.end in kept else kept
        return self.tokenizer.decode(kept).strip()


def train_vocabulary(texts: Sequence[str], size: int) -> Vocabulary:
    """Byte pairs learnt from `texts`: no text has an unknown token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return Vocabulary(tokenizer, tokenizer.get_vocab()["<end>"])


class Answers(Dataset[dict[str, Tensor]]):
    """Pairs as mappings of `input_ids`, `labels` and `attention_mask`, each `[length]`.

    Labels are the answer's tokens and its end; the question and what fills up are no
    targets. An answer is cut at `length`; `BadRequest` when a question leaves no room.
    """

    def __init__(self, pairs: Sequence[Pair], vocabulary: Vocabulary, length: int) -> None:
        rows = [_row(pair, vocabulary, length) for pair in pairs]
        ids, labels, mask = zip(*rows, strict=True)
        self.input_ids, self.labels, self.attention_mask = map(torch.tensor, (ids, labels, mask))

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            "input_ids": self.input_ids[index],
            "labels": self.labels[index],
            "attention_mask": self.attention_mask[index],
        }


def _row(pair: Pair, vocabulary: Vocabulary, length: int) -> tuple[list[int], list[int], list[int]]:
    prompt, answer = vocabulary.prompt(pair[0]), vocabulary.answer(pair[1])
    if len(prompt) >= length:
        raise BadRequest(
            f"The question {pair[0][:60]!r} takes {len(prompt)} tokens of {length}.",
            "a larger `length`.",
        )
    tokens = (prompt + answer)[:length]
    labels = ([_IGNORED] * len(prompt) + answer)[:length]
    rest = length - len(tokens)
    mask = [1] * len(tokens) + [0] * rest
    return tokens + [vocabulary.end] * rest, labels + [_IGNORED] * rest, mask


def next_token_logits(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Logits `[b, t, v]` of a transformers model; what fills up comes last and is not seen."""
    return model(input_ids=batch["input_ids"], use_cache=False).logits


def score_answers(
    model: nn.Module, pairs: Sequence[Pair], vocabulary: Vocabulary, length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(mean log-probability of an answer's tokens `[n]`, whether each was the likeliest).

    The second is `[n, length − 1]`: 1 or 0 at an answer's tokens in order, then NaN.
    """
    data = Answers(pairs, vocabulary, length)
    scores: list[float] = []
    right = np.full((len(data), length - 1), np.nan)
    for start in range(0, len(data), _BATCH):
        labels = data.labels[start : start + _BATCH, 1:]
        with torch.no_grad():
            batch = {"input_ids": data.input_ids[start : start + _BATCH]}
            logits = next_token_logits(model, batch)[:, :-1].float()
        losses = functional.cross_entropy(
            logits.mT, labels, ignore_index=_IGNORED, reduction="none"
        )
        hits = (logits.argmax(2) == labels).double()
        asked = labels != _IGNORED
        for row, mask in enumerate(asked):
            scores.append(-float(losses[row][mask].double().mean()))
            right[start + row, : int(mask.sum())] = hits[row][mask].numpy()
    return np.array(scores), right


def generate(
    model: nn.Module, questions: Sequence[str], vocabulary: Vocabulary, limit: int
) -> list[str]:
    """The model's own answers, always the likeliest next token, at most `limit` of them."""
    said: list[str] = []
    for chunk in _chunks(questions):
        prompts = [vocabulary.prompt(question) for question in chunk]
        width = max(map(len, prompts))
        ids = torch.tensor([[vocabulary.end] * (width - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        with torch.no_grad():
            made = model.generate(  # type: ignore[operator]
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=limit,
                do_sample=False,
                eos_token_id=vocabulary.end,
                pad_token_id=vocabulary.end,
            )
        said += [vocabulary.text(row) for row in made[:, width:].tolist()]
    return said


def _chunks(questions: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(questions), _BATCH):
        yield questions[start : start + _BATCH]
