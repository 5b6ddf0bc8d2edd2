"""The state machines, held against a reference that was written apart from them."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as play

from curenu.desk import queue, releasing, requests, solving
from curenu.desk.home import Desk
from curenu.desk.policy import Policy
from curenu.desk.states import BATCH, OPEN_DSR, REQUEST
from curenu.errors import CurenuError
from curenu.runs.evidence import Head
from tests.desk.desks import execute, put_under, sent, status_of, versions

PEOPLE = ("anna", "bea", "carl")
ORDER = ("batched", "running", "measured")


class Play(RuleBasedStateMachine):
    """People and a worker do anything in any order; the reference says what may come of it."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copytree(self.template, self.folder / "desk")
        self.desk = Desk.open(self.folder / "desk")
        self.hours = 0
        start = self.desk.clock()
        self.desk.clock = lambda: start + timedelta(hours=self.hours)
        self.requests: dict[str, dict[str, Any]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.orders: list[queue.Order] = []
        self.released = 0

    def teardown(self) -> None:
        self.desk.close()
        shutil.rmtree(self.folder)

    def tried(self, legal: bool, act: Any, *given: Any) -> Any:
        """What `act` gives; it must succeed if `legal`, and else be refused by a desk's error."""
        if legal:
            return act(self.desk, *given)
        with pytest.raises(CurenuError):
            act(self.desk, *given)
        return None

    def picked(self, data: Any, known: dict[str, Any]) -> str:
        return data.draw(st.sampled_from(sorted(known, key=list(known).index)))

    @rule(by=st.sampled_from(PEOPLE), number=st.integers(0, 23))
    def send(self, by: str, number: int) -> None:
        name = sent(self.desk, number, by=by)
        self.requests[name] = {"status": "pending", "by": by, "batch": None, "from": None}

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), by=st.sampled_from(PEOPLE))
    def approve(self, data: Any, by: str) -> None:
        name = self.picked(data, self.requests)
        one = self.requests[name]
        legal = one["status"] == "pending" and by != one["by"]
        self.tried(legal, requests.approve, name, by)
        if legal:
            one["status"] = "approved"

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def deny(self, data: Any) -> None:
        name = self.picked(data, self.requests)
        one = self.requests[name]
        inside = self.batches[one["batch"]]["status"] if one["batch"] else None
        legal = one["status"] in ("pending", "approved") or (
            one["status"] == "on_hold" and inside != "awaiting_release"
        )
        self.tried(legal, requests.deny, name, "carl", "other")
        if legal:
            if one["batch"]:
                self.batches[one["batch"]]["members"].discard(name)
            one |= {"status": "denied", "batch": None}

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), up=st.booleans())
    def hold(self, data: Any, up: bool) -> None:
        name = self.picked(data, self.requests)
        one = self.requests[name]
        if up:
            legal = one["status"] == "on_hold"
            self.tried(legal, requests.lift, name, "carl")
            if legal:
                stage = self.stage(one["batch"]) if one["batch"] else one["from"]
                one["status"] = stage
        else:
            legal = one["status"] in ("pending", "approved", *ORDER, "on_hold")
            self.tried(legal, requests.place_hold, name, "carl")
            if legal and one["status"] != "on_hold":
                one |= {"from": one["status"], "status": "on_hold"}

    @rule()
    def seal(self) -> None:
        waiting = {n for n, one in self.requests.items() if one["status"] == "approved"}
        made = self.tried(bool(waiting), queue.seal, "people")
        if made:
            self.batches[made] = {"status": "sealed", "members": waiting, "way": "erase"}
            for name in waiting:
                self.requests[name] |= {"status": "batched", "batch": made}

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def take(self, data: Any) -> None:
        name = self.picked(data, self.batches)
        one = self.batches[name]
        live = any(o.batch == name and one.get("until", 0) > self.hours for o in self.orders)
        leased = one["status"] == "running" and live
        legal = one["status"] in ("sealed", "queued", "running") and not leased
        legal &= not self.held(one) and (one["status"] != "sealed" or not self.busy())
        order = self.tried(legal, queue.take, name, "w-play")
        if order:
            assert all(order.fence > o.fence for o in self.orders if o.batch == name)
            self.orders.append(order)
            one |= {"status": "running", "fence": order.fence, "until": self.hours + 0.01}
            self.move(one)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), passed=st.booleans())
    def commit(self, data: Any, passed: bool) -> None:
        order = data.draw(st.sampled_from(self.orders))
        one = self.batches[order.batch]
        legal = one["status"] == "running" and one["fence"] == order.fence
        legal &= not self.held(one) and one["members"] == set(order.requests)
        status = self.tried(legal, queue.commit, order, self.result(order, passed))
        if status:
            done = passed or one["way"] == "retrain"
            one["status"] = "awaiting_release" if done and one["members"] else "rejected"
            one["empty"] = not one["members"]
            assert status == one["status"]
            self.move(one)

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        name = self.picked(data, self.batches)
        one = self.batches[name]
        if one["status"] == "released":
            return
        legal = one["status"] == "awaiting_release" and not self.held(one)
        self.tried(legal, releasing.release, name, "bea")
        if legal:
            one["status"] = "released"
            self.released += 1
            for member in one["members"]:
                self.requests[member]["status"] = "complete"

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def retrain(self, data: Any) -> None:
        name = self.picked(data, self.batches)
        one = self.batches[name]
        legal = one["status"] == "rejected" and not one["empty"] and not self.busy()
        self.tried(legal, queue.retrain, name, "bea")
        if legal:
            one |= {"status": "queued", "way": "retrain"}
            self.move(one)

    @rule()
    def wait(self) -> None:
        self.hours += 1

    @precondition(lambda self: self.requests or self.batches)
    @rule(data=st.data())
    def force(self, data: Any) -> None:
        """Somebody with a database tool tries what no way of the desk allows."""
        table = "request" if self.requests and data.draw(st.booleans()) else "batch"
        known = self.requests if table == "request" else self.batches
        if not known:
            return
        name, moves = self.picked(data, known), REQUEST if table == "request" else BATCH
        before = known[name]["status"]
        after = data.draw(st.sampled_from(sorted(set(moves) - {before} - set(moves[before]))))
        with pytest.raises(sa.exc.IntegrityError):
            execute(self.desk, f"UPDATE {table} SET status = '{after}' WHERE id = '{name}'")

    @invariant()
    def they_agree(self) -> None:
        for name, one in {**self.requests, **self.batches}.items():
            assert status_of(self.desk, name) == one["status"], name
        found = list(versions(self.desk).values())
        assert found.count("current") == 1
        assert found.count("tainted") == self.released
        waiting = sum(one["status"] == "awaiting_release" for one in self.batches.values())
        assert found.count("candidate") == waiting <= 1

    def held(self, one: dict[str, Any]) -> bool:
        return any(self.requests[name]["status"] == "on_hold" for name in one["members"])

    def busy(self) -> bool:
        return any(
            one["status"] in ("queued", "running", "awaiting_release")
            for one in self.batches.values()
        )

    def stage(self, name: str) -> str:
        status = self.batches[name]["status"]
        late = {"awaiting_release": "measured", "rejected": "measured", "running": "running"}
        return late.get(status, "batched")

    def move(self, one: dict[str, Any]) -> None:
        for name in one["members"]:
            if self.requests[name]["status"] != "on_hold":
                self.requests[name]["status"] = self.stage(self.requests[name]["batch"])

    def result(self, order: queue.Order, passed: bool) -> dict[str, Any]:
        """What a solve would have found, made up: another digest each time."""
        value = {"value": 1.0 if passed else 3.0, "low": None, "high": 2.0}
        figures = [
            {"name": name, **value, "oracle": 1.0, "passed": passed}
            for name in ("R", "G", "membership_attack", "holdout_loss")
        ]
        erase = order.way == "erase"
        with self.desk.database.reading() as connection:
            before = connection.exec_driver_sql(
                "SELECT digest FROM model_version WHERE state = 'current'"
            ).scalar()
        found = {
            "base": order.head, "before": before, "after": uuid.uuid4().hex * 2,
            "head": uuid.uuid4().hex * 2, "outcomes": dict.fromkeys(order.requests, "erased"),
            "examples": len(order.requests), "figures": figures if erase else [],
            "oracles": 2 if erase else 0, "granted": True, "status": "SCHEDULE_DONE",
            "method": order.way, "curenu": "0.1.0", "torch": "2.0",
            "started": "2026-01-01T00:00:00", "finished": "2026-01-01T00:00:01",
        }  # fmt: skip
        if not order.requests:
            del found["status"]
        folder = self.desk.attempt_folder(order.batch, order.attempt)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / solving.RESULT).write_text(json.dumps(found))
        return found


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are made up here, so that their folders are not looked at."""

    def sound(_: object, *, head: str) -> tuple[Head, list[str]]:
        return Head(1, head), []

    monkeypatch.setattr(releasing, "verify", sound)


def _play(tmp_path: Path, trained: Path, examples: int, steps: int) -> None:
    made = Desk.create(tmp_path / "desk")
    put_under(made, trained)
    made.close()
    Play.template = tmp_path / "desk"
    play(
        Play,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None,
            suppress_health_check=list(HealthCheck), database=None, derandomize=True,
            phases=(Phase.generate,),
        ),
    )  # fmt: skip


@pytest.mark.usefixtures("whole")
def test_the_desk_does_what_the_reference_does(tmp_path: Path, trained: Path) -> None:
    _play(tmp_path, trained, examples=6, steps=25)


@pytest.mark.slow
@pytest.mark.usefixtures("whole")
def test_the_desk_does_what_the_reference_does_for_long(tmp_path: Path, trained: Path) -> None:
    _play(tmp_path, trained, examples=150, steps=50)


def test_each_status_is_reached_and_shown_to_the_sender() -> None:
    for moves in (REQUEST, BATCH):
        reached, todo = set(), [next(iter(moves))]
        while todo:
            status = todo.pop()
            if status not in reached:
                reached.add(status)
                todo += moves[status]
        assert reached == set(moves)
    assert set(OPEN_DSR) == set(REQUEST)
    assert Policy().bars.keys() == {"R", "G", "membership_attack", "holdout_loss"}
