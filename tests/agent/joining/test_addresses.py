"""What users write to say where an agent is."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.joining.addresses import BadAddress, Place, address_of, parse, shown


class ParseTests(SynchronousTestCase):
    """Addresses taken apart."""

    def test_addresses(self) -> None:
        """Hosts with and without ports, with names of nodes before them, and IPv6 with brackets or without."""
        for text, expected in (
            ("10.0.0.1", Place("", "10.0.0.1", 8301)),
            ("10.0.0.1:7", Place("", "10.0.0.1", 7)),
            ("fd00::1", Place("", "fd00::1", 8301)),
            ("[fd00::1]", Place("", "fd00::1", 8301)),
            ("[fd00::1]:7", Place("", "fd00::1", 7)),
            ("consul.example.com", Place("", "consul.example.com", 8301)),
            ("localhost:007", Place("", "localhost", 7)),
            ("one/10.0.0.1:7", Place("one", "10.0.0.1", 7)),
            ("*.dc1/192.0.2.2", Place("*.dc1", "192.0.2.2", 8301)),
            (":7", Place("", "", 7)),
            ("", Place("", "", 8301)),
        ):
            self.assertEqual(parse(text, 8301), expected)

    def test_bad(self) -> None:
        """What is no address is refused in Go's words."""
        for text, why in (
            ("/10.0.0.1", "empty node name provided"),
            ("h:", 'strconv.ParseUint: parsing "": invalid syntax'),
            ("h:http", 'strconv.ParseUint: parsing "http": invalid syntax'),
            ("h:+5", 'strconv.ParseUint: parsing "+5": invalid syntax'),
            ("h:65536", 'strconv.ParseUint: parsing "65536": value out of range'),
            ("h:" + "9" * 5000, f'strconv.ParseUint: parsing "{"9" * 5000}": value out of range'),
            ("[::1:5", "address [::1:5: missing ']' in address"),
            ("[::1]x:5", "address [::1]x:5: missing port in address"),
            ("[::1]:5:6", "address [::1]:5:6: too many colons in address"),
            ("[[::1]:5", "address [[::1]:5: unexpected '[' in address"),
            ("h]:5", "address h]:5: unexpected ']' in address"),
        ):
            self.assertEqual(str(self.assertRaises(BadAddress, parse, text, 8301)), why)

    @given(
        st.one_of(st.ip_addresses().map(str), st.from_regex(r"[a-z][a-z0-9.-]{0,30}", fullmatch=True)),
        st.integers(0, 65535),
    )
    def test_round(self, host: str, port: int) -> None:
        """What is shown is read."""
        self.assertEqual(parse(shown(host, port), 1), Place("", host, port))

    @given(st.text(alphabet="[]:/%.0123456789abcdefx ²") | st.text())
    def test_anything(self, text: str) -> None:
        """Any text is an address or refused."""
        try:
            place = parse(text, 8301)
        except BadAddress:
            return
        self.assertLessEqual(0, place.port)
        self.assertLessEqual(place.port, 65535)


class AddressTests(SynchronousTestCase):
    """IP addresses told from names."""

    def test_spellings(self) -> None:
        """They are shown in one spelling, without a zone; IPv4 within IPv6 is IPv4."""
        self.assertEqual(address_of("FD00:0:0::1"), "fd00::1")
        self.assertEqual(address_of("fe80::1%eth0"), "fe80::1")
        self.assertEqual(address_of("::ffff:10.0.0.1"), "10.0.0.1")
        for name in ("", "db1", "10.0.0", "010.0.0.1", "10.0.0.256", "fd00:::1"):
            self.assertIsNone(address_of(name))

    @given(st.ip_addresses())
    def test_any(self, address: object) -> None:
        """Every address is one."""
        found = address_of(str(address))
        assert found is not None
        self.assertEqual(address_of(found), found)
        ip_address(found)
