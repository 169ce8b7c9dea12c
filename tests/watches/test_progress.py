"""What of an agent's answers is a change."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.watches.plan import parse
from txconsul.watches.progress import BadAnswer, Cursor, Progress
from txconsul.watches.render import render

KEYS = parse({"type": "keyprefix", "prefix": "a", "datacenter": "dc2"})
SERVICES = parse({"type": "services"})
EVENTS = parse({"type": "event"})


def events(*ids: str) -> bytes:
    """An answer with these events."""
    return json.dumps([{"ID": one, "Name": "n"} for one in ids]).encode()


class ProgressTests(SynchronousTestCase):
    """L{Progress}."""

    def told(self, progress: Progress, index: int, services: dict[str, Any]) -> Any:
        """What is told of an answer."""
        change = progress.answered(200, index, json.dumps(services).encode())
        return None if change is None else (change.index, change.data)

    def test_first(self) -> None:
        """The first question does not wait, and its answer is told."""
        progress = Progress(SERVICES)
        self.assertEqual(progress.question(), {})
        self.assertEqual(self.told(progress, 7, {"b": [], "a": []}), (7, {"a": [], "b": []}))
        self.assertEqual(progress.question(), {"index": "7"})

    def test_changes(self) -> None:
        """What is the same again is not told, whatever its index."""
        progress = Progress(SERVICES)
        self.told(progress, 7, {"a": []})
        self.assertIsNone(self.told(progress, 7, {"a": []}))
        self.assertIsNone(self.told(progress, 9, {"a": []}))
        self.assertEqual(progress.question(), {"index": "9"})
        self.assertEqual(self.told(progress, 10, {}), (10, {}))

    def test_indexGoesBack(self) -> None:
        """After an index that went back the next question does not wait."""
        progress = Progress(SERVICES)
        self.told(progress, 7, {"a": []})
        self.assertEqual(self.told(progress, 3, {"b": []}), (3, {"b": []}))
        self.assertEqual(progress.question(), {})
        self.assertIsNone(self.told(progress, 3, {"b": []}))
        self.assertEqual(progress.question(), {"index": "3"})

    def test_noIndex(self) -> None:
        """An answer without an index does not make the next question one that does not wait."""
        progress = Progress(SERVICES)
        self.told(progress, 0, {})
        self.assertEqual(progress.question(), {"index": "1"})

    def test_retries(self) -> None:
        """After failures the waits grow, up to three minutes; an answer begins anew, and what is known is not told."""
        progress = Progress(SERVICES)
        self.told(progress, 7, {"a": []})
        self.assertEqual([progress.failed() for _ in range(8)], [5, 20, 45, 80, 125, 180, 180, 180])
        self.assertEqual(progress.question(), {})
        self.assertIsNone(self.told(progress, 7, {"a": []}))
        self.assertEqual(progress.failed(), 5)

    def test_cursor(self) -> None:
        """A later run goes on from what was told."""
        first = Progress(SERVICES).answered(200, 7, b'{"a": ["x"]}')
        assert first is not None
        cursor = Cursor.read(json.loads(json.dumps(first.cursor.write())))
        again = Progress(SERVICES, cursor)
        self.assertIsNone(again.answered(200, 9, b'{"a": ["x"]}'))
        self.assertIsNotNone(again.answered(200, 10, b'{"a": ["y"]}'))

    def test_badCursor(self) -> None:
        """What is no cursor is that of a new watch."""
        foreign: tuple[Any, ...] = (None, [], {"digest": 7}, {"digest": "", "event": []})
        for value in foreign:
            self.assertEqual(Cursor.read(value), Cursor())

    def test_absent(self) -> None:
        """A key that is not there is null; one that is, comes out of its list."""
        plan = parse({"type": "key", "key": "a"})
        progress = Progress(plan)
        change = progress.answered(404, 5, b"")
        assert change is not None
        self.assertIsNone(change.data)
        change = progress.answered(200, 6, b'[{"Key": "a", "Value": "MQ==", "LockIndex": 0, "ModifyIndex": 6}]')
        assert change is not None
        self.assertEqual(
            list(change.data), ["Key", "CreateIndex", "ModifyIndex", "LockIndex", "Flags", "Value", "Session"]
        )
        self.assertRaises(BadAnswer, progress.answered, 200, 7, b"[]")

    def test_datacenter(self) -> None:
        """The plan's datacenter is asked."""
        self.assertEqual(Progress(KEYS).question(), {"recurse": "", "dc": "dc2"})

    def test_hash(self) -> None:
        """A service of the agent is waited for by its hash, and told without an index."""
        progress = Progress(parse({"type": "agent_service", "service_id": "w"}))
        change = progress.answered(200, 0, b'{"ID": "w", "ContentHash": "abc"}')
        assert change is not None
        self.assertEqual((change.index, progress.question()), (0, {"hash": "abc"}))
        self.assertIsNone(progress.answered(200, 0, b'{"ID": "w", "ContentHash": "abc"}'))
        self.assertRaises(BadAnswer, progress.answered, 200, 0, b'{"ID": "w"}')

    def test_statuses(self) -> None:
        """Another status is an error with the agent's words."""
        error = self.assertRaises(BadAnswer, Progress(SERVICES).answered, 501, 0, b"not served\n")
        self.assertEqual(str(error), "Unexpected response code: 501 (not served)")
        self.assertRaises(BadAnswer, Progress(SERVICES).answered, 404, 0, b"")

    @given(
        st.binary(max_size=30)
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["Node", "Service", "Checks", "Proxy", "Definition", "Interval"]), inner
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode())
    )
    def test_anyAnswer(self, body: bytes) -> None:
        """Any body is told or a L{BadAnswer}, never more; and what is told can be rendered."""
        for values in ({"type": "service", "service": "a"}, {"type": "nodes"}, {"type": "event"}, {"type": "checks"}):
            try:
                change = Progress(parse(values)).answered(200, 5, body)
            except BadAnswer:
                continue
            assert change is not None
            render(change.data)


