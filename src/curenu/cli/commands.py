"""All commands under one name."""

from __future__ import annotations

from typing import Annotated

import typer

from curenu.cli.adopt import adopt
from curenu.cli.bench import bench
from curenu.cli.demo import demo
from curenu.cli.desk import desk
from curenu.cli.evaluate import evaluate
from curenu.cli.group import CommandGroup
from curenu.cli.log import log
from curenu.cli.methods import methods
from curenu.cli.migrate import migrate
from curenu.cli.purge import purge
from curenu.cli.retrain import retrain
from curenu.cli.show import show
from curenu.cli.spectrum import spectrum
from curenu.cli.train import train
from curenu.cli.unlearn import unlearn
from curenu.cli.verify import verify
from curenu.cli.version import version

__all__ = ["app"]

app = typer.Typer(
    name="curenu",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def curenu(
    _: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=version, is_eager=True),
    ] = False,
) -> None:
    """Make a trained network forget chosen training examples."""


for command in (
    demo,
    train,
    adopt,
    show,
    unlearn,
    retrain,
    evaluate,
    log,
    verify,
    purge,
    migrate,
    spectrum,
    methods,
    bench,
):
    app.command()(command)
app.add_typer(desk)
