"""The anchored objective of a language model: divergences between its tokens' distributions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.data import Dataset

import curenu
from curenu.errors import BadRequest, UnsupportedModel
from curenu.losses import TokenCrossEntropy
from curenu.methods import NPO, GradDiff
from curenu.risks import AnchoredRisk, EmpiricalRisk
from tests.problems import generator, initialised

FORGET = [1, 4]
WORDS = 6


class Stories(Dataset[dict[str, Tensor]]):
    """Nine sequences of six tokens, of which one to five are asked for."""

    def __init__(self) -> None:
        self.tokens = torch.randint(WORDS, (9, 6), generator=generator(3))
        self.labels = self.tokens.clone()
        for i in range(9):
            self.labels[i, : 1 + i % 5] = -100

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"tokens": self.tokens[index], "labels": self.labels[index]}


class Reader(nn.Module):
    """Each token's logits from itself and the mean of those before: causal and curved."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 3)
        self.head = nn.Linear(3, WORDS)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        past = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
        return self.head(torch.tanh(x + 2.0 * past))


def read(model: nn.Module, batch: Any) -> Tensor:
    return model(batch["tokens"])


def parts(loss: Any = None, micro: int = 4) -> tuple[EmpiricalRisk, EmpiricalRisk]:
    risk = EmpiricalRisk(
        initialised(Reader), Stories(), loss or TokenCrossEntropy(read),
        weight_decay=1e-2, micro_batch_size=micro,
    )  # fmt: skip
    return risk.split(FORGET)


def anchored(over_tokens: Any = "mean", **options: Any) -> AnchoredRisk:
    retain, forget = parts(TokenCrossEntropy(read, over_tokens=over_tokens))
    return AnchoredRisk(retain, forget, retain.start, **options)


def nearby(theta: Tensor, seed: int) -> Tensor:
    return theta + 0.3 * torch.randn(theta.shape, generator=generator(seed), dtype=theta.dtype)


def one_by_one(risk: EmpiricalRisk, theta: Tensor, i: int) -> tuple[Tensor, Tensor, Tensor]:
    """(logits [t, v], targets [t], weights [t]) of example i, written without src."""
    data, named = Stories(), risk.parameters.unflatten(theta)
    model = risk.source.evaluation.model
    logits = functional_call(model, named, (data.tokens[i : i + 1],))[0, :-1]
    asked = data.labels[i, 1:] >= 0
    return logits[asked], data.labels[i, 1:][asked], torch.full((int(asked.sum()),), 1.0).double()


def reference(risk: EmpiricalRisk, theta: Tensor, start: Tensor, over_tokens: str) -> Tensor:
    """Equation (5) of the theory, token by token, without the decay."""
    total = torch.zeros((), dtype=torch.float64)
    kept = [i for i in range(9) if i not in FORGET]
    for i in range(9):
        after, targets, weight = one_by_one(risk, theta, i)
        before = one_by_one(risk, start, i)[0].detach()
        if over_tokens == "mean":
            weight = weight / len(weight)
        p, log_p, log_q = before.softmax(1), before.log_softmax(1), after.log_softmax(1)
        total = total + (weight * (p * (log_p - log_q)).sum(1)).sum()
        if i in FORGET:
            total = total + (weight * log_q.gather(1, targets[:, None])[:, 0]).sum()
            own = log_p.gather(1, targets[:, None])[:, 0]
            total = total - (weight * own).sum()
    return total / len(kept)


@pytest.mark.parametrize("over_tokens", ["mean", "sum"])
def test_it_is_the_objective_of_the_theory_token_by_token(over_tokens: str) -> None:
    objective = anchored(over_tokens)
    start, theta = objective.start, nearby(objective.start, 1)
    decay = 9 / 7 * 5e-3 * (theta - start).square().sum() - 2 / 7 * 5e-3 * theta.square().sum()
    decay0 = -2 / 7 * 5e-3 * start.square().sum()
    change = objective.value(theta) - objective.value(start)
    expected = reference(objective, theta, start, over_tokens) + decay - decay0  # type: ignore[arg-type]
    torch.testing.assert_close(change, expected.detach())


@pytest.mark.parametrize("over_tokens", ["mean", "sum"])
def test_gradient_and_product_are_those_of_dense_autograd(over_tokens: str) -> None:
    objective = anchored(over_tokens)
    start, theta = objective.start, nearby(objective.start, 2)

    def value(t: Tensor) -> Tensor:
        quadratic = 9 / 7 * 5e-3 * (t - start).square().sum() - 2 / 7 * 5e-3 * t.square().sum()
        return reference(objective, t, start, over_tokens) + quadratic  # type: ignore[arg-type]

    gradient = torch.func.grad(value)(theta)
    torch.testing.assert_close(objective.gradient(theta), gradient)
    hessian = torch.autograd.functional.hessian(value, theta)
    torch.testing.assert_close(objective.linearise(theta).dense(), hessian)


def test_gradient_at_the_anchor_is_the_forget_examples_pull() -> None:
    retain, forget = parts()
    objective = AnchoredRisk(retain, forget, retain.start)
    expected = -(forget.size / retain.size) * forget.gradient(retain.start)
    torch.testing.assert_close(objective.gradient(retain.start), expected)
    assert expected.norm() > 1e-3


def test_every_retained_example_has_no_gradient_at_the_anchor() -> None:
    objective = anchored()
    term = objective._sum.terms[0]
    pieces = objective.parameters.unflatten(objective.start)
    named = {name: piece.requires_grad_() for name, piece in pieces.items()}
    for one in term.ids.split(1):
        batch = objective.source.batch(one)
        value = term.head(objective.source.outputs(named, batch), batch)
        for gradient in torch.autograd.grad(value, list(named.values())):
            assert gradient.abs().max() < 1e-15


