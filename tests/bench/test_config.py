"""Configurations: what ships is sound, what is misspelt is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from curenu.bench import load_config, shipped
from curenu.errors import BadRequest

GOOD = """
title = "t"
about = "a"
duration = "1 s"
trained = [0]
oracles = [10, 11]
tuning_budget = 2

[task]
name = "digits"

[[erasures]]
name = "tenth"
kind = "random"
share = 0.1

[[methods]]
method = "fine-tune"
arguments = { epochs = 1 }
grid = { learning_rate = [0.01, 0.03] }

[smoke]
tuning_budget = 3
[smoke.task.options]
examples = 5
"""


AGAIN = """
[[erasures]]
name = "tenth"
kind = "random"
share = 0.2

[smoke]"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", shipped())
def test_what_ships_is_valid_whole_and_small(name: str) -> None:
    for smoke in (False, True):
        short, config = load_config(name, smoke=smoke)
        assert short.startswith(name)
        assert config.methods


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    _, config = load_config(written(tmp_path, GOOD))
    (method,) = config.methods
    assert method.points() == [
        {"epochs": 1, "learning_rate": 0.01},
        {"epochs": 1, "learning_rate": 0.03},
    ]
    assert method.make(method.points()[1]).learning_rate == 0.03  # type: ignore[attr-defined]


def test_the_small_form_replaces_parts_and_keeps_the_rest(tmp_path: Path) -> None:
    name, config = load_config(written(tmp_path, GOOD), smoke=True)
    assert name == "mine-smoke"
    assert (config.tuning_budget, config.task.name) == (3, "digits")
    assert config.task.options == {"examples": 5}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "t"', "titel = 1", "title"),
        ("trained = [0]", "trained = [10]", "share a seed"),
        ("oracles = [10, 11]", "oracles = [10]", "oracles"),
        ("share = 0.1", "share = 1.5", "share"),
        ("share = 0.1", "shares = 0.1", "shares"),
        ("share = 0.1", "", "needs `share`"),
        ('kind = "random"', 'kind = "groups"', "needs `count`"),
        ("tuning_budget = 2", "tuning_budget = 1", "budget is 1"),
        ('method = "fine-tune"', 'method = "fine-tone"', "fine-tune"),
        ('method = "fine-tune"', 'method = "retrain"', "oracle's row"),
        ("epochs = 1", "epoch = 1", "epochs"),
        ("epochs = 1", 'epochs = "many"', "does not fit"),
        ("epochs = 1", "epochs = 0", "epochs"),
        ("[smoke]", AGAIN, "two are"),
        ("title", "= title", "no TOML"),
        ("tuning_budget = 2", "[audits]\nensemble = true", "4 trained"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if new.startswith("[audits]"):
        text = GOOD.replace("[task]", "[audits]\nensemble = true\n[task]")
    with pytest.raises(BadRequest, match=said):
        load_config(written(tmp_path, text))


def test_the_small_form_cuts_grids_to_its_budget(tmp_path: Path) -> None:
    text = GOOD.replace("tuning_budget = 3", "tuning_budget = 1")
    (method,) = load_config(written(tmp_path, text), smoke=True)[1].methods
    assert method.points() == [{"epochs": 1, "learning_rate": 0.01}]


def test_an_erasure_is_asked_of_the_methods_it_names(tmp_path: Path) -> None:
    other = '[[methods]]\nmethod = "stocurenu"\n\n[smoke]'
    text = GOOD.replace("[smoke]", other, 1)
    named = text.replace("share = 0.1", 'share = 0.1\nmethods = ["stocurenu"]')
    config = load_config(written(tmp_path, named))[1]
    assert [m.title for m in config.methods_of(config.erasures[0])] == ["stocurenu"]
    with pytest.raises(BadRequest, match="no method has the title 'scrub'"):
        load_config(written(tmp_path, named.replace('["stocurenu"]', '["scrub"]')))


def test_unknown_configurations_are_refused_with_the_nearest() -> None:
    with pytest.raises(BadRequest, match="quick"):
        load_config("quik")
    with pytest.raises(BadRequest, match="no file"):
        load_config("nowhere.toml")


def test_a_configuration_without_a_small_form_says_so(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("[smoke]")]
    with pytest.raises(BadRequest, match="smoke"):
        load_config(written(tmp_path, text), smoke=True)
