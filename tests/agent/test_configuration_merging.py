"""Where configuration comes from, and which value wins."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent.configuration import ConfigurationError, agent_flags
from txconsul.agent.configuration.decode import decode
from txconsul.agent.configuration.defaults import DEFAULTS, DEV, FIXED, FIXED_DEV
from txconsul.agent.configuration.merging import fold_single, leaves, merge, split_lists
from txconsul.agent.configuration.sources import FILE_BYTES_MAX, collect

VALUES = st.fixed_dictionaries(
    {},
    optional={
        "node_name": st.sampled_from("ab"),
        "server": st.booleans(),
        "retry_join": st.lists(st.sampled_from("ab"), max_size=2),
        "node_meta": st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2),
        "ports": st.fixed_dictionaries({}, optional={"http": st.integers(1, 3), "dns": st.integers(1, 3)}),
        "tls": st.fixed_dictionaries(
            {}, optional={"https": st.fixed_dictionaries({}, optional={"ca_file": st.sampled_from("ab")})}
        ),
        "locality": st.fixed_dictionaries({}, optional={"region": st.just("r"), "zone": st.just("z")}),
        "services": st.lists(st.fixed_dictionaries({"name": st.sampled_from("ab")}), max_size=2),
        "check": st.fixed_dictionaries({"name": st.sampled_from("ab")}),
    },
)


class MergeTests(SynchronousTestCase):
    """Two sets of values to one."""

    @settings(max_examples=200, deadline=None)
    @given(VALUES, VALUES, VALUES)
    def test_associative(self, one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]) -> None:
        """It does not matter in which groups the sources are merged, only in which order."""
        self.assertEqual(merge(merge(one, two), three), merge(one, merge(two, three)))

    @settings(max_examples=100, deadline=None)
    @given(VALUES)
    def test_nothingChangesNothing(self, values: dict[str, Any]) -> None:
        """An empty source is of no consequence, on either side."""
        self.assertEqual(merge(values, {}), values)
        self.assertEqual(merge({}, values), values)

    @settings(max_examples=200, deadline=None)
    @given(VALUES, VALUES)
    def test_everyKindOfValue(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        """Scalars are replaced, lists appended to, maps overlaid, blocks merged, whole blocks replaced."""
        merged = merge(first, second)
        for key in ("node_name", "server", "locality", "check"):
            self.assertEqual(merged.get(key), second.get(key, first.get(key)))
        for key in ("retry_join", "services"):
            self.assertEqual(merged.get(key, []), first.get(key, []) + second.get(key, []))
        for key in ("node_meta", "ports"):
            self.assertEqual(merged.get(key, {}), first.get(key, {}) | second.get(key, {}))
        https = [values.get("tls", {}).get("https", {}) for values in (first, second, merged)]
        self.assertEqual(https[2], https[0] | https[1])

    def test_sourcesStayAsTheyWere(self) -> None:
        """Merging changes none of its sources."""
        first, second = {"ports": {"http": 1}, "retry_join": ["a"]}, {"ports": {"dns": 2}, "retry_join": ["b"]}
        merge(first, second)
        self.assertEqual(first, {"ports": {"http": 1}, "retry_join": ["a"]})
        self.assertEqual(second, {"ports": {"dns": 2}, "retry_join": ["b"]})

    def test_singleDefinitions(self) -> None:
        """A single service is one more of the services, so that two files may have one each."""
        values = {"service": {"name": "b"}, "services": [{"name": "a"}], "check": {"name": "c"}}
        self.assertEqual(fold_single(values), {"services": [{"name": "a"}, {"name": "b"}], "checks": [{"name": "c"}]})

    def test_listsOfFlagsAreApart(self) -> None:
        """Only lists at the top level are; what is in a block stays with the values."""
        lists, values = split_lists({"retry_join": ["a"], "http_config": {"block_endpoints": ["b"]}, "server": True})
        self.assertEqual(lists, {"retry_join": ["a"]})
        self.assertEqual(values, {"http_config": {"block_endpoints": ["b"]}, "server": True})

    def test_leaves(self) -> None:
        """Blocks are opened, maps and whole blocks are not."""
        values = {"tls": {"https": {"ca_file": "x"}}, "node_meta": {"a": "b"}, "locality": {"region": "r"}}
        self.assertEqual(list(leaves(values)), ["tls.https.ca_file", "node_meta", "locality"])

    def test_defaultsAreWellFormed(self) -> None:
        """Our own defaults are values by the table."""
        for values in (DEFAULTS, DEV, FIXED, FIXED_DEV):
            decoded = decode(values, json=False)
            self.assertEqual(decoded.values, values)
            self.assertEqual(decoded.unknown, [])


class OrderTests(ConfigurationTestCase):
    """Defaults, files, flags."""

    def test_eachBeatsTheOneBefore(self) -> None:
        """Defaults, own defaults, files in the order of the command line, flags, texts in HCL."""
        first = self.write("b.json", '{"log_level": "warn", "domain": "first.", "node_name": "f1"}')
        second = self.write("a.hcl", 'domain = "second."\nnode_name = "f2"')
        loaded = self.load(
            "-node=flag",
            f"-config-file={first}",
            "-config-file",
            second,
            "-log-level=error",
            hcl='log_level = "debug"',
            defaults={"datacenter": "own", "domain": "own."},
        )
        self.assertEqual(
            (loaded.datacenter, loaded.domain, loaded.node_name, loaded.log.level, loaded.max_query_time),
            ("own", "second.", "flag", "debug", 600.0),
        )

    def test_listsOfFlagsComeFirst(self) -> None:
        """Lists are appended; those of flags stand before those of files."""
        path = self.write("a.hcl", 'retry_join = ["file"]')
        loaded = self.load("-retry-join=flag1", f"-config-file={path}", "-retry-join=flag2", hcl='retry_join = ["hcl"]')
        self.assertEqual(loaded.retry_join, ("flag1", "flag2", "file", "hcl"))

    def test_directories(self) -> None:
        """Files of a directory are read in the order of their names; others and directories in it are skipped."""
        directory = self.directory()
        self.write("20.json", '{"node_name": "twenty", "datacenter": "d20"}', directory)
        self.write("10.hcl", 'node_name = "ten"\ndomain = "d10."', directory)
        self.write("README", "no configuration", directory)
        os.mkdir(os.path.join(directory, "sub.json"))
        loaded = self.load(f"-config-dir={directory}")
        self.assertEqual((loaded.node_name, loaded.datacenter, loaded.domain), ("twenty", "d20", "d10."))
        self.assertEqual(loaded.files, tuple(os.path.join(directory, name) for name in ("10.hcl", "20.json")))
        readme = os.path.join(directory, "README")
        self.assertEqual(
            loaded.warnings,
            (f"skipping file {readme}, extension must be .hcl or .json, or config format must be set",),
        )

    def test_links(self) -> None:
        """A link is followed; one that leads nowhere is an error."""
        directory, other = self.directory(), self.write("real.json", '{"node_name": "real"}')
        os.symlink(os.path.abspath(other), os.path.join(directory, "link"))
        self.assertEqual(self.load(f"-config-dir={directory}").node_name, "real")
        os.symlink("nowhere.json", os.path.join(directory, "bad"))
        self.assertIn("no such file or directory", self.refused(f"-config-dir={directory}"))

    def test_forcedFormat(self) -> None:
        """With a format every file is read in it, whatever its name."""
        path = self.write("settings.conf", 'node_name = "x"')
        self.assertEqual(self.load(f"-config-file={path}", "-config-format=hcl").node_name, "x")
        self.assertIn("looking for beginning of value", self.refused(f"-config-file={path}", "-config-format=json"))
        self.assertEqual(
            self.refused(f"-config-file={path}"),
            f"file {path} has unknown extension; must be .hcl or .json, or config format must be set",
        )
        self.assertEqual(self.refused("-config-format=toml"), "config: -config-format must be either 'hcl' or 'json'")

    def test_absentFile(self) -> None:
        """A file that is not there is named, with the system's reason."""
        self.assertEqual(
            self.refused("-config-file=absent.json"),
            "config: Open failed on absent.json. open absent.json: no such file or directory",
        )

    def test_textsThatCannotBeRead(self) -> None:
        """What is no text, or too large, is named."""
        path = self.write("a.json", "")
        self.load(f"-config-file={path}")
        with open(path, "wb") as file:
            file.write(b'{"a":\n"\xff"}')
        self.assertEqual(
            self.refused(f"-config-file={path}"), f"failed to parse {path}: illegal UTF-8 encoding in line 2"
        )
        for name, text in (("b.json", '{"node_name": "a"}'), ("b.hcl", 'node_name = "a"')):
            self.assertEqual(self.load("-config-file", self.write(name, "\ufeff" + text)).node_name, "a")
        with open(path, "wb") as file:
            file.truncate(FILE_BYTES_MAX + 1)
        self.assertIn("more than", self.refused(f"-config-file={path}"))

    def test_mistakesNameTheFile(self) -> None:
        """Unknown keys and wrong types are errors that name file and key; the error has both as attributes."""
        path = self.write("a.json", '{"ports": {"htttp": 1}, "colour": 2}')
        error = self.assertRaises(ConfigurationError, self.load, f"-config-file={path}")
        self.assertEqual(
            str(error),
            f"failed to parse {path}: 2 errors occurred:\n\t* invalid config key ports.htttp\n"
            "\t* invalid config key colour\n\n",
        )
        self.assertEqual((error.key, error.file), ("ports.htttp", path))
        self.assertIn(
            "failed to parse flags-0.hcl: At 1:17: object expected closing RBRACE",
            self.refused(hcl="ports { http = "),
        )
        self.assertIn("* 'server' expected type 'bool'", self.refused(hcl='server = "yes"'))

    def test_oldKeysWarn(self) -> None:
        """Keys of older versions, of Enterprise, and old flags are taken with a warning."""
        loaded = self.load(
            "-join=a", hcl='acl_datacenter = "dc1"\npartition = "x"\nacl_enforce_version_8 = true\nui = true'
        )
        self.assertEqual(loaded.retry_join, ("a",))
        self.assertTrue(loaded.acl.enabled)
        self.assertTrue(loaded.ui.enabled)
        self.assertEqual(
            loaded.warnings,
            (
                "The flag '-join' is deprecated. Use the '-retry-join' flag instead.",
                'config key "acl_enforce_version_8" is deprecated and should be removed',
                '"partition" is a Consul Enterprise configuration and will have no effect',
                "The 'acl_datacenter' field is deprecated. Use the 'primary_datacenter' field instead.",
                "The 'ui' field is deprecated. Use the 'ui_config.enabled' field instead.",
            ),
        )

    def test_origins(self) -> None:
        """It is known what set each key last."""
        path = self.write("a.hcl", 'node_name = "a"\nports { http = 1 }')
        loaded = self.load(f"-config-file={path}", "-node=b", hcl="ports { dns = 2 }")
        self.assertEqual(
            {key: loaded.origins.get(key) for key in ("node_name", "ports.http", "ports.dns", "domain")},
            {"node_name": "-node", "ports.http": path, "ports.dns": "flags-0.hcl", "domain": None},
        )
        self.assertEqual(loaded.raw["ports.dns"], 2)

    def test_notAllIsReadTwice(self) -> None:
        """Collecting the same sources again gives the same."""
        path = self.write("a.hcl", 'services { name = "a" }')
        flags = agent_flags([f"-config-file={path}", "-retry-join=a"])
        self.assertEqual(collect(flags, {}), collect(flags, {}))
