"""The `dativo` command and its subcommands."""

from __future__ import annotations

import typing as t

import click
from dativo_core import logs
from dativo_core.entrypoint import run_command

from dativo_cli.dlq import dlq
from dativo_cli.doctor import doctor
from dativo_cli.maintain import maintain
from dativo_cli.promote import promote
from dativo_cli.reconcile import reconcile
from dativo_cli.rollback import rollback
from dativo_cli.sandbox import sandbox
from dativo_cli.state import state


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dativo-cli", message="dativo %(version)s")
def dativo() -> None:
    """Look after Dativo's pipelines, tables and bookmarks."""


dativo.add_command(state)
dativo.add_command(rollback)
dativo.add_command(promote)
dativo.add_command(maintain)
dativo.add_command(doctor)
dativo.add_command(dlq)
dativo.add_command(reconcile)
dativo.add_command(sandbox)


def run() -> t.NoReturn:
    """Run the command and exit with one of the documented codes."""
    logs.configure_for_people()
    run_command(dativo, "dativo")
