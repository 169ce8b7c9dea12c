"""
A pattern as a program: instructions that a matcher follows, made from the end of the pattern to its beginning.

What a repetition and a group become depends on who follows them, and is said there. Source: Cox, Regular Expression
Matching: the Virtual Machine Approach (2009).
"""

from __future__ import annotations

from typing import Generic, TypeVar

from txconsul.language.goregexp_syntax import Alternate, Anchor, BadRegexp, Chars, Concat, Group, Node, Repeat

__all__ = ["PROGRAM_MAX", "Program"]

#: Instructions of a pattern: C{a{1000}} has a thousand. RE2 would take three million, for which Python is too slow.
PROGRAM_MAX = 4000

#: Instructions of one's own, beside those that look at a character or a place.
T = TypeVar("T")


class Program(Generic[T]):
    """
    What patterns have in common.

    @raise BadRegexp: (from compiling) it has too many instructions.
    """

    def __init__(self, pattern: str, size_max: int = PROGRAM_MAX) -> None:
        self._pattern = pattern
        self._size_max = size_max
        #: What an instruction looks at: a character, a place, or (None) nothing.
        self._tests: list[Chars | Anchor | T | None] = []
        #: Where it leads to; nowhere is a match. Of several, what is rather taken stands first.
        self._next: list[tuple[int, ...]] = []

    def _emit(self, test: Chars | Anchor | T | None, *following: int) -> int:
        if len(self._tests) >= self._size_max:
            raise BadRegexp("expression too large", self._pattern)
        self._tests.append(test)
        self._next.append(following)
        return len(self._tests) - 1

    def _compile(self, node: Node, after: int) -> int:
        """Where to begin, to read C{node} and then go on at C{after}."""
        if isinstance(node, (Chars, Anchor)):
            return self._emit(node, after)
        if isinstance(node, Concat):
            for part in reversed(node.parts):
                after = self._compile(part, after)
            return after
        if isinstance(node, Alternate):
            return self._emit(None, *[self._compile(part, after) for part in node.parts])
        if isinstance(node, Group):
            return self._group(node, after)
        return self._repeat(node, after)

    def _group(self, node: Group, after: int) -> int:
        """A group means nothing by itself."""
        return self._compile(node.part, after)

    def _repeat(self, node: Repeat, after: int) -> int:
        """As often as may be: which way is tried first does not matter to who follows all at once."""
        if node.most < 0:
            loop = self._emit(None, after)
            self._next[loop] = (self._compile(node.part, loop), after)
            first = loop
        else:
            first = after
            for _ in range(node.most - node.least):
                first = self._emit(None, self._compile(node.part, first), after)
        for _ in range(node.least):
            first = self._compile(node.part, first)
        return first
