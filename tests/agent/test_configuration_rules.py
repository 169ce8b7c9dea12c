"""What a configuration as a whole must fulfil, and what it becomes."""

from __future__ import annotations

import base64
import dataclasses
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.configuring import ConfigurationTestCase, surroundings
from txconsul.agent.configuration import ConfigurationError
from txconsul.agent.configuration.schema import CONFIGURATION, keys
from txconsul.agent.configuration.tlssettings import CIPHER_SUITES


class ValueTests(ConfigurationTestCase):
    """The resolved values."""

    def test_defaults(self) -> None:
        """A client agent that was told nothing but its data directory."""
        loaded = self.load()
        self.assertEqual(
            (loaded.node_name, loaded.datacenter, loaded.primary_datacenter, loaded.domain, loaded.server),
            ("host-1", "dc1", "dc1", "consul.", False),
        )
        self.assertEqual((loaded.leave_on_terminate, loaded.skip_leave_on_interrupt), (True, False))
        self.assertEqual((loaded.limits.kv_max_value_size, loaded.limits.rpc_rate), (524288, float("inf")))
        self.assertEqual((loaded.default_query_time, loaded.max_query_time), (300.0, 600.0))
        self.assertEqual((loaded.raft.election_timeout, loaded.raft.snapshot_threshold), (5.0, 16384))
        self.assertEqual((loaded.dns.soa.refresh, loaded.dns.max_stale), (3600, 315_360_000.0))
        self.assertEqual(loaded.warnings, ())

    def test_servers(self) -> None:
        """A server stays when it is stopped."""
        loaded = self.load("-server")
        self.assertEqual((loaded.leave_on_terminate, loaded.skip_leave_on_interrupt), (False, True))

    def test_development(self) -> None:
        """-dev is a fast server on loopback without a data directory."""
        loaded = self.load("-dev")
        self.assertEqual((loaded.dev_mode, loaded.server, loaded.bind_address), (True, True, "127.0.0.1"))
        self.assertEqual((loaded.data_dir, loaded.ui.enabled, loaded.log.level), ("", True, "DEBUG"))
        self.assertEqual((loaded.raft.election_timeout, loaded.ports.grpc), (0.052, 8502))

    def test_raftMultiplier(self) -> None:
        """The multiplier stretches Raft's timeouts."""
        raft = self.load(hcl="performance { raft_multiplier = 2 }").raft
        self.assertEqual((raft.election_timeout, raft.heartbeat_timeout, raft.leader_lease_timeout), (2.0, 2.0, 1.0))

    def test_oneExpectedServer(self) -> None:
        """To expect one server is to bootstrap."""
        loaded = self.load("-server", "-bootstrap-expect=1")
        self.assertEqual((loaded.bootstrap, loaded.bootstrap_expect), (True, 0))
        self.assertEqual(
            loaded.warnings,
            (
                "BootstrapExpect is set to 1; this is the same as Bootstrap mode.",
                "bootstrap = true: do not enable unless necessary",
            ),
        )

    def test_names(self) -> None:
        """Datacenters are small letters; a name is stripped."""
        loaded = self.load("-datacenter=DC2", "-node= a ", hcl='primary_datacenter = "DC1"')
        self.assertEqual((loaded.datacenter, loaded.primary_datacenter, loaded.node_name), ("dc2", "dc1", "a"))

    def test_scriptChecks(self) -> None:
        """Who allows scripts from everywhere allows them from files."""
        loaded = self.load("-enable-script-checks")
        self.assertTrue(loaded.enable_local_script_checks)
        self.assertIn("enable_script_checks without ACLs", loaded.warnings[0])
        self.assertFalse(
            self.load("-enable-script-checks", "-enable-local-script-checks=false").enable_local_script_checks
        )

    def test_sections(self) -> None:
        """One value of each section."""
        loaded = self.load(
            hcl="""
            acl { enabled = true default_policy = "deny" tokens { agent = "x", dns = "" } }
            http_config {
              response_headers { X-A = "b" }
              block_endpoints = ["/v1/x"]
              allow_write_http_from = ["10.1.2.3/8"]
            }
            limits { rpc_rate = 5 request_limits { mode = "enforcing" read_rate = 2.5 } }
            telemetry { prefix_filter = ["+a", "-b", "c", ""] prometheus_retention_time = "1m" }
            dns_config { service_ttl { "*" = "5s" } soa { refresh = 1 } recursor_strategy = "random" node_ttl = "1.5s" }
            recursors = ["1.1.1.1 8.8.8.8", "1.1.1.1"]
            connect { ca_provider = "consul" ca_config { leaf_cert_ttl = "72h" other = 1 } }
            ui_config { content_path = "a/b" }
            unix_sockets { mode = "0700" user = "root" }
            autopilot { min_quorum = 3 }
            gossip_lan { probe_interval = "2s" }
            node_meta { rack = "r1" }
            log_rotate_duration = "24h"
            session_ttl_min = "20s"
            watches = [{ type = "key", args = ["a", "b"] }]
            config_entries { bootstrap { kind = "proxy-defaults" name = "global" config { a = 1 } } }
            """
        )
        self.assertEqual(loaded.acl.tokens, {"agent": "x"})
        self.assertEqual(
            (loaded.http.response_headers, loaded.http.block_endpoints, loaded.http.allow_write_from),
            ({"X-A": "b"}, ("/v1/x",), ("10.0.0.0/8",)),
        )
        self.assertEqual(
            (loaded.limits.rpc_rate, loaded.limits.request_read_rate, loaded.limits.request_write_rate),
            (5.0, 2.5, float("inf")),
        )
        self.assertEqual(loaded.telemetry.allowed_prefixes, ("a",))
        self.assertEqual(loaded.telemetry.blocked_prefixes, ("b", "consul.rpc.server.call"))
        self.assertEqual(
            (loaded.dns.service_ttl, loaded.dns.soa.refresh, loaded.dns.soa.retry, loaded.dns.node_ttl),
            ({"*": 5.0}, 1, 600, 1.5),
        )
        self.assertEqual(loaded.dns.recursors, ("1.1.1.1", "8.8.8.8"))
        self.assertEqual(loaded.connect.ca_config, {"LeafCertTTL": "72h", "other": 1})
        self.assertEqual((loaded.ui.content_path, loaded.unix_sockets.mode), ("/a/b/", "0700"))
        self.assertEqual((loaded.autopilot.min_quorum, loaded.gossip_lan.probe_interval), (3, 2.0))
        self.assertEqual((loaded.log.rotate_duration, loaded.session_ttl_min), (86400.0, 20.0))
        self.assertEqual(loaded.watches, ({"type": "key", "args": ["a", "b"]},))
        self.assertEqual(loaded.config_entries, ({"kind": "proxy-defaults", "name": "global", "config": {"a": 1}},))
        self.assertEqual(
            loaded.warnings,
            ("Filter rule must begin with either '+' or '-': \"c\"", "Cannot have empty filter rule in prefix_filter"),
        )

    def test_tls(self) -> None:
        """Each protocol has the defaults' values but for its own; to check names means to use TLS."""
        suite = sorted(CIPHER_SUITES)[0]
        tls = self.load(
            hcl=f"""
            tls {{
              defaults {{ ca_file = "ca" verify_incoming = true tls_cipher_suites = "{suite}" }}
              https {{ ca_file = "other" verify_incoming = false }}
              internal_rpc {{ verify_server_hostname = true tls_min_version = "TLSv1_3" }}
            }}
            """
        ).tls
        self.assertEqual((tls.internal_rpc.ca_file, tls.https.ca_file, tls.grpc.ca_file), ("ca", "other", "ca"))
        self.assertEqual((tls.internal_rpc.verify_incoming, tls.https.verify_incoming), (True, False))
        self.assertEqual((tls.internal_rpc.verify_outgoing, tls.https.verify_outgoing), (True, False))
        self.assertEqual((tls.internal_rpc.min_version, tls.https.min_version), ("TLSv1_3", "TLSv1_2"))
        self.assertEqual((tls.internal_rpc.cipher_suites, tls.https.cipher_suites), ((), (suite,)))

    def test_frozen(self) -> None:
        """A configuration does not change."""
        loaded = self.load()
        self.assertRaises(AttributeError, setattr, loaded, "server", True)

    def test_definitions(self) -> None:
        """Services and checks are kept as they were written."""
        loaded = self.load(
            hcl='service { name = "web" port = 80 check { ttl = "1m" } }\nservices = [{ name = "db" }]\n'
            'check { name = "disk" ttl = "30s" }'
        )
        self.assertEqual(loaded.services, ({"name": "db"}, {"name": "web", "port": 80, "check": {"ttl": "1m"}}))
        self.assertEqual(loaded.checks, ({"name": "disk", "ttl": "30s"},))


