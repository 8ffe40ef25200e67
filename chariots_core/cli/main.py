"""
The group of all commands: finds them by name, and turns errors into exit codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

import click

from chariots_core import errors

#: Each command, and where it is, as ``module:attribute``.
COMMANDS: Final = {
    "backends": "chariots_core.cli.backends:backends",
    "call": "chariots_core.cli.call:call",
    "jobs": "chariots_core.cli.jobs:jobs",
    "load": "chariots_core.cli.versions:load",
    "op-store": "chariots_core.cli.op_store:op_store",
    "ops": "chariots_core.cli.ops:ops",
    "plugin": "chariots_core.cli.plugin:plugin",
    "save": "chariots_core.cli.versions:save",
    "serve": "chariots_core.cli.serve:serve",
    "worker": "chariots_core.cli.worker:worker",
}

EXIT_FAILED: Final = 1
EXIT_WRONG: Final = 2
EXIT_UNREACHABLE: Final = 3

_WRONG: Final = (
    errors.ConfigurationError,
    errors.JobNotFound,
    errors.NotJSONError,
    errors.PayloadTooLarge,
    errors.PipelineError,
    errors.UnsupportedCapability,
)
_FAILED: Final = (errors.ExecutionError, errors.NodeOutputError)

#: Exit codes of a client's errors by their own codes: their classes take long to import.
_OF_CLIENTS: Final = {"request-rejected": EXIT_WRONG, "server-fault": EXIT_FAILED}


def _exit_code(error: errors.ChariotsError) -> int:
    if isinstance(error, _FAILED):
        return EXIT_FAILED
    if isinstance(error, _WRONG):
        return EXIT_WRONG
    if isinstance(error, errors.BackendUnavailable | errors.ClientError):
        return _OF_CLIENTS.get(error.code, EXIT_UNREACHABLE)
    return EXIT_FAILED


class CommandError(click.ClickException):
    """
    An error of Chariots, as the command line shows it: one sentence, no traceback,
    and the notes that say where it came up.
    """

    exit_code = EXIT_FAILED

    @classmethod
    def of(cls, error: errors.ChariotsError) -> CommandError:
        """
        The kind with the exit code that tells of *error*.
        """
        text = "\n".join([_sentence(error), *getattr(error, "__notes__", ())])
        kinds: dict[int, type[CommandError]] = {
            kind.exit_code: kind for kind in (CommandError, WrongInput, OutOfReach)
        }
        return kinds[_exit_code(error)](text)


def _sentence(error: errors.ChariotsError) -> str:
    # By its name: the class is the client's, which takes long to import.
    if error.code == "server-timeout" and getattr(error, "sent", False):
        url = getattr(error, "url", "the server")
        return f"{url} did not answer in time: try a longer --timeout"
    return error.message


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


@cache
def _of_plugins() -> Mapping[str, click.Command]:
    """
    The commands of plugins, by name. They are imported only when core has no
    command of the name that is asked for.
    """
    from chariots_core.workers.plugins import PluginManager

    given = PluginManager().commands()
    return {
        command.name: command
        for command in given
        if isinstance(command, click.Command) and command.name
    }


class Commands(click.Group):
    """
    A group whose commands are imported when they are needed.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *COMMANDS, *_of_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name) or _of_plugins().get(cmd_name)
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
