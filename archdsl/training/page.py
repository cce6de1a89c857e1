"""The page of a run, `run.html`: its curves, and what the network says of a few test examples.

It is one file that needs no other and no network, written anew at every measurement. While the run goes on
it reads itself again every few seconds, so one may open it and leave it open.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape

import torch
from torch import Tensor

from archdsl.compiler import Network
from archdsl.recipes.recipe import Recipe
from archdsl.training.curve import STYLE as CURVES
from archdsl.training.curve import Line, curve
from archdsl.training.examples import Batch
from archdsl.training.measuring import as_read
from archdsl.training.run import Measurement, Run, said
from archdsl.training.thumbnails import class_map, thumbnails

SHOWN = 12
"""Examples on the page."""
AGAIN = 5
"""Seconds after which a page of a run that goes on reads itself again."""
LIKELIEST = 3
"""Classes of which the page says how likely the network takes them to be."""

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #24292f; --quiet: #59636e; --edge: #d8dee4;
  --bar: #b6d7f2; --right: #1a7f37; --wrong: #c4361f }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --text: #e6edf3; --quiet: #9aa4ae;
  --edge: #3a424b; --bar: #2c5f8f; --right: #57c271; --wrong: #ff8a75 } }
body { margin: 0 auto; padding: 1.2rem; max-width: 76rem; background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem } p { margin: .3rem 0 }
.quiet { color: var(--quiet) } .bad { color: var(--wrong) }
progress { width: 100%; height: .5rem; accent-color: #1f6feb }
.grid { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)) }
.grid > svg { width: 100%; height: auto }
.examples { grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)) }
figure { margin: 0; padding: .6rem; display: flex; gap: .7rem;
  border: 1px solid var(--edge); border-radius: 6px }
figure img, figure svg { width: 96px; height: 96px; flex: none; object-fit: contain }
figure img { image-rendering: pixelated } figcaption img { width: 68px; height: 68px }
figure svg { overflow: visible } polyline.signal { fill: none; stroke: var(--text); stroke-width: 1.2 }
figcaption { flex: 1; min-width: 0; font-size: .87rem; overflow-wrap: anywhere }
.said { position: relative; display: flex; justify-content: space-between; padding: 0 .3rem; z-index: 0 }
.said i { position: absolute; inset: 1px auto 1px 0; background: var(--bar); z-index: -1; border-radius: 2px }
.right { color: var(--right) } .wrong { color: var(--wrong) }
td, th { text-align: left; padding: .1rem 1.2rem .1rem 0; font-weight: 400; vertical-align: top }
"""