def test_hessian_at_the_anchor_is_gauss_newton_plus_the_forget_residual_term() -> None:
    objective = anchored()
    start = objective.start

    def residual(theta: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i in FORGET:
            logits, targets, weight = one_by_one(objective, theta, i)  # type: ignore[arg-type]
            pull = functional.one_hot(targets, WORDS) - logits.softmax(1).detach()
            total = total + (weight[:, None] / len(weight) * pull * logits).sum()
        return total / 7

    gauss_newton = 1e-2 * torch.eye(len(start), dtype=torch.float64)
    for i in (i for i in range(9) if i not in FORGET):
        jacobian = torch.func.jacrev(lambda t, i=i: one_by_one(objective, t, i)[0])(start)  # type: ignore[arg-type]
        p = one_by_one(objective, start, i)[0].softmax(1)  # type: ignore[arg-type]
        middle = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) / len(p) / 7
        gauss_newton += torch.einsum("tid,tij,tje->de", jacobian, middle, jacobian)
    kept = objective.linearise(start, curvature="gauss_newton")
    torch.testing.assert_close(kept.dense(), gauss_newton)
    torch.testing.assert_close(kept.gradient, objective.gradient(start))
    torch.testing.assert_close(
        objective.linearise(start).dense(),
        gauss_newton + torch.autograd.functional.hessian(residual, start),
    )
    vector = nearby(torch.zeros_like(start), 6)
    torch.testing.assert_close(kept @ vector, gauss_newton @ vector)


def test_the_forget_term_is_linear_in_the_logits() -> None:
    objective = anchored()
    removal = objective._sum.terms[1]
    batch = objective.source.batch(removal.ids)
    before = objective._anchor.of(batch)
    direction = torch.randn(before.shape, generator=generator(), dtype=before.dtype)
    first, far = (removal.head(before + t * direction, batch) for t in (1.0, 50.0))
    assert abs(float(first)) > 1e-3
    assert float(far) == pytest.approx(50.0 * float(first), rel=1e-12)


@pytest.mark.parametrize("budget", [0, 400, 2**20])
def test_outputs_at_the_anchor_stay_within_their_byte_budget(budget: int) -> None:
    objective = anchored(memory_budget=budget)
    theta = nearby(objective.start, 8)
    value, meter = objective.value(theta), objective.meter
    kept = objective._anchor._rows.values()
    assert sum(rows.untyped_storage().nbytes() for rows in kept) <= budget
    before = meter.examples
    torch.testing.assert_close(objective.value(theta), value, rtol=1e-14, atol=0)
    assert meter.examples - before == {0: 18, 400: 18, 2**20: 9}[budget]


def test_padding_and_batch_mates_do_not_change_an_examples_weight() -> None:
    whole = [float(parts(micro=size)[0].value(parts()[0].start)) for size in (1, 3, 9)]
    assert max(whole) - min(whole) < 1e-14
    data, loss, model = Stories(), TokenCrossEntropy(read), initialised(Reader)
    short = {"tokens": data.tokens[:2], "labels": data.labels[:2]}
    padded = {
        "tokens": functional.pad(short["tokens"], (0, 3)),
        "labels": functional.pad(short["labels"], (0, 3), value=-100),
    }
    torch.testing.assert_close(loss(model, padded), loss(model, short))


def test_a_plain_callable_of_the_same_value_gets_the_same_gradient_but_no_gauss_newton() -> None:
    shown, hidden = parts()[0], parts(lambda model, batch: TokenCrossEntropy(read)(model, batch))[0]
    theta = nearby(shown.start, 1)
    torch.testing.assert_close(shown.gradient(theta), hidden.gradient(theta))
    with pytest.raises(UnsupportedModel, match="TokenCrossEntropy"):
        hidden.linearise(theta, curvature="gauss_newton").dense()


def test_outputs_are_the_next_token_decisions_of_every_answer() -> None:
    retain, _ = parts()
    logits, targets = retain.outputs(retain.start)
    labels = Stories().labels[retain.ids, 1:]
    assert targets.tolist() == labels[labels >= 0].tolist()
    assert logits.shape == (len(targets), WORDS)


@pytest.mark.parametrize(
    "method", ["stocurenu", NPO(learning_rate=1e-2), GradDiff(learning_rate=1e-2)]
)
def test_methods_erase_from_target_tokens(method: Any) -> None:
    loss = TokenCrossEntropy(read)
    result = curenu.unlearn(initialised(Reader), Stories(), loss, forget=FORGET, method=method)
    data = Stories()
    batch = {"tokens": data.tokens[FORGET], "labels": data.labels[FORGET]}
    assert loss(result.model, batch).mean() > loss(initialised(Reader), batch).mean() + 0.01


@pytest.mark.parametrize(
    "loss",
    [
        TokenCrossEntropy(read, targets="answers"),
        TokenCrossEntropy(lambda model, batch: model(batch["tokens"])[:, :-1]),
        TokenCrossEntropy(lambda model, batch: model(batch["tokens"]).mean(1)),
    ],
)
def test_logits_and_targets_that_do_not_fit_are_refused(loss: TokenCrossEntropy) -> None:
    with pytest.raises(BadRequest):
        parts(loss)


def test_an_example_without_target_is_refused() -> None:
    batch = {"tokens": Stories().tokens, "labels": torch.full((9, 6), -100)}
    with pytest.raises(BadRequest, match="no target token"):
        TokenCrossEntropy(read)(initialised(Reader), batch)


@pytest.mark.parametrize("options", [{"outputs": 3}, {"outputs": read, "over_tokens": "median"}])
def test_arguments_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        TokenCrossEntropy(**options)
