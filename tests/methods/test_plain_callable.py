"""A plain function of network and loaders as a method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import curenu
from curenu.bench.config import MethodConfig
from curenu.cli.choice import build_method
from curenu.erasure import ErasureProblem
from curenu.errors import BadRequest, IllPosed, UnsupportedModel
from curenu.methods.plain_callable import PlainCallable
from curenu.runs.identity import describe_method
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, generator


def descend(net: Any, retain: Any, forget: Any, validation: Any) -> Any:
    """One full-batch step on the retain set, as an entry to the challenge would write it."""
    rule = torch.optim.SGD(net.parameters(), lr=0.1)
    for x, y in retain:
        rule.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        rule.step()
    return net


def test_a_plain_function_is_a_method() -> None:
    problem = problem_of("mlp", weight_decay=0.0)
    erasure = PlainCallable(descend, batch_size=100)(problem, generator=generator())
    expected = problem.start - 0.1 * problem.retain.gradient(problem.start)
    torch.testing.assert_close(erasure.theta, expected)
    assert "validation on the retain set" in erasure.notes


def test_a_plain_function_gets_the_network_in_training_and_loaders_of_its_sets() -> None:
    problem, seen = problem_of("mlp"), []

    def look(net: Any, *loaders: Any) -> Any:
        assert net.training
        assert torch.is_grad_enabled()
        for loader in loaders:
            batches = [list(loader) for _ in range(2)]
            assert all(len(x) == len(y) <= 4 for x, y in batches[0])
            seen.append([torch.cat([x for x, _ in batch]) for batch in batches])
        return net

    with torch.no_grad():
        theta = PlainCallable(look, batch_size=4)(problem, generator=generator()).theta
    assert torch.equal(theta, problem.start)
    x = PROBLEMS["mlp"]().dataset.tensors[0]  # type: ignore[attr-defined]
    for (first, second), risk in zip(
        seen, (problem.retain, problem.forget, problem.retain), strict=True
    ):
        wanted = sorted(x[risk.ids].tolist())
        assert sorted(first.tolist()) == sorted(second.tolist()) == wanted
    assert not torch.equal(*seen[0])


def test_a_plain_function_validates_on_examples_set_aside_where_there_are_some() -> None:
    given, sizes = problem_of("mlp"), []

    def count(net: Any, *loaders: Any) -> Any:
        sizes.extend(len(loader.dataset) for loader in loaders)
        return net

    kept, aside = given.retain.subset([0, 2, 3, 5]), given.retain.subset([6, 8])
    problem = ErasureProblem(given.start, kept, given.forget, holdout=aside)
    erasure = PlainCallable(count)(problem, generator=generator())
    assert sizes == [4, 3, 2]
    assert "validation on the holdout set" in erasure.notes


def test_a_plain_function_draws_from_the_generator_and_leaves_torchs_own_alone() -> None:
    problem = problem_of("mlp")

    def jitter(net: Any, *_: Any) -> Any:
        for parameter in net.parameters():
            parameter.data.add_(torch.randn_like(parameter))
        return net

    before, stream = torch.get_rng_state(), generator(1)
    first, second = (PlainCallable(jitter)(problem, generator=stream).theta for _ in range(2))
    again = PlainCallable(jitter)(problem, generator=generator(1)).theta
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_changed_statistics_are_refused_unless_they_may_be_dropped() -> None:
    problem = problem_of("batch_norm")
    with pytest.raises(UnsupportedModel, match="running_mean"):
        PlainCallable(descend)(problem, generator=generator())
    kept = PlainCallable(descend, keep_statistics=True)(problem, generator=generator())
    names = "1.num_batches_tracked, 1.running_mean, 1.running_var"
    assert f"changed buffers dropped: {names}" in kept.notes
    assert not torch.equal(kept.theta, problem.start)


def test_a_plain_function_may_not_touch_frozen_parameters() -> None:
    def thaw(net: Any, *_: Any) -> Any:
        net.frozen.weight.data.add_(1.0)
        return net

    with pytest.raises(UnsupportedModel, match=r"frozen\.weight"):
        PlainCallable(thaw, keep_statistics=True)(problem_of("tied"), generator=generator())


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda net, *_: None, "NoneType"),
        (lambda net, *_: nn.Linear(4, 3), "other parameters"),
        (lambda net, *_: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), "shape"),
    ],
)
def test_what_is_not_the_network_is_refused(made: Any, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        PlainCallable(made)(problem_of("mlp"), generator=generator())


def fail(net: Any, *_: Any) -> Any:
    raise KeyError("weights")


def explode(net: Any, *_: Any) -> Any:
    next(net.parameters()).data.fill_(float("nan"))
    return net


def test_an_exception_in_a_plain_function_becomes_an_error_with_a_remedy() -> None:
    with pytest.raises(BadRequest, match=r"KeyError: 'weights'.*mending") as caught:
        PlainCallable(fail)(problem_of("mlp"), generator=generator())
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_plain_function_that_diverges_is_told_so() -> None:
    with pytest.raises(IllPosed, match="smaller learning rate"):
        PlainCallable(explode)(problem_of("mlp"), generator=generator())


@pytest.mark.parametrize("settings", [{"function": 3}, {"function": print, "batch_size": 0}])
def test_what_cannot_be_called_or_batched_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        PlainCallable(**settings)


# As a method of the facade, the command line, a configuration and the ledger


ENTRY = """
def unlearning(net, retain, forget, validation):
    for parameter in net.parameters():
        parameter.data.mul_(0.5)
    return net
