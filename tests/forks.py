"""`archdsl` in processes of its own that begin with torch loaded, which takes most of the time of a start.

They are real: each has a number, streams, signals and an end of its own. What they begin with are the
packages that archdsl needs, loaded once in a process that forks; archdsl itself is imported anew by each of
them. Where the start is what is asked, a test starts a process by itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch", "torch.distributed.fsdp", "safetensors.torch", "rich.progress"])
LONG = 240.0
"""Seconds that nothing takes, however busy the machine."""


class Started:
    """A process that was started, and after its end what it wrote and what it ended with."""

    def __init__(self, arguments: tuple[str, ...], cwd: Path, environment: Mapping[str, str]) -> None:
        self.streams = Path(mkdtemp(dir=cwd.parent, prefix="streams"))
        words = {**os.environ, **environment}
        self.process = CONTEXT.Process(target=_command, args=(arguments, str(cwd), words, str(self.streams)))
        self.process.start()

    @property
    def stdout(self) -> str:
        return (self.streams / "out").read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        place = self.streams / "err"
        return place.read_text(encoding="utf-8") if place.exists() else ""

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def wait(self) -> Started:
        self.process.join(LONG)
        if self.process.is_alive():
            self.process.kill()
            raise TimeoutError(f"it has not ended; until now it said:\n{self.stderr}")
        return self


def start(*arguments: str, cwd: Path, **environment: str) -> Started:
    """`archdsl ARGUMENTS` in a folder, under way."""
    return Started(arguments, cwd, environment)


def run(*arguments: str, cwd: Path, **environment: str) -> Started:
    """`archdsl ARGUMENTS` in a folder, to its end."""
    return start(*arguments, cwd=cwd, **environment).wait()


def _command(arguments: tuple[str, ...], cwd: str, environment: dict[str, str], streams: str) -> None:
    """What a process does first: what a shell would have done for it."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(os.path.join(streams, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["archdsl", *arguments]
    from archdsl.cli.main import main

    main()
