"""A request before and after it is granted, in lines for a person or as JSON."""

from __future__ import annotations

import json

from curenu.cli.console import print_json, say
from curenu.compare import Estimate
from curenu.erasure import Certificate
from curenu.runs.evidence import Head, RequestRecord
from curenu.runs.records import DriftRecord
from curenu.runs.session import Request

__all__ = ["plan_text", "print_plan", "print_record", "repeated_text"]


_FAILURE = 0.01  # probability that what a certificate is said to prove is false


def plan_text(asked: Request, needed: Estimate) -> str:
    """What is to be erased, and what it will take."""
    return (
        f"erasing {len(asked.positions)} examples, {asked.problem.retain.size} stay; at most "
        f"about {needed.seconds:.3g} s and {needed.bytes / 2**20:.3g} MiB (rough)"
    )


def print_plan(asked: Request, needed: Estimate, as_json: bool) -> None:
    """The answer of a dry run."""
    if not as_json:
        say(plan_text(asked, needed) + "; nothing was done")
        return
    print_json(
        {
            "forget": len(asked.positions),
            "retain": asked.problem.retain.size,
            "seed": asked.seed,
            "seconds": needed.seconds,
            "bytes": needed.bytes,
        }
    )


def repeated_text(record: RequestRecord, current: str) -> str:
    """Where a request had been granted, and what is current now."""
    return (
        f"request {record.request!r} had been granted before, as record {record.number} "
        f"(weights {record.after[:12]}); nothing was done, the current weights are {current[:12]}"
    )


def print_record(record: RequestRecord, head: Head, as_json: bool) -> None:
    """What a request did, what its result is worth, and where the sequence stands."""
    if as_json:
        print_json(json.loads(record.model_dump_json()) | {"head": head.hash})
        return
    damping = record.trace[-1].damping if record.trace else None
    say(
        f"Request {record.request!r}: {_did(record)} by {record.method} in "
        f"{record.seconds:.1f} s ({record.cost.gradients} gradients, {record.cost.hvps} products)."
    )
    say(
        f"Update norm {record.update_norm:.4g}"
        + (f", last damping {damping:.4g}" if damping is not None else "")
        + f"; weights {record.after[:12]}."
    )
    if not record.granted:
        say("The model is as it was, and the examples stay in the retain set.")
    say(str(record.outcome))
    if record.certificate is not None:
        say(_certificate_text(record.certificate))
    if record.drift is not None:
        for line in _drift_lines(record.drift):
            say(line)
    say(f"Record {head.number}, head {head.hash}")


def _certificate_text(found: Certificate) -> str:
    """The numbers of a certificate, and what they prove with which probability."""
    of = "all" if found.exact else f"{found.examples} of {found.population}"
    text = (
        f"Convergence certificate (not one of privacy), on {of} examples: |gradient| "
        f"{found.gradient_norm:.3g}; an eigenvalue within {found.lambda_min_residual:.2g} of "
        f"{found.lambda_min:.3g}, perhaps not the smallest (eps {found.epsilon:.3g} if it is, for "
        f"M = {found.penalty:.3g})."
    )
    if found.recurrence is None:
        return text
    return (
        f"{text} Proved but for {_FAILURE:.0%} of random starts: no eigenvalue below "
        f"{found.lower_bound(_FAILURE):.3g}, so eps {found.proved(_FAILURE):.3g}."
    )


def _did(record: RequestRecord) -> str:
    if record.accepted:
        return f"erased {record.count} examples, taken as it is,"
    return f"{'erased' if record.granted else 'failed to erase'} {record.count} examples"


def _drift_lines(drift: DriftRecord) -> list[str]:
    """The drift meter, then every reason to retrain."""
    cost = "" if drift.ratio is None else f", {drift.ratio:.2g} of a retraining's time"
    many = "request" if drift.requests == 1 else "requests"
    lines = [
        f"Sequence: {drift.requests} {many} since training, {drift.share:.2%} of the examples"
        f"{cost}; path {drift.path:.3g}"
        + ("" if drift.distance is None else f", distance {drift.distance:.3g}")
        + "."
    ]
    if drift.aim is not None:
        aim = drift.aim
        lines.append(
            f"Aim: objective lower by {aim.gain:.3g} ± {aim.gain_error:.1g}, |gradient| "
            f"{aim.gradient_norm:.3g} ± {aim.gradient_error:.1g} (before: "
            f"{aim.first_gradient_norm:.3g}), on {aim.examples} examples."
        )
    if drift.check is not None:
        check = drift.check
        lines.append(
            f"Against erasing at once: distance {check.distance:.3g} of {check.first_distance:.3g}"
            + (
                ""
                if check.divergence is None
                else f", divergence {check.divergence:.3g} of {check.first_divergence:.3g}"
            )
            + f"; it took {check.cost.seconds:.1f} s."
        )
    return lines + [str(advice) for advice in drift.advice]
