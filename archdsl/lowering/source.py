"""From a compiled network to the source of a torch module.

The source is made of names that were checked and of constants, and of nothing else that a file says
but its documentation, so that no file can run code. It is what `net.build()` runs.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise

from archdsl.compiler.network import Network
from archdsl.lowering.classes import Argument, Class, Parameter
from archdsl.lowering.expressions import Constant, constant, fill
from archdsl.lowering.forward import LOOP, Forward, counted
from archdsl.lowering.identifiers import free, identifier, is_plain
from archdsl.lowering.layers import defined_names, own_layers
from archdsl.lowering.layout import WIDTH, wrapped
from archdsl.lowering.plan import Plan, plan
from archdsl.lowering.steps import Run, Step
from archdsl.sizes import Size, substitute, symbols_of

TRIAL_SIZE = 256
"""The size that the written file tries where a symbol may be any."""


def write(network: Network, weights: str | None = None) -> str:
    """The Python source of a torch module of the network; the last of its classes is the network's.

    It needs torch alone. Where `weights` names a file of safetensors that lies beside the source, the source
    loads it when it is run. Raises `ArchError` where a weight's size is a symbol without a value, and where
    torch does not compute a user's own layer as its rules say.
    """
    made = plan(network)
    if own_layers(network):
        # Torch, which the trial loads, is not loaded for the layers of the language.
        from archdsl.lowering.trial import try_own_layers

        try_own_layers(network)
    names = [made_class.name for made_class in made.classes]
    sections = [textwrap.dedent(source).strip("\n") for source in made.sources]
    sections += ["\n".join(_class(made_class, names, made)) for made_class in made.classes]
    sections.append("\n".join(_main(made, network, weights)))
    text = "\n\n\n".join(sections)
    return f"{_docstring(network)}\n\n{_imports(text)}\n\n\n{text}\n"


# ------------------------------------------------------------------------------ the file


def _filled(block: str) -> list[str]:
    """Lines that were broken to fit a file, broken to fit another; one that is indented stands alone."""
    return textwrap.wrap(block.strip("\n"), WIDTH, break_on_hyphens=False) or [""]


def _docstring(network: Network) -> str:
    """The documentation of the network as a docstring; nothing in it can end the string."""
    text = network.documentation.strip() or f"The network {network.name}."
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    text = f'"""{text}'
    lines = [line for block in re.split(r"\n(?=\n|[ \t]|\Z)", text) for line in _filled(block)]
    body = "\n".join(lines)
    if len(lines) > 1 or len(body) + 3 > WIDTH:
        return f'{body}\n"""'
    if re.search(r'(?<!\\)(?:\\\\)*"\Z', body):
        # A quote that nothing escapes would end the string a sign too early.
        body = f'{body[:-1]}\\"'
    return f'{body}"""'


def _imports(text: str) -> str:
    lines = ["from __future__ import annotations", ""]
    standard = ["from collections import OrderedDict"] if "OrderedDict(" in text else []
    standard += ["from typing import Self"] if "-> Self:" in text else []
    lines += [*standard, ""] if standard else []
    lines.append("import torch")
    if re.search(r"\bF\.", text):
        lines.append("import torch.nn.functional as F")
    lines.append("from torch import Tensor, nn")
    return "\n".join(lines)


def _main(made: Plan, network: Network, weights: str | None) -> Iterator[str]:
    """When the file is run, the network is made, with its weights, and tried on a random input."""
    yield 'if __name__ == "__main__":'
    root = made.classes[-1].name
    if weights is not None:
        yield "    import pathlib"
        yield ""
        yield "    import safetensors.torch"
        yield ""
    yield f"    model = {root}().eval()"
    if weights is not None:
        yield f"    beside = pathlib.Path(__file__).with_name({constant(weights)})"
        yield "    model.load_state_dict(safetensors.torch.load_file(beside))"
    names: list[str] = []
    for node in made.inputs:
        names.append(free(identifier(node.key), {*names, *_OF_MAIN, root}))
        sizes = [_number(size) for size in node.shape]
        line = f"{names[-1]} = torch.randn({', '.join(map(str, (1, *sizes)))})"
        symbols = sorted({name for size in node.shape for name in symbols_of(size)})
        note = f"{' and '.join(symbols)} may be another size" if symbols else ""
        yield from wrapped(line, 1, note)
    yield "    with torch.no_grad():"
    call = f"model({', '.join(names)})"
    if len(network.outputs) == 1:
        yield from wrapped(f"result = {call}", 2)
        yield f"    print({constant(network.output_names[0] + ':')}, list(result.shape))"
    else:
        yield from wrapped(f"results = {call}", 2)
        outputs = constant(tuple(network.output_names))
        yield from wrapped(f"for name, result in zip({outputs}, results, strict=True):", 1)
        yield '        print(f"{name}:", list(result.shape))'
    yield '    print("parameters:", sum(p.numel() for p in model.parameters()))'


