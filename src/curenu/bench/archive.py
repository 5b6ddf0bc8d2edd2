"""The folder of a benchmark: its configuration, cells, notes, results; only whole files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from curenu.atomic import LOCK, held, replace_file
from curenu.bench.cell import Cell, Made
from curenu.bench.config import Config
from curenu.bench.origin import code_digest
from curenu.errors import RunBroken
from curenu.report import finite

__all__ = ["Archive"]

_CONFIG = "config.json"
_WORDS = ("title", "about", "duration", "published", "smoke")  # they change no figure


class Archive:
    """What a run of a configuration has made so far, so that none of it is made twice.

    Cells and notes that other code made are made again.

    Raises `RunBroken` when the folder holds another configuration or cannot be written,
    `RunBusy` when it is in use by another run.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self._config = config.model_dump_json(indent=1, exclude=set(_WORDS))
        self._code = code_digest()
        self._check()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make the folder, hold it for this run and write the configuration, the first thing."""
        with ExitStack() as stack:
            with self._writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(self.folder))
            self._check()  # another run may have come and gone since the folder was looked at
            self._write(_CONFIG, self._config.encode())
            yield

    def cell(self, cell: Cell) -> dict[str, Any] | None:
        """The record of a finished cell; None if it is not there or failed."""
        record = self._read(f"cells/{self._name(cell)}.json")
        return None if record is None or "failed" in record else record

    def arrays(self, cell: Cell) -> dict[str, np.ndarray]:
        """The arrays kept beside a finished cell."""
        with np.load(self.folder / "cells" / f"{self._name(cell)}.npz") as kept:
            return dict(kept)

    def keep_cell(self, cell: Cell, made: Made) -> None:
        """Arrays first: a record means that both are there."""
        if made.arrays:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **made.arrays)
            self._write(f"cells/{self._name(cell)}.npz", buffer.getvalue())
        self.keep_json(f"cells/{self._name(cell)}.json", made.record)

    def note(self, name: str) -> dict[str, Any] | None:
        """What a trial or another unit found, if it was done."""
        return self._read(f"notes/{self._hash(name)}.json")

    def keep_note(self, name: str, found: dict[str, Any]) -> None:
        """Keep what a unit found."""
        self.keep_json(f"notes/{self._hash(name)}.json", found)

    def keep_json(self, name: str, content: Any) -> None:
        """Write `content` as JSON under `name`, numbers to six digits."""
        self._write(name, (json.dumps(_short(content), allow_nan=False) + "\n").encode())

    def keep_results(self, name: str, results: dict[str, Any]) -> dict[str, Any]:
        """Write the whole run, a line a part and a cell, and return it as it is read again."""
        lines = [f"{json.dumps(key)}: {_lines(_short(part))}" for key, part in results.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        self._write(name, text.encode())
        return json.loads(text)

    def _check(self) -> None:
        known = self.folder / _CONFIG
        if known.is_file() and known.read_text() != self._config:
            raise RunBroken(
                f"{self.folder} holds results of another configuration.",
                "another `--out`, or deleting that folder.",
            )
        others = self.folder.exists() and any(p.name != LOCK for p in self.folder.iterdir())
        if others and not known.is_file():
            raise RunBroken(f"{self.folder} is not empty and no benchmark's.", "another `--out`.")

    def _name(self, cell: Cell) -> str:
        return self._hash(repr(cell))

    def _hash(self, text: str) -> str:
        """Of what made it as well: other code finds nothing that this code made."""
        return _hash(f"{self._code}\n{text}")

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise RunBroken(f"{path} is damaged: {error}.", "deleting that file.") from error

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        with self._writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunBroken(
                f"Cannot write {path}: {error.strerror}.",
                "freeing space or another `--out`, then the same command: finished cells are kept.",
            ) from error


def _short(value: Any) -> Any:
    """`value` with six digits a number, and what JSON has no number for as a word."""
    if isinstance(value, float):
        return finite(float(f"{value:.6g}"))
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    return [_short(item) for item in value] if isinstance(value, list | tuple) else value


def _lines(part: Any) -> str:
    """JSON with one line an entry of a list of records, so that changes can be read."""
    if not (isinstance(part, list) and part and isinstance(part[0], dict)):
        return json.dumps(part, allow_nan=False)
    return "[\n" + ",\n".join(json.dumps(entry, allow_nan=False) for entry in part) + "\n]"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
