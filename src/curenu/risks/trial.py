"""The trial pass: what must hold of data, model and loss, found out on a few examples first.

Every trouble that a user's data, model or loss can make becomes an error of `curenu.errors` here,
before anything is computed; what is settled for the user is said in `notes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from curenu.data import Batch, floating_tensors, same
from curenu.errors import BadRequest, NotDeterministic, UnsupportedModel, UserCodeFailed
from curenu.losses import CrossEntropy, Form, FunctionOfOutputs
from curenu.own_model import LOW
from curenu.risks.batch_norms import RunningStatistics, check_norms
from curenu.risks.evaluation import Evaluation
from curenu.risks.frozen import frozen_kept
from curenu.risks.hidden import check_followed, check_reached
from curenu.risks.order import by_example, check_order
from curenu.risks.scale import FEW, settle, spread
from curenu.risks.source import Named, Source

__all__ = ["FEW", "READ_WHOLE", "trial"]


READ_WHOLE = 16_384
"""Data sets of at most so many items are read and looked at as a whole before any work."""


def trial(source: Source, theta: Tensor) -> Source:
    """`source` with what was settled; raises for what cannot be used.

    In order: items by position, repeated reading, how the model is called and in which type,
    whether it writes into weights that stay or that move, what it returns, targets beside outputs,
    whether it draws random numbers, keeps the examples' order and follows its weights, what a mean
    divides by, whether an example's loss depends on its batch. A few micro-batches, forward only.
    Tensors in memory and small data sets are looked at whole.
    """
    examples, evaluation = source.examples, source.evaluation
    few = spread(torch.arange(examples.size), min(FEW, source.micro_batch_size))
    batch = _read_twice(source, few)
    source.check(batch)
    evaluation.fit(batch)
    types = {n: p.dtype for n, p in evaluation.model.named_parameters()}
    if any(types[name] != source.parameters.dtype for name in source.parameters.names):
        source.measured["types"] = types
    notes: list[str] = []
    named = source.parameters.unflatten(theta)
    check_norms(evaluation)
    with source.arithmetic(), torch.no_grad():
        with frozen_kept(source):
            outputs = _called(source, named, batch, notes)
        source.measured["writes"] = _writes(source, theta, batch)
        outputs = _as_outputs(source, theta, batch, outputs, notes)
        if evaluation.shows_outputs:
            _check_layout(source, theta, batch, outputs)
            if evaluation.tokens is None:
                evaluation.layout = outputs.ndim, source.measured["width"]
            _check_outputs_alone(evaluation, batch, outputs)
        _check_repeats(source, theta, batch)
        check_order(source, source.named(theta), batch)
        check_followed(source, theta, batch, outputs)
        check_reached(source, theta, batch)
        source = _counted(source, batch, outputs)
        settle(source, theta)
    _look_at_all(source)
    notes.append(_form_note(evaluation))
    source.measured["notes"] = (*source.measured.get("notes", ()), *notes)
    return source


def _read_twice(source: Source, few: Tensor) -> Batch:
    """The examples at `few`; `NotDeterministic` if reading them again gives others."""
    first, second = (source.examples.batch(few, fresh=True) for _ in range(2))
    if not same(first.content, second.content):
        raise NotDeterministic(
            "The dataset returns different data for the same example.",
            "switching off random augmentation, or a dataset of fixed examples.",
        )
    return first


def _called(source: Source, named: Named, batch: Batch, notes: list[str]) -> Any:
    """The model's outputs on its first batch, once it is clear how it is called."""
    evaluation, tried = source.evaluation, []
    for calling, dtype in _ways(evaluation, batch, source.parameters.dtype):
        evaluation.calling, evaluation.dtype = calling, dtype
        try:
            with RunningStatistics(evaluation):
                outputs = source.outputs({n: t.clone() for n, t in named.items()}, batch)
        except UserCodeFailed as error:
            tried.append(error)
            continue
        if dtype is not None:
            notes.append(f"floating inputs are cast to {str(dtype).removeprefix('torch.')}")
        return outputs
    raise UnsupportedModel(tried[0].problem, _remedy(source)) from tried[0].__cause__


def _remedy(source: Source) -> str:
    """What may help where the model does not take the first examples."""
    own = str(source.parameters.dtype).removeprefix("torch.")
    remedy = (
        "the data set, `collate=` and loss of training; inputs of the model's type "
        f"({own}) on its device"
    )
    if any(dtype in LOW for dtype in source.parameters.dtypes.values()):
        remedy += (
            "; as the model is worked on in float32, casts to a layer's own type "
            "(`x.to(self.layer.weight.dtype)`) instead of a fixed one, or the model as `.float()`"
        )
    return f"{remedy}."


