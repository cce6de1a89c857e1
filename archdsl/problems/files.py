"""What a file holds and imports: networks that are missing or several, and imports that fail."""

from __future__ import annotations

from archdsl.problems.problem import Problem, listed


class UnknownNetwork(Problem):
    """A network is asked for that the file does not have.

    ```arch
    network Small {
      input image: [1, 8, 8]
      relu
    }

    train Big {
      batch = 10
    }
    ```

    ```arch
    network Small {
      input image: [1, 8, 8]
      relu
    }
    ```
    """

    found: str
    known: tuple[str, ...]
    meant: str | None

    def message(self) -> str:
        return f"there is no network `{self.found}` in this file"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else ""

    def help(self) -> str | None:
        return f"it has {listed([f'`{name}`' for name in self.known])}" if self.known else None


class WhichNetwork(Problem):
    """A file with several networks, none of which was chosen.

    With none named, the only network of a file is meant, or the one named like the file.

    ```arch
    network Left {
      input image: [1, 8, 8]
      relu
    }

    network Right {
      input image: [1, 8, 8]
      relu
    }

    train {
      batch = 10
    }
    ```

    ```arch
    network Left {
      input image: [1, 8, 8]
      relu
    }

    network Right {
      input image: [1, 8, 8]
      relu
    }
    ```
    """

    file: str
    known: tuple[str, ...]
    for_training: bool = False

    def message(self) -> str:
        return f"this file has {len(self.known)} networks: {listed(self.known)}"

    def label(self) -> str:
        return "which one?"

    def help(self) -> str | None:
        if self.for_training:
            return f"name it: `train {self.known[0]} {{ ... }}`"
        return f"name one: `{self.file}:{self.known[0]}`"


class NoNetwork(Problem):
    """A file without a network has nothing to analyse. It may still hold blocks for others.

    ```arch
    block Twice { relu -> relu }
    ```

    ```arch
    block Twice { relu -> relu }

    network Small {
      input image: [1, 8, 8]
      Twice
    }
    ```
    """

    def message(self) -> str:
        return "this file has no network"

    def help(self) -> str | None:
        return "begin one: `network Name { input image: [3, 224, 224] ... }`"


class UnknownParameter(Problem):
    """A parameter is set that the network does not have (`--set classes=10`, `--size`, `--input`)."""

    network: str
    found: str
    what: str
    known: tuple[str, ...]
    meant: str | None

    def message(self) -> str:
        return f"network `{self.network}` has no {self.what} `{self.found}`"

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else ""

    def help(self) -> str | None:
        return f"it has {listed([f'`{name}`' for name in self.known])}" if self.known else None


class UnknownImport(Problem):
    """An import names a block, or a layer of one's own, that the other file does not have.

    ```arch
    import Botleneck from "resnet.arch"

    network Small {
      input image: [64, 8, 8]
      Botleneck(64)
    }
    ```

    ```arch
    import Bottleneck from "resnet.arch"

    network Small {
      input image: [64, 8, 8]
      Bottleneck(64)
    }
    ```
    """

    found: str
    path: str
    meant: str | None
    known: tuple[str, ...]
    what: str = "block"
    passed: tuple[str, ...] = ()
    """What the other file imports itself, and so may be imported from it."""

    def message(self) -> str:
        return f'"{self.path}" has no {self.what} `{self.found}`'

    def label(self) -> str:
        return f"did you mean `{self.meant}`?" if self.meant else ""

    def help(self) -> str | None:
        if self.meant:
            return None
        known, passed = ([f"`{name}`" for name in names] for names in (self.known, self.passed))
        imports = f" and imports {listed(passed)}" if passed else ""
        if known:
            return f"it {'declares' if imports else 'has'} {listed(known)}{imports}"
        if self.what == "layer":
            return "a class that derives from `Layer` is a layer, by its name in snake_case"
        return f"it declares no block{imports}"

    def replacement(self) -> str | None:
        return self.meant


