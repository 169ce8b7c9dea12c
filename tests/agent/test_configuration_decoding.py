"""The table of keys, and values by it."""

from __future__ import annotations

import os
import re
from typing import Any
from unittest import SkipTest

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.configuration.decode import decode, go_value
from txconsul.agent.configuration.deprecated import move_deprecated
from txconsul.agent.configuration.errors import ConfigurationError
from txconsul.agent.configuration.jsontext import BadJSONText, parse_json
from txconsul.agent.configuration.kinds import Block, BlockList, BlockMap, Kind, Scalar
from txconsul.agent.configuration.schema import CONFIGURATION, DEPRECATED, SERVICE, keys
from txconsul.agent.configuration.sections import CA_KEYS
from txconsul.language.hcl import HCLError
from txconsul.language.hcl import parse as parse_hcl

#: Words in the reference's lists that are no keys: units of time, values, keys that Consul itself refuses by now, and
#: what stands within values of no declared type.
_NO_KEYS = {"h", "m", "ms", "ns", "s", "us", "disabled", "enforcing", "permissive", "file", "json", "node"}
_NO_KEYS |= {"reap", "acl_enforce_version_8", "auth_method", "mount_path", "params", *CA_KEYS}


def _within(kind: Kind, depth: int = 0) -> set[str]:
    """All names of keys, those in lists and maps of blocks too."""
    if isinstance(kind, (BlockList, BlockMap)):
        kind = kind.of
    if not isinstance(kind, Block) or depth > 8:
        return set()
    return set(kind.fields).union(*(_within(inner, depth + 1) for inner in kind.fields.values()))


class TableTests(SynchronousTestCase):
    """The keys that there are."""

    def test_names(self) -> None:
        """Keys are small letters and underscores, but for one that older versions had."""
        for key in keys():
            if not key.startswith("raft_boltdb"):
                self.assertTrue(re.fullmatch("[a-z][a-z0-9_.]*", key), key)

    def test_everyKeyOfTheReference(self) -> None:
        """The keys that Consul's reference of the file format lists are all known, where its source is at hand."""
        folder = os.environ.get("CONSUL_CONFIG_REFERENCE", "")
        if not os.path.isdir(folder):
            raise SkipTest("CONSUL_CONFIG_REFERENCE names no folder")
        known = {part for key in keys() for part in key.split(".")} | _within(CONFIGURATION) | _NO_KEYS
        named = set()
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                named |= set(re.findall(r"^\s*- `([a-z_0-9]+)`", file.read(), re.MULTILINE))
        self.assertEqual(sorted(named - known), [])

    def test_sidecarsContainServices(self) -> None:
        """A sidecar's definition is a service's."""
        connect = SERVICE.fields["connect"]
        assert isinstance(connect, Block)
        self.assertIs(connect.fields["sidecar_service"], SERVICE)

    def test_everyScalarIsDecodable(self) -> None:
        """Each key with a single value takes a value of its type, and none of another."""
        good = {"bool": True, "string": "x", "float64": 1.5, "int": 1, "uint": 1, "uint32": 1, "uint64": 1}
        for key, kind in CONFIGURATION.fields.items():
            if isinstance(kind, Scalar):
                self.assertEqual(decode({key: good[kind.name]}, json=False).values, {key: good[kind.name]})
                self.assertRaises(ConfigurationError, decode, {key: {"a": 1}}, json=False)


