"""Sessions against a plain model of what a run should be, and every tampering found."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from curenu.errors import BadRequest, Disposed, RunMoved
from curenu.runs import Session
from curenu.runs.folder_store import FolderStore
from curenu.runs.verify import verify
from curenu.status import Status
from curenu.tasks import Task
from tests.runs.runs import TINY, Ends, tiny

TASK: Task = tiny()
PEOPLE = st.sets(st.integers(0, TINY - 1), min_size=1, max_size=3)
COLUMNS = [("evidence", "body"), ("evidence", "hash"), ("measures", "body")]
COLUMNS += [("subjects", "body"), ("subjects", "salt")]
SCRATCH = Path(tempfile.mkdtemp(prefix="curenu-machine-"))
_TRAINED = SCRATCH / "trained"


@pytest.fixture(autouse=True, scope="module")
def scratch() -> Any:
    yield
    shutil.rmtree(SCRATCH, ignore_errors=True)


def ids(people: set[int]) -> list[str]:
    return [f"person {p}" for p in sorted(people)]


class Runs(RuleBasedStateMachine):
    """Two sessions on one folder; the model is a set, a dictionary and a list of kinds."""

    def __init__(self) -> None:
        super().__init__()
        if not _TRAINED.exists():
            Session.create(_TRAINED, TASK)
        self.folder = Path(tempfile.mkdtemp(dir=SCRATCH)) / "run"
        shutil.copytree(_TRAINED, self.folder)
        self.sessions = [Session.open(self.folder, TASK) for _ in range(2)]
        self.erased: set[int] = set()
        self.granted: dict[str, frozenset[int]] = {}
        self.failed: dict[int, frozenset[int]] = {}
        self.kinds = ["trained"]
        self.heads = [self.sessions[0].head.hash]

    def teardown(self) -> None:
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def wrote(self, kind: str) -> None:
        self.kinds.append(kind)
        self.heads.append(self.sessions[0].head.hash)

    @rule(who=st.integers(0, 1), people=PEOPLE, name=st.sampled_from(["a", "b", "c", None]))
    def grants(self, who: int, people: set[int], name: str | None) -> None:
        session = self.sessions[who]
        call = lambda: session.unlearn(ids(people), Ends(), request=name)  # noqa: E731
        if name in self.granted:
            if self.granted[name or ""] != people:
                with pytest.raises(BadRequest, match="for other ids"):
                    call()
                return
            result = call()
            assert result.repeated
            assert result.record.positions == tuple(sorted(people))
            return
        if people & self.erased:
            with pytest.raises(BadRequest, match="already erased"):
                call()
            return
        result = call()
        assert result.granted
        self.erased |= people
        self.granted[result.record.request or ""] = frozenset(people)
        self.wrote("request")

    @rule(who=st.integers(0, 1), people=PEOPLE, accept=st.booleans())
    def fails(self, who: int, people: set[int], accept: bool) -> None:
        people = people - self.erased
        if not people:
            return
        method = Ends(Status.NO_GAIN, 0.0)
        result = self.sessions[who].unlearn(ids(people), method, accept=accept)
        assert (result.granted, result.record.accepted) == (accept, accept)
        if accept:
            self.erased |= people
            self.granted[result.record.request or ""] = frozenset(people)
        else:
            self.failed[result.record.number] = frozenset(people)
        self.wrote("request")

    @rule(who=st.integers(0, 1), take=st.booleans())
    def retrains(self, who: int, take: bool) -> None:
        without = [n for n in self.failed if take]
        going = set().union(*(self.failed[n] for n in without)) - self.erased
        if len(self.erased | going) == TINY:
            return
        result = self.sessions[who].retrain(without=without)
        assert set(result.record.positions or ()) == going
        self.erased |= going
        self.wrote("retrain")

    @rule(who=st.integers(0, 1), keep=st.sampled_from(["current", "base"]), subjects=st.booleans())
    def purges(self, who: int, keep: Any, subjects: bool) -> None:
        session = self.sessions[who]
        record = session.purge(keep, subjects=subjects)
        if record is not None:
            self.wrote("disposal")
        if record is not None and record.forgot:
            self.granted = {}
            self.failed = {n: p for n, p in self.failed.items() if p - self.erased}
        for held in session.store.holdings():
            if held.disposed:
                with pytest.raises(Disposed):
                    session.load(held.name)

    @rule(people=PEOPLE)
    def two_writers_without_a_lock(self, people: set[int]) -> None:
        people = people - self.erased
        if not people:
            return
        first, second = self.sessions
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(first.store, "exclusive", contextlib.nullcontext)
            patch.setattr(second.store, "exclusive", contextlib.nullcontext)

            class Interrupted(Ends):
                def __call__(self, problem: Any, *, generator: Any) -> Any:
                    second.unlearn(ids(people), Ends())
                    return super().__call__(problem, generator=generator)

            with pytest.raises(RunMoved):
                first.unlearn(ids(people), Interrupted())
        self.erased |= people
        self.granted[second.log[-1].request or ""] = frozenset(people)
        self.wrote("request")

    @rule()
    def reopens(self) -> None:
        self.sessions = [Session.open(self.folder, TASK) for _ in range(2)]

    @precondition(lambda self: len(self.kinds) > 2)
    @rule(data=st.data())
    def somebody_tampers_with_a_copy(self, data: st.DataObject) -> None:
        copy = self.folder.parent / "copy"
        shutil.copytree(self.folder, copy)
        try:
            what = data.draw(st.sampled_from(["flip", "drop", "cut", "swap", "reorder", "weights"]))
            if not tamper(copy, what, len(self.kinds), data):
                return
            _, faults = verify(FolderStore(copy), head=self.heads[-1])
            assert faults, what
            if what != "cut":  # which alone needs the head that was kept elsewhere
                assert verify(FolderStore(copy))[1], what
        finally:
            shutil.rmtree(copy)

    @invariant()
    def the_run_is_what_the_model_says(self) -> None:
        for session in self.sessions:
            assert set(session.erased) == self.erased
            assert session.head.hash == self.heads[-1]
            assert set(session.retained) == set(range(TINY)) - self.erased
        assert [record.kind for record in self.sessions[0].log] == self.kinds

    @invariant()
    def nothing_in_it_is_at_fault(self) -> None:
        for head in (None, self.heads[0], self.heads[-1]):
            assert verify(FolderStore(self.folder), head=head)[1] == []


def tamper(folder: Path, what: str, size: int, data: st.DataObject) -> bool:
    """Change something in a run's folder; False where it has nothing of the kind."""
    if what == "weights":
        path = data.draw(st.sampled_from(sorted(folder.glob("weights/*.safetensors"))))
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1
        path.write_bytes(bytes(content))
        return True
    connection = sqlite3.connect(folder / "ledger.sqlite")
    first, second = (data.draw(st.integers(0, size - 1)) for _ in range(2))
    with contextlib.closing(connection), connection:
        if what == "flip":
            table, column = data.draw(st.sampled_from(COLUMNS))
            rows = connection.execute(f"SELECT number, {column} FROM {table}").fetchall()
            if not rows:
                return False
            number, text = data.draw(st.sampled_from(rows))
            at = data.draw(st.integers(0, len(text) - 1))
            flipped = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
            connection.execute(
                f"UPDATE {table} SET {column} = ? WHERE number = ?", (flipped, number)
            )
        elif what == "drop":
            if first == size - 1:
                return False
            connection.execute("DELETE FROM evidence WHERE number = ?", (first,))
        elif what == "cut":
            for table in ("evidence", "measures", "subjects"):
                connection.execute(f"DELETE FROM {table} WHERE number = ?", (size - 1,))
        elif first == second:
            return False
        elif what == "swap":
            rows = connection.execute(
                "SELECT number, body, hash FROM evidence WHERE number IN (?, ?)", (first, second)
            ).fetchall()
            for (number, *_), (_, body, digest) in zip(rows, reversed(rows), strict=True):
                connection.execute(
                    "UPDATE evidence SET body = ?, hash = ? WHERE number = ?",
                    (body, digest, number),
                )
        else:
            connection.execute("UPDATE evidence SET number = -1 WHERE number = ?", (first,))
            connection.execute("UPDATE evidence SET number = ? WHERE number = ?", (first, second))
            connection.execute("UPDATE evidence SET number = ? WHERE number = -1", (second,))
    return True


QUICK = settings(
    max_examples=8,
    stateful_step_count=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


class TestFewSteps(Runs.TestCase):
    settings = QUICK


@pytest.mark.slow
class TestManySteps(Runs.TestCase):
    settings = settings(QUICK, max_examples=40, stateful_step_count=20)


def test_what_only_a_head_kept_elsewhere_shows(tmp_path: Path) -> None:
    """A cut, and a ledger written anew: both are whole in themselves."""
    session = Session.create(tmp_path / "run", TASK)
    session.unlearn(["person 1"], Ends())
    earlier = shutil.copytree(tmp_path / "run", tmp_path / "earlier")
    head = session.unlearn(["person 2"], Ends()).head.hash
    other = Session.create(tmp_path / "other", TASK)
    other.unlearn(["person 1"], Ends())
    other.unlearn(["person 3"], Ends())
    for place in (earlier, tmp_path / "other"):
        assert verify(FolderStore(place))[1] == []
        (fault,) = verify(FolderStore(place), head=head)[1]
        assert "records were cut, or written anew" in fault
    assert verify(session.store, head=head)[1] == []
