"""
The words of an HCL 1 text.

Line and column count from 1, in characters. HCL reports the end of a text one column further each time it is met;
the scanner counts that too, so that messages name the places that users of Consul are used to.

Source: the HCL 1 syntax specification (github.com/hashicorp/hcl, README and hcl/scanner).
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from txconsul.errors import TxconsulError

__all__ = ["HCLError", "ScanError", "Scanner", "Token"]


class HCLError(TxconsulError):
    """
    The text is no HCL, or is beyond a limit.

    @ivar line: where, from 1; 0 where there is no place.
    @ivar column: in characters, from 1.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"At {line}:{column}: {message}" if line else message)
        self.line = line
        self.column = column


class ScanError(HCLError):
    """There is no token at a place."""


class Token(NamedTuple):
    """
    @ivar kind: C{IDENT}, C{STRING}, C{NUMBER}, C{FLOAT}, C{BOOL}, C{HEREDOC}, C{EOF} or the name of a sign.
    @ivar text: as it is written.
    """

    kind: str
    text: str
    line: int
    column: int


_SIGNS = {
    "[": "LBRACK",
    "]": "RBRACK",
    "{": "LBRACE",
    "}": "RBRACE",
    ",": "COMMA",
    ".": "PERIOD",
    "=": "ASSIGN",
    "+": "ADD",
    "-": "SUB",
}
#: What HCL's scanner keeps for itself.
_RESERVED = "\ue123"
_LETTER = r"(?:[A-Za-z_]|(?![\x00-\x7f])[^\W\d_])"
#: What stands between words. The last line comment is a group: one at the very end counts when ends are counted.
_BETWEEN = re.compile(r"(?:[ \t\r\n]+|((?:\#|//)[^\n]*)|/\*.*?\*/)+", re.DOTALL)
_WORD = re.compile(
    rf"""
    (?P<IDENT>{_LETTER}(?:{_LETTER}|\d|[-.])*)
  | (?P<sign>[\[\]{{}},=+])
  | (?P<string>")
  | (?P<hex>-?0[xX][0-9a-fA-F]*)
  | (?P<FLOAT>-?[0-9]+(?:\.[0-9]*(?:[eE][-+]?[0-9]*)?|[eE][-+]?[0-9]*)|\.[0-9]+(?:[eE][-+]?[0-9]*)?)
  | (?P<NUMBER>-?[0-9]+)
  | (?P<heredoc><)
  | (?P<other>[-.])
    """,
    re.VERBOSE,
)
_HEREDOC = re.compile(rf"<<(-?)((?:{_LETTER}|\d)*)(\n|$|.)")
_ESCAPE = re.compile(r'\\(?:[abfnrtv\\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})')
_PART_OF_ESCAPE = re.compile(r"\\(?:[0-7]{0,3}|x[0-9a-fA-F]{0,2}|u[0-9a-fA-F]{0,4}|U[0-9a-fA-F]{0,8})")
#: What cannot be skipped at once within a string.
_STOPS = re.compile(r'["\\\n{}$]')