class Page:
    """The page of a run. `examples` are some that it is tested on, with the names of their classes."""

    def __init__(
        self,
        run: Run,
        network: Network,
        recipe: Recipe,
        steps: int,
        examples: Batch,
        classes: Sequence[str] | None,
    ) -> None:
        self._run = run
        self._network = network
        self._recipe = recipe
        self._steps = steps
        self._inputs, self._targets = examples[0].cpu(), examples[1].cpu()
        self._classes = classes
        self._outputs: Tensor | None = None
        self._pictures = thumbnails(self._inputs)

    def write(self, outputs: Tensor | None, ended: str | None = None) -> None:
        """Write the page. `outputs` is what the network says of the examples, None if the same as before;
        `ended` how the run ended, None while it goes on."""
        self._outputs = self._outputs if outputs is None else outputs.cpu()
        found = self._run.measurements
        last = found[-1]
        again = f'<meta http-equiv="refresh" content="{AGAIN}">' if ended is None else ""
        name = escape(self._network.name)
        body = [
            f"<h1>{name}</h1>",
            f'<p role="status">{self._state(last, ended)}</p>',
            f'<progress value="{last.step}" max="{self._steps}" aria-label="steps"></progress>',
            f'<div class="grid">{"".join(self._curves(found, ended is not None))}</div>',
            *self._examples(),
            f"<h2>Recipe</h2><table>{self._recipe_rows()}</table>",
        ]
        self._run.show(
            "\n".join(
                [
                    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
                    '<meta name="viewport" content="width=device-width, initial-scale=1">',
                    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
                    "img-src data:; style-src 'unsafe-inline'\">",
                    f"{again}<title>{name}, step {last.step:,}</title>",
                    f"<style>{STYLE}{CURVES}</style></head><body>",
                    *body,
                    "</body></html>\n",
                ]
            )
        )

    def _state(self, last: Measurement, ended: str | None) -> str:
        measured = ", ".join(f"{title} {value}" for title, value in said(self._recipe, last))
        doing = "training" if ended is None else escape(ended)
        clock = time.strftime("%H:%M:%S")
        return (
            f"{doing} <span class=quiet>step {last.step:,} of {self._steps:,}, measured at {clock}: "
            f"{escape(measured)}</span>"
        )

    def _curves(self, found: Sequence[Measurement], still: bool) -> list[str]:
        def drawn(title: str, lines: Sequence[Line], percent: bool = False) -> str:
            # A page that is read again in a moment is not pointed at, and points take long.
            return curve(title, lines, percent, self._steps, pointed=still)

        curves = []
        for number, metric in enumerate(self._recipe.metrics):
            lines = [
                Line("training", "training", [(m.step, m.training[number]) for m in found]),
                Line("test", "test", [(m.step, m.test[number]) for m in found]),
            ]
            curves.append(drawn(metric.title.replace("_", " "), lines, metric.percent))
        losses = [(m.step, m.loss) for m in found if m.loss is not None]
        curves.append(drawn("loss, as trained", [Line("training", "training", losses)]))
        curves.append(drawn("learning rate", [Line("rate", "training", [(m.step, m.rate) for m in found])]))
        paces = self._run.paces
        speeds = [(pace.step, pace.examples) for pace in paces]
        curves.append(drawn("examples a second", [Line("training", "training", speeds)]))
        if any(pace.waiting > 0 for pace in paces):
            waits = [(pace.step, pace.waiting) for pace in paces]
            curves.append(drawn("time waited for examples", [Line("waiting", "training", waits)], True))
        return curves

    def _examples(self) -> list[str]:
        if self._outputs is None or not len(self._inputs):
            return []
        cards = [
            f"<figure>{picture}<figcaption>{self._said(output, target)}</figcaption></figure>"
            for picture, output, target in zip(
                self._pictures, as_read(self._recipe, self._outputs), self._targets, strict=True
            )
        ]
        title = "What it says of test examples"
        return [f"<h2>{title}</h2>", f'<div class="grid examples">{"".join(cards)}</div>']

    def _said(self, output: Tensor, target: Tensor) -> str:
        described = self._recipe.described
        assert described is not None
        if described.target.classes is None:
            wanted, found = (
                ", ".join(f"{v:.3g}" for v in one.flatten()[:4].tolist()) for one in (target, output)
            )
            more = ", …" if target.numel() > 4 else ""
            return f"<div>{found}{more}</div><div class=quiet>target {wanted}{more}</div>"
        if described.target.shape:
            counted = self._recipe.loss[0].loss.counted(target)
            hits = output.argmax(0) == target
            right = (hits if counted is None else hits[counted]).float().mean().nan_to_num().item()
            maps = [
                class_map(one, described.target.classes, what)
                for one, what in ((target, "target"), (output.argmax(0), "what it says"))
            ]
            return f"{maps[0]} {maps[1]}<div>target, and what it says: {right:.0%} of the places right</div>"
        scores = torch.stack([1 - output[0].sigmoid(), output[0].sigmoid()]) if len(output) == 1 else output
        unlearnt = self._recipe.loss[0].loss.unlearnt(len(scores))
        best = [number for number in scores.argsort(descending=True).tolist() if number != unlearnt]
        right = best[0] == int(target)
        mark, how = ("✓", "right") if right else ("✗", "wrong")
        rows = [f'<div class="{how}">{mark} is {self._named(int(target))}</div>']
        if int(target) == described.target.ignored:
            rows = ["<div class=quiet>is of no class</div>"]
        for number in best[:LIKELIEST]:
            value = scores[number].item()
            share = f'<i style="width:{100 * value:.1f}%"></i>' if 0 <= value <= 1 else ""
            text = f"{value:.1%}" if 0 <= value <= 1 else f"{value:.3g}"
            rows.append(
                f'<div class="said">{share}<span>{self._named(number)}</span><span>{text}</span></div>'
            )
        return "".join(rows)

    def _named(self, number: int) -> str:
        return escape(self._classes[number]) if self._classes is not None else f"class {number}"

    def _recipe_rows(self) -> str:
        settings = self._recipe.stored_settings(self._recipe.to_dict())
        return "".join(
            f"<tr><th scope=row>{escape(key)}</th><td>{escape(text)}</td></tr>"
            for key, text in settings.items()
        )
