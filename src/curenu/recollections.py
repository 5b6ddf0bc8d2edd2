"""One vector for each tracked example, kept along training: what the end owes to it.

Source: Qiao, Zhang, Tang and Wei, "Hessian-Free Online Certified Unlearning" (ICLR 2025).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Self

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from curenu.atomic import replace_file
from curenu.checks import positions_of
from curenu.errors import BadRequest, MissingData, UnsupportedModel
from curenu.memory import available_memory
from curenu.risks import EmpiricalRisk, gradient_rows

__all__ = ["RecollectionRecorder", "Recollections"]

_VERSION = "1"
_NEAR = 1e-3  # relative difference of the loop's gradient and the objective's


class Recollections:
    """a_i `[d]` of tracked positions i, and the digest of the weights that they lead to.

    a_i = −dtheta_T/dw_i, w_i the weight of example i in the training sum: to first order, the
    training without it ends at theta_T + a_i. They add up.
    """

    def __init__(self, positions: Sequence[int], vectors: Tensor, digest: str, steps: int) -> None:
        self.positions, self.vectors = tuple(positions), vectors
        self.digest, self.steps = digest, steps

    def total(self, forget: Sequence[int], theta: Tensor) -> Tensor:
        """Σ a_i over the positions in `forget`, `[d]`.

        Raises `BadRequest` where one was not tracked, or theta `[d]` is not what they lead to.
        """
        if digest_of(theta) != self.digest:
            raise BadRequest(
                "The recollections are of another training, or of another moment of it.",
                "the weights that training ended with, or those that were saved with them.",
            )
        rows = {position: row for row, position in enumerate(self.positions)}
        missing = [position for position in forget if position not in rows]
        if missing:
            raise BadRequest(
                f"{len(missing)} examples were not tracked in training, first {missing[0]}.",
                "recollections of them, or a method that needs none: `stocurenu`.",
            )
        chosen = torch.tensor([rows[position] for position in forget])
        return self.vectors[chosen.to(self.vectors.device)].sum(0).to(theta)

    def save(self, path: str | Path) -> None:
        """Write them to one safetensors file. They saw what is to be erased: delete it with it."""
        about = {
            "version": _VERSION,
            "positions": json.dumps(self.positions),
            "weights": self.digest,
            "steps": str(self.steps),
            "vectors": digest_of(self.vectors),
        }
        content = safetensors.torch.save({"vectors": self.vectors.cpu().contiguous()}, about)
        replace_file(Path(path), content)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Those that `save` wrote; `MissingData` where there are none, `BadRequest` if damaged."""
        try:
            with safetensors.safe_open(path, "pt") as file:
                about, vectors = file.metadata() or {}, file.get_tensor("vectors")
        except OSError as error:
            raise MissingData(
                f"Cannot read the recollections {path}: {error.strerror or 'no such file'}.",
                "the file that `Recollections.save` wrote in training.",
            ) from error
        except safetensors.SafetensorError as error:
            raise _damaged(path, str(error)) from error
        if about.get("version") != _VERSION:
            raise _damaged(path, f"version {about.get('version')}, not {_VERSION}")
        if digest_of(vectors) != about["vectors"]:
            raise _damaged(path, "the vectors are not those that were written")
        return cls(json.loads(about["positions"]), vectors, about["weights"], int(about["steps"]))


