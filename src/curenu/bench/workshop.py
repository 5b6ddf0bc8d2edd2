"""A configuration with its data in this process: requests, networks, references, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from curenu.audits import Split
from curenu.bench.config import Config, ErasureConfig, MethodConfig
from curenu.bench.request import Request, draw
from curenu.compare import References
from curenu.networks import Networks, TrainedNetwork
from curenu.risks import EmpiricalRisk
from curenu.runs.run import objective_of
from curenu.tasks import Task, load_task

__all__ = ["Look", "Training", "Workshop", "workshop"]


@dataclass(frozen=True)
class Training:
    """A network to train: for which erasure, on what is left after which round, which seed."""

    erasure: str
    round_: int
    seed: int
    validation: bool = False


@dataclass(frozen=True)
class Look:
    """A network's outputs on the sets of its erasure after a round, which all cells share."""

    training: Training
    round_: int


class Workshop:
    """Everything a unit of the benchmark needs, made when first asked for.

    Outputs of trained networks and oracles are on disk and here for as many rounds as an
    erasure has, so that no cell passes the data through a network that another one did.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.request = cache(self._request)
        self.networks = cache(self._networks)
        self.key = cache(self._key)
        self.network = lru_cache(maxsize=len(config.oracles) + 2)(self._network)
        self.measured = cache(self._measured)
        rounds = max(erasure.rounds for erasure in config.erasures)
        self.references = lru_cache(maxsize=rounds + 1)(self._references)
        self.before = lru_cache(maxsize=rounds + 1)(self._before)

    @cached_property
    def task(self) -> Task:
        """The task, with its data."""
        return load_task(self.config.task.name, **self.config.task.options)

    def erasure(self, name: str) -> ErasureConfig:
        """The erasure of that name."""
        return next(e for e in self.config.erasures if e.name == name)

    def method(self, title: str) -> MethodConfig:
        """The method under that title."""
        return next(m for m in self.config.methods if m.title == title)

    def sizes(self, erasure: ErasureConfig) -> dict[str, int]:
        """How many examples go, and of how many."""
        request = self.request(erasure.name)
        everyone = len(request.retained(0))
        return {"erased": len(request.forgotten(erasure.rounds)), "of": everyone}

    def trainings(self, erasure: ErasureConfig, *, validation: bool = False) -> list[Training]:
        """Every network that an erasure needs: the trained ones, and the oracles of its rounds."""
        trained = self.config.trained[:1] if validation else self.config.trained
        found = [Training(erasure.name, 0, seed, validation) for seed in trained]
        rounds = range(1, 2 if validation else erasure.rounds + 1)
        return found + [
            Training(erasure.name, round_, seed, validation)
            for round_ in rounds
            for seed in self._oracles(validation)
        ]

    def looks(self, erasure: ErasureConfig, *, validation: bool = False) -> list[Look]:
        """The outputs that cells are compared with and are not there yet."""
        rounds = range(1, 2 if validation else erasure.rounds + 1)
        return [
            look
            for training in self.trainings(erasure, validation=validation)
            for look in (Look(training, number) for number in rounds)
            if training.round_ in (0, look.round_) and not self._looked(look)
        ]

    def look(self, look: Look) -> None:
        """Make and keep those outputs."""
        self._outputs(look.training, self._forgotten(look))

    def kept(self, training: Training) -> bool:
        """Whether that network was trained before."""
        networks = self.networks(training.erasure, training.validation)
        return networks.is_kept(self.key(training))

    def train(self, training: Training) -> None:
        """Train and keep that network, unless it was before."""
        networks = self.networks(training.erasure, training.validation)
        networks.train(training.seed, self._ids(training))

    def risk(self, request: Request, model: nn.Module) -> EmpiricalRisk:
        """What training minimised over all examples, as a function of what may move."""
        return objective_of(request.task, model, self.config.task.only)

    def _network(self, training: Training) -> TrainedNetwork:
        networks = self.networks(training.erasure, training.validation)
        return networks.load(training.seed, self._ids(training))

    def _key(self, training: Training) -> str:
        networks = self.networks(training.erasure, training.validation)
        return networks.key(training.seed, self._ids(training))

    def _networks(self, erasure: str, validation: bool = False) -> Networks:
        task = self.request(erasure, validation).task
        return Networks.in_folder(self.folder, task, self.config.task.name)

    def _ids(self, training: Training) -> list[int]:
        """What the network is trained on; validation takes its whole request at once."""
        request = self.request(training.erasure, training.validation)
        return request.retained(self._last(training.erasure, training.round_, training.validation))

    def _last(self, erasure: str, round_: int, validation: bool) -> int:
        return self.erasure(erasure).rounds if validation and round_ > 0 else round_

    def _oracles(self, validation: bool) -> tuple[int, ...]:
        return self.config.oracles[:2] if validation else self.config.oracles

    def _request(self, erasure: str, validation: bool = False) -> Request:
        return draw(self.task, self.erasure(erasure), validation=validation)

    def _outputs(self, training: Training, forget: Sequence[int]) -> Split:
        networks = self.networks(training.erasure, training.validation)
        return networks.outputs(training.seed, self._ids(training), forget)

    def _looked(self, look: Look) -> bool:
        networks = self.networks(look.training.erasure, look.training.validation)
        return networks.has_outputs(self.key(look.training), self._forgotten(look))

    def _forgotten(self, look: Look) -> list[int]:
        erasure, validation = look.training.erasure, look.training.validation
        last = self.erasure(erasure).rounds if validation else look.round_
        return self.request(erasure, validation).forgotten(last)

    def _before(self, erasure: str, trained: int, round_: int, validation: bool = False) -> Split:
        """The trained network's outputs on the sets of a request and round."""
        training = Training(erasure, 0, trained, validation)
        return self._outputs(training, self._forgotten(Look(training, round_)))

    def _measured(self, training: Training) -> Mapping[str, NDArray[Any]]:
        """What the task alone measures of a trained network."""
        measure = self.request(training.erasure, training.validation).task.measure
        return measure(self.network(training).model) if measure else {}

    def _references(self, erasure: str, round_: int, validation: bool = False) -> References:
        """What every model of one request and round is compared with: the same for all cells."""
        request = self.request(erasure, validation)
        last = self._last(erasure, round_, validation)
        forget, retain = request.forgotten(last), request.retained(last)
        oracles = [Training(erasure, round_, s, validation) for s in self._oracles(validation)]
        return References(
            request.task,
            tuple(forget),
            tuple(retain),
            tuple(self._outputs(training, forget) for training in oracles),
            float(np.mean([self.network(training).seconds for training in oracles])),
        )


@lru_cache(maxsize=1)
def workshop(config: str, folder: str, threads: int) -> Workshop:
    """The workshop of a configuration given as JSON; one a process, with so many threads."""
    torch.set_num_threads(threads)
    return Workshop(Config.model_validate_json(config), Path(folder))
