"""What every rival owes: its plan, a start left alone, fresh randomness, plain failures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import curenu
from curenu.erasure import ErasureProblem, Method
from curenu.errors import BadRequest, IllPosed, UnsupportedModel
from curenu.losses import TokenCrossEntropy
from curenu.methods import (
    DELETE,
    KFADE,
    LCODEC,
    NPO,
    SCRUB,
    SIMU,
    SOUL,
    SSD,
    WINU,
    AltEraser,
    BadTeacher,
    ConstrainedNewton,
    FineTune,
    Fisher,
    FisherForgetting,
    FisherRemoval,
    GradDiff,
    GradientAscent,
    L1Sparse,
    LowRankNewton,
    NegGradPlus,
    RandomLabels,
    SalUn,
    TrustRegionNewton,
    WoodFisher,
)
from curenu.risks import Anchor, EmpiricalRisk
from tests.methods.short_form import BY_NAME, short_form
from tests.methods.test_working_vectors import LiveVectors
from tests.problems import PROBLEMS, Problem, classes, generator, initialised, inputs

FORGET = [1, 4, 7]
SHORT: list[Any] = [
    FineTune(epochs=2, batch_size=5),
    GradientAscent(epochs=2, batch_size=2),
    NegGradPlus(epochs=2, batch_size=5),
    RandomLabels(epochs=2, batch_size=5),
    SCRUB(epochs=3, max_epochs=2, batch_size=5),
    DELETE(epochs=2, batch_size=2),
    NPO(epochs=2, batch_size=2),
    GradDiff(epochs=2, batch_size=2),
    SOUL(epochs=2, batch_size=2),
    SIMU(epochs=2, batch_size=2),
    L1Sparse(epochs=2, batch_size=5),
    SalUn(epochs=2, batch_size=5),
    SSD(selection=1.5),
    BadTeacher(epochs=2, batch_size=5),
    Fisher(),
    FisherForgetting(),
    FisherRemoval(sample_size=10),
    KFADE(steps=2, sample_size=10),
    LowRankNewton(max_products=6, hvp_size=4),
    TrustRegionNewton(max_steps=2, max_products=6),
    WoodFisher(sample_size=10),
    WINU(max_products=6, hvp_size=4),
    LCODEC(max_units=3, perturbations=20, max_products=6, hvp_size=4),
    AltEraser("0.*", "2.*", max_products=6),
    ConstrainedNewton(runs=2, recursions=5, batch_size=5, scale=5.0, damping=100.0),
]
DESCENDING = [method for method in SHORT if hasattr(method, "learning_rate")]
OF_CLASSES = [RandomLabels, SCRUB, DELETE, SalUn, BadTeacher]
each = pytest.mark.parametrize("method", SHORT, ids=lambda method: type(method).__name__)


def problem_of(given: Problem | str, forget: list[int] = FORGET, **changes: Any) -> ErasureProblem:
    given = PROBLEMS[given]() if isinstance(given, str) else given
    arguments = {"weight_decay": given.weight_decay, "micro_batch_size": 5} | changes
    risk = EmpiricalRisk(given.model, given.dataset, given.loss, **arguments)
    return ErasureProblem(risk.start, *risk.split(forget))


class Forward:
    """Counts the examples that pass forward only, for the outputs of a fixed model."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.examples = 0
        for owner, name in ((Anchor, "of"), (EmpiricalRisk, "outputs")):
            patch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def counted(this: Any, *arguments: Any) -> Any:
            before = this.source.meter.examples
            made = original(this, *arguments)
            self.examples += this.source.meter.examples - before
            return made

        return counted


@each
@pytest.mark.parametrize("forget", [FORGET, list(range(12))], ids=["few", "most"])
@pytest.mark.parametrize("kept", [True, False], ids=["outputs-kept", "outputs-remade"])
def test_a_rival_stays_in_its_plan(
    method: Method, forget: list[int], kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kept:
        without = partialmethod(Anchor.__init__, memory_budget=0)
        monkeypatch.setattr(Anchor, "__init__", without)
    problem, forward = problem_of("mlp", forget), Forward(monkeypatch)
    plan = method.plan(problem)
    spent = method(problem, generator=generator(3)).cost
    assert 0 < spent.examples <= plan.examples
    assert forward.examples <= plan.forward
    assert spent.examples - forward.examples <= plan.examples - plan.forward


@each
def test_a_rival_holds_the_vectors_of_its_plan(method: Method) -> None:
    """Beside them: theta, the start, and one that a line of arithmetic makes and drops."""
    model = initialised(lambda: nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 3)))
    data = TensorDataset(inputs(17, 20), classes(17, 3))
    problem = problem_of(Problem(model, data, "cross_entropy"))
    method(problem, generator=generator())
    with LiveVectors(len(problem.start), 8) as live:
        method(problem, generator=generator())
    assert live.peak <= method.plan(problem).vectors + 3


@each
def test_a_rival_leaves_the_start_alone_and_repeats(method: Method) -> None:
    problem = problem_of("mlp")
    before = problem.start.clone()
    first, again = (method(problem, generator=generator(3)).theta for _ in range(2))
    assert torch.equal(problem.start, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, before)
    assert first.isfinite().all()


