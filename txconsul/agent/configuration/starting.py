"""
What only a starting agent refuses; C{validate} lets it pass, as Consul's does.

Source: what Consul's agent answers when it starts.
"""

from __future__ import annotations

import base64
import re

from txconsul.agent.configuration.errors import ConfigurationError
from txconsul.agent.configuration.model import Configuration, TLSProtocol
from txconsul.agent.configuration.values import Values
from txconsul.net.tls import TLSUnusable, authorities, server_options

__all__ = ["validate_for_start"]

_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERR", "ERROR")
_UUID = re.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_UUID_CHARACTERS = 36
#: AES keys for gossip, in bytes.
_GOSSIP_KEY_BYTES = (16, 24, 32)
_PROTOCOLS = (2, 3)


def validate_for_start(configuration: Configuration) -> None:
    """
    Check what only a starting agent refuses.

    @raise ConfigurationError: the first thing that is wrong.
    """
    level = configuration.log.level
    if level.upper() not in _LEVELS:
        raise _at_start(
            configuration, f"Invalid log level: {level}. Valid log levels are: [{' '.join(_LEVELS)}]", "log_level"
        )
    node_id = configuration.node_id
    if node_id and not _UUID.fullmatch(node_id):
        why = "uuid string is wrong length" if len(node_id) != _UUID_CHARACTERS else "uuid is improperly formatted"
        raise _at_start(configuration, f"failed to setup node ID: specified NodeID is invalid: {why}", "node_id")
    if configuration.encrypt:
        length = len(base64.b64decode(configuration.encrypt))
        if length not in _GOSSIP_KEY_BYTES:
            raise _at_start(configuration, "key size must be 16, 24 or 32 bytes", "encrypt")
    acl = configuration.acl
    if acl.default_policy not in ("allow", "deny"):
        raise _at_start(configuration, f"Unsupported default ACL policy: {acl.default_policy}", "acl.default_policy")
    if acl.down_policy not in ("allow", "deny", "async-cache", "extend-cache"):
        raise _at_start(configuration, f"Unsupported down ACL policy: {acl.down_policy}", "acl.down_policy")
    if configuration.default_intention_policy not in ("", "allow", "deny"):
        policy = configuration.default_intention_policy
        raise _at_start(configuration, f"Unsupported default intention policy: {policy}", "default_intention_policy")
    low, high = _PROTOCOLS
    if not low <= configuration.protocol <= high:
        side = "low" if configuration.protocol < low else "high"
        raise _at_start(
            configuration,
            f"Protocol version '{configuration.protocol}' too {side}. Must be in range: [{low}, {high}]",
            "protocol",
        )
    mode = configuration.unix_sockets.mode
    if mode and not re.fullmatch("[0-7]{1,4}", mode):
        raise _at_start(configuration, f"invalid specified mode: {mode}", "unix_sockets.mode")
    if configuration.server:  # a client may get certificates and authorities from its servers
        for name in ("internal_rpc", "https", "grpc"):
            _tls(configuration, getattr(configuration.tls, name), f"tls.{name}")


def _tls(configuration: Configuration, protocol: TLSProtocol, section: str) -> None:
    has_authority = bool(protocol.ca_file or protocol.ca_path)
    has_pair = bool(protocol.cert_file and protocol.key_file)
    if not has_authority:
        for flag, word in (("verify_incoming", "VerifyIncoming"), ("verify_outgoing", "VerifyOutgoing")):
            if getattr(protocol, flag):
                raise _at_start(
                    configuration, f"{word} set but no CA certificates were provided", *_both(section, flag)
                )
    if protocol.verify_incoming and not has_pair:
        raise _at_start(
            configuration,
            "VerifyIncoming requires either a Cert and Key pair in the configuration file, or auto_encrypt/auto_config"
            " be enabled",
            *_both(section, "verify_incoming"),
        )
    try:
        if has_authority:
            authorities(protocol.ca_file, protocol.ca_path)
        if has_pair:
            server_options(cert_file=protocol.cert_file, key_file=protocol.key_file)
    except TLSUnusable as error:
        raise _at_start(configuration, f"{section}: {error}", *_both(section, "cert_file")) from None


def _both(section: str, name: str) -> tuple[str, str]:
    """The key of a section, and the one that stands for all sections."""
    return f"{section}.{name}", f"tls.defaults.{name}"


def _at_start(configuration: Configuration, message: str, *keys: str) -> ConfigurationError:
    return Values({}, dict(configuration.origins)).refusal(message, *keys)
