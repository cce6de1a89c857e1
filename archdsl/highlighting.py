"""`.arch` files in colours, for Pygments and all that uses it: Sphinx, MkDocs, Jupyter, `rich`.

Pygments finds the lexer by itself, as `arch` and for files called `*.arch`, once archdsl is installed.
"""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups, words
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
)

from archdsl.layers import LAYERS
from archdsl.syntax.grammar import grammar

DECLARING = ("network", "block")
CONSTANTS = ("true", "false", "none")
OPERATORS = ("and", "or", "not")

_OTHERS = tuple(sorted(set(grammar().keywords) - {*CONSTANTS, *OPERATORS}))


class ArchLexer(RegexLexer):  # type: ignore[misc]  # Pygments has no types
    """The words of the language, its layers, and what a file names."""

    name = "arch"
    aliases: ClassVar[list[str]] = ["arch", "archdsl"]
    filenames: ClassVar[list[str]] = ["*.arch"]
    mimetypes: ClassVar[list[str]] = ["text/x-arch"]
    url = ""

    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"##[^\n]*", String.Doc),
            (r"#[^\n]*", Comment.Single),
            (r"\s+", Whitespace),
            (rf"\b({'|'.join(DECLARING)})(\s+)(\w+)", bygroups(Keyword, Whitespace, Name.Class)),
            (words(CONSTANTS, prefix=r"\b", suffix=r"\b"), Keyword.Constant),
            (words(OPERATORS, prefix=r"\b", suffix=r"\b"), Operator.Word),
            # What is called like a word of the language but names an argument or a label is a name.
            (r"([^\W\d]\w*)(\s*)(:)(?!:)", bygroups(Name.Label, Whitespace, Punctuation)),
            (r"([^\W\d]\w*)(\s*)(=)(?!=)", bygroups(Name.Attribute, Whitespace, Operator)),
            (words(_OTHERS, prefix=r"\b", suffix=r"\b"), Keyword),
            (words(tuple(sorted(LAYERS)), prefix=r"(?<!\.)\b", suffix=r"\b"), Name.Builtin),
            (r"(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][+-]?\d+)?(KiB|MiB|GiB|K|M|G)?\b", Number),
            (r'"[^"\n]*"?', String.Double),
            (r"->|\*\*|//|[=!<>]=|[-+*/%<>=]", Operator),
            (r"[(){}\[\],.:]", Punctuation),
            (r"[^\W\d]\w*", Name),
        ]
    }
