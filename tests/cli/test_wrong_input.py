"""Wrong input of the command line: each kind ends in two lines, problem and remedy.

Nothing of it may be accepted until later: no kind starts a training, and the run stays as it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curenu.cli import app
from tests.runs.runs import state_of

TASK = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from curenu.tasks import Recipe, Task

def made(**changes):
    x = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, (x[:, 0] > 0).long())
    recipe = Recipe(epochs=2, batch_size=8, learning_rate=0.1, weight_decay=0.01)
    given = dict(name="people", build=lambda: nn.Linear(3, 2), train=data, test=data,
                 loss="cross_entropy", recipe=recipe, ids=[f"person {i}" for i in range(24)])
    return Task(**(given | changes))

def people():
    return made()

def nothing():
    return None

def raises():
    return {}["no such key"]

def exits():
    raise SystemExit(0)

def needs(size):
    return made()

def two_of_one_name():
    return made(ids=["person"] * 24)

def too_few_names():
    return made(ids=["person"])

def no_network():
    return made(build=lambda: 3)

def wrong_width():
    return made(build=lambda: nn.Linear(4, 2))

def unknown_loss():
    return made(loss="cross-entropy")

def beyond_the_classes():
    x = torch.randn(24, 3)
    return made(train=TensorDataset(x, torch.full((24,), 7)))

def not_a_number():
    x = torch.randn(24, 3)
    x[5, 1] = float("nan")
    return made(train=TensorDataset(x, (x[:, 0] > 0).long()))

def empty():
    return made(train=TensorDataset(torch.randn(0, 3), torch.zeros(0).long()), ids=None)
"""


def _damaged(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(content) and None


def _cut(run: Path) -> None:
    weights = next((run / "weights").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])


def _lost(run: Path) -> None:
    next((run / "weights").glob("*.safetensors")).unlink()


def _of_later_format(run: Path) -> None:
    text = (run / "task.toml").read_text()
    (run / "task.toml").write_text(text.replace("format = 2", "format = 9"))


def _other_source(run: Path) -> None:
    with (run.parent / "own.py").open("a") as file:
        file.write("\nprint('other')\n")


