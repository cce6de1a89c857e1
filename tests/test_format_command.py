"""`archdsl fmt` in processes of its own: files, folders, pipes, and what is left alone."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import Finished, run

from archdsl.cli.main import archdsl

UGLY = "network  Small{\n\tinput image:[3,8,8]\n  flatten->linear( 10 )# scores\n}"
NEAT = "network Small {\n  input image: [3, 8, 8]\n  flatten -> linear(10)  # scores\n}\n"
BROKEN = "network Small {\n  flatten ->\n}\n"


def fmt(*arguments: str, cwd: Path, stdin: bytes = b"") -> Finished:
    return run("fmt", *arguments, cwd=cwd, stdin=stdin)


def test_a_file_is_laid_out_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a.arch"
    path.write_text(UGLY)
    finished = fmt("a.arch", cwd=tmp_path)
    assert (finished.code, finished.out, finished.err) == (0, "", "1 file changed\n")
    assert path.read_text() == NEAT
    before = path.stat()
    finished = fmt("a.arch", cwd=tmp_path)
    assert (finished.code, finished.out, finished.err) == (0, "", "1 file as it should be\n")
    # What is as it should be is not written again.
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [one.name for one in tmp_path.iterdir()] == ["a.arch"]


def test_check_and_diff_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.arch").write_text(UGLY)
    (tmp_path / "b.arch").write_text(NEAT)
    checked = fmt("--check", "a.arch", "b.arch", cwd=tmp_path)
    assert (checked.code, checked.out) == (1, "a.arch\n")
    assert checked.err == "1 file would change, 1 file as it should be\n"
    shown = fmt("--diff", "a.arch", "b.arch", cwd=tmp_path)
    assert shown.code == 0
    assert fmt("--diff", "--check", "a.arch", cwd=tmp_path).code == 1
    assert fmt("--check", "b.arch", cwd=tmp_path).code == 0
    assert (tmp_path / "a.arch").read_text() == UGLY
    if shutil.which("patch"):
        subprocess.run(["patch", "-sp0"], cwd=tmp_path, input=shown.out.encode(), check=True)
        assert (tmp_path / "a.arch").read_text() == NEAT


def test_standard_input(tmp_path: Path) -> None:
    finished = fmt("-", cwd=tmp_path, stdin=UGLY.encode())
    assert (finished.code, finished.out, finished.err) == (0, NEAT, "")
    assert fmt("-", cwd=tmp_path).out == ""
    finished = fmt("--check", "-", cwd=tmp_path, stdin=UGLY.encode())
    assert (finished.code, finished.out) == (1, "<standard input>\n")
    finished = fmt("-", cwd=tmp_path, stdin=BROKEN.encode())
    assert (finished.code, finished.out) == (1, "")
    assert "<standard input>:3:1" in finished.err


def test_signs_that_the_screen_lacks_are_kept(tmp_path: Path) -> None:
    text = "# Säckinger → 字\nlet a = 1\r\n".encode()
    finished = subprocess.run(
        [sys.executable, "-m", "archdsl", "fmt", "-"],
        cwd=tmp_path,
        input=text,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert finished.stdout == text.replace(b"\r", b"")


def test_a_file_with_errors_is_left_as_it_is_and_the_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.arch").write_text(BROKEN)
    (tmp_path / "b.arch").write_text(UGLY)
    (tmp_path / "c.arch").write_bytes(b"# \xff\n")
    finished = fmt("a.arch", "gone.arch", "c.arch", "b.arch", cwd=tmp_path)
    assert finished.code == 2
    assert "a.arch:3:1" in finished.err
    assert "error: there is no file or folder 'gone.arch' here\n" in finished.err
    assert "c.arch: byte 0xff in line 1 is not UTF-8 text" in finished.err
    assert finished.err.endswith("1 file changed, 3 files not laid out\n")
    assert (tmp_path / "a.arch").read_text() == BROKEN
    assert (tmp_path / "b.arch").read_text() == NEAT
    assert fmt("a.arch", cwd=tmp_path).code == 1
    assert fmt("c.arch", cwd=tmp_path).code == 2


def test_a_bundled_file_is_not_meant(tmp_path: Path) -> None:
    finished = fmt("alexnet.arch", cwd=tmp_path)
    assert (finished.code, finished.out) == (2, "")


def test_a_folder_means_all_files_below_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder = tmp_path / "project"
    for place in (outside, folder, folder / "inner", folder / ".hidden"):
        place.mkdir()
        (place / "a.arch").write_text(UGLY)
    (folder / "a.txt").write_text(UGLY)
    (folder / "out").symlink_to(outside)
    (folder / "link.arch").symlink_to(outside / "a.arch")
    (folder / "gone.arch").symlink_to(tmp_path / "nowhere")
    finished = fmt("project", "project/a.arch", cwd=tmp_path)
    assert (finished.code, finished.err) == (0, "2 files changed\n")
    changed = {path for path in tmp_path.rglob("*.*") if path.is_file() and path.read_text() == NEAT}
    assert changed == {folder / "a.arch", folder / "inner" / "a.arch"}
    assert fmt("--check", "project", cwd=tmp_path).code == 0


def test_a_file_that_is_read_only_is_left_as_it_is(tmp_path: Path) -> None:
    for name in ("a.arch", "b.arch", "C.ARCH"):
        (tmp_path / name).write_text(UGLY)
    (tmp_path / "a.arch").chmod(0o444)
    os.link(tmp_path / "b.arch", tmp_path / "b.saved")
    finished = fmt(".", cwd=tmp_path)
    assert finished.code == 1
    said = "error: a.arch is read-only, and is left as it is\n"
    assert finished.err == said + "2 files changed, 1 file not laid out\n"
    assert (tmp_path / "a.arch").read_text() == (tmp_path / "b.saved").read_text() == UGLY
    assert (tmp_path / "b.arch").read_text() == (tmp_path / "C.ARCH").read_text() == NEAT
    assert fmt("--check", "a.arch", cwd=tmp_path).out == "a.arch\n"


def test_a_folder_without_files(tmp_path: Path) -> None:
    finished = fmt(".", cwd=tmp_path)
    assert (finished.code, finished.err) == (2, "error: . is a folder without .arch files\n")


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path = tmp_path / "real.arch"
    path.write_text(UGLY)
    path.chmod(0o640)
    (tmp_path / "link.arch").symlink_to("real.arch")
    assert fmt("link.arch", cwd=tmp_path).code == 0
    assert (tmp_path / "link.arch").is_symlink()
    assert path.read_text() == NEAT
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_bytes_that_the_text_does_not_show(tmp_path: Path) -> None:
    """A mark of the byte order goes; Windows' line ends stay, all of them or none."""
    path = tmp_path / "a.arch"
    path.write_bytes(b"\xef\xbb\xbf" + NEAT.encode())
    assert fmt("--check", "a.arch", cwd=tmp_path).code == 1
    assert fmt("a.arch", cwd=tmp_path).code == 0
    assert path.read_bytes() == NEAT.encode()
    path.write_bytes(NEAT.replace("\n", "\r\n").encode())
    assert fmt("--check", "a.arch", cwd=tmp_path).code == 0
    path.write_bytes(NEAT.replace("\n", "\r\n", 2).encode())
    assert fmt("a.arch", cwd=tmp_path).code == 0
    assert path.read_bytes() == NEAT.replace("\n", "\r\n").encode()


