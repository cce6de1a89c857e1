"""What an edit costs, against a full analysis by torchinfo in the same run: `python benchmarks/editing.py`.

The file is `resnet.arch`, nine networks of which ResNet-152 is one. An edit is a new text of it, from the
text to the diagnostics of the whole file and the hints behind its lines. Measured in rounds that take turns,
and compared by the fastest round of each, as in `analyze.py`:

- an edit in ResNet-152 takes at most a fifth of what ResNet-152 takes, built in torch and summarised;
- so does an edit in a recipe, in a comment, and of a line that is half written;
- so does an edit in the block of the seven deeper networks, all of which are then checked again;
- a key pressed, with the names offered for it, takes at most a twentieth, since it waits for no check.

Ends with exit code 1 where one does not hold. `--quick` does fewer rounds.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
from collections.abc import Callable
from typing import Any

from analyze import Claim, resnet152, rounds

from archdsl.editing.checks import Check, Checker
from archdsl.editing.completion import completions
from archdsl.editing.document import Document, Library
from archdsl.editing.hints import hints
from archdsl.project import bundled

NAME = "/editing/resnet.arch"
RESNET152 = "[256, 36, 2], [512, 3, 2]] {\n    Bottleneck(channels, stride)"
BOTTLENECK = "stride=stride3x3, padding=1, bias=false) -> batch_norm"


def main() -> int:
    parser = argparse.ArgumentParser(description="What an edit costs, against torch and torchinfo.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    count = 3 if parser.parse_args().quick else 15
    from torchinfo import summary

    source = bundled("resnet.arch")
    assert source is not None
    text = source.text
    library = Library()
    checker = Checker(library)
    numbers = itertools.count(37)

    def shown(changed: str) -> Check:
        document = Document(NAME, changed)
        library.put(document)
        check = checker.check(document)
        hints(check)
        return check

    def edit(old: str, new: str) -> Callable[[], object]:
        assert text.count(old) >= 1
        return lambda: shown(text.replace(old, new.format(next(numbers)), 1))

    def key() -> object:
        changed = text.replace("  stem: Stem\n", f"  stem: Stem\n  conv(8, kernel={next(numbers)}, pad\n", 1)
        document = Document(NAME, changed)
        library.put(document)
        found = completions(library, document, changed.index(", pad") + len(", pad"))
        assert any(one.label == "padding=" for one in found)
        return found

    def peer() -> Any:
        return summary(resnet152(), input_size=(1, 3, 224, 224), verbose=0)

    before = shown(text)
    assert before.diagnostics == []
    assert before.totals["ResNet152"].parameters == peer().total_params
    gc.collect()
    gc.freeze()
    tasks: dict[str, Callable[[], object]] = {
        "in ResNet-152": edit(RESNET152, RESNET152.replace("{", "{{").replace("36", "{}")),
        "half a line in ResNet-152": edit("  head: Head(classes)", "  conv({}, ker\n  head: Head(classes)"),
        "in a comment": edit("# Trained as", "# {} Trained as"),
        "in the recipe": edit("patience=5", "patience={}"),
        "in the block of seven networks": edit(BOTTLENECK, BOTTLENECK.replace("norm", "norm(eps=0.000{})")),
        "a key pressed": key,
    }
    *ours, torchs = rounds(3 * count, *tasks.values(), peer)
    print(f"ResNet-152, built in torch, then torchinfo   {torchs * 1000:9.1f} ms")
    claims: list[Claim] = []
    for name, seconds in zip(tasks, ours, strict=True):
        print(f"{name:<44} {seconds * 1000:9.1f} ms")
        limit = 0.05 if name == "a key pressed" else 0.2
        claims.append((f"{name} / torchinfo", seconds / torchs, "", limit, seconds / torchs <= limit))
    print()
    for what, figure, unit, limit, holds in claims:
        print(f"{'holds' if holds else 'FAILS':<6} {what:<44} {figure:8.3f} {unit:<6} (limit {limit:g})")
    return 0 if all(holds for *_, holds in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