class EventTests(SynchronousTestCase):
    """Events: only new ones are told."""

    def ids(self, progress: Progress, index: int, body: bytes) -> Any:
        """The IDs of the events that are told."""
        change = progress.answered(200, index, body)
        return None if change is None else [one["ID"] for one in change.data]

    def test_new(self) -> None:
        """What comes behind the last one is told; indexes of events go up and down."""
        progress = Progress(EVENTS)
        self.assertEqual(self.ids(progress, 1, b"[]"), [])
        self.assertEqual(self.ids(progress, 900, events("a", "b")), ["a", "b"])
        self.assertEqual(self.ids(progress, 20, events("a", "b", "c")), ["c"])
        self.assertEqual(progress.question(), {"index": "20"})
        self.assertIsNone(self.ids(progress, 21, events("a", "b", "c")))

    def test_forgotten(self) -> None:
        """If the last one is forgotten, all are new."""
        progress = Progress(EVENTS, Cursor("events", "z"))
        self.assertEqual(self.ids(progress, 5, events("a")), ["a"])

    def test_again(self) -> None:
        """A later run tells only what happened since."""
        self.assertIsNone(self.ids(Progress(EVENTS, Cursor("events", "b")), 5, events("a", "b")))
        self.assertEqual(self.ids(Progress(EVENTS, Cursor("events", "b")), 5, events("b", "c")), ["c"])


class RenderTests(SynchronousTestCase):
    """L{render}."""

    def test_goes(self) -> None:
        """One line, or indented; what HTML would read is escaped."""
        self.assertEqual(render({"a": ["<&>", "é"], "b": {}}), '{"a":["\\u003c\\u0026\\u003e","é"],"b":{}}'.encode())
        self.assertEqual(render({"a": []}, indent=4), b'{\n    "a": []\n}')
        self.assertEqual(render(None), b"null")