@each
def test_another_round_draws_other_numbers(method: Method) -> None:
    """A generator that goes on gives other batches, labels or noise: nothing seeds itself."""
    problem, stream = problem_of("mlp"), generator()
    made = {tuple(method(problem, generator=stream).theta.tolist()) for _ in range(4)}
    assert (len(made) == 1) == isinstance(method, SSD | TrustRegionNewton | AltEraser)


@pytest.mark.parametrize("method", DESCENDING, ids=lambda method: type(method).__name__)
def test_divergence_names_the_learning_rate(method: Any) -> None:
    far = type(method)(learning_rate=1e200, epochs=method.epochs, batch_size=method.batch_size)
    with pytest.raises(IllPosed, match="learning_rate"):
        far(problem_of("mlp"), generator=generator())


@pytest.mark.parametrize("kind", OF_CLASSES)
def test_what_needs_classes_says_so(kind: type) -> None:
    for name in ("regression", "mapping"):
        with pytest.raises(UnsupportedModel, match=f"^{kind.__name__} "):
            kind()(problem_of(name), generator=generator())


@pytest.mark.parametrize("kind", [SSD, Fisher, FisherForgetting, FisherRemoval, WoodFisher])
def test_what_squares_gradients_of_single_examples_refuses_mappings(kind: type) -> None:
    with pytest.raises(UnsupportedModel, match="single examples"):
        kind()(problem_of("mapping"), generator=generator())


@pytest.mark.parametrize(
    "make",
    [
        lambda: GradientAscent(learning_rate=0.0),
        lambda: GradientAscent(momentum=1.0),
        lambda: NegGradPlus(retain_weight=1.1),
        lambda: RandomLabels(epochs=0),
        lambda: SCRUB(max_epochs=11),
        lambda: SCRUB(divergence_weight=-1.0),
        lambda: DELETE(batch_size=0),
        lambda: NPO(inverse_temperature=0.0),
        lambda: NPO(retain_weight=-1.0),
        lambda: GradDiff(retain_weight=-1.0),
        lambda: L1Sparse(sparsity=-1.0),
        lambda: SalUn(share=0.0),
        lambda: SSD(selection=0.0),
        lambda: BadTeacher(retain_share=1.5),
        lambda: Fisher(noise=0.0),
        lambda: FisherForgetting(noise=0.0),
        lambda: FisherRemoval(step_size=0.0),
        lambda: FisherRemoval(sample_size=0),
        lambda: KFADE(step_size=0.0),
        lambda: KFADE(damping=0.0),
        lambda: KFADE(steps=0),
        lambda: LowRankNewton(share=0.0),
        lambda: LowRankNewton(damping=-1.0),
        lambda: TrustRegionNewton(radius=0.0),
        lambda: TrustRegionNewton(max_steps=0),
        lambda: TrustRegionNewton(accept=0.3),
        lambda: WoodFisher(damping=0.0),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: Callable[[], Method]) -> None:
    with pytest.raises(BadRequest):
        make()


# By name, through the facade


@pytest.mark.parametrize("name", BY_NAME)
def test_every_method_moves_the_weights_of_a_small_network_by_its_name(name: str) -> None:
    given = PROBLEMS["mlp"]()
    before = {key: value.clone() for key, value in given.model.state_dict().items()}
    result = curenu.unlearn(
        given.model,
        given.dataset,
        "cross_entropy",
        forget=FORGET,
        method=short_form(name),
        weight_decay=1e-2,
    )
    assert all(torch.equal(value, before[key]) for key, value in given.model.state_dict().items())
    moved = result.model.state_dict()
    assert not all(torch.equal(value, before[key]) for key, value in moved.items())
    assert result.theta.isfinite().all()


@pytest.mark.parametrize(
    "name", ["fine-tune", "gradient-ascent", "neg-grad-plus", "grad-diff", "npo", "l1-sparse"]
)
def test_a_rival_erases_from_a_language_model(name: str) -> None:
    given = PROBLEMS["mapping"]()
    result = curenu.unlearn(given.model, given.dataset, given.loss, forget=[1, 4], method=name)
    start = curenu.EmpiricalRisk(given.model, given.dataset, given.loss).start
    assert not torch.equal(result.theta, start)


def test_npo_is_the_same_with_a_loss_that_shows_its_logits() -> None:
    given = PROBLEMS["mapping"]()
    open_loss = TokenCrossEntropy(lambda model, batch: model(batch["tokens"]), shift=False)
    method = NPO(learning_rate=0.05, epochs=3, batch_size=1)
    hidden, shown = (
        curenu.unlearn(given.model, given.dataset, loss, forget=[1, 4], method=method).theta
        for loss in (given.loss, open_loss)
    )
    torch.testing.assert_close(shown, hidden)


def test_npo_needs_one_loss_an_example() -> None:
    given = PROBLEMS["mapping"]()

    def summed(model: Any, batch: Any) -> Tensor:
        return given.loss(model, batch).mean()

    with pytest.raises(UnsupportedModel, match="summed or averaged"):
        curenu.unlearn(given.model, given.dataset, summed, forget=[1, 4], method="npo")