# What is asked, what the message must name, and what it must advise.
REQUESTS: list[tuple[str, str, str]] = [
    ("", "named in 0 ways", "--ids"),
    ("--ids nobody", "nobody", "person 0"),
    ("--ids person0", "person0", "person 0"),
    ("--ids 5", "'5'", "person 0"),
    ("--ids PERSON@1 --ids person@1", "PERSON 1", "person"),
    ("--ids person@1 --ids person@1", "repeated", "once"),
    ("--ids-file none.txt", "No such file", "a file of ids"),
    ("--ids-file folder", "Is a directory", "a file of ids"),
    ("--ids-file blank.txt", "no id", "one id or more"),
    ("--ids-file spaces.txt", "line 2", "person"),
    ("--ids-file latin.txt", "latin.txt", "UTF-8"),
    ("--ids-file zeros.bin", "unknown", "line 1 of zeros.bin"),
    ("--ids-file ids.csv", "column", "--column"),
    ("--ids-file ids.csv --column surname", "surname", "name"),
    ("--ids-file ids.txt --column name", "plain text", "csv"),
    ("--ids-file broken.json", "broken.json", "JSON"),
    ("--ids-file object.json", "object.json", "array"),
    ("--ids-file broken.jsonl", "line 2", "JSON"),
    ("--ids-file ids.txt --ids-format toml", "toml", "--help"),
    ("--ids person@1 --ids-file ids.txt", "named in 2 ways", "exactly one of"),
    ("--ids person@1 --random .1", "named in 2 ways", "exactly one of"),
    ("--random 0", "share of 0.0", "above 0"),
    ("--random 1.5", "share of 1.5", "at most 1"),
    ("--random nan", "share of nan", "at most 1"),
    ("--random half", "--random", "--help"),
    ("--classes 7", "class 7", "classes 0, 1"),
    ("--classes one", "one are no classes", "0,3"),
    ("--classes 0,1", "no example to retain", "deleting the model"),
    ("--share .5", "named in 0 ways", "--classes"),
    ("--classes 0 --share 2", "share of 2.0", "at most 1"),
    ("--groups authors", "has no groups", "a task with `groups`"),
    ("--ids person@1 --method newtn", "newtn", "newton"),
    ("--ids person@1 --method own.py:nobody", "nobody", "own.py"),
    ("--ids person@1 --method none.py:Own", "none.py", "file"),
    ("--ids person@1 --set max_stpes=3", "max_stpes", "max_steps"),
    ("--ids person@1 --set max_steps", "max_steps", "name=value"),
    ("--ids person@1 --set max_steps=-1", "max_steps", "1 or more"),
    ("--ids person@1 --set max_steps=many", "max_steps", "whole number"),
    ("--ids person@1 --set max_steps=3 --set max_steps=4", "max_steps is given twice", "one value"),
    ("--ids person@1 --set penalty=nan", "penalty", "auto"),
    ("--ids person@1 --set penalty=inf", "penalty", "auto"),
    ("--ids person@1 --only body.*", "matches no parameter", "weight, bias"),
    ("--ids person@1 --seed 1e3", "--seed", "--help"),
    ("--ids person@1 --anchor middle", "middle", "--help"),
    ("--ids person@1 --task other.py:people", "other.py", "file"),
    ("--ids person@1 --task own.py:nobody", "nobody", "people"),
    ("--ids person@1 --bogus", "--bogus", "--help"),
]
TRAININGS: list[tuple[str, str, str]] = [
    ("digit", "digit", "digits"),
    ("none.py:people", "none.py", "file"),
    ("own.py:peple", "peple", "people"),
    ("own.py", "own.py", ":function"),
    ("own.py:TASK", "TASK", "people"),
    ("broken.py:people", "broken.py", "line 1"),
    ("own.py:nothing", "nothing", "Task"),
    ("own.py:raises", "no such key", "own.py"),
    ("own.py:exits", "SystemExit", "own.py"),
    ("own.py:needs", "size", "--option size"),
    ("own.py:people --option size=3", "size", "no arguments"),
    ("own.py:people --option size", "size", "name=value"),
    ("own.py:two_of_one_name", "share the id 'person'", "unique"),
    ("own.py:too_few_names", "24 training examples and 1 ids", "one entry an example"),
    ("own.py:no_network", "returned a int", "torch.nn.Module"),
    ("own.py:wrong_width", "model failed", "inputs of the model's type"),
    ("own.py:unknown_loss", "cross-entropy", "cross_entropy"),
    ("own.py:beyond_the_classes", "class 7", "classes 0 to 1"),
    ("own.py:not_a_number", "Example 5: NaN", "removing it"),
    ("own.py:empty", "dataset is empty", "a dataset with examples"),
    ("own.py:people --keep most", "most", "--help"),
    ("own.py:people --checkpoints -1", "checkpoints", "--help"),
    ("digits --examples 1", "examples", "--help"),
    ("digits --option network=resnt", "network", "no arguments"),
]
RUNS: list[tuple[str, Callable[[Path], None], str, str]] = [
    ("no folder", shutil.rmtree, "no run folder", "curenu train"),
    ("no description", lambda run: (run / "task.toml").unlink(), "task.toml", "curenu train"),
    ("no ledger", lambda run: (run / "ledger.sqlite").unlink(), "ledger.sqlite", "from a copy"),
    (
        "another file for a ledger",
        _damaged("ledger.sqlite", b"no ledger" * 99),
        "damaged",
        "from a copy",
    ),
    ("empty ledger", _damaged("ledger.sqlite", b""), "no ledger", "from a copy"),
    ("no TOML", _damaged("task.toml", b"format = = 2"), "TOML", "from a copy"),
    ("TOML of other bytes", _damaged("task.toml", b"\xff\xfe\x00"), "TOML", "from a copy"),
    ("later format", _of_later_format, "format 9", "version"),
    ("weights cut", _cut, "damaged", "from a copy"),
    ("weights lost", _lost, "safetensors", "from a copy"),
    ("a changed task file", _other_source, "own.py", "--trust"),
]
OTHERS: list[tuple[str, str, str]] = [
    ("evaluate run --oracles two", "--oracles", "--help"),
    ("evaluate run", "erased", "curenu unlearn"),
    ("evaluate run --html folder", "folder is a folder", "name of a file"),
    ("retrain run --without 7", "no record 7", "`log`"),
    ("retrain run --without 0", "Record 0 is no failed", "`log`"),
    ("verify run --head abc", "'abc' is no head", "64 hexadecimal digits"),
    ("spectrum run --products 1", "products", "--help"),
    ("spectrum run --sample 0", "sample", "--help"),
    ("migrate run", "format 2, not 1", "opening it as it is"),
    ("adopt none.pt own.py:people new", "none.pt", "file"),
    ("adopt broken.json own.py:people new", "broken.json", "state dict"),
    ("adopt zeros.bin own.py:people new", "zeros.bin", "state dict"),
    ("bench nosuch", "nosuch", "--list"),
    ("bench none.toml", "none.toml", "TOML file"),
    ("bench broken.toml", "broken.toml", "TOML"),
    ("bench wrong.toml", "task: missing; erasures: missing; methods: missing", "docs/bench.md"),
    ("methods newtn", "newtn", "newton"),
    ("train own.py:people run", "already holds a run", "another folder"),
    ("train own.py:people folder", "folder", "empty folder"),
    ("train own.py:people ids.txt", "ids.txt", "another folder"),
    ("train own.py:people ids.txt/run", "ids.txt is a file", "another folder"),
    ("migrate folder", "no run folder of format 1", "a folder that an earlier version made"),
    ("unlern run", "unlern", "unlearn"),
    ("log ids.txt", "ids.txt", "curenu train"),
]
FILES = {
    "blank.txt": b"\n\n",
    "spaces.txt": b"person 1\nperson 2 \n",
    "latin.txt": "p\xe9rson 1\n".encode("latin-1"),
    "zeros.bin": bytes(64),
    "ids.csv": b"name,born\nperson 1,1990\n",
    "ids.txt": b"person 1\n",
    "broken.json": b"[1, 2",
    "object.json": b'{"ids": 3}',
    "broken.jsonl": b'"person 1"\n{"id": \n',
    "broken.py": b"def people(:\n",
    "broken.toml": b"title = = 3",
    "wrong.toml": b'title = "x"\n',
    "folder/file": b"x",
    "own.py": TASK.encode(),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wrong")
    for name, content in FILES.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
    result = CliRunner().invoke(app, ["train", f"{place / 'own.py'}:people", str(place / "run")])
    assert result.exit_code == 0, result.output
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for each, with the run in it, as the working directory."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(command: str, *named: str) -> None:
    """It fails in words that name all this, as text and as JSON, and changes nothing here."""
    before = state_of(Path.cwd())
    words = [word.replace("@", " ") for word in command.split()]
    result = CliRunner().invoke(app, words)
    assert result.exit_code not in (0, 1), result.output
    said = " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    for part in named:
        assert part in said, said
    assert result.stdout == ""
    assert state_of(Path.cwd()) == before
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stderr)
    assert told["exit_code"] == result.exit_code
    assert told["problem"]
    assert told["remedy"]


@pytest.mark.parametrize(("options", "problem", "remedy"), REQUESTS, ids=[r[0] for r in REQUESTS])
def test_a_request_is_refused(place: Path, options: str, problem: str, remedy: str) -> None:
    refused(f"unlearn run {options}", problem, remedy)


@pytest.mark.parametrize(("task", "problem", "remedy"), TRAININGS, ids=[t[0] for t in TRAININGS])
def test_a_training_is_refused(place: Path, task: str, problem: str, remedy: str) -> None:
    name, *options = task.split(" ", 1)
    refused(f"train {name} new {' '.join(options)}", problem, remedy)
    assert not (place / "new").exists()


@pytest.mark.parametrize(("how", "spoil", "problem", "remedy"), RUNS, ids=[r[0] for r in RUNS])
def test_a_run_is_refused(
    place: Path, how: str, spoil: Callable[[Path], None], problem: str, remedy: str
) -> None:
    spoil(place / "run")
    refused("unlearn run --ids person@1", problem, remedy)


@pytest.mark.parametrize(("command", "problem", "remedy"), OTHERS, ids=[o[0] for o in OTHERS])
def test_a_command_is_refused(place: Path, command: str, problem: str, remedy: str) -> None:
    refused(command, problem, remedy)