@pytest.mark.skipif(os.name != "posix", reason="pipes have names on Unix alone")
def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.arch")
    finished = fmt("pipe.arch", cwd=tmp_path)
    assert (finished.code, finished.err.splitlines()[0]) == (2, "error: pipe.arch is no regular file")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_difference_has_colours_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.arch").write_text("let a=1\n")
    ours, theirs = os.openpty()
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    subprocess.run(
        [sys.executable, "-m", "archdsl", "fmt", "--diff", "a.arch"],
        cwd=tmp_path,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**kept, "TERM": "xterm"},
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "\x1b[1;31m-let a=1\x1b[0m" in shown
    assert "\x1b[1;32m+let a = 1\x1b[0m" in shown


def test_a_mistake_of_ours_changes_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.arch").write_text(UGLY)
    (tmp_path / "b.arch").write_text("let a=1")
    program = (
        "from archdsl.syntax import formatter\n"
        "whole = formatter._Writer.file\n"
        "formatter._Writer.file = lambda *given: whole(*given).replace('let a', 'let b')\n"
        "from archdsl.cli.main import main\n"
        "main(['fmt', 'a.arch', 'b.arch'])\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True)
    assert finished.returncode == 70
    assert (
        b"internal error: ChangedMeaning: the layout of b.arch would change what it says" in finished.stderr
    )
    assert (tmp_path / "a.arch").read_text() == UGLY
    assert (tmp_path / "b.arch").read_text() == "let a=1"


def test_the_hooks_for_pre_commit_are_commands() -> None:
    hooks = (Path(__file__).parent.parent / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"^- id: archdsl-(\w+)$.*?^  entry: archdsl (\w+)$", hooks, re.M | re.S)
    assert entries == [("fmt", "fmt"), ("check", "check")]
    assert {command for _, command in entries} <= set(archdsl.commands)
