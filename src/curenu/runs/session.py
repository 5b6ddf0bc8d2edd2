"""A sequence of erasure requests on one run: the only writer of weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Self

from torch import Tensor

from curenu.erasure import Method, StepRecord
from curenu.errors import BadRequest, RunMoved
from curenu.methods import resolve_method
from curenu.names import check_request_name
from curenu.networks import TrainedNetwork
from curenu.runs.adopting import Weights
from curenu.runs.beginning import begun, folder_of
from curenu.runs.drift import chain_of, measure
from curenu.runs.evidence import Entry, Measures, RequestRecord, entry_of
from curenu.runs.folder_store import FolderStore
from curenu.runs.granting import SessionResult, granted_before, retrained, tried
from curenu.runs.identity import derived_seed, method_of
from curenu.runs.purge import forgetting, to_dispose
from curenu.runs.records import Anchoring, DriftRecord, Keep, Packed, Value
from curenu.runs.request import Asked, Progress, Request, counter, prepare, told
from curenu.runs.run import Run
from curenu.runs.screening import Policy
from curenu.runs.store import RunStore
from curenu.runs.task_source import (
    built_in,
    place_of,
    task_of,
)
from curenu.runs.together import FirstWrites
from curenu.settings import Seed, ZeroOrMore, fitted
from curenu.tasks import Task

__all__ = ["Progress", "Request", "Session", "SessionResult", "counter"]


class Session(Run):
    """A trained model and every request made on it, kept in a store, such as a run folder.

    The retain set of a request is what no granted request erased. A request that fails for
    any reason leaves the run as it was; one killed in the middle leaves the last record, and
    the same request gives the same result when it is made again. One whose method ended
    without a result that can be used is recorded as an attempt: its examples stay.
    """

    def __init__(self, store: RunStore, task: Task, reference: str | None = None) -> None:
        super().__init__(store, task, reference)
        self._writer = FirstWrites(store)

    @classmethod
    def create(
        cls,
        store: str | Path | RunStore,
        task: str | Task,
        *,
        options: Mapping[str, Value] | None = None,
        seed: int = 0,
        keep: Keep = "all",
        checkpoints: int = 0,
        progress: Progress | None = None,
    ) -> Self:
        """Train `task` in a new run folder, or any store, and keep its first weights.

        `task` is a name or `file.py:function`, loaded with `options` (words are made what
        their types say), or a `Task`, which `open` must then be given again. A file that is
        named is vouched for by that (docs/cli.md). `keep` says which weights stay after each
        grant. As many `checkpoints` of training as asked for are kept with them, which erasures
        follow while all are there; they pay for single persons (docs/gotchas.md). There are none
        of a training by Adam.
        `progress` is told (done, total).

        Raises `RunBroken` for a folder that is not free and the errors of `EmpiricalRisk` for
        data, network and loss, before anything is computed; `IllPosed` when training diverges.
        """
        return cls(
            *begun(
                store, task, options or {}, seed, keep, checkpoints=checkpoints, progress=progress
            )
        )

    @classmethod
    def adopt(
        cls,
        store: str | Path | RunStore,
        task: str | Task,
        weights: Weights,
        *,
        options: Mapping[str, Value] | None = None,
        seed: int = 0,
        keep: Keep = "all",
    ) -> Self:
        """Begin a run with a model that was trained elsewhere.

        `task` says what it was trained on and how: its data, network, loss and recipe; `weights`
        are the model, its state dict, or a file of one. Nothing of the training was seen here,
        which the first record and every report say (`origin`); its seconds are not known until
        `retrain`. `seed` is that of later retrainings. Raises what `create` raises, and
        `BadRequest`, `MissingData` or `IllPosed` for the weights.
        """
        return cls(*begun(store, task, options or {}, seed, keep, weights=weights))

    @classmethod
    def open(
        cls, store: str | Path | RunStore, task: Task | str | None = None, *, trust: bool = False
    ) -> Self:
        """Go on with the run in `store`.

        `task` is the task of a run that was created from an object, or where its file is now,
        `file.py:function`. A file that the run names is run only if it is as it was and was
        vouched for here (docs/gotchas.md), or with `trust`.

        Raises `RunBroken` when anything in it is missing, damaged or does not fit,
        `SourceNotTrusted` before any code that the run names is run.
        """
        place = FolderStore(store) if isinstance(store, str | Path) else store
        described = place.description()
        if isinstance(task, Task):
            return cls(place, task, built_in(described))
        loaded = task_of(described, folder_of(place), named=task, trust=trust)
        return cls(place, loaded, place_of(described, folder_of(place), task))

    def prepare(
        self,
        forget: Sequence[Hashable] | Tensor,
        method: str | Method = "stocurenu",
        *,
        seed: int | None = None,
        request: str | None = None,
        only: str | Sequence[str] | None = None,
        anchor: Anchoring = "last",
        progress: Progress | None = None,
        on_step: Callable[[StepRecord], None] | None = None,
    ) -> Request:
        """Everything about a request that can be checked before it is run; nothing is written."""
        return prepare(
            self, forget, method, seed=seed, request=request, only=only, anchor=anchor,
            progress=progress, on_step=on_step,
        )  # fmt: skip

    def unlearn(
        self,
        forget: Sequence[Hashable] | Tensor,
        method: str | Method = "stocurenu",
        *,
        seed: int | None = None,
        request: str | None = None,
        only: str | Sequence[str] | None = None,
        anchor: Anchoring = "last",
        accept: bool = False,
        check_drift: int = 0,
        policy: Policy | None = None,
        progress: Progress | None = None,
        on_step: Callable[[StepRecord], None] | None = None,
    ) -> SessionResult:
        """Erase the examples `forget` from the current model and put the request on record.

        `forget` are the task's ids, positions where it has none; `request` names the request:
        made again with the same ids and in the same way it returns the current model and the
        record that granted it. `seed` is derived from the run's and the record's number unless
        given. The anchored objective is built at the last release, or with `anchor="first"` at
        the model that was last trained, over all that was erased since. A result whose status is
        not ok is recorded as an attempt and the model stays, unless `accept` takes it as it is.
        Every `check_drift`-th request is compared with erasing all of it at once, at the cost of
        doing so; 0: none. `policy`, such as a `curenu.runs.Screening`, looks at the request first
        and may refuse it. `progress` is told (examples, at most) and may cancel.

        Raises an error of `curenu.errors` before anything is written.
        """
        check_request_name(request)
        fitted("check_drift", check_drift, ZeroOrMore)
        seed = fitted("seed", seed, Seed | None)
        with self._writer.exclusive():
            known = granted_before(self, request, forget, method, seed)
            if known is not None:
                return SessionResult(self.model, known, self.head, repeated=True)
            asked = self.prepare(
                forget, method, seed=seed, request=request, only=only, anchor=anchor,
                progress=progress, on_step=on_step,
            )  # fmt: skip
            made = tried(self, asked, accept=accept, check_drift=check_drift, policy=policy)
            return self._put(*made)

    def perform(
        self,
        asked: str | Asked,
        *,
        accept: bool = False,
        policy: Policy | None = None,
        progress: Progress | None = None,
    ) -> SessionResult:
        """Run a request that was prepared elsewhere, as `Request.to_json` gave it.

        Raises `RunMoved` when the run holds other records than where it was prepared.
        """
        plan = Asked.model_validate_json(asked) if isinstance(asked, str) else asked
        ids = [self.task_id(position) for position in plan.positions]
        with self._writer.exclusive():
            known = self.record_of(plan.request)
            if known is not None and known.positions == plan.positions:
                return SessionResult(self.model, known, self.head, repeated=True)
            if plan.head != self.head.hash:
                raise RunMoved(
                    f"The request was prepared after record {plan.number - 1} "
                    f"({plan.head[:12]}), and the run is at {self.head.hash[:12]}.",
                    "preparing it again.",
                )
            request = self.prepare(
                ids, method_of(plan.method, plan.arguments), seed=plan.seed,
                request=plan.request, only=plan.only, anchor=plan.anchor, progress=progress,
            )  # fmt: skip
            return self._put(*tried(self, request, accept=accept, check_drift=0, policy=policy))

    def retrain(
        self,
        *,
        seed: int | None = None,
        without: Sequence[int] = (),
        progress: Progress | None = None,
    ) -> SessionResult:
        """Train anew without everything that was erased; the result is the current model.

        `without` are numbers of failed attempts whose examples are to be left out as well:
        they count as erased from then on. `seed` is derived from the run's and the record's
        number unless given. Raises `BadRequest` before training for numbers that name none.
        """
        with self._writer.exclusive():
            return self._put(*retrained(self, seed=seed, without=without, progress=progress))

    def purge(self, keep: Keep = "current", *, subjects: bool = False) -> RequestRecord | None:
        """Remove weights that saw what was erased, and put on record which; None if none are.

        The current weights stay, with `keep="base"` also those last trained, which the drift
        meter and `anchor="first"` need; oracles stay that were trained on what is retained
        now. `subjects` also deletes whom the requests were about: ids, names and salts go, the
        erased positions stay as one set that no longer says who asked for which.
        """
        with self._writer.exclusive():
            self._writer.clear()
            return self._dispose(keep, subjects=subjects)

    def drift(self, method: str | Method = "stocurenu", *, check: bool = True) -> DriftRecord:
        """Where the sequence stands now; nothing is written.

        With `check`, `method` erases all that went since the model was last trained at once,
        for comparison, at the cost of such a request. Raises `BadRequest` when nothing has
        been erased since.
        """
        if not self.ledger.since.requests:
            raise BadRequest("Nothing was erased since the model was trained.", "a request first.")
        chosen = resolve_method(method)
        chain = chain_of(self, self.model, self.training)
        return measure(
            chain,
            anchored=chain.known and chosen.plan(chain.at_once).anchored,
            once=chosen if check else None,
        )

    def oracle(self, number: int, *, progress: Progress | None = None) -> TrainedNetwork:
        """The `number`-th model retrained without what is erased; kept, trained only once.

        Others may write to the run while it is trained. Raises `RunBroken`, naming the file,
        where one that was kept is no longer what it was.
        """
        seed = derived_seed(self.description.seed, "oracle", number)
        return self.networks.get(seed, self.retained, progress=progress and told(progress))

    def check_oracles(self, count: int) -> None:
        """Raise `RunBroken` if one of the first `count` oracles is kept and was changed."""
        for number in range(count):
            seed = derived_seed(self.description.seed, "oracle", number)
            self.networks.check(seed, self.retained)

    def _put(self, entry: Entry, weights: Sequence[Packed]) -> SessionResult:
        """Commit a record, then dispose of what the run's policy does not keep."""
        self._writer.commit(entry, weights, head=entry.evidence.previous)
        if entry.evidence.granted:
            self._dispose(self.description.keep, subjects=False)
        return SessionResult(self.model, self.record(entry.line.number), self.head)

    def _dispose(self, keep: Keep, *, subjects: bool) -> RequestRecord | None:
        head, current = self.head, self.current
        disposed = to_dispose(self, keep)
        about, numbers = forgetting(self) if subjects else (None, ())
        if not disposed and not numbers:
            return None
        entry = entry_of(
            head,
            Measures(disposed=disposed, sources=self.sources),
            about,
            kind="disposal",
            before=current,
            after=current,
            forgot=bool(numbers),
            fingerprint=self.fingerprint.digest,
        )
        self._writer.commit(entry, [], head=head.hash, forget=numbers)
        return self.record(entry.line.number)
