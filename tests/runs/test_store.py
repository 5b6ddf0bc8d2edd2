"""The stores of runs: what is written is whole, what is read is checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from curenu.cost import Cost
from curenu.erasure import Certificate, StepRecord
from curenu.errors import Disposed, RunBroken, RunBusy, RunMoved, UnsupportedModel
from curenu.runs.evidence import Disposal, Head, Measures, record_of
from curenu.runs.folder_store import FolderStore
from curenu.runs.memory_store import MemoryStore
from curenu.runs.records import pack, plain
from curenu.runs.store import RunStore
from curenu.runs.verify import verify
from curenu.status import Status
from tests.runs.runs import FIRST, add, founding, granted, head_of, weights


@pytest.fixture(params=["folder", "memory"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    made = MemoryStore() if request.param == "memory" else FolderStore(tmp_path / "run")
    made.create(*founding())
    add(made)
    return made


def test_what_is_written_is_read_again(either: RunStore) -> None:
    assert either.description().options == {"examples": 10}
    assert either.description().recipe == {"weight_decay": 1e-4, "epochs": 3}
    first, second = either.lines()
    assert (first.number, second.number) == (0, 1)
    record = record_of(second, either.measures()[1])
    assert (record.request, record.ids, record.positions) == ("request-1", ("person 1",), (1,))
    assert record.previous == first.hash
    assert torch.equal(either.weights(weights(1).name)["weight"], FIRST["weight"] + 1)
    assert either.lines(1) == [second]
    assert either.lines(0, 1) == [first]
    assert verify(either) == (head_of(either), [])


def test_a_record_that_does_not_follow_is_refused_and_changes_nothing(either: RunStore) -> None:
    before = either.lines()
    old, now = Head(0, before[0].hash), head_of(either)
    for entry, head in (
        (granted(old), old.hash),
        (granted(old), now.hash),
        (granted(now), old.hash),
        (granted(Head(now.number + 1, now.hash)), now.hash),
    ):
        with pytest.raises(RunMoved, match="The run is at record 1"):
            either.commit(entry, [weights(7)], head=head)
    assert either.lines() == before
    with pytest.raises((RunBroken, Disposed)):
        either.weights(weights(7).name)


def test_what_is_disposed_of_is_gone_and_its_record_says_so(either: RunStore) -> None:
    either.networks.write("one.safetensors", b"trained")
    either.networks.write("outputs/two.safetensors", b"said")
    (oracle, _) = (held for held in either.holdings() if held.kind == "oracle")
    assert (oracle.name, oracle.disposed) == ("one.safetensors", False)
    gone = (
        Disposal(kind="weights", name=weights(0).name),
        Disposal(kind="oracle", name=oracle.name),
    )
    head = head_of(either)
    entry = granted(
        head, measures=Measures(disposed=gone), subjects=None, kind="disposal",
        before=weights(1).name, after=weights(1).name, granted=False, status=None,
    )  # fmt: skip
    either.commit(entry, [], head=head.hash, forget=[1])
    with pytest.raises(Disposed, match="disposed of"):
        either.weights(weights(0).name)
    assert either.networks.names() == ("outputs/two.safetensors",)
    assert either.lines()[1].subjects is None
    assert {held.name for held in either.holdings() if held.disposed} == {g.name for g in gone}


def test_one_writer_at_a_time_is_busy_and_not_broken(either: RunStore) -> None:
    with either.exclusive(), pytest.raises(RunBusy, match="in use"), either.exclusive():
        pytest.fail("two writers")
    with either.exclusive():
        pass


def test_the_same_weights_have_the_same_name() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    assert pack({"a": base.T, "b": base}).name == pack({"b": base, "a": base.T.clone()}).name
    assert pack({"a": base}).name != pack({"a": base + 1}).name
    assert pack({"tied": base, "other": base}).content


def test_a_state_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="'extra'"):
        pack({"a": torch.zeros(1), "extra": 3})


def test_records_are_plain_json_and_the_evidence_names_nobody(store: FolderStore) -> None:
    measures = Measures(
        arguments={"solver": {"type": "LanczosSolver"}},
        cost=Cost(gradients=2),
        certificate=Certificate(1e-3, -0.1, 1e-4, 2.0, 9, 9),
        trace=(StepRecord(value=0.5, rho=float("-inf")),),
    )
    add(store, measures=measures, status=Status.STEP_LIMIT)
    line = store.lines()[-1]
    told = json.loads(store.measures()[2], parse_constant=lambda word: pytest.fail(word))
    assert told["trace"][0]["rho"] == "-Infinity"
    assert json.loads(line.body)["status"] == "STEP_LIMIT"
    assert "person" not in line.body + store.measures()[2]
    assert "request-2" not in line.body + store.measures()[2]
    assert record_of(line, store.measures()[2]).trace == measures.trace


def test_arguments_become_plain_values() -> None:
    nested = plain({"step": StepRecord(value=1.0), "many": (1, None), "kind": Path})
    assert nested["step"]["type"] == "StepRecord"
    assert nested["step"]["value"] == 1.0
    assert nested["many"] == [1, None]
    assert json.dumps(nested)


def test_a_run_is_not_overwritten(either: RunStore) -> None:
    before = either.lines()
    with pytest.raises(RunBroken, match="already holds a run"):
        either.create(*founding(seed=9))
    assert either.lines() == before
