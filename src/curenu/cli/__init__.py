"""The `curenu` command: a thin skin over the library, and the only part that prints."""

from __future__ import annotations

import typer

from curenu.cli.bench import bench
from curenu.cli.console import CommandGroup
from curenu.cli.demo import demo
from curenu.cli.evaluate import evaluate
from curenu.cli.log import log
from curenu.cli.methods import methods
from curenu.cli.migrate import migrate
from curenu.cli.purge import purge
from curenu.cli.retrain import retrain
from curenu.cli.spectrum import spectrum
from curenu.cli.train import train
from curenu.cli.unlearn import unlearn
from curenu.cli.verify import verify

__all__ = ["app", "main"]

app = typer.Typer(
    name="curenu",
    cls=CommandGroup,
    help="Make a trained network forget chosen training examples.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo,
    train,
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


def main() -> None:
    """Run the command line."""
    app()