class Scanner:
    """Gives the tokens of one text, one by one; L{unscan} puts the last one back."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._ends_met = 0
        self._again = False
        self.token = Token("EOF", "", 1, 1)
        for bad, why in (
            ("\x00", "unexpected null character (0x00)"),
            (_RESERVED, "unicode code point U+E123 reserved for internal use"),
        ):
            if bad in text:
                self._fail(why, text.index(bad))

    def scan(self) -> Token:
        """
        The next token; C{EOF} at the end, as often as it is asked.

        @raise HCLError: there is no token here.
        """
        if self._again:
            self._again = False
        else:
            self.token = self._next()
        return self.token

    def unscan(self) -> None:
        """Let the next L{scan} give the same token again."""
        self._again = True

    def _next(self) -> Token:
        text = self._text
        skipped = _BETWEEN.match(text, self._at)
        if skipped is not None:
            self._pass(skipped.end())
            self._ends_met += skipped.end(1) == len(text)
        start = self._at
        match = _WORD.match(text, start)
        if match is None:
            return self._no_word(start)
        kind, end = match.lastgroup or "", match.end()
        if kind == "sign" or kind == "other":
            kind = _SIGNS[match.group()]
        elif kind == "string":
            kind, end = "STRING", self._string_end(start)
        elif kind == "heredoc":
            kind, end = "HEREDOC", self._heredoc_end(start)
        elif kind == "IDENT":
            if match.group() in ("true", "false"):
                kind = "BOOL"
            self._ends_met += end == len(text)
        else:
            kind = self._number_kind(kind, match.group(), end)
        token = Token(kind, text[start:end], self._line, start - self._line_start + 1)
        if kind == "STRING" or kind == "HEREDOC":
            self._pass(end)
        else:
            self._at = end
        return token

    def _no_word(self, start: int) -> Token:
        """The end, or something that no word begins with."""
        text = self._text
        if text.startswith("/*", start):
            self._fail("comment not terminated", len(text))
        if start < len(text):
            self._fail("expected '/' for comment" if text[start] == "/" else "illegal char", start)
        self._ends_met += 1
        return Token("EOF", "", self._line, len(text) - self._line_start + self._ends_met)

    def _pass(self, end: int) -> None:
        """Go on to C{end}, counting the lines."""
        passed = self._text.count("\n", self._at, end)
        if passed:
            self._line += passed
            self._line_start = self._text.rindex("\n", self._at, end) + 1
        self._at = end

    def _fail(self, message: str, at: int) -> NoReturn:
        line = self._text.count("\n", 0, at) + 1
        raise ScanError(message, line, at - (self._text.rfind("\n", 0, at) + 1) + 1)

    def _number_kind(self, kind: str, text: str, end: int) -> str:
        digits = text.lstrip("-")
        if kind == "hex" and len(digits) == 2:
            self._fail("illegal hexadecimal number", end)
        if kind == "NUMBER" and digits[0] == "0" and re.search("[89]", digits):
            self._fail("illegal octal number", end)
        if end == len(self._text):
            self._ends_met += 1 if kind == "hex" else 2
        return "FLOAT" if kind == "FLOAT" else "NUMBER"

    def _string_end(self, start: int) -> int:
        """Behind the closing quote. Within C{${...}} quotes and newlines are ordinary characters."""
        text, at, braces = self._text, start + 1, 0
        while True:
            stop = _STOPS.search(text, at)
            if stop is None:
                self._fail("literal not terminated", len(text))
            at = stop.end()
            char = stop.group()
            if char == '"' and not braces:
                return at
            if char == "\n" and not braces:
                self._fail("literal not terminated", stop.start())
            elif char == "\\":
                escape = _ESCAPE.match(text, stop.start())
                if escape is None:
                    part = _PART_OF_ESCAPE.match(text, stop.start())
                    self._fail("illegal char escape", part.end() if part else at)
                at = escape.end()
            elif char == "$" and not braces:
                if text[at : at + 1] == "{":
                    braces, at = 1, at + 1
            elif char == "{" and braces:
                braces += 1
            elif char == "}" and braces:
                braces -= 1

    def _heredoc_end(self, start: int) -> int:
        """Behind the line that ends the text."""
        text = self._text
        match = _HEREDOC.match(text, start)
        if match is None:
            self._fail("heredoc expected second '<', didn't see it", start + 1)
        _, anchor, newline = match.groups()
        if not newline:
            self._fail("heredoc not terminated", match.end())
        if newline != "\n":
            self._fail("invalid characters in heredoc anchor", match.start(3))
        if not anchor:
            self._fail("zero-length heredoc anchor", match.start(3))
        closing = re.compile(rf"^[ \t\n\v\f\r]*{re.escape(anchor)}\r*\n", re.MULTILINE)
        found = closing.search(text, match.end())
        if found is None:
            self._fail("heredoc not terminated", len(text))
        return found.end()