"""


@pytest.fixture
def entry(tmp_path: Path) -> str:
    (tmp_path / "entry.py").write_text(ENTRY)
    return f"{tmp_path}/entry.py:unlearning"


def test_unlearn_takes_a_plain_function_and_leaves_the_model_alone() -> None:
    given = PROBLEMS["mlp"]()
    before = [parameter.detach().clone() for parameter in given.model.parameters()]
    result = curenu.unlearn(
        given.model, given.dataset, given.loss, forget=[1, 4], method=descend, holdout=given.dataset
    )
    assert all(map(torch.equal, given.model.parameters(), before))
    assert not torch.equal(next(result.model.parameters()), before[0])
    assert "validation on the holdout set" in result.erasure.notes


def test_unlearn_takes_a_plain_function_by_file_and_name(entry: str) -> None:
    given = PROBLEMS["mlp"]()
    result = curenu.unlearn(given.model, given.dataset, given.loss, forget=[1, 4], method=entry)
    halves = [0.5 * parameter for parameter in given.model.parameters()]
    for made, half in zip(result.model.parameters(), halves, strict=True):
        assert torch.equal(made, half)


def test_words_and_configurations_name_a_plain_function(entry: str) -> None:
    made = build_method(entry, ["batch_size=7", "keep_statistics=true"])
    assert isinstance(made, PlainCallable)
    assert (made.batch_size, made.keep_statistics) == (7, True)
    config = MethodConfig(method=entry, arguments={"batch_size": 7})
    again = config.make(config.arguments)
    assert isinstance(again, PlainCallable)
    assert again.function.__name__ == "unlearning"


@pytest.mark.parametrize(
    ("name", "settings", "why"),
    [
        ("{}", ["function=print"], "no argument 'function'"),
        ("{}", ["batch_size=many"], "does not fit"),
        ("{}x", [], "no function 'unlearningx'"),
        ("nowhere.py:unlearning", [], "no file nowhere.py"),
        ("zebra", [], "file.py:function"),
    ],
)
def test_a_plain_function_that_is_misnamed_is_refused(
    name: str, settings: list[str], why: str, entry: str
) -> None:
    with pytest.raises(BadRequest, match=why):
        build_method(name.format(entry), settings)


def test_the_ledger_names_a_plain_function() -> None:
    name, arguments = describe_method(PlainCallable(descend))
    assert name == "PlainCallable"
    assert arguments["function"] == "tests.methods.test_plain_callable:descend"


OWN = """
def unlearning(net, retain, forget, validation, rate=0.5, *, steps: int = 1, mode=None):
    assert mode in (None, "twice")
    for parameter in net.parameters():
        parameter.data.mul_(rate**steps)
    return net
"""


def test_arguments_of_the_function_are_set_tuned_and_on_record(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    name = f"{tmp_path / 'own.py'}:unlearning"
    made = build_method(name, ["rate=0.25", "steps=2", "mode=twice", "batch_size=7"])
    assert isinstance(made, PlainCallable)
    assert made.arguments == {"rate": 0.25, "steps": 2, "mode": "twice"}
    assert made.batch_size == 7
    assert describe_method(made)[1]["arguments"] == {"rate": 0.25, "steps": 2, "mode": "twice"}
    given = PROBLEMS["mlp"]()
    result = curenu.unlearn(given.model, given.dataset, given.loss, forget=[1], method=made)
    for moved, first in zip(result.model.parameters(), given.model.parameters(), strict=True):
        assert torch.equal(moved, 0.0625 * first)
    config = MethodConfig(method=name, grid={"rate": (0.1, 0.2), "steps": (1, 3)})
    tried = [config.make(point) for point in config.points()]
    assert [getattr(method, "arguments", None) for method in tried] == [
        {"rate": rate, "steps": steps} for rate in (0.1, 0.2) for steps in (1, 3)
    ]
    clash = OWN.replace("mode=None", "batch_size=3, mode=None")
    (tmp_path / "clash.py").write_text(clash)
    with pytest.raises(BadRequest, match="'batch_size' of its own"):
        build_method(f"{tmp_path / 'clash.py'}:unlearning", ["batch_size=7"])
    for setting, why in (("rates=1", "'rate'"), ("steps=half", "a whole number"), ("net=1", "net")):
        with pytest.raises(BadRequest, match=why):
            build_method(name, [setting])