class ImportedNetwork(Problem):
    """An import names a network, which has inputs of its own and can't be part of another.

    Its blocks can be imported.

    ```arch
    import ResNet18 from "resnet.arch"

    network Small {
      input image: [3, 224, 224]
      ResNet18
    }
    ```

    ```arch
    import BasicBlock, Stem from "resnet.arch"

    network Small {
      input image: [3, 224, 224]
      Stem -> BasicBlock(64)
    }
    ```
    """

    found: str
    blocks: tuple[str, ...]

    def message(self) -> str:
        return f"`{self.found}` is a network, not a block"

    def label(self) -> str:
        return "a network has inputs of its own and can't be part of another"

    def help(self) -> str | None:
        if not self.blocks:
            return "make what it does a block, which its network and yours can use"
        return f"import the blocks that it is made of: {listed([f'`{name}`' for name in self.blocks])}"


class ImportNotFound(Problem):
    """An imported file is not there, or can't be read.

    Paths are relative to the importing file, then to the bundled architectures.

    ```arch
    import Bottleneck from "resnett.arch"

    network Small {
      input image: [64, 8, 8]
      Bottleneck(64)
    }
    ```

    ```arch
    import Bottleneck from "resnet.arch"

    network Small {
      input image: [64, 8, 8]
      Bottleneck(64)
    }
    ```
    """

    path: str
    reason: str
    meant: str | None = None

    def message(self) -> str:
        return f'"{self.path}" can\'t be imported'

    def label(self) -> str:
        return self.reason

    def help(self) -> str | None:
        return f'did you mean "{self.meant}"?' if self.meant else None

    def replacement(self) -> str | None:
        return f'"{self.meant}"' if self.meant else None


class ImportOutside(Problem):
    """An import leaves the folder of the file that the user named, or of its project.

    An `.arch` file from elsewhere must not be able to read what lies around it, so imports stay
    inside the folder of the named file and the bundled architectures; links that lead out of it are
    not followed. Where files of several folders share blocks, mark the folder of all of them by an
    empty file `.archroot`: what lies in and below it may then be imported.

    ```arch
    import Secret from "/elsewhere/secret.arch"

    network Small {
      input image: [64, 8, 8]
      Secret(64)
    }
    ```

    ```arch
    import Bottleneck from "resnet.arch"

    network Small {
      input image: [64, 8, 8]
      Bottleneck(64)
    }
    ```
    """

    path: str
    project: str | None = None
    """The file that marks the folder of the project, where one does."""
    link: str | None = None
    """The file that the path means by a link."""
    mark: str | None = None
    """The file that would mark a project of both."""

    def message(self) -> str:
        how = "is a link that leads" if self.link else "lies"
        folder = "the project's folder" if self.project else "the folder of the file that was opened"
        return f'"{self.path}" {how} outside {folder}'

    def label(self) -> str:
        folder = f"the folder of {self.project}" if self.project else "that folder"
        stay = f"imports stay inside {folder}"
        return f"this is {self.link}, and {stay}" if self.link else stay

    def help(self) -> str | None:
        if self.project:
            return "move the file into that folder"
        move = "move the file beside this one, or into a folder below it"
        if self.mark is None:
            return move
        return f"{move}, or mark the folder of both by an empty file {self.mark}"


class ImportCycle(Problem):
    """Files that import each other in a circle, or a file that imports itself.

    What a file declares can be used in it without an import. A file that is called like a bundled one
    means the bundled one by that name.
    """

    files: tuple[str, ...]

    @property
    def alone(self) -> bool:
        return len(self.files) == 2

    def message(self) -> str:
        return "this file imports itself" if self.alone else "these files import each other in a circle"

    def label(self) -> str:
        return "what it declares needs no import" if self.alone else " -> ".join(self.files)

    def help(self) -> str | None:
        return None if self.alone else "put what they share into a file of its own"


