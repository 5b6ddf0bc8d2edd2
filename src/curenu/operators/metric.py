"""A metric of the parameters from Kronecker factors of the Gauss-Newton matrix (K-FAC)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from curenu.distributed import alone, count, own, reduced
from curenu.errors import CurenuError, UnsupportedModel
from curenu.memory import available_memory
from curenu.operators.label_draws import drawn_by_all, drawn_by_curvature, drawn_on_host
from curenu.own_model import full_copy
from curenu.risks.empirical import EmpiricalRisk
from curenu.user_code import said

__all__ = ["DAMPING", "Metric", "kronecker_metric"]

Factors = dict[str, tuple[Tensor, Tensor]]

DAMPING = 0.2
"""What is added to the factors' eigenvalues, as a share of the curvature per parameter."""


@dataclass(frozen=True)
class _Block:
    """Eigenvectors of one layer's factors, those of eigenvalue zero left out.

    P^(-1/2) is `flat`, and `scale` `[k outputs, k inputs]` more between the k vectors of each.
    """

    places: tuple[slice, ...]  # of the weight, and of the bias that is its last column
    outputs: Tensor
    inputs: Tensor
    scale: Tensor
    flat: float

    def apply(self, vector: Tensor) -> Iterator[tuple[slice, Tensor]]:
        rows = len(self.outputs)
        matrix = torch.cat([vector[place].view(rows, -1) for place in self.places], dim=1)
        inside = (self.outputs.mT @ matrix @ self.inputs) * self.scale
        result = torch.addmm(matrix, self.outputs @ inside, self.inputs.mT, beta=self.flat)
        widths = [(place.stop - place.start) // rows for place in self.places]
        for place, part in zip(self.places, result.split(widths, dim=1), strict=True):
            yield place, part.reshape(-1)


@dataclass(frozen=True)
class Metric:
    """|s|_P² = s·Ps with P = A⊗B + damping on each linear layer, a constant elsewhere.

    `root(v)` is P^(-1/2) v: steps of length one in the metric are short where the curvature
    is large. Holds the factors' eigenbases, one number a parameter besides. Equation (10) of
    `docs/theory.md`.
    """

    blocks: tuple[_Block, ...]
    elsewhere: float

    def inverse(self, vector: Tensor) -> Tensor:
        """P⁻¹·vector, `[d]`."""
        return self.root(self.root(vector))

    def double(self) -> Metric:
        """The same metric for float64 vectors."""
        return Metric(
            tuple(
                replace(b, outputs=b.outputs.double(), inputs=b.inputs.double(), scale=b.scale)
                for b in self.blocks
            ),
            self.elsewhere,
        )

    def root(self, vector: Tensor) -> Tensor:
        """P^(-1/2)·vector, `[d]`; symmetric, so its own transpose."""
        result = vector * self.elsewhere
        for block in self.blocks:
            for place, part in block.apply(vector):
                result[place] = part
        return result


def kronecker_metric(
    risk: EmpiricalRisk, theta: Tensor, generator: torch.Generator, *, damping: float = DAMPING
) -> Metric:
    """The metric at theta from K-FAC on the examples of `risk`; about two gradients.

    Labels are drawn from the model, or slopes from the loss's own second derivative in the outputs
    where it is none that has labels. `damping` is relative to the mean of the Gauss-Newton
    matrix's diagonal over the layers it knows. Source: Martens and Grosse (2015), Grosse and
    Martens (2016), as curvlinops has them.

    Raises `UnsupportedModel` when there is no linear or convolutional layer to take factors
    of, or the loss hides the outputs or has no curvature in them, or, naming the bytes, where
    the factors do not fit in memory.
    """
    model = _placed(risk, theta)
    layers = _layers(model)
    evaluation = risk.source.evaluation
    shown = evaluation.shows_outputs and evaluation.tokens is None
    if not layers or evaluation.calling != "one" or not shown:
        raise UnsupportedModel(
            "K-FAC needs linear or convolutional layers and a loss of outputs and targets.",
            'preconditioner="none".',
        )
    _check_memory(layers, theta)
    with risk.source.arithmetic():  # whatever modes the caller has switched on
        factors = _factors(risk, model, layers, generator)
    places = _places(risk)
    spectra = {}
    for name, (inputs, outputs) in factors.items():
        spectra[name] = _spectrum(inputs), _spectrum(outputs)
    trace = sum(
        float(a.clamp_min(0).sum() * b.clamp_min(0).sum()) for (a, _), (b, _) in spectra.values()
    )
    if not trace > 0:
        raise UnsupportedModel("K-FAC found no curvature at all.", 'preconditioner="none".')
    known = sum(len(a) * len(b) for (a, _), (b, _) in spectra.values())
    shift = damping * trace / known + risk.weight_decay
    blocks = []
    for name, ((a, inputs), (b, outputs)) in spectra.items():
        (a, inputs), (b, outputs) = _bent(a, inputs), _bent(b, outputs)
        names = [f"{name}.{part}" if name else part for part in ("weight", "bias")]
        own = tuple(places[part] for part in names if part in places)
        scale = (torch.outer(b, a) + shift).rsqrt() - shift**-0.5
        blocks.append(_Block(own, outputs, inputs, scale, shift**-0.5))
    return Metric(tuple(blocks), (trace / known + shift) ** -0.5)


def _measured(work: Callable[[], Any]) -> Any:
    """What `work` gives; `UnsupportedModel` where curvlinops cannot follow the model.

    It asks for more than products do: that every layer is reached by each micro-batch, under a
    gradient, and that the outputs are one tensor.
    """
    try:
        return work()
    except CurenuError:
        raise
    except Exception as error:  # whatever comes out of the library and the user's own classes
        raise UnsupportedModel(
            f"K-FAC cannot be measured on this model: {said(error)}",
            'preconditioner="none".',
        ) from error


def _spectrum(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors; in float64 where float32 does not converge.

    It may not on a large factor of few examples, most of whose eigenvalues are zero.
    """
    try:
        values, vectors = torch.linalg.eigh(factor)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        values, vectors = torch.linalg.eigh(factor.double())
    return values.to(factor), vectors.to(factor)


def _bent(values: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenpairs above rounding: fewer than there were examples, however wide the layer."""
    bent = values > torch.finfo(values.dtype).eps * values.max()
    return values[bent], vectors[:, bent].contiguous()


def _placed(risk: EmpiricalRisk, theta: Tensor) -> nn.Module:
    """A copy of the model at theta; only the parameters that move ask for a gradient."""
    model = full_copy(risk.source.evaluation.model)
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in risk.parameters.unflatten(theta).items():
            named[name].copy_(value).requires_grad_()
    return model


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """Linear and convolutional layers whose moving parameters are nobody else's too.

    Not those whose class has a forward pass of its own, one that pads first say: what such a
    layer is given is not what its weights are multiplied by.
    """
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
        and type(layer).forward in (nn.Linear.forward, nn.Conv2d.forward)
        and layer.weight.requires_grad
        and all(owners[id(parameter)] == 1 for parameter in layer.parameters())
    }


def _check_memory(layers: dict[str, nn.Module], theta: Tensor) -> None:
    """Raise where a layer's factors and their eigenvectors take more than is available."""
    weights: list[Tensor] = [layer.weight for layer in layers.values()]  # type: ignore[misc]
    sides = [side for weight in weights for side in (len(weight), weight[0].numel() + 1)]
    needed = 3 * theta.element_size() * sum(side**2 for side in sides)
    limit = available_memory(theta.device)
    if needed > limit:
        raise UnsupportedModel(
            f"The K-FAC factors, the largest of side {max(sides)}, take {needed / 2**30:.3g} GiB, "
            f"more than the {limit / 2**30:.3g} GiB available.",
            'preconditioner="none", or fewer parameters by `only=`.',
        )


def _places(risk: EmpiricalRisk) -> dict[str, slice]:
    places, end = {}, 0
    for name, shape in risk.parameters.shapes.items():
        places[name] = slice(end, end + shape.numel())
        end += shape.numel()
    return places


def _factors(
    risk: EmpiricalRisk,
    model: nn.Module,
    layers: dict[str, nn.Module],
    generator: torch.Generator,
) -> dict[str, tuple[Tensor, Tensor]]:
    """(input, output-gradient) covariances of each layer that was called, from curvlinops.

    Each process takes its share of every micro-batch; the sums are those of one process. They are
    in the parameters' type, whatever a layer computes in: an autocast of its own, say.
    """
    if risk.size < count():
        with alone():  # not an example for each
            return _factors(risk, model, layers, generator)
    form, operator_of = risk.source.evaluation.form, _library()
    known = form.criterion()
    if known is None and count() > 1:
        raise UnsupportedModel(
            "K-FAC of a loss of one's own is measured in one process.", 'preconditioner="none".'
        )
    seed = int(torch.randint(2**31, (), generator=generator))
    parameters = [p for layer in layers.values() for p in layer.parameters() if p.requires_grad]
    dealt = [(ids[own()], len(ids)) for ids in risk.ids.split(risk.source.micro_batch_size)]
    shares = [(ids, size) for ids, size in dealt if len(ids)]
    data = [_given(risk, ids) for ids, _ in shares]  # an error in the data is not the model's

    def work() -> Any:
        operator = operator_of(
            model,
            known or nn.MSELoss(),
            parameters,
            data,
            check_deterministic=False,
            seed=seed,
            fisher_type="mc",
            separate_weight_and_bias=False,
            num_data=risk.size,
            num_per_example_loss_terms=1,
        )
        if known is None:
            targets = (risk.source.evaluation.targets(risk.source.batch(ids)) for ids, _ in shares)
            operator.draw_label = drawn_by_curvature(form, targets, seed)
        else:
            draw = drawn_on_host(operator, seed)
            operator.draw_label = draw if count() == 1 else drawn_by_all(draw, shares)
        operator.compute_kronecker_factors()
        return operator.state_dict()

    kept = _measured(work)
    risk.meter.gradients += 1
    risk.meter.passed(sum(len(ids) for ids, _ in shares))
    inputs, outputs = (
        {name: reduced(factor.to(risk.parameters.dtype)) for name, factor in kept[kind].items()}
        for kind in ("input_covariances", "gradient_covariances")
    )
    return {name: (inputs[name], outputs[name]) for name in layers if name in inputs}


def _given(risk: EmpiricalRisk, ids: Tensor) -> tuple[Any, Tensor]:
    """(inputs, targets) of the examples; targets only lend their shape: labels are drawn."""
    evaluation = risk.source.evaluation
    batch = risk.source.batch(ids)
    targets = evaluation.targets(batch)
    if evaluation.of_classes:
        shape = targets.shape if not targets.is_floating_point() else targets[:, 0].shape
        targets = torch.zeros(shape, dtype=torch.int64, device=targets.device)
    elif evaluation.form.criterion() is None:
        targets = torch.zeros(len(ids), 1, device=risk.parameters.device)
    return evaluation.inputs(evaluation.cast(batch.content)), targets


def _library() -> Any:
    """curvlinops's operator; `UnsupportedModel` where the package is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the library's own imports
            from curvlinops import KFACLinearOperator
    except ImportError as error:
        raise UnsupportedModel(
            f"K-FAC needs curvlinops-for-pytorch, which does not import here: {error}.",
            '`pip install curvlinops-for-pytorch`, or preconditioner="none".',
        ) from error
    return KFACLinearOperator
