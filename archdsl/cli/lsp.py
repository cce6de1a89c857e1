"""`archdsl lsp`: the language server, for editors."""

from __future__ import annotations

import click

from archdsl.cli.output import Refused


@click.command(short_help="Serve an editor, on standard input and output.")
@click.option("--stdio", is_flag=True, hidden=True, help="What is done anyway; some editors say it.")
def lsp(stdio: bool) -> int:
    """Serve an editor on standard input and output, by the Language Server Protocol.

    An editor begins it by itself; see docs/editors.md. It needs `pip install 'archdsl[editor]'`.
    """
    try:
        from archdsl.server.server import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise Refused(f"the language server needs {error.name}: `pip install 'archdsl[editor]'`") from None
    from archdsl.version import version

    serve(version())
    return 0