class RuleTests(ConfigurationTestCase):
    """Impossible values and combinations."""

    def assertRefused(self, hcl: str, words: str, *arguments: str) -> None:
        self.assertIn(words, self.refused(*arguments, hcl=hcl), hcl)

    def test_wholeConfigurations(self) -> None:
        """Each rule, with the words that say what is wrong."""
        for hcl, words in (
            ('data_dir = ""', "data_dir cannot be empty (in flags-0.hcl)"),
            ('datacenter = "a b"', "datacenter can only contain lowercase alphanumeric, - or _ characters."),
            ('datacenter = ""', "datacenter cannot be empty"),
            ('primary_datacenter = "a b"', "primary_datacenter can only contain lowercase alphanumeric"),
            ("raft_protocol = 2", "raft_protocol version 2 is not supported"),
            ("bootstrap = true", "'bootstrap = true' requires 'server = true' (in flags-0.hcl)"),
            ("bootstrap_expect = 1", "'bootstrap = true' requires 'server = true'"),
            ("bootstrap_expect = 3", "'bootstrap_expect > 0' requires 'server = true'"),
            ("server = true\nbootstrap_expect = -1", "bootstrap_expect cannot be -1."),
            ("server = true\nbootstrap = true\nbootstrap_expect = 3", "are mutually exclusive"),
            ("check_output_max_size = 0", "check_output_max_size must be positive"),
            ("autopilot { max_trailing_logs = -1 }", "autopilot.max_trailing_logs cannot be -1."),
            ("dns_config { udp_answer_limit = -1 }", "dns_config.udp_answer_limit cannot be -1."),
            ("dns_config { a_record_limit = -1 }", "dns_config.a_record_limit cannot be -1."),
            (
                "performance { raft_multiplier = 11 }",
                "performance.raft_multiplier cannot be 11. Must be between 1 and 10",
            ),
            ('node_meta { consul-x = "a" }', "Key prefix 'consul-' is reserved for internal use"),
            ('node_meta { "a b" = "c" }', "Couldn't load metadata pair ('a b', 'c'): Key contains invalid characters"),
            (f'node_meta {{ a = "{"x" * 513}" }}', "Value is too long (limit: 512 characters)"),
            ('encrypt = "!"', "encrypt has invalid key: illegal base64 data at input byte 0"),
            ('encrypt = "AAAAA!"', "illegal base64 data at input byte 5"),
            ('alt_domain = "service.x"', "alt_domain cannot start with {service,connect,node,query,addr,dc1}"),
            ('ui_config { enabled = true dir = "x" }', "set only one"),
            ('ui_config { content_path = "a b" }', "ui-content-path can only contain"),
            ('ui_config { content_path = "/v1/" }', "ui-content-path cannot have 'v[0-9]'"),
            ('ui_config { metrics_provider_options_json = "[]" }', "a string containing a valid JSON object"),
            ('ui_config { metrics_proxy { base_url = "ftp://x" } }', "must be a valid http or https URL"),
            ('ui_config { metrics_proxy { path_allowlist = ["x"] } }', 'path "x" is not an absolute path'),
            ('ui_config { metrics_proxy { path_allowlist = ["/a%2fb"] } }', 'path "/a%2fb" is not an absolute path'),
            ('ui_config { dashboard_url_templates { A = "http://x" } }', "key names can only contain lowercase"),
            ('locality { zone = "z" }', "locality is invalid"),
            ('segments { name = "a" }', "Network segments are not supported"),
            ('segment = "a"', "Network segments are not supported"),
            ('primary_gateways = ["a"]', "'primary_gateways' requires 'server = true'"),
            ('server = true\nprimary_gateways = ["a"]', "should only be configured in a secondary datacenter"),
            ("connect { enable_mesh_gateway_wan_federation = true }", "requires 'server = true'"),
            (
                'server = true\nretry_join_wan = ["a"]\nconnect { enable_mesh_gateway_wan_federation = true }',
                "'retry_join_wan' is incompatible with 'connect.enable_mesh_gateway_wan_federation = true'",
            ),
            (
                'server = true\nnode_name = "a/b"\nconnect { enable_mesh_gateway_wan_federation = true }',
                "requires that 'node_name' not contain '/' characters",
            ),
            ("server = true\nraft_logstore { wal { segment_size_mb = 2000 } }", "cannot be greater than 1024 (1GiB)"),
            ('ui_config { dashboard_url_templates { a = "x" } }', "values must be a valid http or https URL"),
            ('ui_config { metrics_proxy { base_url = "http://[x" } }', "must be a valid http or https URL"),
            ('ui_config { metrics_provider_options_json = "{" }', "a string containing a valid JSON object"),
            ('advertise_addr_wan = " 0.0.0.0"', "Advertise WAN address cannot be 0.0.0.0, :: or [::]"),
            ('data_dir = "a\\000b"', "is no path"),
            ('node_name = " "', "node_name cannot be empty"),
            ('node_meta { "" = "a" }', "Key cannot be blank"),
            (f'node_meta {{ {"k" * 129} = "a" }}', "Key is too long (limit: 128 characters)"),
            (
                "node_meta { " + " ".join(f'k{i} = "v"' for i in range(65)) + " }",
                "cannot contain more than 64 key/value",
            ),
            ("auto_config { enabled = true }\nauto_encrypt { tls = true }", "both auto_encrypt.tls and auto_config"),
            ("server = true\nauto_config { authorization { enabled = true } }", "without providing a TLS certificate"),
            (
                "server = true\nauto_config { enabled = true }\ntls { internal_rpc { verify_outgoing = true } }",
                "auto_config.enabled cannot be set to true for server agents.",
            ),
            (
                "auto_config { enabled = true }\ntls { internal_rpc { verify_outgoing = true } }",
                "must be set to enable auto_config",
            ),
            (
                'auto_config { enabled = true intro_token = "x" }\ntls { defaults { verify_outgoing = true } }',
                "is set without providing a list of addresses",
            ),
            (
                "connect { enabled = false enable_mesh_gateway_wan_federation = true }",
                "'connect.enable_mesh_gateway_wan_federation=true' requires 'connect.enabled=true'",
            ),
            ('connect { ca_provider = "x" }', "x is not a valid CA provider (connect.ca_provider in flags-0.hcl)"),
            ('server = true\nraft_logstore { backend = "x" }', "raft_logstore.backend must be one of"),
            ("server = true\nraft_logstore { wal { segment_size_mb = 0 } }", "cannot be less than 1MB"),
            ("server = true\nauto_encrypt { tls = true }", "auto_encrypt.tls can only be used on a client."),
            ("auto_encrypt { allow_tls = true }", "auto_encrypt.allow_tls can only be used on a server."),
            ('server = true\nadvertise_reconnect_timeout = "1m"', "can only be used on a client"),
            ("cache { entry_fetch_rate = 0 }", "cache.entry_fetch_rate must be strictly positive, was: 0"),
            ("auto_config { enabled = true }", "without configuring TLS for server communications"),
            ("auto_config { authorization { enabled = true } }", "cannot be set to true for client agents"),
            ("tls { grpc { verify_outgoing = true } }", "verify_outgoing is not valid in the tls.grpc stanza"),
            ("tls { https { verify_server_hostname = true } }", "verify_server_hostname is only valid in"),
            ("tls { https { use_auto_cert = true } }", "use_auto_cert is only valid in the tls.grpc stanza"),
        ):
            self.assertRefused(hcl, words)

    def test_certificateAuthority(self) -> None:
        """Certificates' times and keys must fit, for whoever signs them."""
        for settings_, words in (
            ('root_cert = "x"', "must provide a private key when providing a root cert"),
            ('leaf_cert_ttl = "soon"', "error decoding config: LeafCertTTL: time: invalid duration"),
            ('leaf_cert_ttl = "30m"', "leaf cert TTL must be greater or equal than 1h0m0s"),
            ('leaf_cert_ttl = "9000h"', "leaf cert TTL must be less than 8760h0m0s"),
            ('intermediate_cert_ttl = "100h"', "Intermediate Cert TTL must be greater or equal than 3 * LeafCertTTL"),
            ('root_cert_ttl = "24h"', "root cert ttl: 24h0m0s, intermediate cert ttl: 8760h0m0s"),
            ('private_key_type = "dsa"', "private key type must be either 'ec' or 'rsa'"),
            ("private_key_bits = 17", "EC key length must be one of (224, 256, 384, 521) bits"),
            ('private_key_type = "rsa"', "RSA key length must be 2048 or 4096 bits"),
        ):
            self.assertRefused(f'connect {{ ca_provider = "consul" ca_config {{ {settings_} }} }}', words)
        self.load(
            hcl='connect { ca_provider = "vault" ca_config { private_key_type = "rsa" private_key_bits = 2048'
            ' leaf_cert_ttl = "1h" address = "http://x" token = "t" root_pki_path = "r" intermediate_pki_path = "i" } }'
        )

    def test_otherAuthorities(self) -> None:
        """Vault must know who asks and where to keep certificates; AWS has limits of its own."""
        for provider, settings_, words in (
            ("vault", "", "must provide a Vault token or configure a Vault auth method"),
            ("vault", 'token = "t" auth_method { type = "x" }', "only one of Vault token or Vault auth method"),
            ("vault", 'token = "t"', "must provide a valid path to a root PKI backend"),
            ("vault", 'token = "t" root_pki_path = "r"', "must provide a valid path for the intermediate PKI backend"),
            ("aws-pca", 'leaf_cert_ttl = "1h"', "less than 24 hours, LeafTTL of 1h0m0s configured"),
            ("aws-pca", "private_key_bits = 521", "only supports P256 EC curve, keyBits of 521 configured"),
        ):
            self.assertRefused(f'connect {{ ca_provider = "{provider}" ca_config {{ {settings_} }} }}', words)
        self.load(
            hcl='primary_datacenter = "other" connect { ca_provider = "vault" ca_config { intermediate_pki_path = "i"'
            ' auth_method { type = "x" } } }'
        )
        self.load(hcl='connect { ca_provider = "aws-pca" }')

    def test_autoConfigAuthorization(self) -> None:
        """Whoever hands out configurations must be able to check tokens, and to make some."""
        enabled = 'auto_config { authorization { enabled = true %s } } tls { internal_rpc { cert_file = "c" } } '
        words = "exactly one of 'JWTValidationPubKeys', 'JWKSURL', or 'OIDCDiscoveryURL' must be set"
        for static in ("", 'static { jwks_url = "https://a" oidc_discovery_url = "https://b" }'):
            self.assertRefused(f"server = true {enabled % static}", words)
        one = enabled % 'static { jwks_url = "https://a" }'
        self.assertRefused(
            f'server = true primary_datacenter = "other" acl {{ enabled = true }} {one}',
            "requires also enabling ACL token replication (acl.enable_token_replication)",
        )

    def test_entries(self) -> None:
        """Entries for a new cluster have a kind that there is."""
        for entry, words in (
            ('name = "x"', "config_entries.bootstrap[0]: Payload does not contain a kind/Kind key at the top level"),
            ("kind = 5", "Kind value in payload is not a string"),
            ('Kind = "x"', "invalid config entry kind: x"),
        ):
            self.assertRefused(f"config_entries {{ bootstrap {{ {entry} }} }}", words)

    def test_singleValues(self) -> None:
        """Mistakes of single values are told together, each with its key."""
        for hcl, words in (
            ('session_ttl_min = "soon"', '* session_ttl_min: invalid duration: "soon": time: invalid duration "soon"'),
            ('server_rejoin_age_max = "1h"', "* server_rejoin_age_max: duration '1h' cannot be less than: 6h0m0s"),
            ('dns_config { service_ttl { web = "x" } }', '* dns_config.service_ttl["web"]: invalid duration: "x"'),
            ('dns_config { recursor_strategy = "x" }', '* dns_config.recursor_strategy: invalid strategy: "x"'),
            ('limits { request_limits { mode = "x" } }', '* limits.request_limits.mode: invalid mode: "x"'),
            ('http_config { allow_write_http_from = ["x"] }', "* http_config.allow_write_http_from: invalid cidr: x"),
            ('serf_lan_allowed_cidrs = ["1.2.3.4"]', "* serf_lan_allowed_cidrs: invalid cidr: 1.2.3.4"),
            ('tls { https { tls_min_version = "x" } }', "* tls.https.tls_min_version: invalid TLS version"),
            ('tls { defaults { tls_cipher_suites = "x" } }', "cipher suite found for x"),
            (
                'tls { https { tls_min_version = "TLSv1_3" tls_cipher_suites = "x" } }',
                "* tls.https.tls_cipher_suites: TLS 1.3 cipher suites are not configurable",
            ),
        ):
            self.assertRefused(hcl, words)
        error = self.refused(hcl='retry_interval = "x"\nmax_query_time = "y"\nports { dns = 99999 }')
        self.assertIn(
            "3 errors occurred:\n\t* ports.dns: invalid port: 99999 (in flags-0.hcl)\n\t* retry_interval", error
        )

    def test_placesAreNamed(self) -> None:
        """An impossible combination names every key and what set it."""
        path = self.write("a.json", '{"bootstrap": true, "server": true}')
        error = self.refused(f"-config-file={path}", "-bootstrap-expect=3")
        self.assertIn(f"(by -bootstrap-expect, in {path})", error)
        raised = self.assertRaises(ConfigurationError, self.load, f"-config-file={path}", "-server=false")
        self.assertEqual((raised.key, raised.file), ("bootstrap", path))

    def test_development(self) -> None:
        """What cannot go with -dev."""
        self.assertEqual(
            self.refused("-dev", "-bootstrap-expect=3"),
            "'bootstrap_expect > 0' not allowed in dev mode (by -bootstrap-expect)",
        )

    def test_dataDirectoryIsAFile(self) -> None:
        """A data directory must not be something else."""
        path = self.write("data", "")
        self.assertIn("is not a directory", self.refused(f"-data-dir={path}"))

    def test_grpcWithTLS(self) -> None:
        """Whoever gives gRPC a certificate and the port without TLS must say what becomes of the port with it."""
        words = "the `ports.grpc` listener no longer supports TLS"
        for section in ("defaults", "grpc"):
            certificate = f'tls {{ {section} {{ cert_file = "c" }} }}'
            self.assertIn(words, self.refused(hcl=f"server = true ports {{ grpc = 1 }} {certificate}"))
            self.load(hcl=f"server = true ports {{ grpc = 1 grpc_tls = -1 }} {certificate}")
            self.load(hcl=f"server = true {certificate}")

    def test_ancientData(self) -> None:
        """A server does not begin anew beside the data of Consul 0.5."""
        path = self.directory()
        os.makedirs(os.path.join(path, "mdb"))
        self.assertIn("Deprecated data folder found at", self.refused("-server", f"-data-dir={path}"))
        self.load(f"-data-dir={path}")

    def test_noProviderOptions(self) -> None:
        """Options that are null are none."""
        self.load(hcl='ui_config { metrics_provider_options_json = "null" }')

    def test_descriptors(self) -> None:
        """More connections than the system has descriptors for are warned about, and not refused."""
        poor = surroundings(descriptors=100)
        told = "limits.http_max_conns_per_client: 200 will not be reached: the system allows a max of 100"
        self.assertIn(told, "".join(self.load(surroundings=poor).warnings))
        for enough in (
            self.load(surroundings=surroundings(descriptors=-1)),
            self.load(surroundings=poor, hcl="limits { http_max_conns_per_client = 80 }"),
        ):
            self.assertNotIn("file descriptors", "".join(enough.warnings))

    def test_warnings(self) -> None:
        """What is doubtful is warned about."""
        for arguments, words in (
            (["-server", "-bootstrap-expect=2"], "A cluster with 2 servers will provide no failure tolerance"),
            (["-server", "-bootstrap-expect=4"], "bootstrap_expect is even number"),
            (["-server", "-bootstrap-expect=3"], "bootstrap_expect > 0: expecting 3 servers"),
            (["-node=a.b"], 'Node name "a.b" will not be discoverable via DNS'),
            ([f"-node={'a' * 64}"], "due to it being too long"),
            (["-datacenter=a_b"], 'Datacenter : "a_b" will not be PKI X.509 compatible'),
            (["-hcl", "rpc { enable_streaming = true }"], "rpc.enable_streaming = true has no effect"),
            (["-server", "-hcl", "rpc { enable_streaming = false }"], "use_streaming_backend = true requires"),
            (["-server", "-hcl", "auto_encrypt { allow_tls = true }"], "auto_encrypt.allow_tls is on and"),
            (["-hcl", 'auto_encrypt { ip_san = ["x"] }'], 'Cannot parse ip "x" from AutoEncrypt.IPSAN'),
            (["-hcl", "audit { enabled = true }"], '"audit" is a Consul Enterprise configuration'),
            (["-hcl", 'audit { sink "a" { name = "b" } }'], "config key audit.sink[].name is deprecated"),
        ):
            self.assertTrue(any(words in warning for warning in self.load(*arguments).warnings), words)

    def test_noHostName(self) -> None:
        """A machine that does not know its name needs a node name."""

        def fail() -> str:
            raise OSError("no name")

        nameless = dataclasses.replace(surroundings(), hostname=fail)
        self.assertIn("node_name cannot be empty", self.refused(surroundings=nameless))
        self.assertEqual(self.load("-node=a", surroundings=nameless).node_name, "a")

    def test_start(self) -> None:
        """What only a starting agent refuses."""
        for hcl, words in (
            (
                'log_level = "shout"',
                "Invalid log level: shout. Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]"
                " (log_level in flags-0.hcl)",
            ),
            ('node_id = "xyz"', "failed to setup node ID: specified NodeID is invalid: uuid string is wrong length"),
            (f'node_id = "{"x" * 36}"', "uuid is improperly formatted"),
            (f'encrypt = "{base64.b64encode(b"short").decode()}"', "key size must be 16, 24 or 32 bytes"),
            ('acl { default_policy = "maybe" }', "Unsupported default ACL policy: maybe"),
            ('acl { down_policy = "maybe" }', "Unsupported down ACL policy: maybe"),
            ('default_intention_policy = "maybe"', "Unsupported default intention policy: maybe"),
            ("protocol = 9", "Protocol version '9' too high. Must be in range: [2, 3]"),
            ('unix_sockets { mode = "rwx" }', "invalid specified mode: rwx"),
        ):
            self.load(hcl=hcl)
            self.assertIn(words, self.refused(hcl=hcl, for_start=True))
        self.load(for_start=True)

    def test_certificatesAtStart(self) -> None:
        """A starting server refuses TLS that cannot work, whichever listener it is for; validating does not look."""
        for section in ("defaults", "internal_rpc", "https", "grpc"):
            for hcl, words in (
                ("verify_incoming = true", "VerifyIncoming set but no CA certificates were provided"),
                ('verify_incoming = true ca_file = "ca"', "VerifyIncoming requires either a Cert and Key pair"),
                ('ca_file = "missing"', "ca_file missing: No such file or directory"),
                ('ca_path = "missing"', "ca_path missing: No such file or directory"),
                ('cert_file = "missing" key_file = "missing"', "cert_file missing: No such file or directory"),
            ):
                whole = f"server = true tls {{ {section} {{ {hcl} }} }} ports {{ grpc_tls = 1 }}"
                self.assertIn(words, self.refused(hcl=whole, for_start=True))
                self.load(hcl=whole)
        outgoing = "server = true tls { internal_rpc { verify_outgoing = true } }"
        self.assertIn("VerifyOutgoing set but no CA", self.refused(hcl=outgoing, for_start=True))
        self.load(hcl="tls { internal_rpc { verify_outgoing = true } }", for_start=True)

    def test_checks(self) -> None:
        """A check has one way of knowing, and a time that fits it."""
        for check, words in (
            ("", "TTL must be > 0 for TTL checks"),
            ('ttl = "1m" interval = "1m"', "Interval and TTL cannot both be specified"),
            ('http = "x"', "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"),
            ('http = "x" interval = "1s" alias_node = "n"', "Interval cannot be set for Alias checks"),
            ('alias_service = "x" ttl = "1s"', "TTL must be not be set for Alias checks"),
            ('ttl = "1s" output_max_size = -1', "MaxOutputMaxSize must be positive"),
            ('ttl = "1s" failures_before_warning = 2', "FailuresBeforeWarning can't be higher"),
        ):
            self.assertRefused(f'check {{ name = "c" {check} }}', f'check "c": {words}')
            self.assertRefused(
                f'service {{ name = "s" check {{ name = "c" {check} }} }}', f'service "s": check "c": {words}'
            )
        self.assertRefused('check { id = "i" ttl = "x" }', 'check[i].ttl: invalid duration: "x"')

    def test_services(self) -> None:
        """Services, proxies and gateways."""
        upstream = 'destination_name = "d" local_bind_port = 1'
        for service, words in (
            ('meta { consul-a = "b" }', "invalid meta for service s: Couldn't load metadata pair"),
            ("weights { passing = 0 }", "Invalid weight definition for service s: Passing must be greater than 0"),
            ("weights { warning = -1 }", "Warning must be greater or equal than 0"),
            ("weights { passing = 65536 }", "DNS Weight must be between 0 and 65535"),
            ('port = 1 socket_path = "/x"', "service s cannot have both socket path /x and address/port"),
            ('connect { sidecar_service { id = "x" } }', "sidecar_service can't specify an ID"),
            ("connect { sidecar_service { connect { sidecar_service {} } } }", "can't have a nested sidecar_service"),
            ("connect { native = true }", "Port or SocketPath must be set for a Connect native service."),
            ('proxy { mode = "x" }', 'Invalid Proxy Mode: "x"'),
            ('proxy { mesh_gateway { mode = "x" } }', 'Invalid Mesh Gateway Mode: "x"'),
            ('proxy { upstreams { local_bind_socket_mode = "9" } }', "local_bind_socket_mode: invalid mode: 9"),
            ('kind = "connect-proxy"', "Port or SocketPath must be set for a connect-proxy"),
            ('kind = "connect-proxy" port = 1', "Proxy.DestinationServiceName must be non-empty"),
            ('kind = "mesh-gateway"', "Port must be non-zero for a mesh-gateway"),
            (
                'kind = "ingress-gateway" proxy { destination_service_name = "x" }',
                "The Proxy.DestinationServiceName configuration is invalid for a ingress-gateway",
            ),
            (
                'kind = "connect-proxy" port = 1 proxy { destination_service_name = "d" upstreams { } }',
                "upstream destination name cannot be empty",
            ),
            (
                'kind = "connect-proxy" port = 1 proxy { destination_service_name = "d"'
                f" upstreams {{ {upstream} }} upstreams {{ {upstream} }} }}",
                "upstreams cannot contain duplicates of",
            ),
            (
                'kind = "connect-proxy" port = 1 proxy { destination_service_name = "d"'
                f' upstreams {{ {upstream} }} upstreams {{ destination_name = "e" local_bind_port = 1 }} }}',
                '"127.0.0.1:1" is specified twice',
            ),
            (
                'kind = "connect-proxy" port = 1 proxy { destination_service_name = "d" expose { paths { } } }',
                "expose.paths: empty path exposed",
            ),
            ('kind = "connect-proxy" port = 1 proxy { destination_service_name = "*" }', "must not be a wildcard"),
            (
                'kind = "connect-proxy" port = 1 connect { native = true } proxy { destination_service_name = "d" }',
                "A Proxy cannot also be Connect Native",
            ),
            (
                'kind = "api-gateway" connect { sidecar_service { } }',
                "A api-gateway cannot have a sidecar service defined",
            ),
        ):
            self.assertRefused(f'service {{ name = "s" {service} }}', words)
        proxy = 'kind = "connect-proxy" port = 1 proxy { destination_service_name = "d"'
        for part, words in (
            ('upstreams { destination_type = "x" }', 'unknown upstream destination type: "x"'),
            ('upstreams { destination_name = "*" }', "upstream destination name cannot be a wildcard"),
            (
                'upstreams { destination_name = "a" destination_peer = "b" datacenter = "c" }',
                "both destination peer and",
            ),
            (
                'upstreams { destination_name = "a" }',
                "local bind port or local socket path must be defined and nonzero",
            ),
            (
                'upstreams { destination_name = "a" local_bind_port = 1 local_bind_socket_path = "/x" }',
                "only one of upstream local bind port or local socket path",
            ),
            ('expose { paths { path = "/a" listener_port = 70000 } }', "expose.paths: invalid listener port: 70000"),
            (
                'expose { paths { path = "/a" listener_port = 1 protocol = "x" } }',
                "protocol 'x' not supported for path: /a",
            ),
            (
                'expose { paths { path = "/a" listener_port = 1 } paths { path = "/b" listener_port = 1 } }',
                "expose.paths: duplicate listener ports exposed",
            ),
        ):
            self.assertRefused(f'service {{ name = "s" {proxy} {part} }} }}', words)
        self.load(hcl='service { name = "g" kind = "mesh-gateway" port = 1 meta { consul-wan-federation = "1" } }')


