"""Where a run keeps its state: a small interface, and a folder behind it."""

from __future__ import annotations

import fcntl
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import safetensors
import safetensors.torch
import tomli_w
from pydantic import ValidationError

from curenu.atomic import PARTIAL, replace_file
from curenu.distributed import by_first, held_by_first
from curenu.errors import RunBroken
from curenu.runs.records import (
    FORMAT,
    Named,
    OracleRecord,
    Packed,
    RequestRecord,
    RunDescription,
    digest,
)

__all__ = ["FolderStore", "RunStore"]

_RESTORE = "restoring the folder from a copy, or a new run with `curenu train`."


class RunStore(Protocol):
    """The state of one run; whatever keeps it, a request is on record wholly or not at all."""

    def create(self, description: RunDescription, start: Packed) -> None: ...
    def description(self) -> RunDescription: ...
    def ledger(self) -> tuple[RequestRecord, ...]: ...
    def weights(self, name: str) -> Named: ...
    def commit(self, record: RequestRecord, weights: Packed) -> None: ...
    def oracle(self, configuration: Mapping[str, Any]) -> tuple[OracleRecord, Named] | None: ...
    def keep_oracle(
        self, configuration: Mapping[str, Any], weights: Packed, seconds: float
    ) -> OracleRecord: ...
    def write(self, name: str, content: str) -> object: ...
    def exclusive(self) -> AbstractContextManager[None]: ...


