"""`curenu unlearn`: one erasure request on a run folder."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from curenu.cli.choice import build_method, complete_method, read_ids, words_in, words_of
from curenu.cli.console import note, print_json, progress_bar, stdout
from curenu.cli.drift import drift_lines
from curenu.errors import BadRequest
from curenu.estimate import Estimate, estimate
from curenu.identity import derived_seed
from curenu.records import RequestRecord
from curenu.session import Request, Session
from curenu.tasks import class_ids, random_ids

__all__ = ["unlearn"]


class Anchor(StrEnum):
    """Where the anchored objective is built."""

    LAST = "last"
    FIRST = "first"


AnchorOption = Annotated[
    Anchor, typer.Option(help="Model the objective is built at: the last release, or the first.")
]
CheckOption = Annotated[
    bool, typer.Option("--check-drift", help="Compare with erasing everything at once.")
]
EveryOption = Annotated[int, typer.Option(min=0, help="Do so at every so many requests; 0: never.")]


def unlearn(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    ids: Annotated[str | None, typer.Option(help="Ids to erase: 1,2,3.")] = None,
    ids_file: Annotated[Path | None, typer.Option(help="A text file of ids to erase.")] = None,
    classes: Annotated[str | None, typer.Option(help="Classes to erase from: 0,3.")] = None,
    share: Annotated[float, typer.Option(help="Share of those classes to erase.")] = 1.0,
    random: Annotated[
        float | None, typer.Option(help="Share of the retained examples to erase, at random.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="See `curenu methods`.", autocompletion=complete_method)
    ] = "stocurenu",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A method's argument as name=value.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Move only parameters of this name or pattern.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; derived from the run's if not given.")] = (
        None
    ),
    request: Annotated[
        str | None, typer.Option(help="A name: the same request twice is granted once.")
    ] = None,
    anchor: AnchorOption = Anchor.LAST,
    check_drift: CheckOption = False,
    check_every: EveryOption = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and estimate only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Erase examples from a run's current model.

    Example: curenu unlearn run --classes 0,3 --share 0.9 --method curenu --set max_steps=2
    """
    session = Session.open(run)
    chosen = build_method(method, settings or [])
    known = session.record_of(request)
    number = known.number if known else len(session.records) + 1
    ways = {"--ids": ids, "--ids-file": ids_file, "--classes": classes, "--random": random}
    forget = _selected(session, number, {k: v for k, v in ways.items() if v is not None}, share)
    if known is None:
        asked = session.prepare(forget, chosen, seed=seed, only=only, anchor=anchor.value)
        needed = estimate(asked.risk, chosen.plan(asked.problem))
        if dry_run:
            _print_plan(asked, needed, as_json)
            return
        note(_plan_text(asked, needed))
    with progress_bar(f"erasing by {method}") as progress:
        result = session.unlearn(
            forget,
            chosen,
            seed=seed,
            request=request,
            only=only,
            anchor=anchor.value,
            check_drift=1 if check_drift else check_every,
            progress=progress,
        )
    if result.repeated:
        note(f"request {result.record.request!r} had been granted before; nothing was done")
    _print_record(result.record, as_json)


def _selected(session: Session, number: int, ways: dict[str, Any], share: float) -> list[Any]:
    """The ids that request `number` names; drawn ones are the same when it is made again."""
    if len(ways) != 1:
        raise BadRequest(
            f"Examples to erase are named in {len(ways)} ways.",
            "exactly one of --ids, --ids-file, --classes, --random.",
        )
    way, given = next(iter(ways.items()))
    if way == "--ids":
        return read_ids(words_of(given), session.task.ids)
    if way == "--ids-file":
        return read_ids(words_in(given), session.task.ids)
    seed = derived_seed(session.description.seed, "selection", number)
    generator = torch.Generator().manual_seed(seed)
    among = session.retained_before(number)
    if way == "--random":
        chosen = random_ids(session.task, given, generator, among=among)
    else:
        named = _classes(given)
        chosen = class_ids(session.task, named, share, generator, among=among)
    return chosen if session.task.ids is None else [session.task.ids[p] for p in chosen]


def _classes(text: str) -> list[int]:
    words = words_of(text)
    if not all(word.isdecimal() for word in words):
        raise BadRequest(f"--classes {text} are no classes.", "numbers such as 0,3.")
    return [int(word) for word in words]


def _plan_text(asked: Request, needed: Estimate) -> str:
    return (
        f"erasing {len(asked.positions)} examples, {asked.problem.retain.size} stay; at most "
        f"about {needed.seconds:.3g} s and {needed.bytes / 2**20:.3g} MiB (rough)"
    )


def _print_plan(asked: Request, needed: Estimate, as_json: bool) -> None:
    if not as_json:
        stdout().print(_plan_text(asked, needed) + "; nothing was done")
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


def _print_record(record: RequestRecord, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(record.model_dump_json()))
        return
    damping = record.trace[-1].damping if record.trace else None
    stdout().print(
        f"Request {record.request!r}: erased {len(record.positions)} examples by "
        f"{record.method} in {record.cost.seconds:.1f} s ({record.cost.gradients} gradients, "
        f"{record.cost.hvps} products).\nUpdate norm {record.update_norm:.4g}"
        + (f", last damping {damping:.4g}" if damping is not None else "")
        + f"; weights {record.after[:12]}.\n{record.status}"
    )
    if record.certificate is not None:
        found = record.certificate
        stdout().print(
            f"Convergence certificate (not one of privacy): |gradient| {found.gradient_norm:.3g}, "
            f"lambda_min {found.lambda_min:.3g} ± {found.lambda_min_residual:.2g}, measured on "
            f"{found.examples} of {found.population} examples."
        )
    if record.drift is not None:
        for line in drift_lines(record.drift):
            stdout().print(line, highlight=False)
