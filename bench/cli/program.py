"""The program and its commands."""

import typer

from bench.cli.check import check
from bench.cli.compare import compare
from bench.cli.doctor import doctor
from bench.cli.drop import drop
from bench.cli.export import export
from bench.cli.leaderboard import leaderboard
from bench.cli.list import list_
from bench.cli.run import run
from bench.cli.show import show
from bench.cli.study import study

app = typer.Typer(
    name="sslbench",
    help="Measure self-supervised methods on images under fixed protocols, and draw an honest leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (run, leaderboard, compare, study, show, drop, export, check, doctor):
    app.command()(command)
app.command("list")(list_)
