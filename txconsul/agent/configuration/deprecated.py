"""
Spellings of older versions: each is moved to where it belongs now, unless that is set too, and warned about.

Source: the deprecated keys of Consul's "Agent configuration file reference" and its upgrade notes.
"""

from __future__ import annotations

from typing import Any

__all__ = ["move_deprecated", "move_user_interface"]

#: Old key and new key, in the order of their warnings.
_MOVED_ACL = (
    ("acl.tokens.agent_master", "acl.tokens.agent_recovery"),
    ("acl_agent_master_token", "acl.tokens.agent_recovery"),
    ("acl_agent_token", "acl.tokens.agent"),
    ("acl_token", "acl.tokens.default"),
    ("acl.tokens.master", "acl.tokens.initial_management"),
    ("acl_master_token", "acl.tokens.initial_management"),
    ("acl_replication_token", "acl.tokens.replication"),
    ("enable_acl_replication", "acl.enable_token_replication"),
    ("acl_datacenter", "primary_datacenter"),
    ("acl_default_policy", "acl.default_policy"),
    ("acl_down_policy", "acl.down_policy"),
    ("acl_ttl", "acl.token_ttl"),
    ("acl_enable_key_list_policy", "acl.enable_key_list_policy"),
)
_MOVED_TLS = (
    ("ca_file", "tls.defaults.ca_file"),
    ("ca_path", "tls.defaults.ca_path"),
    ("cert_file", "tls.defaults.cert_file"),
    ("key_file", "tls.defaults.key_file"),
    ("tls_cipher_suites", "tls.defaults.tls_cipher_suites"),
    ("tls_min_version", "tls.defaults.tls_min_version"),
    ("verify_incoming", "tls.defaults.verify_incoming"),
    ("verify_incoming_https", "tls.https.verify_incoming"),
    ("verify_incoming_rpc", "tls.internal_rpc.verify_incoming"),
    ("verify_outgoing", "tls.defaults.verify_outgoing"),
    ("verify_server_hostname", "tls.internal_rpc.verify_server_hostname"),
)
#: What older versions called the versions of TLS.
_TLS_VERSIONS = {"tls10": "TLSv1_0", "tls11": "TLSv1_1", "tls12": "TLSv1_2", "tls13": "TLSv1_3"}


def move_deprecated(values: dict[str, Any]) -> list[str]:
    """
    Move the old keys of one file, in place.

    @return: the warnings.
    """
    warnings: list[str] = []
    for old, new in _MOVED_ACL:
        value = _take(values, old)
        if value is None:
            continue
        _set_default(values, new, value)
        if old == "acl_replication_token":
            _block(values, "acl")["enable_token_replication"] = True
        elif old == "acl_datacenter":
            _block(values, "acl")["enabled"] = True
        warnings.append(_warning(old, new))
    for old, new in (("start_join", "retry_join"), ("start_join_wan", "retry_join_wan")):
        addresses = values.pop(old, None)
        if addresses:
            values[new] = [*values.get(new, []), *addresses]
            warnings.append(_warning(old, new))
    bolt = values.pop("raft_boltdb", None)
    if bolt is not None:
        _set_default(values, "raft_logstore.boltdb.no_freelist_sync", bolt.get("NoFreelistSync", False))
        warnings.append(_warning("raft_boltdb", "raft_logstore.boltdb"))
    for old, new in _MOVED_TLS:
        value = _take(values, old)
        if value is None:
            continue
        if old == "tls_min_version" and value in _TLS_VERSIONS:
            version = _TLS_VERSIONS[value]
            warnings.append(f"'tls_min_version' value '{value}' is deprecated, please specify '{version}' instead")
            value = version
        _set_default(values, new, value)
        if old == "verify_incoming":
            # The old key never asked gRPC's clients for certificates.
            _set_default(values, "tls.grpc.verify_incoming", False)
        warnings.append(_warning(old, new))
    if values.pop("tls_prefer_server_cipher_suites", None) is not None:
        warnings.append("The 'tls_prefer_server_cipher_suites' field is deprecated and will be ignored.")
    return warnings


def move_user_interface(values: dict[str, Any]) -> list[str]:
    """Move the old keys of the web interface, which flags may set too, in the merged configuration."""
    warnings = []
    for old, new in (("ui", "enabled"), ("ui_dir", "dir"), ("ui_content_path", "content_path")):
        value = values.pop(old, None)
        if value is not None:
            _block(values, "ui_config").setdefault(new, value)
            warnings.append(_warning(old, f"ui_config.{new}"))
    return warnings


def _warning(old: str, new: str) -> str:
    return f"The '{old}' field is deprecated. Use the '{new}' field instead."


def _block(values: dict[str, Any], dotted: str) -> dict[str, Any]:
    for name in dotted.split("."):
        values = values.setdefault(name, {})
    return values


def _take(values: dict[str, Any], dotted: str) -> Any:
    *path, last = dotted.split(".")
    for name in path:
        values = values.get(name, {})
    return values.pop(last, None)


def _set_default(values: dict[str, Any], dotted: str, value: Any) -> None:
    path, _, last = dotted.rpartition(".")
    (_block(values, path) if path else values).setdefault(last, value)
