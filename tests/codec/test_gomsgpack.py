"""HashiCorp's msgpack, from whoever means no good. What is well meant is in tests/records."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.gomsgpack import BadMessage, decode, encode, pack, stream, unpack
from txconsul.records.base import Record
from txconsul.records.catalog import RegisterRequest


class Loose(Record, frozen=True):
    """A value without a declared type."""

    any_: Any = None


def nested(depth: int) -> Any:
    """A list in a list in a list ..."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


class HostileTests(SynchronousTestCase):
    """Bytes that lie."""

    def test_lengths(self) -> None:
        """A length without its bytes takes no memory, however often it is said."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for head in (b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"):
            for data in (head + b"\xff" * 4, (head + b"\x00\x0f\xff\xff") * 20):
                self.assertRaises(BadMessage, unpack, data)
                self.assertRaises(BadMessage, list, stream(io.BytesIO(data).read))
        self.assertLess(tracemalloc.get_traced_memory()[1], 8 << 20)

    def test_depth(self) -> None:
        """What is nested too deeply is refused: in a value without a type, and in a record that holds its own class."""
        deep = Loose(any_=nested(200))
        self.assertEqual(decode(Loose, encode(deep)), deep)
        self.assertRaises(BadMessage, decode, Loose, encode(Loose(any_=nested(201))))
        service: dict[str, Any] = {}
        for _ in range(250):
            service = {"Connect": {"SidecarService": service}}
        self.assertRaises(BadMessage, decode, RegisterRequest, pack({"Service": service}))

    def test_extensions(self) -> None:
        """msgpack's later types are refused where anything may stand: they could not be written back as they came."""
        for data in (b"\xd4\x05\x00", b"\xd6\xff\x00\x00\x00\x00", b"\xc7\x00\x01"):
            self.assertRaises(BadMessage, decode, Loose, b"\x81\xa3Any" + data)
            self.assertRaises(BadMessage, decode, Loose, b"\x81\xa3Any\x91" + data)

    def test_keysAreText(self) -> None:
        """A map's keys are text: what else there is could not be put in order again."""
        for key in (1, None, True):
            self.assertRaises(BadMessage, decode, Loose, pack({"Any": {key: 1, "a": 2}}))
        odd = decode(Loose, pack({"Any": {b"\xff": 1, "a": 2}}))
        self.assertEqual(decode(Loose, encode(odd)), odd)