class ImportRaised(Problem):
    """A Python file from which a file imports layers of its own ends in an error.

    A class that lacks a rule or its documentation is one: Python defines it no further.

    ```python
    class Twice(Layer):
        def shape(self, x):
            return x
    ```

    `Weightless` spares the rules of what has nothing to learn; the others are still to be written:

    ```python
    class Twice(Weightless):
        "The double of a value."

        def shape(self, x):
            return x

        def flops(self, x):
            return x.count

        def saved(self, x):
            return Saved()

        def reads(self, x):
            return (Reach.POINT,)

        def build(self, nn, x):
            return None

        def forward(self, torch, module, values, xs):
            return values[0] * 2
    ```
    """

    path: str
    said: str

    def message(self) -> str:
        return f'"{self.path}" ended in {self.said}'

    def label(self) -> str:
        return "no layer can be imported from it"

    def help(self) -> str | None:
        return f"mend {self.path}; `python {self.path}` shows all that Python says of it"


class BuiltInLayer(Problem):
    """A file imports a layer of its own that is called like a layer of the language."""

    found: str
    path: str

    def message(self) -> str:
        return f"`{self.found}` is a layer of the language"

    def label(self) -> str:
        return "a layer of one's own needs another name"

    def help(self) -> str | None:
        return f"give its class in {self.path} another name: the class `MyLayer` is the layer `my_layer`"


class BrokenRule(Problem):
    """A rule of a user's own layer ends in an error, or gives what no rule of its kind gives.

    Every rule is asked where the layer is used, for the shapes that reach it there. Extents may be open
    sizes, so rules use plain arithmetic, and compare by `at_least` and `equal` of `archdsl.sizes`.
    """

    layer: str
    rule: str
    what: str
    undecided: bool = False

    def message(self) -> str:
        return f"the rule `{self.rule}` of the layer `{self.layer}` {self.what}"

    def label(self) -> str:
        return "asked for this use"

    def help(self) -> str | None:
        if self.undecided:
            return "a size may be open: `at_least` and `equal` of archdsl.sizes compare it"
        return f"mend `{self.rule}` in the class of `{self.layer}`"


class UnreadableFile(Problem):
    """A file can't be read: it is not there, is a folder, is too large, or is not UTF-8 text.

    Some editors and shells save text otherwise: `>` of Windows PowerShell writes UTF-16. `archdsl check`
    looks at the other files all the same, and ends with exit code 2. So it does where a folder has no .arch
    file: a check of nothing, as of a folder that has moved, is not to pass for one.
    """

    reason: str
    mend: str | None = None

    def message(self) -> str:
        return self.reason

    def help(self) -> str | None:
        return self.mend


class ForeignFile(Problem):
    """A file is written in another language: a prototxt, a cfg, Python, JSON, YAML, HTML.

    It is told by its first lines, and nothing else is said of it.

    ```arch
    name: "Small"
    layer {
      name: "conv1"
      type: "Convolution"
      convolution_param { num_output: 8 kernel_size: 3 }
    }
    ```

    ```arch
    network Small {
      input image: [1, 28, 28]
      conv1: conv(8, kernel=3)
    }
    ```
    """

    language: str

    def message(self) -> str:
        return f"this looks like {self.language}; archdsl reads .arch files"

    def help(self) -> str | None:
        return "`archdsl new` begins an .arch file, and `archdsl list` shows those that come with archdsl"


class UnresolvedMerge(Problem):
    """A file has the marks of a merge that was not finished.

    Between `<<<<<<<` and `=======` stand the lines of one side, from there to `>>>>>>>` those of the other.

    ```arch
    network Small {
      input image: [1, 28, 28]
    <<<<<<< HEAD
      conv(8, kernel=3)
    =======
      conv(16, kernel=3)
    >>>>>>> wider
    }
    ```

    ```arch
    network Small {
      input image: [1, 28, 28]
      conv(16, kernel=3)
    }
    ```
    """

    def message(self) -> str:
        return "this is an unresolved merge conflict"

    def label(self) -> str:
        return "the first of its marks"

    def help(self) -> str | None:
        return "keep the lines that are meant, and take out the marks `<<<<<<<`, `=======` and `>>>>>>>`"