class RecollectionRecorder:
    """Keeps a_i along a training by plain gradient descent: one line before the loop, one in it.

        recorder = RecollectionRecorder(optimizer, model, risk, forget=ids)
        for ids in batches:
            ...  # loss.backward() on the mean loss of the examples at `ids`
            recorder.batch(ids)
            optimizer.step()
        recorder.recollections().save("recollections.safetensors")

    At every step a_i ← (I − eta H_B) a_i, and for i in B then + (eta/|B|) ∇l_i: one Hessian-vector
    product of the batch for every tracked example that was seen before, all at the weights before
    the step. `risk` is the objective over all the training data, weight decay included. Memory:
    one vector for each of `forget` (all examples where None), refused over `memory_budget` bytes
    (None: what is available) before anything is trained; `bytes` says how much.

    Raises `BadRequest` for another optimiser than SGD without momentum, or a weight decay that is
    not the objective's; `UnsupportedModel` for dropout or batch norm in training, whose steps are
    not the objective's. The gradient of the first step is compared with the objective's.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        model: nn.Module,
        risk: EmpiricalRisk,
        *,
        forget: Sequence[Hashable] | Tensor | None = None,
        memory_budget: int | None = None,
    ) -> None:
        _check_rule(optimizer, risk.weight_decay)
        _check_layers(model)
        size = risk.source.examples.size
        chosen = list(range(size)) if forget is None else positions_of(forget, size)
        self.bytes = len(chosen) * risk.dimension * risk.start.element_size()
        limit = available_memory(risk.start.device) if memory_budget is None else memory_budget
        if self.bytes > limit:
            raise UnsupportedModel(
                f"Recollections of {len(chosen)} examples take {self.bytes / 2**30:.3g} GiB, more "
                f"than the {limit / 2**30:.3g} GiB there are.",
                "`forget=` with the examples that may have to go (a request known before "
                "training needs one vector each), or `stocurenu`, which keeps none.",
            )
        self._optimizer, self._model, self._risk = optimizer, model, risk
        self._rows = {position: row for row, position in enumerate(chosen)}
        self._vectors = risk.start.new_zeros(len(chosen), risk.dimension)
        self._seen = torch.zeros(len(chosen), dtype=torch.bool)
        self._batch: list[int] | None = None
        self._steps = 0
        self._hook = optimizer.register_step_pre_hook(self._step)

    def batch(self, ids: Sequence[int] | Tensor) -> None:
        """Say which positions the next step's mean loss is over."""
        self._batch = torch.as_tensor(ids).tolist()

    def recollections(self) -> Recollections:
        """What was kept, for the weights that the model has now."""
        digest = digest_of(self._risk.vector_of(self._model))
        return Recollections(list(self._rows), self._vectors.clone(), digest, self._steps)

    def stop(self) -> None:
        """Record no further step."""
        self._hook.remove()

    def _step(self, optimizer: Optimizer, *_: Any) -> None:
        if self._batch is None:
            raise BadRequest(
                "A step of training whose examples are not known.",
                "`recorder.batch(ids)` before every `optimizer.step()`.",
            )
        _check_rule(optimizer, self._risk.weight_decay)
        part, self._batch = self._risk.subset(self._batch), None
        rate, theta = optimizer.param_groups[0]["lr"], self._risk.vector_of(self._model)
        bent = part.linearise(theta)
        if self._steps == 0:
            self._compare(bent.gradient, theta)
        for row in self._seen.nonzero().flatten().tolist():
            self._vectors[row].sub_(bent @ self._vectors[row], alpha=rate)
        tracked = [i for i in part.ids.tolist() if i in self._rows]
        if tracked:
            own = self._risk.subset(tracked)
            slopes = gradient_rows(own, theta).mul_(own.mass / own.size)
            rows = torch.tensor([self._rows[i] for i in own.ids.tolist()])
            self._vectors[rows.to(theta.device)] += rate / part.mass * slopes
            self._seen[rows] = True
        self._steps += 1

    def _compare(self, gradient: Tensor, theta: Tensor) -> None:
        named = dict(self._model.named_parameters())
        space = self._risk.parameters
        given = space.flatten({n: _slope(named[n]) for n in space.names})
        given = given + self._risk.weight_decay * theta
        apart = float((given - gradient).norm())
        if not apart <= _NEAR * max(float(gradient.norm()), float(given.norm())):
            raise BadRequest(
                f"The first step's gradient is not that of the batch named: {apart:.3g} apart.",
                "the positions whose mean loss was differentiated, and that loss in the objective.",
            )


def digest_of(tensor: Tensor) -> str:
    """SHA-256 of the values and the type."""
    plain = tensor.detach().cpu().contiguous()
    return hashlib.sha256(str(plain.dtype).encode() + plain.numpy().tobytes()).hexdigest()


def _slope(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _check_rule(optimizer: Optimizer, weight_decay: float) -> None:
    groups = optimizer.param_groups
    plain = type(optimizer) is SGD and not any(g["momentum"] or g["maximize"] for g in groups)
    if not plain or len({group["lr"] for group in groups}) > 1:
        raise BadRequest(
            "Recollections follow plain gradient descent of one rate.",
            "torch.optim.SGD without momentum; for others `curenu.TrainingRecorder`, whose "
            "checkpoints `stocurenu` takes.",
        )
    if any(abs(group["weight_decay"] - weight_decay) > 1e-12 for group in groups):
        raise BadRequest(
            f"The optimiser's weight decay is not the objective's, {weight_decay:g}.",
            "the same `weight_decay` for both.",
        )


def _check_layers(model: nn.Module) -> None:
    for name, layer in model.named_modules():
        drops = isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p > 0
        if drops or isinstance(layer, nn.modules.batchnorm._BatchNorm):
            raise UnsupportedModel(
                f"{name!r} is a {type(layer).__name__}: training steps are not those of the "
                "objective, which is in evaluation mode.",
                "a network without it, or `curenu.TrainingRecorder`.",
            )


def _damaged(path: str | Path, why: str) -> BadRequest:
    return BadRequest(
        f"{path} is damaged or no file of recollections: {why}.",
        "the file as `Recollections.save` wrote it.",
    )
