"""What an agent takes up from a configuration that is read again, part by part."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.task import Clock

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent import reloading
from txconsul.agent.configuration.errors import ConfigurationError
from txconsul.agent.local import LocalState
from txconsul.agent.telemetry import Telemetry
from txconsul.http.server import HTTPFactory
from txconsul.metrics.metrics import Metrics


class ReloadingTests(ConfigurationTestCase):
    """The parts."""

    def take_up(self, hcl: str, *parts: reloading.Part) -> None:
        """Read a configuration, and let parts take it up."""
        reloading.take_up(self.load(hcl=hcl), parts)

    def test_allOrNothing(self) -> None:
        """If one part refuses, none has changed anything, whatever their order."""
        changed: list[str] = []

        def refusing(_: object) -> Any:
            raise ConfigurationError("no")

        keeping = reloading.at_once(lambda it: changed.append(it.log.level))
        for parts in ((keeping, refusing), (refusing, keeping)):
            self.assertRaises(ConfigurationError, self.take_up, "", *parts)
        self.assertEqual(changed, [])
        self.take_up('log_level = "debug"', reloading.log_level(changed.append))
        self.assertEqual(changed, ["debug"])

    def test_recursors(self) -> None:
        """A recursor without a usable address is refused before anything is changed."""
        error = self.assertRaises(
            ConfigurationError,
            self.take_up,
            'recursors = ["1.2.3.4:99999"]',
            reloading.dns(None),  # type: ignore[arg-type]
        )
        self.assertIn("1.2.3.4:99999", str(error))

    def test_values(self) -> None:
        """Limits, rules and outputs are for what comes from then on."""
        factory = HTTPFactory(lambda request: None, Clock())  # type: ignore[arg-type,return-value]
        local = LocalState(0.0, False, Random(1))
        telemetry = Telemetry(Metrics(), Clock(), lambda: 0.0)
        self.take_up(
            "limits { http_max_conns_per_client = 7 } discard_check_output = true"
            ' telemetry { prefix_filter = ["-consul"] }',
            reloading.connections(factory),
            reloading.check_output(local),
            reloading.metric_rules(telemetry),
        )
        self.assertEqual(factory.connections_per_client_max, 7)
        self.assertIs(local.discard_output, True)
        self.assertIs(telemetry.metrics.rules("consul.raft.apply"), False)

    def test_snapshots(self) -> None:
        """Raft is told when to write snapshots."""
        told: list[Any] = []

        class Consensus:
            """Remembers."""

            change_policy = staticmethod(told.append)

        self.take_up(
            'raft_snapshot_threshold = 5 raft_snapshot_interval = "9s" raft_trailing_logs = 3',
            reloading.snapshots(Consensus()),  # type: ignore[arg-type]
        )
        self.assertEqual((told[0].threshold, told[0].interval, told[0].trailing), (5, 9.0, 3))