KEYS = sorted(set(keys()) - {"build_date"})
SOME_VALUES = st.one_of(
    st.booleans(), st.integers(-1, 100_000), st.sampled_from(["", "x", "10s", "127.0.0.1", "::", "{{ GetPrivateIP }}"])
)


class AnyConfigurationTests(ConfigurationTestCase):
    """Whatever the values."""

    @settings(max_examples=300, deadline=None)
    @given(st.dictionaries(st.sampled_from(KEYS), SOME_VALUES, max_size=5), st.sampled_from(("-server", "-rejoin")))
    def test_loadedOrRefused(self, chosen: dict[str, Any], flag: str) -> None:
        """Values for any keys are loaded, or refused with a ConfigurationError; nothing else comes out."""
        lines = []
        for key, value in chosen.items():
            *blocks, last = key.split(".")
            kind: Any = CONFIGURATION
            for step in key.split("."):
                kind = kind.fields[step]
            text = f'"{value}"' if isinstance(value, str) else str(value).lower()
            text = f"[{text}]" if type(kind).__name__ == "Strings" else text
            lines.append("".join(f"{block} {{ " for block in blocks) + f"{last} = {text}" + " }" * len(blocks))
        try:
            loaded = self.load(flag, hcl="\n".join(lines), for_start=True)
        except ConfigurationError:
            return
        self.assertTrue(loaded.node_name)
