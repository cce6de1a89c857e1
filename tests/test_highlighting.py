"""The lexer for Pygments: every file whole, no word of the language missed."""

from __future__ import annotations

import pytest
from expected import ARCHITECTURES
from programs import Program
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String, Token

from archdsl.highlighting import ArchLexer
from archdsl.syntax.grammar import grammar

TEXTS = [path.read_text(encoding="utf-8") for path in sorted(ARCHITECTURES.glob("*.arch"))]


def test_pygments_finds_it() -> None:
    assert isinstance(get_lexer_by_name("arch"), ArchLexer)
    assert isinstance(get_lexer_for_filename("alexnet.arch"), ArchLexer)


@pytest.mark.parametrize("text", [*TEXTS, *(Program(seed).text() for seed in range(20))])
def test_a_file_is_read_whole(text: str) -> None:
    found = list(ArchLexer(ensurenl=False, stripnl=False).get_tokens(text))
    assert "".join(value for _, value in found) == text
    assert [value for kind, value in found if kind is Error] == []


def kinds(text: str) -> dict[str, Token]:
    return {value: kind for kind, value in ArchLexer().get_tokens(text)}


def test_what_words_are() -> None:
    found = kinds(
        '# why\n## doc\nimport Stem from "resnet.arch"\nnetwork Small(classes = 10) {\n'
        "  input image: [3, 8, 8]\n  stem: conv(16, kernel=3) -> relu\n"
        "  if not true { expect parameters < 1.5M }\n}\n"
    )
    assert found["# why"] in Comment and found["## doc"] is String.Doc
    assert found["import"] is Keyword and found["network"] is Keyword and found["expect"] is Keyword
    assert found["Small"] is Name.Class and found["stem"] is Name.Label
    assert found["classes"] is Name.Attribute and found["kernel"] is Name.Attribute
    assert found["conv"] is Name.Builtin and found["relu"] is Name.Builtin
    assert found["not"] is Operator.Word and found["true"] is Keyword.Constant
    assert found["1.5M"] is Number and found['"resnet.arch"'] is String.Double


def test_every_word_of_the_language_is_one() -> None:
    for word in grammar().keywords:
        (kind, _), *_ = ArchLexer().get_tokens(word)
        assert kind in Keyword or kind is Operator.Word, word
