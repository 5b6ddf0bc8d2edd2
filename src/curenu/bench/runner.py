"""Runs a configuration: networks, tuning, cells, audits over cells; what is done stays done."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import torch

from curenu.bench.archive import Archive
from curenu.bench.cell import Cell, Made, run_cell
from curenu.bench.config import Config, ErasureConfig, MethodConfig
from curenu.bench.degeneracy import Degeneracy, run_degeneracy
from curenu.bench.ensemble import Ensemble, ensembles, run_ensemble
from curenu.bench.origin import origin, settings_of
from curenu.bench.tuning import Trial, beyond, choice, run_trial
from curenu.bench.workshop import Look, Training, Workshop, workshop
from curenu.compare import Stage
from curenu.errors import RunBroken
from curenu.report import NOTHING, ORACLE

__all__ = ["RESULTS", "run"]

RESULTS = "results.json"

Unit = Training | Look | Trial | Cell | Degeneracy | Ensemble
T = TypeVar("T", bound=Unit)


def run(
    config: Config, name: str, out: Path, cache: Path, *, jobs: int, stage: Stage
) -> dict[str, Any]:
    """The results of a configuration as one JSON document, also written to `out`.

    Trained networks are kept in `cache`, cells in `out`: a run that was killed goes on where
    it was, and only failed cells are tried again. With `jobs` above 1 every process has one
    thread, so that seconds are comparable with each other but not with a run of one job.

    Raises the errors of configuration and data before anything is computed or written.
    """
    archive = Archive(out, config)
    shop = Workshop(config, cache)
    for erasure in config.erasures:
        shop.request(erasure.name, False)
        if _tuned(config, erasure):
            shop.request(erasure.name, True)
    with archive.open(), _workers(config, (cache, out), jobs) as submit:
        broken = _train(shop, submit, stage)
        _look(shop, submit, stage)
        chosen = _tune(shop, archive, submit, stage)
        records = _cells(shop, archive, submit, stage, chosen)
        together = _over_cells(shop, archive, submit, stage, records)
        looked = _degeneracy(shop, archive, submit, stage) if config.degeneracy else None
        results = {
            "name": name,
            "config": config.model_dump(mode="json"),
            **origin(),
            "curenu": version("curenu"),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "device": "cpu",
            "cores": os.cpu_count(),
            "jobs": jobs,
            "settings": {method.title: settings_of(method) for method in config.methods},
            "requests": {erasure.name: shop.sizes(erasure) for erasure in config.erasures},
            "fingerprints": {
                erasure.name: shop.networks(erasure.name, False).fingerprint.digest
                for erasure in config.erasures
            },
            "tuning": chosen,
            "untrained": broken,
            "cells": records,
            "ensembles": together,
            "degeneracy": looked,
        }
        return archive.keep_results(RESULTS, results)


Submit = Callable[[Iterable[Unit]], Iterator[tuple[Unit, Any]]]


def _train(shop: Workshop, submit: Submit, stage: Stage) -> list[str]:
    """Train what is not there yet; what cannot be trained is said, its cells will fail."""
    wanted = [t for e in shop.config.erasures for t in shop.trainings(e)]
    for erasure in shop.config.erasures:
        if _tuned(shop.config, erasure):
            wanted += shop.trainings(erasure, validation=True)
    missing = {shop.key(training): training for training in wanted if not shop.kept(training)}
    return [
        f"{unit}: {made['failed']}"
        for unit, made in _followed(submit, list(missing.values()), stage, "training networks")
        if made
    ]


def _look(shop: Workshop, submit: Submit, stage: Stage) -> None:
    """Outputs of networks that all cells share; where one fails, its cells will say why."""
    for erasure in shop.config.erasures:
        forms = (False, True) if _tuned(shop.config, erasure) else (False,)
        looks = [look for form in forms for look in shop.looks(erasure, validation=form)]
        for _ in _followed(submit, looks, stage, f"outputs of networks, {erasure.name}"):
            pass


def _tune(shop: Workshop, archive: Archive, submit: Submit, stage: Stage) -> list[dict[str, Any]]:
    """The best arguments of every method with a grid, for every erasure.

    Where the best value is at an edge of its grid, the grid goes on beyond it, as often as the
    configuration allows.
    """
    asked = {(e.name, m.title): m for e in shop.config.erasures for m in _tuned(shop.config, e)}
    trials = {key: _trials(key, method.points()) for key, method in asked.items()}
    chosen: dict[tuple[str, str], dict[str, Any]] = {}
    for extension in range(shop.config.tuning_extensions + 1):
        wanted = [trial for own in trials.values() for trial in own]
        open_ = [trial for trial in wanted if archive.note(repr(trial)) is None]
        text = "tuning" if not extension else "tuning, beyond the edge of a grid"
        for unit, found in _followed(submit, open_, stage, text):
            archive.keep_note(repr(unit), found)
        for key, method in asked.items():
            notes = [archive.note(repr(trial)) or {} for trial in trials[key]]
            chosen[key] = choice(trials[key], notes, method.grid)
        if extension == shop.config.tuning_extensions:
            break
        for key, method in asked.items():
            tried = [dict(trial.arguments) for trial in trials[key]]
            if chosen[key]["at the edge"]:
                trials[key] += _trials(key, beyond(method, tried, chosen[key]["arguments"]))
    return list(chosen.values())


def _trials(key: tuple[str, str], points: Iterable[dict[str, Any]]) -> list[Trial]:
    return [Trial(*key, tuple(point.items())) for point in points]


def _cells(
    shop: Workshop,
    archive: Archive,
    submit: Submit,
    stage: Stage,
    chosen: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The record of every cell, in the order of the configuration."""
    cells = [cell for erasure in shop.config.erasures for cell in _of(shop, erasure, chosen)]
    missing = [cell for cell in cells if archive.cell(cell) is None]
    failed: dict[Cell, dict[str, Any]] = {}
    for unit, made in _followed(submit, missing, stage, "erasing and auditing"):
        if isinstance(made, Made):
            archive.keep_cell(unit, made)
        else:
            failed[unit] = {**dataclasses.asdict(unit), **made, "arguments": dict(unit.arguments)}
            archive.keep_cell(unit, Made(failed[unit], {}))
    return [failed.get(cell) or archive.cell(cell) or {} for cell in cells]