class FolderStore:
    """A run as a folder: `task.toml`, `requests.jsonl`, `weights/`, `oracles/`.

    Weights are named by the hash of their content, which is verified when they are read.
    Every file is written beside its place and renamed, so a reader sees the old or the new
    one. A request is granted by the rename of the ledger: weights of a killed run that no
    record names are harmless and removed by the next commit. Of several processes the first
    writes, and the others wait for what came of it.

    Raises `RunBroken` for a folder that is corrupt, foreign, in use or cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @by_first
    def check_free(self) -> None:
        """Raise `RunBroken` if the folder holds anything but leftovers of a killed creation."""
        if self.folder.exists() and not self.folder.is_dir():
            raise RunBroken(f"{self.folder} is a file.", "another folder name.")
        held = set(os.listdir(self.folder)) if self.folder.exists() else set()
        if "task.toml" in held:
            raise RunBroken(
                f"{self.folder} already holds a run.",
                "`Session.open` to go on with it, or another folder.",
            )
        strange = sorted(
            name
            for name in held - {"lock", "weights", "requests.jsonl"}
            if not name.endswith(PARTIAL)
        )
        if strange:
            raise RunBroken(
                f"{self.folder} is not empty and no run folder: it holds {strange[0]!r}.",
                "a new or an empty folder.",
            )

    @by_first
    def create(self, description: RunDescription, start: Packed) -> None:
        """Write the first weights and an empty ledger; `task.toml` comes last and founds it."""
        self.check_free()
        content = tomli_w.dumps(description.model_dump(exclude_none=True))
        with _writing(self.folder):
            (self.folder / "weights").mkdir(parents=True, exist_ok=True)
            replace_file(self._path(start.name), start.content)
            replace_file(self.folder / "requests.jsonl", b"")
            replace_file(self.folder / "task.toml", content.encode())

    def description(self) -> RunDescription:
        """What the run is of, from `task.toml`."""
        path = self.folder / "task.toml"
        if not path.is_file():
            raise RunBroken(
                f"{self.folder} is no run folder: it has no task.toml.",
                "a folder made by `curenu train`.",
            )
        try:
            content = tomllib.loads(_read(path).decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunBroken(f"{path} is no valid TOML: {error}.", _RESTORE) from error
        if content.get("format") != FORMAT:
            raise RunBroken(
                f"{path} has format {content.get('format')!r}, not {FORMAT}.",
                "the version of curenu that wrote it.",
            )
        try:
            return RunDescription.model_validate(content)
        except ValidationError as error:
            raise RunBroken(f"{path}: {_first(error)}.", _RESTORE) from error

    def ledger(self) -> tuple[RequestRecord, ...]:
        """Every granted request in order, checked to be one chain from the first weights."""
        path = self.folder / "requests.jsonl"
        records: list[RequestRecord] = []
        last = self.description().start
        for number, line in enumerate(_read(path).splitlines(), start=1):
            place = f"{path}, line {number}"
            try:
                record = RequestRecord.model_validate_json(line)
            except ValidationError as error:
                raise RunBroken(f"{place}: {_first(error)}.", _RESTORE) from error
            if record.number != number or record.before != last:
                raise RunBroken(
                    f"{place}: request {record.request!r} does not follow from the one before.",
                    _RESTORE,
                )
            if any(record.request == other.request for other in records):
                raise RunBroken(f"{place}: request {record.request!r} is there twice.", _RESTORE)
            records.append(record)
            last = record.after
        return tuple(records)

    def weights(self, name: str) -> Named:
        """The weights of that name, verified by their hash."""
        return _unpack(self._path(name), name)

    @by_first
    def commit(self, record: RequestRecord, weights: Packed) -> None:
        """Grant a request: weights first, then the ledger, whose rename is the commit."""
        records = self.ledger()
        known = {self.description().start, *(other.after for other in records)}
        content = b"".join(r.model_dump_json().encode() + b"\n" for r in (*records, record))
        path = self._path(weights.name)
        with _writing(self.folder):
            self._sweep(known)
            try:
                replace_file(path, weights.content)
                replace_file(self.folder / "requests.jsonl", content)
            except OSError:
                granted = {other.after for other in self.ledger()}
                if weights.name not in known | granted:
                    path.unlink(missing_ok=True)
                raise

    def oracle(self, configuration: Mapping[str, Any]) -> tuple[OracleRecord, Named] | None:
        """The retrained model kept for exactly this configuration; None if there is none."""
        path = self._oracle_path(configuration)
        if not path.is_file():
            return None
        try:
            record = OracleRecord.model_validate_json(_read(path))
        except ValidationError as error:
            raise RunBroken(f"{path}: {_first(error)}.", f"deleting {path}.") from error
        if record.configuration != dict(configuration):
            raise RunBroken(f"{path} is of another configuration.", f"deleting {path}.")
        return record, _unpack(path.with_suffix(".safetensors"), record.weights)

    @by_first
    def keep_oracle(
        self, configuration: Mapping[str, Any], weights: Packed, seconds: float
    ) -> OracleRecord:
        """Keep a retrained model; its record is written last and makes it known."""
        record = OracleRecord(
            configuration=dict(configuration), weights=weights.name, seconds=seconds
        )
        path = self._oracle_path(configuration)
        with _writing(self.folder):
            path.parent.mkdir(exist_ok=True)
            replace_file(path.with_suffix(".safetensors"), weights.content)
            replace_file(path, record.model_dump_json(indent=2).encode())
        return record

    @held_by_first
    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the run for one writer; the system lets go of it when a process dies."""
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunBroken(
                    f"{self.folder} is in use by another process.",
                    "waiting until it has ended.",
                ) from error
            yield
        finally:
            os.close(handle)

    @by_first
    def write(self, name: str, content: str) -> Path:
        """Write a result such as `results.json` beside the state, atomically."""
        path = self.folder / name
        with self.exclusive(), _writing(self.folder):
            replace_file(path, content.encode())
        return path

    def _path(self, name: str) -> Path:
        return self.folder / "weights" / f"{name}.safetensors"

    def _oracle_path(self, configuration: Mapping[str, Any]) -> Path:
        key = json.dumps(dict(configuration), sort_keys=True).encode()
        return self.folder / "oracles" / f"{digest(key)}.json"

    def _sweep(self, known: set[str]) -> None:
        """Remove what a killed process left: weights no record names, half-written files."""
        for path in self.folder.glob("weights/*.safetensors"):
            if path.stem not in known:
                path.unlink()
        for path in self.folder.rglob(f"*{PARTIAL}"):
            path.unlink()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunBroken(f"Cannot read {path}: {error.strerror}.", _RESTORE) from error


def _unpack(path: Path, name: str) -> Named:
    content = _read(path)
    if digest(content) != name:
        raise RunBroken(f"{path} is damaged: its content does not match its hash.", _RESTORE)
    try:
        return safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise RunBroken(f"{path} is no safetensors file: {error}.", _RESTORE) from error


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunBroken(
            f"Cannot write to {folder}: {error.strerror}; the state before is kept.",
            "freeing space or granting access, then the same again.",
        ) from error


def _first(error: ValidationError) -> str:
    """The first complaint of a failed validation, in one line."""
    complaint = error.errors(include_url=False)[0]
    place = ".".join(map(str, complaint["loc"]))
    return f"{place}: {complaint['msg']}" if place else complaint["msg"]