class DecodingTests(SynchronousTestCase):
    """Raw values to typed ones."""

    def test_blocksOfHCL(self) -> None:
        """A block that is there once is an object, a repeated one a list."""
        raw = parse_hcl('ports { http = 1 }\nservices { name = "a" }\nservices { name = "b" tags = ["x"] }')
        self.assertEqual(
            decode(raw, json=False).values,
            {"ports": {"http": 1}, "services": [{"name": "a"}, {"name": "b", "tags": ["x"]}]},
        )

    def test_caseOfKeys(self) -> None:
        """Keys are compared without case, but underscores count."""
        decoded = decode({"Data_Dir": "x", "PORTS": {"HTTP": 1}, "DataDir": "y"}, json=True)
        self.assertEqual(decoded.values, {"data_dir": "x", "ports": {"http": 1}})
        self.assertEqual(decoded.unknown, ["DataDir"])

    def test_unknownKeys(self) -> None:
        """Unknown keys are told with their place, at any depth."""
        raw = {"colour": 1, "ports": {"htttp": 2}, "services": [{"name": "a", "check": {"hottp": "x"}}]}
        self.assertEqual(decode(raw, json=True).unknown, ["colour", "ports.htttp", "services[0].check.hottp"])

    def test_spellings(self) -> None:
        """Some keys of definitions have another spelling; the documented one wins."""
        raw = {"checks": [{"ServiceID": "a", "ScriptArgs": ["b"]}, {"serviceid": "a", "service_id": "c"}]}
        self.assertEqual(
            decode(raw, json=True).values, {"checks": [{"service_id": "a", "args": ["b"]}, {"service_id": "c"}]}
        )

    def test_nullIsNothing(self) -> None:
        """A null leaves the key unset."""
        self.assertEqual(decode({"data_dir": None, "node_meta": {"a": None}}, json=True).values, {"node_meta": {}})

    def test_numbers(self) -> None:
        """A number with a fraction loses it where a whole one is wanted; a whole one is a fraction too."""
        raw = {"bootstrap_expect": 3.9, "limits": {"rpc_rate": 5}}
        self.assertEqual(decode(raw, json=True).values, {"bootstrap_expect": 3, "limits": {"rpc_rate": 5.0}})

    def test_opaqueValues(self) -> None:
        """Values of no declared type lose the lists around single blocks of HCL."""
        raw = parse_hcl('connect { ca_config { a { b = 1 } c = ["x", "y"] } }')
        self.assertEqual(decode(raw, json=False).values, {"connect": {"ca_config": {"a": {"b": 1}, "c": ["x", "y"]}}})

    def test_wrongTypes(self) -> None:
        """The texts name key, types and value; all mistakes of a file are told, in the order of their keys."""
        for raw, words in (
            ({"server": "yes"}, "* 'server' expected type 'bool', got unconvertible type 'string', value: 'yes'"),
            ({"ports": 5}, "* 'ports' expected a map, got 'float64'"),
            ({"ports": [1, 2]}, "* 'ports' expected a map, got 'slice'"),
            ({"ports": [{}, {}]}, "* 'ports' expected a map, got 'slice': there are 2 blocks of this name"),
            ({"retry_join": "a"}, "* 'retry_join': source data must be an array or slice, got string"),
            ({"recursors": ["a", 1]}, "* 'recursors[1]' expected type 'string', got unconvertible type 'float64',"
             " value: '1'"),
            ({"node_meta": {"a": True}}, "* 'node_meta[a]' expected type 'string', got unconvertible type 'bool',"
             " value: 'true'"),
            ({"limits": {"kv_max_value_size": -1}}, "* cannot parse 'limits.kv_max_value_size', -1 overflows uint64"),
            ({"log_level": {"b": [1, 2.5], "a": None}}, "* 'log_level' expected type 'string', got unconvertible type"
             " 'map[string]interface {}', value: 'map[a:<nil> b:[1 2.5]]'"),
        ):  # fmt: skip
            error = self.assertRaises(ConfigurationError, decode, raw, json=True)
            self.assertEqual(str(error), f"1 error(s) decoding:\n\n{words}")
        error = self.assertRaises(ConfigurationError, decode, {"server": 1, "data_dir": 2}, json=False)
        self.assertEqual(
            str(error),
            "2 error(s) decoding:\n\n"
            "* 'data_dir' expected type 'string', got unconvertible type 'int', value: '2'\n"
            "* 'server' expected type 'bool', got unconvertible type 'int', value: '1'",
        )

    def test_goValues(self) -> None:
        """Numbers are shown as Go shows them."""
        for value, shown in (
            (1e6, "1e+06"),
            (1234567.5, "1.2345675e+06"),
            (70000.0, "70000"),
            (0.5, "0.5"),
            (1e-7, "1e-07"),
        ):
            self.assertEqual(go_value(value), shown)

    @settings(max_examples=300, deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from([*CONFIGURATION.fields, "colour", "Ports"]),
            st.recursive(
                st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
                lambda inner: st.one_of(
                    st.lists(inner, max_size=3),
                    st.dictionaries(
                        st.sampled_from(("name", "http", "check", "tokens", "enabled", "x")), inner, max_size=3
                    ),
                ),
                max_leaves=8,
            ),
            max_size=5,
        ),
        st.booleans(),
    )
    def test_anyValues(self, raw: dict[str, Any], json: bool) -> None:
        """Whatever comes is decoded, or refused with a ConfigurationError; what was decoded decodes to itself."""
        try:
            decoded = decode(raw, json)
        except ConfigurationError as error:
            self.assertIn("error(s) decoding", str(error))
            return
        self.assertEqual(decode(decoded.values, json).values, decoded.values)


