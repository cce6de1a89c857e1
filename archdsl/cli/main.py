"""The command `archdsl`: its commands, and what happens when one ends otherwise than it should."""

from __future__ import annotations

import gc
import os
import sys

import click

from archdsl.cli.analyze import analyze
from archdsl.cli.check import check
from archdsl.cli.diff import diff
from archdsl.cli.draw import draw
from archdsl.cli.export import export
from archdsl.cli.format import fmt
from archdsl.cli.internal import INTERNAL_ERROR, internal_error, traced
from archdsl.cli.look import look
from archdsl.cli.lsp import lsp
from archdsl.cli.networks import WRONG
from archdsl.cli.new import new
from archdsl.cli.output import BROKEN_PIPE, lost, show, write_all
from archdsl.cli.reference import explain, layers, list_architectures
from archdsl.cli.targets import STANDARD_INPUT
from archdsl.cli.train import train
from archdsl.cli.trained import evaluate, predict
from archdsl.cli.verify import verify
from archdsl.diagnostics import ArchError
from archdsl.version import version

INTERRUPTED = 130


def _print_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"archdsl {version()}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version.",
)
def archdsl() -> None:
    """Neural networks that read like the figure in the paper: checked, analysed, exported and trained.

    FILE is an .arch file, the name of a bundled one (see `archdsl list`), or `-` for standard input.
    FILE:NETWORK names one of its networks.
    """


for command in (
    analyze,
    check,
    fmt,
    draw,
    diff,
    verify,
    export,
    train,
    evaluate,
    predict,
    look,
    layers,
    explain,
    list_architectures,
    new,
    lsp,
):
    archdsl.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        write_all(stream)
    code = run(arguments)
    missed = False
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE
    except OSError as error:
        _show(lost(error))
        code, missed = WRONG, True
    if missed or code == BROKEN_PIPE:
        # Python flushes standard output once more as it ends; this lets that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if "torch" not in sys.modules:
        # All that is there goes with the process; Python would walk it for garbage once more.
        gc.freeze()
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Standard streams that whoever began the command had closed: nothing comes in, and all goes nowhere."""
    sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_RDONLY), encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def run(arguments: list[str]) -> int:
    """Run the command line; its exit code. What is wrong has been said on standard error."""
    # click would take `-:NETWORK` for an option.
    arguments = [STANDARD_INPUT + a.removeprefix("-") if a.startswith("-:") else a for a in arguments]
    try:
        code = archdsl.main(arguments, prog_name="archdsl", standalone_mode=False, obj=arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except ArchError as error:
        show(error.diagnostics)
        return WRONG
    except Exception as error:
        if traced():
            raise
        click.echo(internal_error(error, arguments), err=True)
        return INTERNAL_ERROR
    return code if isinstance(code, int) else 0


def _show(error: click.ClickException) -> None:
    """One line of what is wrong and, for a wrong command line, where help is."""
    click.echo(f"error: {error.format_message()}", err=True)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"try `{error.ctx.command_path} --help`", err=True)