def _over_cells(
    shop: Workshop,
    archive: Archive,
    submit: Submit,
    stage: Stage,
    records: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """What audits over the cells of many networks found, an entry an erasure and method."""
    asked = shop.config.audits
    units = ensembles(records) if asked.ensemble or asked.relearning else []
    found = {unit: archive.note(repr(unit)) for unit in units}
    missing = [unit for unit, known in found.items() if known is None]
    for unit, made in _followed(submit, missing, stage, "auditing many networks together"):
        if "failed" in made:
            found[unit] = {"findings": [], "missing": [made["failed"]]}
        else:
            archive.keep_note(repr(unit), made)
            found[unit] = archive.note(repr(unit))
    entries = [{"erasure": u.erasure, "method": u.method, **(found[u] or {})} for u in units]
    return [entry for entry in entries if entry["findings"] or entry["missing"]]


def _degeneracy(
    shop: Workshop, archive: Archive, submit: Submit, stage: Stage
) -> dict[str, Any] | None:
    """The curvature along training, for the first erasure and network."""
    unit = Degeneracy(shop.config.erasures[0].name, shop.config.trained[0])
    known = archive.note(repr(unit))
    if known is None:
        for _, known in _followed(submit, [unit], stage, "curvature along training"):
            archive.keep_note(repr(unit), known)
    return known


def _of(shop: Workshop, asked: ErasureConfig, chosen: list[dict[str, Any]]) -> list[Cell]:
    config, erasure = shop.config, asked.name
    cells = [Cell(erasure, NOTHING, trained, 0) for trained in config.trained]
    cells += [Cell(erasure, ORACLE, config.trained[0], seed) for seed in config.oracles]
    for method in config.methods_of(asked):
        tuned = [t for t in chosen if (t["erasure"], t["method"]) == (erasure, method.title)]
        arguments = tuned[0]["arguments"] if tuned else method.arguments
        cells += [
            Cell(erasure, method.title, trained, seed, tuple(arguments.items()))
            for trained in config.trained
            for seed in config.seeds
        ]
    return cells


def _tuned(config: Config, erasure: ErasureConfig) -> list[MethodConfig]:
    return [method for method in config.methods_of(erasure) if method.grid]


def _followed(submit: Submit, units: list[T], stage: Stage, text: str) -> Iterator[tuple[T, Any]]:
    """Results as they come, with the progress told."""
    if not units:
        return
    with stage(text) as progress:
        progress(0, len(units))
        for done, (unit, made) in enumerate(submit(units), start=1):
            yield unit, made  # type: ignore[misc]
            progress(done, len(units))


@contextmanager
def _workers(config: Config, places: tuple[Path, Path], jobs: int) -> Iterator[Submit]:
    """A function that runs units here, or in `jobs` processes of one thread each."""
    text, folders = config.model_dump_json(), tuple(str(place.resolve()) for place in places)
    if jobs == 1:
        threads = torch.get_num_threads()
        yield lambda units: ((unit, _work(text, folders, threads, unit)) for unit in units)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:

        def submit(units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
            waiting = {pool.submit(_work, text, folders, 1, unit): unit for unit in units}
            for future in as_completed(waiting):
                yield waiting[future], _result(future)

        try:
            yield submit
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise RunBroken(
            "A worker process died, most likely for want of memory.",
            "fewer `--jobs`, then the same command: what was finished is kept.",
        ) from error


def _end_with_parent() -> None:
    """A worker whose parent was killed ends too, instead of waiting for work for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _work(config: str, folders: tuple[str, ...], threads: int, unit: Unit) -> Any:
    """One unit of work; a failure of its own is a result with the reason.

    `folders` are those of the networks and of the results.
    """
    cache, out = folders
    shop = workshop(config, cache, threads)
    try:
        if isinstance(unit, Training):
            return shop.train(unit)
        if isinstance(unit, Look):
            return shop.look(unit)
        if isinstance(unit, Degeneracy):
            return run_degeneracy(shop, unit)
        if isinstance(unit, Ensemble):
            return run_ensemble(shop.config.audits, Archive(Path(out), shop.config), unit)
        return run_trial(shop, unit) if isinstance(unit, Trial) else run_cell(shop, unit)
    except RunBroken:
        raise
    except Exception as error:  # whatever a method, task or user's code raises is its result
        return {"failed": f"{type(error).__name__}: {error}"}