class JSONTests(SynchronousTestCase):
    """JSON's errors."""

    def test_words(self) -> None:
        """Go's words, and the place."""
        for text, words in (
            ('{"a": 1, ', "unexpected end of JSON input (line 1, column 10)"),
            ("", "unexpected end of JSON input (line 1, column 1)"),
            ('{"a": "b', "unexpected end of JSON input (line 1, column 7)"),
            ("data", "invalid character 'd' looking for beginning of value (line 1, column 1)"),
            ('{"a": 1}\n}', "invalid character '}' after top-level value (line 2, column 1)"),
            ('{"a" 1}', "invalid character '1' after object key (line 1, column 6)"),
            ('{"a": 1 "b"}', "invalid character '\"' after object key:value pair (line 1, column 9)"),
            ('{"a": [1 2]}', "invalid character '2' after array element (line 1, column 10)"),
            ("{a: 1}", "invalid character 'a' looking for beginning of object key string (line 1, column 2)"),
            ('{"a": "\\q"}', "invalid character 'q' in string escape code (line 1, column 8)"),
            ('{"a": "\n"}', "invalid character '\\n' in string literal (line 1, column 8)"),
            ("[1]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
            ('{"a": NaN}', "invalid character 'N' looking for beginning of value"),
            ('{"a": -Infinity}', "invalid character 'I' looking for beginning of value"),
        ):
            self.assertEqual(str(self.assertRaises(BadJSONText, parse_json, text)), words, text)
        self.assertEqual(parse_json("null"), {})

    def test_depth(self) -> None:
        """Values too deep for the stack are refused."""
        self.assertRaises(BadJSONText, parse_json, '{"a":' + "[" * 200_000)

    @settings(max_examples=300, deadline=None)
    @given(st.text(st.sampled_from('{}[]",:\\ntrufalse01e-. \n'), max_size=25))
    def test_anyText(self, text: str) -> None:
        """Any text is read, or refused with a BadJSONText."""
        try:
            self.assertIsInstance(parse_json(text), dict)
        except BadJSONText:
            return


class OldKeysTests(SynchronousTestCase):
    """Spellings of older versions."""

    def moved(self, text: str) -> tuple[dict[str, Any], list[str]]:
        values = decode(parse_hcl(text), json=False).values
        warnings = move_deprecated(values)
        return values, warnings

    def test_movedWithAWarning(self) -> None:
        """The value goes to its new place, and the warning names both."""
        values, warnings = self.moved('ca_file = "x"\nacl_ttl = "5s"\nstart_join = ["b"]\nretry_join = ["a"]')
        self.assertEqual(
            values, {"tls": {"defaults": {"ca_file": "x"}}, "acl": {"token_ttl": "5s"}, "retry_join": ["a", "b"]}
        )
        self.assertEqual(
            warnings,
            [
                "The 'acl_ttl' field is deprecated. Use the 'acl.token_ttl' field instead.",
                "The 'start_join' field is deprecated. Use the 'retry_join' field instead.",
                "The 'ca_file' field is deprecated. Use the 'tls.defaults.ca_file' field instead.",
            ],
        )

    def test_newSpellingWins(self) -> None:
        """Where both are set, the new one counts."""
        values, _ = self.moved('acl_datacenter = "old"\nprimary_datacenter = "new"')
        self.assertEqual(values, {"primary_datacenter": "new", "acl": {"enabled": True}})

    def test_verifyIncomingSparesGRPC(self) -> None:
        """The old verify_incoming never asked gRPC's clients for certificates."""
        values, _ = self.moved("verify_incoming = true")
        self.assertEqual(values["tls"], {"defaults": {"verify_incoming": True}, "grpc": {"verify_incoming": False}})

    def test_versionsOfTLS(self) -> None:
        """The older names of TLS' versions are translated."""
        values, warnings = self.moved('tls_min_version = "tls12"')
        self.assertEqual(values["tls"]["defaults"]["tls_min_version"], "TLSv1_2")
        self.assertEqual(len(warnings), 2)

    def test_noneIsLeft(self) -> None:
        """No old key is in the result, whatever its value."""
        samples = {"string": "x", "bool": True}
        for key, kind in DEPRECATED.items():
            value = samples[kind.name] if isinstance(kind, Scalar) else [] if key.startswith("start") else {}
            values = decode({key: value}, json=True).values
            move_deprecated(values)
            self.assertNotIn(key, values)


class FileTextTests(SynchronousTestCase):
    """Both formats mean the same."""

    @settings(max_examples=100, deadline=None)
    @given(st.text(max_size=40))
    def test_anyTextAsHCL(self, text: str) -> None:
        """Any text is decoded, or refused with an error of ours."""
        try:
            decode(parse_hcl(text), json=False)
        except (HCLError, ConfigurationError):
            return
