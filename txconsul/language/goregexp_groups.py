"""
Go's regular expressions: what the groups of the first match hold.

Of all matches, it is the leftmost; of those that begin there, the one that a backtracking matcher finds first, as in
Perl. It does go back, but never looks twice at the same instruction in the same place, so that its time is bounded by
the product of the pattern's and the text's lengths; and that bound is enforced, since texts may come from strangers.

Source: Cox, Regular Expression Matching in the Wild (2010), on RE2's bit-state matcher.
"""

from __future__ import annotations

from txconsul.language.goregexp import TooCostly, holds
from txconsul.language.goregexp_program import Program
from txconsul.language.goregexp_syntax import Alternate, Anchor, Chars, Concat, Group, Node, Repeat, parse

__all__ = ["STEPS_MAX", "GroupPattern"]

#: Instructions that are looked at for one text: about 50 ms of CPU time. The names that templates see have some tens of
#: characters.
STEPS_MAX = 50_000


class _Save:
    """An instruction: here a group begins or ends."""

    __slots__ = ("slot",)

    def __init__(self, slot: int) -> None:
        self.slot = slot


class GroupPattern(Program[_Save]):
    """
    A compiled pattern.

    @ivar groups: how many groups it has, beside the whole match.
    @raise BadRegexp: Go would not compile it, or it is too large.
    """

    def __init__(self, pattern: str) -> None:
        super().__init__(pattern)
        self.groups = 0
        self._start = self._compile(parse(pattern), self._emit(None))

    def match(self, text: str) -> list[str]:
        """
        What the first match in a text, and each of its groups, holds: the empty text where a group was not used.

        @return: an empty list where there is no match.
        @raise TooCostly: to say so would take too long.
        """
        places = self._search(text)
        if places is None:
            return []
        return [text[begin:end] if begin >= 0 else "" for begin, end in zip(places[::2], places[1::2], strict=True)]

    # ---- compiling, from the end to the beginning ----

    def _group(self, node: Group, after: int) -> int:
        self.groups = max(self.groups, node.number)
        end = self._emit(_Save(2 * node.number + 1), after)
        return self._emit(_Save(2 * node.number), self._compile(node.part, end))

    def _repeat(self, node: Repeat, after: int) -> int:
        least = node.least
        if node.most < 0:
            # what may be empty is repeated as (x+)?, so that it is tried once even where it takes nothing
            if least == 0 and not _may_be_empty(node.part):
                loop = self._emit(None)
                self._next[loop] = _either(node.lazy, self._compile(node.part, loop), after)
                return loop
            loop = self._emit(None)
            first = self._compile(node.part, loop)
            self._next[loop] = _either(node.lazy, first, after)
            if least == 0:
                return self._emit(None, *_either(node.lazy, first, after))
            least -= 1
        else:
            first = after
            for _ in range(node.most - least):
                first = self._emit(None, *_either(node.lazy, self._compile(node.part, first), after))
        for _ in range(least):
            first = self._compile(node.part, first)
        return first

    # ---- matching ----

    def _search(self, text: str) -> list[int] | None:
        """The places where the match and its groups begin and end, -1 where a group was not used."""
        seen: set[tuple[int, int]] = set()
        for begin in range(len(text) + 1):
            places = [-1] * (2 * self.groups + 2)
            end = self._match(text, begin, places, seen)
            if end >= 0:
                places[:2] = begin, end
                return places
        return None

    def _match(self, text: str, begin: int, places: list[int], seen: set[tuple[int, int]]) -> int:
        """Where a match that begins here ends; -1 for none."""
        tests, following, size = self._tests, self._next, len(text)
        # what is still to be tried, the next at the end: an instruction and a place, or a slot to be set back
        waiting: list[tuple[int, int]] = [(self._start, begin)]
        while waiting:
            step = waiting.pop()
            place, at = step
            if place < 0:
                places[~place] = at
                continue
            if step in seen:
                continue
            if len(seen) >= STEPS_MAX:
                raise TooCostly()
            seen.add(step)
            test = tests[place]
            if test is None:
                if not following[place]:
                    return at
            elif isinstance(test, Chars):
                if at == size or not test.has(text[at]):
                    continue
                at += 1
            elif isinstance(test, _Save):
                waiting.append((~test.slot, places[test.slot]))
                places[test.slot] = at
            elif not holds(test.kind, text[at - 1] if at else "", text[at] if at < size else ""):
                continue
            waiting.extend([(one, at) for one in reversed(following[place])])
        return -1


def _either(lazy: bool, more: int, enough: int) -> tuple[int, int]:
    return (enough, more) if lazy else (more, enough)


def _may_be_empty(node: Node) -> bool:
    if isinstance(node, Chars):
        return False
    if isinstance(node, Anchor):
        return True
    if isinstance(node, Concat):
        return all(map(_may_be_empty, node.parts))
    if isinstance(node, Alternate):
        return any(map(_may_be_empty, node.parts))
    return (isinstance(node, Repeat) and node.least == 0) or _may_be_empty(node.part)