def _ways(evaluation: Evaluation, batch: Batch, dtype: torch.dtype) -> list[tuple[Any, Any]]:
    """(how the model is called, what floating inputs are cast to), the plain one first."""
    callings: list[Any] = ["one"]
    if evaluation.shows_outputs and evaluation.tokens is None:
        inputs = evaluation.inputs(batch.content)
        if isinstance(batch.content, Mapping):
            callings = ["keywords"]
        elif isinstance(inputs, Mapping):
            callings = ["one", "keywords"]
        elif isinstance(inputs, list | tuple):
            callings = ["one", "positional"]
    other = any(tensor.dtype != dtype for tensor in floating_tensors(batch.content))
    return [(calling, None) for calling in callings] + [(c, dtype) for c in callings if other]


def _writes(source: Source, theta: Tensor, batch: Batch) -> bool:
    """Whether the model writes into the parameters it is called with, as `max_norm` does."""
    given = {name: t.clone() for name, t in source.parameters.unflatten(theta).items()}
    source.outputs(given, batch)
    kept = source.parameters.unflatten(theta)
    return any(not torch.equal(given[name], kept[name]) for name in given)


def _as_outputs(source: Source, theta: Tensor, batch: Batch, outputs: Any, notes: list[str]) -> Any:
    """Outputs that are one tensor, or a loss that hides them."""
    evaluation = source.evaluation
    function = isinstance(evaluation.form, FunctionOfOutputs)
    if isinstance(outputs, Tensor) and (
        not function or by_example(source, source.named(theta), batch, outputs)
    ):
        return outputs
    named = (isinstance(outputs, Mapping) and "logits" in outputs) or hasattr(outputs, "logits")
    if named and not function and evaluation.shows_outputs:
        evaluation.picks = True
        notes.append("`logits` are taken of what the model returns")
        return evaluation.shown(outputs)
    if function:
        evaluation.hide()
        notes.append("outputs are not one tensor with an example a row: the loss hides them")
        return source.outputs(source.named(theta), batch)
    raise UnsupportedModel(
        f"The model returns a {type(outputs).__name__}, and {evaluation.form.label} needs one "
        "tensor.",
        "a loss of your own (outputs, targets) that picks it, or a model that returns it alone.",
    )


def _check_repeats(source: Source, theta: Tensor, batch: Batch) -> None:
    """Raise `NotDeterministic` if the same batch twice gives different losses."""
    first, second = (
        source.evaluation.total(source.outputs(source.named(theta), batch), batch).double()
        for _ in range(2)
    )
    if not torch.allclose(first, second, rtol=1e-6, atol=0, equal_nan=True):
        raise NotDeterministic(
            f"The model gives {float(first):.9g}, then {float(second):.9g} on the same batch "
            "in evaluation mode.",
            "dropout as a module, or `functional.dropout(x, training=self.training)`: dropout "
            "or noise that ignores `.eval()` was left on.",
        )


def _check_layout(source: Source, theta: Tensor, batch: Batch, outputs: Tensor) -> None:
    """Targets beside outputs, and log-probabilities where the loss needs them."""
    evaluation, form = source.evaluation, source.evaluation.form
    if evaluation.tokens is not None:
        source.measured["width"] = outputs.shape[1]
        return
    if not outputs.is_floating_point():
        raise UnsupportedModel(
            f"The model's outputs are {outputs.dtype}.",
            "a model that returns real numbers: logits, not classes.",
        )
    seen = isinstance(form, FunctionOfOutputs)  # others were hidden where it is not so
    if not seen and not by_example(source, source.named(theta), batch, outputs):
        raise UnsupportedModel(
            f"{batch.size} examples give outputs {list(outputs.shape)}.",
            "outputs whose first axis is the example; for language models "
            "`curenu.TokenCrossEntropy`.",
        )
    targets = evaluation.targets(batch)
    if isinstance(targets, Tensor) and (targets.ndim == 0 or len(targets) != batch.size):
        raise BadRequest(
            f"{batch.size} examples collate to targets {list(targets.shape)}.",
            "a `collate` that keeps every example it is given.",
        )
    form.check_outputs(outputs, targets)
    if evaluation.log_likelihood and targets.is_floating_point():
        raise BadRequest(
            f"`NLLLoss` beside targets of {targets.dtype}: it takes classes, and no probabilities.",
            "whole-number classes, or `nn.CrossEntropyLoss()` on logits.",
        )
    source.measured["width"] = outputs.shape[1] if form.of_classes else None
    source.check(batch)
    if evaluation.log_likelihood and outputs.logsumexp(1).abs().max() > 1e-3:
        raise UnsupportedModel(
            "`NLLLoss` on outputs that are no log-probabilities.",
            "`nn.CrossEntropyLoss()` on logits, or a log-softmax at the end of the model.",
        )


