"""What a report says first: one sentence for every way an erasure can end."""

from __future__ import annotations

import pytest

from curenu.report import NOTHING, ORACLE, Figure, Model, Verdict, verdict_of
from curenu.report.verdict import grouped

BEFORE = {"Rf": 3.0, "RA": 0.99, "TA": 0.95, "G loss": 0.0}
AIM = {"Rf": 1.0, "RA": 0.99, "TA": 0.94, "seconds": 10.0}
GOOD = {"Rf": 1.2, "RA": 0.99, "TA": 0.95, "G loss": 0.95, "ratio": 0.2, "update_norm": 0.5}


def model(name: str, figures: dict[str, float], width: float = 0.002) -> Model:
    return Model(name, {n: Figure(v, (v - width, v + width)) for n, v in figures.items()})


def judged(**changed: float | None) -> Verdict:
    figures = GOOD | {name.replace("_loss", " loss"): v for name, v in changed.items()}
    own = {name: value for name, value in figures.items() if value is not None}
    return verdict_of([model(NOTHING, BEFORE), model(ORACLE, AIM), model("m", own)], "m")


RETRAINED = "By their loss, the model treats the erased examples as a retrained one would"


@pytest.mark.parametrize(
    ("changed", "kind", "headline"),
    [
        ({}, "closed", f"{RETRAINED}."),
        ({"G_loss": 0.56}, "part", "56 % of the gap to retraining is closed."),
        ({"G_loss": 0.02}, "open", "The gap to retraining is still open."),
        ({"G_loss": -3.0, "Rf": 2.9}, "open", "The gap to retraining is still open."),
        (
            {"ratio": 1.2},
            "dear",
            f"{RETRAINED}, and retraining would have been cheaper.",
        ),
        ({"Rf": 3.5}, "harmed", "The erasure moved away from retraining."),
        ({"TA": 0.90}, "harmed", "What stays was harmed."),
        ({"RA": 0.80, "ratio": 2.0}, "harmed",
         "What stays was harmed; retraining would have been cheaper."),
        ({"update_norm": 0.0, "G_loss": 0.0, "Rf": 3.0}, "unmoved",
         "Nothing was erased: the model has not moved."),
    ],
)  # fmt: skip
def test_every_way_an_erasure_ends(changed: dict[str, float], kind: str, headline: str) -> None:
    found = judged(**changed)
    assert (found.kind, found.headline) == (kind, headline)


def test_a_fall_within_the_interval_or_below_the_oracle_alone_is_no_harm() -> None:
    assert judged(TA=0.936).kind == "closed"  # a hundredth is allowed
    wide = Model("m", {**model("m", GOOD).figures, "TA": Figure(0.90, (0.85, 0.95))})
    assert verdict_of([model(NOTHING, BEFORE), model(ORACLE, AIM), wide], "m").kind == "closed"


def test_without_an_interval_only_what_is_far_away_is_harm() -> None:
    nothing = Model(NOTHING, {"Rf": Figure(0.8)})
    for there, kind in ((1.9, "no gap"), (2.1, "harmed")):
        own = Model("m", {"Rf": Figure(there)})
        assert verdict_of([nothing, model(ORACLE, AIM), own], "m").kind == kind


def test_a_gap_below_the_noise_floor_is_not_called_closed() -> None:
    nothing = model(NOTHING, {"Rf": 0.9, "TA": 0.95})
    own = model("m", GOOD | {"Rf": 0.95})
    found = verdict_of([nothing, model(ORACLE, AIM | {"G loss": -4.0}), own], "m")
    assert found.kind == "no gap"
    assert "95 %" not in found.sentence
    assert "There is no gap beyond the noise between retrainings." in found.sentence


def test_without_g_the_share_is_that_of_r() -> None:
    assert judged(G_loss=None, Rf=2.0).headline == "50 % of the gap to retraining is closed."


def test_without_the_model_before_nothing_is_said_of_the_gap() -> None:
    own = model("m", {"Rf": 1.2, "TA": 0.95, "ratio": 0.1})
    found = verdict_of([model(ORACLE, AIM), own], "m")
    assert "cannot be measured" in found.headline
    assert dict(found.answers)["Did the model move?"].startswith("Not known")


def test_losses_stand_for_accuracies_where_there_are_none() -> None:
    before, aim = model(NOTHING, {"Df": 4.0, "loss t": 1.0}), model(ORACLE, {"loss t": 1.1})
    for loss, kind in ((1.1, "closed"), (1.3, "harmed")):
        own = model("m", {"Df": 1.05, "loss t": loss})
        assert verdict_of([before, aim, own], "m").kind == kind


def test_seconds_are_said_beside_the_ratio() -> None:
    assert (
        "0.20 times the time of a retraining (2 s; a retraining 10 s)"
        in judged(seconds=2.0).sentence
    )


def test_the_attack_is_told_before_after_and_on_retrained_models() -> None:
    scores = ((NOTHING, 0.6), ("m", 0.55), (ORACLE, 0.5))
    found = verdict_of([Model(name, {"RMIA AUC": Figure(auc)}) for name, auc in scores], "m")
    said = "0.60 without erasing, 0.55 after it, 0.50 on retrained models."
    assert found.sentence.count(said) == 1
    assert "attack" not in judged().sentence


def test_methods_are_grouped_from_good_to_bad() -> None:
    models = [
        model(NOTHING, BEFORE), model(ORACLE, AIM), Model("broken", failed=("no memory",)),
        model("dear", GOOD | {"ratio": 1.0}), model("good", GOOD), model("good too", GOOD),
    ]  # fmt: skip
    assert [names for _, names in grouped(models)] == [["good", "good too"], ["dear"], ["broken"]]
