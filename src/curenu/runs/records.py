"""What a run keeps on record: its task, its requests, and weights named by their hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from types import FunctionType
from typing import Annotated, Any, Literal

import safetensors.torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from torch import Tensor

from curenu.cost import Cost
from curenu.errors import UnsupportedModel
from curenu.networks import Fingerprint
from curenu.status import Advice, Status

__all__ = [
    "FORMAT",
    "AimReached",
    "Anchoring",
    "Digest",
    "DriftCheck",
    "DriftRecord",
    "Keep",
    "Named",
    "Only",
    "Packed",
    "Record",
    "RunDescription",
    "StatusByName",
    "Value",
    "canonical",
    "digest",
    "pack",
    "plain",
]

FORMAT = 2
"""Version of what a run keeps; an older one is refused with the command that takes it over."""

Named = dict[str, Tensor]
Value = bool | int | float | str
Anchoring = Literal["last", "first"]
Only = str | tuple[str, ...] | None
Keep = Literal["all", "base", "current"]
"""Which weights stay after a grant: all, the model last trained and the current, the current."""

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
StatusByName = Annotated[
    Status,
    BeforeValidator(lambda value: Status.__members__.get(value, value)),
    PlainSerializer(lambda status: status.name),
]
AdviceByName = Annotated[
    Advice,
    BeforeValidator(lambda value: Advice.__members__.get(value, value)),
    PlainSerializer(lambda advice: advice.name),
]


class Record(BaseModel):
    """What is kept, as JSON: frozen, and nothing in it that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class RunDescription(Record):
    """What `task.toml` says: enough to build task and first weights again.

    `task` is a name or `file.py:function` (None: the task was given as an object),
    `fingerprint` that of its problem, `start` the name of the first weights. `sources` are the
    hashes of the user's own file and of what it imported from beside it.
    """

    format: Literal[2] = FORMAT
    task: str | None = None
    title: str
    options: dict[str, Value] = Field(default_factory=dict)
    recipe: dict[str, Value] = Field(default_factory=dict)
    sources: dict[str, Digest] = Field(default_factory=dict)
    seed: int
    examples: int
    fingerprint: Fingerprint
    start: Digest
    seconds: float = 0.0
    keep: Keep = "all"
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))


class DriftCheck(Record):
    """A sequence beside erasing its examples at once, by the same method, from its first model.

    `distance` is between the two vectors, `divergence` the mean Jensen-Shannon divergence of
    their outputs on `examples` (None where outputs are no decisions between classes);
    `first_distance` and `first_divergence` are those between the one-shot erasure and the
    first model: what there was to erase. `cost` is that of the one-shot erasure.
    """

    distance: float
    first_distance: float
    divergence: float | None
    first_divergence: float | None
    examples: int
    cost: Cost


class AimReached(Record):
    """How far a sequence has come on the anchored objective of all that was erased in it.

    `gradient_norm` is that at the result, `first_gradient_norm` that at the model before,
    where the objective is anchored, and `gain` the decrease between them: estimates from
    samples of `examples` retained examples in all, with their standard errors.
    """

    gradient_norm: float
    gradient_error: float
    first_gradient_norm: float
    gain: float
    gain_error: float
    examples: int


class DriftRecord(Record):
    """Where a sequence of requests stands, counted from the model that was last trained.

    `share` of that model's examples are erased in `requests` requests; `path` is Σ|step| over
    them, `distance` where it led; `ratio` their seconds over one retraining's. `aim` is None
    after a method that minimises something else; it, `distance` and `check` are None once the
    weights that were last trained are disposed of. `cost` is that of measuring.
    """

    requests: int
    share: float
    path: float
    distance: float | None
    ratio: float | None
    aim: AimReached | None = None
    check: DriftCheck | None = None
    cost: Cost = Cost()
    advice: tuple[AdviceByName, ...] = ()


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


def canonical(record: Record) -> str:
    """The one JSON text of `record`: keys sorted, no blanks, ASCII; its hash stands for it."""
    content = json.loads(record.model_dump_json())
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


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
    if isinstance(value, FunctionType):
        return f"{value.__module__}:{value.__qualname__}"
    return value if value is None or isinstance(value, Value) else repr(value)