def _check_outputs_alone(evaluation: Evaluation, batch: Batch, outputs: Tensor) -> None:
    """Raise `BadRequest` for a user's loss that looks at weights beside the outputs.

    A penalty on the weights inside the loss would be taken for a constant: the function sees
    the weights of the model it was written with, not those that are tried.
    """
    if not isinstance(evaluation.form, FunctionOfOutputs):
        return
    with torch.enable_grad():
        found = evaluation.given(outputs.detach(), batch)
        reached = evaluation.given(outputs.detach().requires_grad_(), batch)
    if not reached.requires_grad:
        raise UnsupportedModel(
            "The loss does not depend on the model's outputs, as far as torch can see.",
            "a loss without `.detach()`, `.item()`, `torch.no_grad()`, NumPy or `argmax` between "
            "the outputs and what it returns.",
        )
    if found.requires_grad:
        raise BadRequest(
            "The loss depends on trainable weights beside the model's outputs.",
            "a loss of outputs and targets alone; a penalty (lambda/2)|theta|² is "
            "`weight_decay=lambda`, and what the loss learns belongs into the model.",
        )


def _counted(source: Source, batch: Batch, outputs: Any) -> Source:
    """What every example adds to the denominator: one number, or one an example."""
    evaluation, examples = source.evaluation, source.examples
    count = evaluation.form.count(outputs) if evaluation.shows_outputs else 1.0
    source.measured["count"] = count
    own = None
    if evaluation.shows_outputs and evaluation.tokens is None:
        own = evaluation.form.counts(evaluation.targets(batch))
    in_memory = len(examples.tensors) == 2
    plain = own is not None and evaluation.targets(batch).ndim == 1
    plain = plain and getattr(evaluation.form, "weight", None) is None
    if plain and not in_memory and examples.size > READ_WHOLE:
        source.measured["all count"] = True  # `Source.check` refuses a target that does not
        own = None
    if own is None:
        if examples.weights is None:
            return source
        return replace(source, counts=(examples.weights.double() * count).cpu())
    counts = torch.empty(examples.size, dtype=torch.float64)
    if in_memory:
        counts = _counts(evaluation.form, examples.tensors[1]).double().cpu()
    else:
        for ids in torch.arange(examples.size).split(max(FEW, source.micro_batch_size)):
            read = source.batch(ids)
            counts[ids] = _counts(evaluation.form, evaluation.targets(read)).double().cpu()
    if examples.weights is not None:
        counts = counts * examples.weights.double().cpu()
    if counts.min() == counts.max() and examples.weights is None and counts[0] == count:
        return source
    return replace(source, counts=counts)


def _counts(form: Form, targets: Tensor) -> Tensor:
    counts = form.counts(targets)
    assert counts is not None  # the caller has seen that they vary
    return counts


def _look_at_all(source: Source) -> None:
    """Every example where that is cheap: tensors at once, small data sets by reading them."""
    examples = source.examples
    everyone = torch.arange(examples.size)
    whole = examples.tensors
    if len(whole) == 2 and source.evaluation.tokens is None:
        for ids in everyone.split(max(1024, source.micro_batch_size)):
            source.batch(ids)
    elif examples.size <= READ_WHOLE:
        examples.prefetch(everyone)
        for ids in everyone.split(max(FEW, source.micro_batch_size)):
            source.batch(ids)


def _form_note(evaluation: Evaluation) -> str:
    form = evaluation.form
    if isinstance(form, CrossEntropy) and evaluation.log_likelihood:
        return "loss: cross-entropy, as the negative log-likelihood of log-probabilities"
    if form.closed:
        return f"loss: {form.label}, in closed form"
    if evaluation.shows_outputs:
        return f"loss: {form.label}, its divergence found by differentiating it"
    return f"loss: {form.label}, outputs hidden: the tilted objective and Hessian products"
