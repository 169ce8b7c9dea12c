"""Rules for the metadata of services."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txconsul.errors import InvalidRequest
from txconsul.state.metadata import check_service_metadata


class MetadataTests(SynchronousTestCase):
    """Pairs are few, short and not Consul's own."""

    def refusal(self, metadata: dict[str, str], kind: str = "") -> str:
        return str(self.assertRaises(InvalidRequest, check_service_metadata, kind, metadata))

    def test_good(self) -> None:
        """Nothing, a usual pair, and pairs at the bounds are taken."""
        for good in (None, {}, {"a-b_C9": ""}, {"k" * 128: "v" * 512}, {f"k{n}": "" for n in range(64)}):
            check_service_metadata("", good)
        check_service_metadata("mesh-gateway", {"consul-wan-federation": "1"})

    def test_bad(self) -> None:
        """Each rule that is broken is named."""
        self.assertIn("more than 64 key/value pairs", self.refusal({f"k{n}": "" for n in range(65)}))
        self.assertIn("Key cannot be blank", self.refusal({"": "x"}))
        self.assertIn("invalid characters", self.refusal({"a b": "x"}))
        self.assertIn("Key is too long (limit: 128", self.refusal({"k" * 129: ""}))
        self.assertIn("reserved for internal use", self.refusal({"consul-wan-federation": "1"}))
        self.assertIn("Value is too long (limit: 512", self.refusal({"k": "v" * 513}))
