"""What a benchmark compares: one configuration file, checked before anything runs."""

from __future__ import annotations

import itertools
import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from curenu.erasure import Method
from curenu.errors import BadRequest
from curenu.method_choice import make_method, suggestion
from curenu.runs.records import Anchoring, Value

__all__ = [
    "Config",
    "ErasureConfig",
    "MethodConfig",
    "TaskConfig",
    "load_config",
    "shipped",
]

Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskConfig(_Part):
    """A built-in task or `file.py:function`, its options, and which parameters move."""

    name: Name
    options: dict[str, Value] = Field(default_factory=dict)
    only: str | tuple[str, ...] | None = None


class ErasureConfig(_Part):
    """Which examples go: at random, of classes, mislabelled, or of whole groups (people).

    `share` is of the training set, or of each class; `count` a number of groups, or of examples
    drawn at random. With
    `rounds` above 1 the request comes in so many parts, one after the other. `methods` are
    the titles of those that are asked, all if none is named.
    """

    name: Name
    kind: Literal["random", "classes", "mislabelled", "groups"]
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    classes: tuple[int, ...] = ()
    count: Count | None = None
    rounds: Count = 1
    seed: int = 7
    methods: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {
            "random": self.share or self.count,
            "mislabelled": self.share,
            "classes": self.share if self.classes else None,
            "groups": self.count,
        }[self.kind]
        if needed is None:
            words = {
                "classes": "`classes` and `share`",
                "groups": "`count`",
                "random": "`share` or `count`",
            }
            raise ValueError(f"kind {self.kind!r} needs {words.get(self.kind, '`share`')}")
        if self.share and self.count:
            raise ValueError("`share` and `count` of one erasure")
        return self


class MethodConfig(_Part):
    """A method with its arguments; those in `grid` are chosen on a validation request.

    `anchor` is the model that every request of a sequence builds the anchored objective at.
    """

    method: Name
    label: str = ""
    arguments: dict[str, Value] = Field(default_factory=dict)
    grid: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    anchor: Anchoring = "last"

    @property
    def title(self) -> str:
        """The name in tables: the label, or the method and what is set by hand."""
        said = ", ".join(f"{key} {value}" for key, value in self.arguments.items())
        return self.label or (f"{self.method} ({said})" if said else self.method)

    def points(self) -> list[dict[str, Value]]:
        """Every combination of the grid, as arguments."""
        columns = [[(key, value) for value in values] for key, values in self.grid.items()]
        return [self.arguments | dict(point) for point in itertools.product(*columns)]

    def make(self, arguments: dict[str, Value]) -> Method:
        """The method with these arguments."""
        return make_method(self.method, arguments)


class Audits(_Part):
    """Which audits beyond closeness: membership of single models, relearning, ensembles.

    `ensemble` audits (U-LiRA, KLoM, forgetting score) need four trained networks and four
    oracles or more. `relearning` is a number of optimiser steps, 0 for none.
    """

    membership: bool = True
    relearning: Annotated[int, Field(ge=0)] = 0
    ensemble: bool = False
    stationarity: bool = False


class Published(_Part):
    """A figure printed by the paper, shown beside ours."""

    erasure: str
    method: str
    figure: str
    value: float
    setting: str


class Config(_Part):
    """A whole benchmark.

    `trained` are the seeds of the networks erased from, `oracles` those of the retrained
    ones (no seed in both), `seeds` those of the methods. `tuning_budget` bounds the grid
    points of every method alike, `tuning_extensions` how often a grid whose best value is at
    an edge goes on beyond it. `degeneracy` adds the curvature along training. `smoke`
    replaces parts of the configuration for a quick run.
    """

    title: Name
    about: str = ""
    duration: str = ""
    task: TaskConfig
    erasures: tuple[ErasureConfig, ...] = Field(min_length=1)
    methods: tuple[MethodConfig, ...] = Field(min_length=1)
    trained: tuple[int, ...] = Field(default=(0, 1), min_length=1)
    oracles: tuple[int, ...] = Field(default=(10, 11, 12), min_length=2)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    tuning_budget: Count = 6
    tuning_extensions: Annotated[int, Field(ge=0)] = 3
    audits: Audits = Audits()
    degeneracy: bool = False
    published: tuple[Published, ...] = ()
    smoke: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if set(self.trained) & set(self.oracles):
            raise ValueError("trained and oracles share a seed: an oracle must be a stranger")
        if self.audits.ensemble and min(len(self.trained), len(self.oracles)) < 4:
            raise ValueError("ensemble audits need 4 trained networks and 4 oracles")
        for names in ([e.name for e in self.erasures], [m.title for m in self.methods]):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"two are named {sorted(twice)[0]!r}")
        titles = {method.title for method in self.methods}
        for erasure in self.erasures:
            strangers = sorted(set(erasure.methods) - titles)
            if strangers:
                raise ValueError(f"no method has the title {strangers[0]!r} of {erasure.name!r}")
        for method in self.methods:
            if method.method == "retrain":
                raise ValueError("retraining is the oracle's row of every table already")
            if len(method.points()) > self.tuning_budget:
                raise ValueError(
                    f"the grid of {method.title!r} has {len(method.points())} points, "
                    f"the tuning budget is {self.tuning_budget} for every method"
                )
        return self

    def methods_of(self, erasure: ErasureConfig) -> list[MethodConfig]:
        """The methods that an erasure is asked of."""
        return [m for m in self.methods if not erasure.methods or m.title in erasure.methods]

    def check_methods(self) -> None:
        """Build every method at every grid point once, so that no cell can be misspelt."""
        for method in self.methods:
            for point in method.points():
                method.make(point)


