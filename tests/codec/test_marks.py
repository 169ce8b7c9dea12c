"""What a field's marks do to its JSON."""

from __future__ import annotations

from typing import Annotated

from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.duration import SECOND
from txconsul.codec.json import BadJSON, decode, encode, parse
from txconsul.records.base import DURATION_INPUT, HIDE_JSON, OMIT_JSON, DurationText, Record
from txconsul.records.catalog import Node
from txconsul.records.health import HealthCheck, HealthCheckDefinition
from txconsul.records.kv import DirEntry
from txconsul.records.service import AccessLogsConfig, ConnectProxyConfig, NodeService


class Inner(Record, frozen=True):
    """A part."""

    name: str = ""


class Marked(Record, frozen=True):
    """A field of each kind."""

    hidden: Annotated[str, HIDE_JSON] = ""
    part: Annotated[Inner, OMIT_JSON] = Inner()
    always: Inner = Inner()
    text: DurationText = 0
    number: Annotated[int, DURATION_INPUT] = 0


class MarkTests(SynchronousTestCase):
    """Hidden, left out, shown as durations."""

    def test_writing(self) -> None:
        """A hidden field never shows, a part not while it is at its zero; a duration is text or a number."""
        zero = {"Always": {"Name": ""}, "Text": "0s", "Number": 0}
        self.assertEqual(parse(encode(Marked(hidden="x"))), zero)
        full = Marked(part=Inner(name="a"), text=90 * SECOND, number=SECOND)
        expected = {"Part": {"Name": "a"}, "Always": {"Name": ""}, "Text": "1m30s", "Number": SECOND}
        self.assertEqual(parse(encode(full)), expected)

    def test_reading(self) -> None:
        """A hidden field is not read; durations are read in both forms."""
        read = decode(Marked, b'{"Hidden": "x", "Text": "1s", "Number": "2s"}')
        self.assertEqual(read, Marked(text=SECOND, number=2 * SECOND))
        self.assertEqual(decode(Marked, b'{"text": 5, "number": 6}'), Marked(text=5, number=6))
        with self.assertRaises(BadJSON):
            decode(Marked, b'{"Text": "soon"}')

    def test_records(self) -> None:
        """The store's records show what Consul's show."""
        self.assertEqual(
            parse(encode(DirEntry(key=b"a\xc3\xbc", value=b"1"))),
            {"LockIndex": 0, "Key": "aü", "Flags": 0, "Value": "MQ==", "CreateIndex": 0, "ModifyIndex": 0},
        )
        self.assertNotIn("Partition", parse(encode(Node(node="n"))))
        check = HealthCheck(definition=HealthCheckDefinition(interval=10 * SECOND, h2_ping="x", ttl=SECOND))
        self.assertEqual(parse(encode(check))["Definition"], {"Interval": "10s", "H2PING": "x", "TTL": SECOND})
        service = parse(encode(NodeService(id="a", service="a", locally_registered_as_sidecar=True)))
        self.assertEqual(service["Proxy"], {"Mode": "", "MeshGateway": {}, "Expose": {}})
        self.assertNotIn("LocallyRegisteredAsSidecar", service)
        logs = ConnectProxyConfig(access_logs=AccessLogsConfig(json_format="{}"))
        self.assertEqual(parse(encode(logs))["AccessLogs"], {"JSONFormat": "{}"})
