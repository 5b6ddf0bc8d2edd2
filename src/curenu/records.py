"""What a run keeps on record: its task, its requests, and weights named by their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import safetensors.torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from torch import Tensor

from curenu.cost import Cost
from curenu.erasure import Certificate, StepRecord
from curenu.errors import UnsupportedModel
from curenu.status import Status

__all__ = [
    "FORMAT",
    "Named",
    "OracleRecord",
    "Packed",
    "RequestRecord",
    "RunDescription",
    "Value",
    "digest",
    "pack",
    "plain",
]

FORMAT = 1
"""Version of the run folder's layout; another one is refused."""

Named = dict[str, Tensor]
Value = bool | int | float | str
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
StatusByName = Annotated[
    Status,
    BeforeValidator(lambda value: Status.__members__.get(value, value)),
    PlainSerializer(lambda status: status.name),
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class RunDescription(_Record):
    """What `task.toml` says: enough to build task and first weights again.

    `task` is a name or `file.py:function` (None: the task was given as an object), `data`
    the hash of a sample of its training data, `start` the name of the first weights.
    """

    format: Literal[1] = FORMAT
    task: str | None = None
    title: str
    options: dict[str, Value] = Field(default_factory=dict)
    recipe: dict[str, Value] = Field(default_factory=dict)
    seed: int
    examples: int
    data: Digest
    start: Digest
    seconds: float = 0.0
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))


class RequestRecord(_Record):
    """One granted request: what was asked, how it was done and what came of it.

    `positions` and `ids` name the erased examples, `before` and `after` the weights, so that
    the requests of a run form a chain.
    """

    request: str
    number: int
    positions: tuple[int, ...]
    ids: tuple[int | str, ...]
    method: str
    arguments: dict[str, Any]
    only: str | tuple[str, ...] | None = None
    seed: int
    before: Digest
    after: Digest
    status: StatusByName
    cost: Cost
    update_norm: float
    certificate: Certificate | None = None
    trace: tuple[StepRecord, ...] = ()
    notes: tuple[str, ...] = ()
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))


class OracleRecord(_Record):
    """A model retrained without the erased examples: its configuration, weights and time."""

    configuration: dict[str, Any]
    weights: Digest
    seconds: float


@dataclass(frozen=True)
class Packed:
    """Weights as the bytes of a safetensors file, and the SHA-256 that names them."""

    name: str
    content: bytes


def pack(named: Mapping[str, Any]) -> Packed:
    """The weights `named` as bytes under their hash; the same weights, the same name.

    Raises `UnsupportedModel` when a state dictionary holds something that is no tensor.
    """
    other = [name for name, tensor in named.items() if not isinstance(tensor, Tensor)]
    if other:
        raise UnsupportedModel(
            f"The model's state {other[0]!r} is no tensor and cannot be stored.",
            "a model whose state_dict holds tensors only.",
        )
    alone = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in named.items()}
    content = safetensors.torch.save(alone)
    return Packed(digest(content), content)


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: a dataclass becomes a mapping with its class as `type`."""
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"type": type(value).__name__} | content
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, Value) else repr(value)
