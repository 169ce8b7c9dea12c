"""
Views: what reads found, kept until something that it was made from is touched.

Whoever asks the same again, and everybody who waited for the same, gets one value, and the one rendering that an edge
made of it. A view is dropped in the turn of the write that touches it, before anybody who waits is woken; nothing else
makes it old, so that nobody sees it where he would not have seen the same without.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import msgspec

from txconsul.records.query import DEFAULT, QueryOptions
from txconsul.state.watches import Wait

if TYPE_CHECKING:
    from txconsul.endpoints.authorizing import Authorizer
    from txconsul.endpoints.registry import Read
    from txconsul.state.store import Store

__all__ = ["BYTES_MAX", "VIEWS_MAX", "View", "Views"]

#: Views kept; the oldest goes.
VIEWS_MAX = 4096
#: Bytes of all views, about; the oldest go. An answer about 10,000 instances has some 10 MB as JSON.
BYTES_MAX = 64 << 20
#: What a row of a value takes beside the stored records that it shows.
_ROW_BYTES = 300


class View:
    """
    The value of a read that still stands.

    @ivar value: rows; whoever is given them leaves them as they are.
    @ivar size: about how many bytes it takes, with what was made of it.
    """

    __slots__ = ("_grown", "_renderings", "size", "value", "wait")

    def __init__(self, value: Any, grown: Callable[[View, int], object]) -> None:
        self.value = value
        self.size = len(value) * _ROW_BYTES
        self.wait: Wait | None = None
        self._grown = grown
        self._renderings: dict[Hashable, bytes] = {}

    def rendering(self, how: Hashable, render: Callable[[Any], bytes]) -> bytes:
        """
        The value as bytes, made once.

        @param how: tells this rendering from others.
        @param render: C{value -> bytes}.
        """
        data = self._renderings.get(how)
        if data is None:
            data = self._renderings[how] = render(self.value)
            self._grown(self, len(data))
        return data


class Views:
    """
    The views of one store.

    @ivar size: about how many bytes they take.
    """

    def __init__(self, store: Store, views_max: int = VIEWS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._store = store
        self._views: dict[Hashable, View] = {}
        self._views_max = views_max
        self._bytes_max = bytes_max
        self.size = 0

    def __len__(self) -> int:
        return len(self._views)

    def read(self, endpoint: Read, request: Any, authorizer: Authorizer) -> tuple[int, Any, View | None]:
        """
        Carry a read out, or find its value kept.

        @return: C{(index, value, view)}; the view is None where the value is not kept.
        """
        store = self._store
        index = endpoint.kept(store, request) if endpoint.kept is not None and authorizer.reads_all else 0
        if not index:
            index, value = endpoint.function(store, request, authorizer)
            return index, value, None
        question = (endpoint.name, _without_options(request))
        view = self._views.get(question)
        if view is None:
            index, value = endpoint.function(store, request, authorizer)
            view = self._views[question] = View(value, self._grown)
            keys = list(endpoint.watch(request))
            if endpoint.order is not None:
                keys.extend(endpoint.order(request))
            view.wait = store.derived.wait(keys, lambda: self._drop(question))
            self.size += view.size
            self._make_room()
        return index, view.value, view

    def _grown(self, view: View, more: int) -> None:
        if view.wait is not None:
            view.size += more
            self.size += more
            self._make_room()

    def _make_room(self) -> None:
        while self._views and (len(self._views) > self._views_max or self.size > self._bytes_max):
            self._drop(next(iter(self._views)))

    def _drop(self, question: Hashable) -> None:
        view = self._views.pop(question)
        self.size -= view.size
        if view.wait is not None:
            self._store.derived.cancel(view.wait)
            view.wait = None


def _without_options(request: Any) -> Any:
    """The request without what says how, and not what, to read."""
    options = request.options
    if options == DEFAULT:
        return request
    return msgspec.structs.replace(request, options=QueryOptions(filter=options.filter) if options.filter else DEFAULT)