_OF_MAIN = {"results", "result", "name", "beside"}
"""What the part that is run calls so, and no input."""


def _number(size: Size) -> int:
    return int(substitute(size, dict.fromkeys(symbols_of(size), TRIAL_SIZE)))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ classes


def _class(made: Class, names: list[str], whole: Plan) -> Iterator[str]:
    # A variable that is called like a function of the module would hide it.
    functions = {name for source in whole.sources for name in defined_names(source)}
    forward = Forward(made, whole.inputs if made is whole.classes[-1] else None, functions)
    method = forward.write()
    yield f"class {made.name}(nn.Module):"
    body = [f"        self.{name} = {name}" for name in forward.attributes]
    body += _Constructor(made, names, forward).write()
    if any(isinstance(item, Step) and item.key == "training" for item in made.use.items):
        method = [*_TRAIN, "", *method] if method else _TRAIN
    if body:
        parameters = [f"{name}: {kind}" for name, kind in made.parameters.items()]
        yield from wrapped(f"def __init__({', '.join(['self', *parameters])}) -> None:", 1)
        yield "        super().__init__()"
        yield from body
        if method:
            yield ""
    yield from method


_TRAIN = [
    "    def train(self, mode: bool = True) -> Self:",
    '        self.__dict__["training"] = mode  # `training` is also the name of a submodule',
    "        for module in self._modules.values():",
    "            module.train(mode)",
    "        return self",
]
"""torch sets `training` as an attribute, which a submodule of that name forbids."""


class _Constructor:
    """Writes the lines that make the submodules of a class."""

    def __init__(self, made: Class, names: list[str], forward: Forward) -> None:
        self.made = made
        self.names = names
        self.forward = forward
        self.arguments, _ = made.by_step()

    def write(self) -> Iterator[str]:
        for item in (*self.made.use.extras, *self.made.use.items):
            if isinstance(item, Run):
                yield from self._loop(item)
            elif item.key is not None and item.make is not None:
                left = f"self.{item.key}" if is_plain(item.key) else f'self._modules["{item.key}"]'
                constants = [_text(argument) for argument in self.arguments[item]]
                yield from wrapped(f"{left} = {self._make(item, constants)}", 2)

    def _make(self, step: Step, constants: list[str]) -> str:
        assert step.make is not None
        return fill(step.make, constants, classes=self.names)

    def _loop(self, run: Run) -> Iterator[str]:
        """The modules of a loop; what differs from round to round is listed in its head."""
        if all(step.key is None for step in run.body):
            return
        start, _, numbers = run.numbering()
        variables: dict[Argument, str] = {}
        lines: list[str] = []
        for index, step in enumerate(run.body):
            number = numbers[index]
            if step.key is None or step.make is None or number is None:
                continue
            hints = {part.index: part.hint for part in step.make if isinstance(part, Constant)}
            constants = []
            for place, argument in enumerate(self.arguments[step]):
                if isinstance(run.constant(index, place), tuple):
                    if argument not in variables:
                        taken = {*variables.values(), *self.made.parameters, LOOP}
                        variables[argument] = free(identifier(hints[place]), taken)
                    constants.append(variables[argument])
                else:
                    constants.append(_text(argument))
            name = f'f"{counted(step.key, number)}"'
            lines += wrapped(f"self.add_module({name}, {self._make(step, constants)})", 3)
        yield from wrapped(f"for {self._head(run, start, variables)}:", 2)
        yield from lines

    def _head(self, run: Run, start: int, variables: dict[Argument, str]) -> str:
        if not variables:
            return f"{LOOP} in {self.forward.rounds(run).replace('self.', '')}"
        after = f", {start}" if start else ""
        columns = list(variables)
        names = ", ".join(variables.values())
        if len(columns) == 1:
            return f"{LOOP}, {names} in enumerate({_listed(columns[0])}{after})"
        given = [column for column in columns if not isinstance(column, str | Parameter)]
        if len(given) == len(columns):
            listed = ", ".join(f"({', '.join(row)})" for row in zip(*given, strict=True))
            return f"{LOOP}, ({names}) in enumerate([{listed}]{after})"
        lists = ", ".join(_listed(column) for column in columns)
        return f"{LOOP}, ({names}) in enumerate(zip({lists}, strict=True){after})"


def _text(argument: Argument) -> str:
    if isinstance(argument, Parameter):
        return argument.source()
    assert isinstance(argument, str)
    return argument


def _listed(column: Argument) -> str:
    """The values of a loop's rounds: a list, a range where they rise evenly, or a parameter."""
    if isinstance(column, str | Parameter):
        return _text(column)
    if len(column) >= 4 and all(re.fullmatch(r"[0-9]{1,18}", value) for value in column):
        numbers = [int(value) for value in column]
        step = numbers[1] - numbers[0]
        if step and all(b - a == step for a, b in pairwise(numbers)):
            return f"range({numbers[0]}, {numbers[-1] + step}, {step})"
    return f"[{', '.join(column)}]"
