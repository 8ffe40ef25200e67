"""
The group of all commands: finds them by name, and turns errors into exit codes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

from chariots_core import errors

#: Each command, and where it is, as ``module:attribute``.
COMMANDS: Final = {
    "backends": "chariots_core.cli.backends:backends",
    "call": "chariots_core.cli.call:call",
    "jobs": "chariots_core.cli.jobs:jobs",
    "op-store": "chariots_core.cli.op_store:op_store",
    "serve": "chariots_core.cli.serve:serve",
    "worker": "chariots_core.cli.worker:worker",
}

EXIT_FAILED: Final = 1
EXIT_WRONG: Final = 2
EXIT_UNREACHABLE: Final = 3

_WRONG: Final = (
    errors.ConfigurationError,
    errors.GraphError,
    errors.JobNotFound,
    errors.NotJSONError,
    errors.PayloadTooLarge,
    errors.PipelineNotFound,
    errors.UnsupportedCapability,
)


class CommandError(click.ClickException):
    """
    An error of Chariots, as the command line shows it: one sentence, no traceback.
    """

    exit_code = EXIT_FAILED

    @classmethod
    def of(cls, error: errors.ChariotsError) -> CommandError:
        """
        The kind with the exit code that tells of *error*.
        """
        if isinstance(error, _WRONG) or getattr(error, "slug", None):
            return WrongInput(error.message)
        if isinstance(error, errors.BackendUnavailable | errors.ClientError):
            return OutOfReach(error.message)
        return cls(error.message)


class WrongInput(CommandError):
    """
    What was written is wrong.
    """

    exit_code = EXIT_WRONG


class OutOfReach(CommandError):
    """
    A server or a store does not answer.
    """

    exit_code = EXIT_UNREACHABLE


class Commands(click.Group):
    """
    A group whose commands are imported when they are needed.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except errors.ChariotsError as error:
            raise CommandError.of(error) from error


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="chariots-core", prog_name="chariots")
def main() -> None:
    """
    Serve machine-learning pipelines, and run them on workers.
    """
