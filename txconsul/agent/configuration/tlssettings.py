"""
C{tls}: what each of the three listeners and their connections use.

Source: the C{tls} section of Consul's "Agent configuration file reference".
"""

from __future__ import annotations

from txconsul.agent.configuration.model import TLS, TLSProtocol
from txconsul.agent.configuration.values import Values

__all__ = ["CIPHER_SUITES", "TLS_VERSIONS", "build_tls"]

TLS_VERSIONS = ("TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3")

#: The names of TLS 1.2 suites that an agent may be limited to.
CIPHER_SUITES = frozenset(
    f"TLS_ECDHE_{key}_WITH_{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in (
        "AES_128_GCM_SHA256",
        "AES_256_GCM_SHA384",
        "AES_128_CBC_SHA",
        "AES_256_CBC_SHA",
        "CHACHA20_POLY1305_SHA256",
    )
)


def build_tls(values: Values) -> TLS:
    """
    Fill C{tls.defaults} into the three protocols.

    @raise ConfigurationError: a key stands where it has no meaning.
    """
    if values.get("tls.grpc.verify_outgoing") is not None:
        raise values.refusal("verify_outgoing is not valid in the tls.grpc stanza", "tls.grpc.verify_outgoing")
    for name in ("grpc", "https"):
        key = f"tls.{name}.verify_server_hostname"
        if values.get(key) is not None:
            raise values.refusal(
                "verify_server_hostname is only valid in the tls.defaults and tls.internal_rpc stanzas", key
            )
    for name in ("defaults", "https", "internal_rpc"):
        key = f"tls.{name}.use_auto_cert"
        if values.get(key) is not None:
            raise values.refusal("use_auto_cert is only valid in the tls.grpc stanza", key)
    version = _version(values, "defaults")
    suites = _suites(values, "defaults", version)
    internal, https, grpc = (_protocol(values, name, version, suites) for name in ("internal_rpc", "https", "grpc"))
    return TLS(internal_rpc=internal, https=https, grpc=grpc)


def _protocol(values: Values, name: str, version: str, suites: tuple[str, ...]) -> TLSProtocol:
    def text(key: str) -> str:
        own = values.get(f"tls.{name}.{key}")
        return values.text(f"tls.defaults.{key}") if own is None else str(own)

    def flag(key: str) -> bool:
        return values.flag(f"tls.{name}.{key}", values.flag(f"tls.defaults.{key}"))

    if values.get(f"tls.{name}.tls_min_version") is not None:
        version = _version(values, name)
    if values.get(f"tls.{name}.tls_cipher_suites") is not None:
        suites = _suites(values, name, version)
    elif version == "TLSv1_3":
        suites = ()
    verify_hostname = name == "internal_rpc" and flag("verify_server_hostname")
    return TLSProtocol(
        ca_file=text("ca_file"),
        ca_path=text("ca_path"),
        cert_file=text("cert_file"),
        key_file=text("key_file"),
        min_version=version,
        cipher_suites=suites,
        verify_incoming=flag("verify_incoming"),
        # To check a server's name means to use TLS at all (CVE-2018-19653).
        verify_outgoing=name != "grpc" and (flag("verify_outgoing") or verify_hostname),
        verify_server_hostname=verify_hostname,
        use_auto_cert=name == "grpc" and values.flag("tls.grpc.use_auto_cert"),
    )


def _version(values: Values, name: str) -> str:
    key = f"tls.{name}.tls_min_version"
    version = values.text(key) or "TLS_AUTO"
    if version not in TLS_VERSIONS:
        known = ", ".join(TLS_VERSIONS)
        values.wrong(
            key,
            f"{key}: invalid TLS version: no matching TLS version found for {version}, please specify one of [{known}]",
        )
    return version


def _suites(values: Values, name: str, version: str) -> tuple[str, ...]:
    key = f"tls.{name}.tls_cipher_suites"
    text = values.get(key)
    if text is None:
        return ()
    if version == "TLSv1_3":
        values.wrong(key, f"{key}: TLS 1.3 cipher suites are not configurable")
        return ()
    suites = tuple(text.strip().split(",")) if text.strip() else ()
    for suite in suites:
        if suite not in CIPHER_SUITES:
            values.wrong(
                key, f"{key}: invalid TLS cipher suites: no matching Consul Agent TLS cipher suite found for {suite}"
            )
            return ()
    return suites
