"""A policy refuses requests that look made to do harm before a run writes anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from curenu.attacks import Screen
from curenu.errors import BadRequest, Disposed, Suspicious
from curenu.risks import EmpiricalRisk
from curenu.runs import Screening
from curenu.runs.memory_store import MemoryStore
from curenu.runs.session import Session
from tests.problems import generator
from tests.runs.runs import SHORT, SIZE, state_of, tiny


@pytest.fixture(scope="module")
def policy() -> Screening:
    return Screening()


@pytest.fixture(scope="module")
def worst(trained: Path) -> list[int]:
    """All examples, from the one whose erasure raises the test loss the most, to first order."""
    session = Session.open(trained)
    holdout = EmpiricalRisk(session.model, session.task.test, session.task.loss)
    screen = Screen(session.risk(session.model), holdout)
    return screen.pool.changes.argsort(descending=True).tolist()


def genuine(size: int = 10) -> list[int]:
    return torch.randperm(SIZE, generator=generator(4))[:size].tolist()


def test_a_request_that_would_do_harm_is_refused_before_anything_is_written(
    folder: Path, policy: Screening, worst: list[int]
) -> None:
    session = Session.open(folder)
    before = state_of(folder)
    with pytest.raises(Suspicious, match="predicted change.*holdout loss by") as error:
        session.unlearn(worst[:10], SHORT, policy=policy)
    assert "override" in error.value.remedy
    assert session.erased == ()
    assert state_of(folder) == before
    prepared = session.prepare(worst[:10], SHORT).to_json()
    with pytest.raises(Suspicious):
        session.perform(prepared, policy=policy)
    assert state_of(folder) == before
    assert session.unlearn(worst[:10], SHORT).granted  # nothing is screened unasked


def test_an_override_is_granted_and_on_record_with_its_reason(
    folder: Path, policy: Screening, worst: list[int]
) -> None:
    session = Session.open(folder)
    asked = policy.overridden("decided by A. Lee, ticket 12")
    record = session.unlearn(worst[:10], SHORT, policy=asked).record
    assert record.granted
    (note,) = [note for note in record.notes if "overridden" in note]
    assert "predicted change" in note
    assert note.endswith("overridden: decided by A. Lee, ticket 12")
    assert any("changes the mean holdout loss" in note for note in record.notes)
    with pytest.raises(Suspicious):  # it was for that request alone
        session.unlearn(worst[10:20], SHORT, policy=policy)
    with pytest.raises(BadRequest, match="without a reason"):
        policy.overridden(" ")


def test_a_random_request_passes_and_its_record_says_that_it_was_screened(
    folder: Path, policy: Screening
) -> None:
    record = Session.open(folder).unlearn(genuine(), SHORT, policy=policy).record
    assert record.granted
    assert any(note.startswith("Screened: as a random") for note in record.notes)
    assert not any("overridden" in note for note in record.notes)


def test_requests_of_a_session_add_up_at_the_model_last_trained(
    folder: Path, policy: Screening, worst: list[int]
) -> None:
    session = Session.open(folder)
    verdicts = {one: policy.verdict(session, session.prepare([one], SHORT)) for one in worst[:25]}
    slices = [one for one, verdict in verdicts.items() if not verdict.flagged]
    alone = [verdicts[one].change for one in slices]
    refused = None
    for place, one in enumerate(slices):
        try:
            session.unlearn([one], SHORT, policy=policy)
        except Suspicious as error:
            refused = place, error
            break
    assert refused is not None
    place, error = refused
    assert place >= 1
    assert "out of the usual in cumulated change." in error.problem
    assert session.erased == tuple(sorted(slices[:place]))
    found = policy.verdict(session, session.prepare([slices[place]], SHORT))
    total = sum(alone[: place + 1])  # though the model has moved since
    assert found["cumulated change"].value == pytest.approx(total, rel=1e-4)


def test_without_the_weights_last_trained_nothing_can_be_added_up() -> None:
    session = Session.create(MemoryStore(), tiny(), keep="current")
    session.unlearn(["person 1"], SHORT, accept=True)
    with pytest.raises(Disposed):
        session.unlearn(["person 2"], SHORT, policy=Screening())