def shipped() -> dict[str, Config]:
    """The configurations that come with the package, by name."""
    folder = resources.files("curenu.bench") / "configs"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name
    )
    return {
        file.name.removesuffix(".toml"): _parse(file.read_text(), file.name, smoke=False)
        for file in files
    }


def load_config(name: str, *, smoke: bool = False) -> tuple[str, Config]:
    """(short name, configuration) of a shipped name or of a TOML file.

    Raises `BadRequest` for what is unknown, misspelt or inconsistent, with its place.
    """
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise BadRequest(f"There is no file {path}.", "the path of a TOML file.")
        config, short = _parse(path.read_text(), str(path), smoke=smoke), path.stem
    else:
        folder = resources.files("curenu.bench") / "configs"
        file = folder / f"{name}.toml"
        if not file.is_file():
            raise BadRequest(
                f"No configuration is named {name!r}.",
                suggestion(name, shipped()).rstrip(".") + " (`curenu bench --list`), or a file.",
            )
        config, short = _parse(file.read_text(), file.name, smoke=smoke), name
    config.check_methods()
    return (f"{short}-smoke" if smoke else short), config


def _parse(text: str, place: str, *, smoke: bool) -> Config:
    try:
        content = tomllib.loads(text)
        if smoke:
            if not content.get("smoke"):
                raise BadRequest(f"{place} has no [smoke] part.", "running it whole.")
            content = _smoke(content, content["smoke"])
        return Config.model_validate(content)
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"{place} is no TOML: {error}.", "mending the file.") from error
    except ValidationError as error:
        said = "; ".join(_complaint(complaint) for complaint in error.errors())
        raise BadRequest(f"{place}, {said}.", "the fields of docs/bench.md.") from error


def _complaint(error: Any) -> str:
    """Where, why, and what was given, in a line."""
    where = ".".join(map(str, error["loc"])) or "the whole"
    if error["type"] == "missing":
        return f"{where}: missing"
    reason = error["msg"].removeprefix("Value error, ")
    return f"{where}: {reason} (given: {_short(error['input'])})"


def _smoke(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The small form: erasures and methods may be named to keep only those."""
    changes = dict(changes)
    for part, name in (("erasures", "name"), ("methods", "method")):
        chosen = changes.get(part)
        if chosen and all(isinstance(word, str) for word in chosen):
            changes[part] = [entry for entry in content.get(part, []) if entry[name] in chosen]
    small = _merged(content, changes)
    if chosen := changes.get("methods"):
        titles = {str(m.get("label") or m.get("method")) for m in chosen if isinstance(m, dict)}
        small["erasures"] = [_asking(erasure, titles) for erasure in small.get("erasures", [])]
    budget = changes.get("tuning_budget")
    if isinstance(budget, int) and budget > 0:
        small["methods"] = [_cut(method, budget) for method in small.get("methods", [])]
    return small


def _asking(erasure: dict[str, Any], titles: set[str]) -> dict[str, Any]:
    """`erasure` asked only of the methods that are left."""
    left = [title for title in erasure.get("methods", []) if title in titles]
    return erasure | {"methods": left} if left else erasure


def _cut(method: dict[str, Any], budget: int) -> dict[str, Any]:
    """`method` with its grid cut at the ends to `budget` points."""
    grid = {name: list(values) for name, values in method.get("grid", {}).items()}
    while math.prod(map(len, grid.values())) > budget:
        max(grid.values(), key=len).pop()
    return method | {"grid": grid} if grid else method


def _merged(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`content` with `changes` laid over it; tables are merged, anything else replaced."""
    merged = dict(content)
    for key, value in changes.items():
        old = merged.get(key)
        both = isinstance(value, dict) and isinstance(old, dict)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
