"""
The service mesh's part: the certificate authority's settings, and the entries that a new cluster begins with.

Source: "Connect CA configuration" and "Configuration entries" of Consul's documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txconsul.codec.duration import HOUR, BadDuration, format_duration, parse_duration

__all__ = ["ENTRY_KINDS", "PROVIDERS", "ca_problem", "entry_problem"]

PROVIDERS = ("consul", "vault", "aws-pca")

ENTRY_KINDS = frozenset(
    (
        *("service-defaults", "proxy-defaults", "service-router", "service-splitter", "service-resolver"),
        *("ingress-gateway", "terminating-gateway", "service-intentions", "mesh", "exported-services"),
        *("sameness-group", "api-gateway", "bound-api-gateway", "file-system-certificate", "inline-certificate"),
        *("http-route", "tcp-route", "jwt-provider"),
    )
)

#: Nanoseconds that certificates are valid unless it is said.
_TTLS = {"RootCertTTL": 10 * 365 * 24 * HOUR, "IntermediateCertTTL": 365 * 24 * HOUR, "LeafCertTTL": 72 * HOUR}
_LEAF_TTL_MIN, _LEAF_TTL_MAX = HOUR, 365 * 24 * HOUR
#: Whether an intermediate certificate must be renewed is looked at so often.
_INTERMEDIATE_CHECK = HOUR
_KEY_BITS = {"ec": (224, 256, 384, 521), "rsa": (2048, 4096)}


#: AWS signs for a day at least.
_AWS_LEAF_TTL_MIN = 24 * HOUR


def ca_problem(provider: str, settings: Mapping[str, Any], primary: bool = True) -> str:
    """
    Why a certificate authority cannot be, or an empty string.

    @param settings: keys spelled as in C{LeafCertTTL}.
    @param primary: whether the datacenter is the one that has the root certificate.
    """
    if provider not in PROVIDERS:
        return f"{provider} is not a valid CA provider"
    ttls = dict(_TTLS)
    for name in _TTLS:
        value = settings.get(name)
        if isinstance(value, str):
            try:
                ttls[name] = parse_duration(value)
            except BadDuration as error:
                return f"error decoding config: {name}: {error}"
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            ttls[name] = int(value)
        elif value is not None:
            return f"error decoding config: {name} is no duration"
    if provider == "consul" and settings.get("RootCert") and not settings.get("PrivateKey"):
        return "must provide a private key when providing a root cert"
    if provider == "vault" and (problem := _vault_problem(settings, primary)):
        return problem
    if problem := _ttl_problem(ttls) or _key_problem(settings):
        return problem
    return _aws_problem(settings, ttls["LeafCertTTL"]) if provider == "aws-pca" else ""


def _vault_problem(settings: Mapping[str, Any], primary: bool) -> str:
    given = {name.lower(): value for name, value in settings.items() if value}
    has_method = any(name.lower() in ("authmethod", "auth_method") for name in settings)
    if "token" not in given and not has_method:
        return "must provide a Vault token or configure a Vault auth method"
    if "token" in given and has_method:
        return "only one of Vault token or Vault auth method can be provided, but not both"
    if primary and "rootpkipath" not in given:
        return "must provide a valid path to a root PKI backend"
    if "intermediatepkipath" not in given:
        return "must provide a valid path for the intermediate PKI backend"
    return ""


def _aws_problem(settings: Mapping[str, Any], leaf_ttl: int) -> str:
    bits = settings.get("PrivateKeyBits", 256)
    if settings.get("PrivateKeyType", "ec") == "ec" and str(bits) != "256":
        return f"AWS PCA only supports P256 EC curve, keyBits of {bits} configured"
    if leaf_ttl < _AWS_LEAF_TTL_MIN:
        return (
            "AWS PCA doesn't support certificates that are valid for less than 24 hours, LeafTTL of"
            f" {format_duration(leaf_ttl)} configured"
        )
    return ""


def _ttl_problem(ttls: Mapping[str, int]) -> str:
    root, intermediate, leaf = ttls["RootCertTTL"], ttls["IntermediateCertTTL"], ttls["LeafCertTTL"]
    if root < intermediate:
        return (
            "root cert TTL is set and is not greater than intermediate cert ttl."
            f" root cert ttl: {format_duration(root)}, intermediate cert ttl: {format_duration(intermediate)}"
        )
    if leaf < _LEAF_TTL_MIN:
        return f"leaf cert TTL must be greater or equal than {format_duration(_LEAF_TTL_MIN)}"
    if leaf > _LEAF_TTL_MAX:
        return f"leaf cert TTL must be less than {format_duration(_LEAF_TTL_MAX)}"
    # An intermediate certificate travels with the leaves it signed, and must outlive them.
    least = max(3 * _INTERMEDIATE_CHECK, 3 * leaf)
    if intermediate < least:
        return f"Intermediate Cert TTL must be greater or equal than 3 * LeafCertTTL (>={format_duration(least)})."
    return ""


def _key_problem(settings: Mapping[str, Any]) -> str:
    kind = settings.get("PrivateKeyType", "ec")
    known = _KEY_BITS.get(kind) if isinstance(kind, str) else None
    if known is None:
        return "private key type must be either 'ec' or 'rsa'"
    bits = settings.get("PrivateKeyBits", 256)
    if bits in known or (isinstance(bits, str) and bits in map(str, known)):
        return ""
    if kind == "ec":
        return "EC key length must be one of (224, 256, 384, 521) bits"
    return "RSA key length must be 2048 or 4096 bits"


def entry_problem(entry: Mapping[str, Any]) -> str:
    """Why a configuration entry cannot be, or an empty string. What it contains is judged when it is applied."""
    kind = entry.get("Kind", entry.get("kind"))
    if kind is None:
        return "Payload does not contain a kind/Kind key at the top level"
    if not isinstance(kind, str):
        return "Kind value in payload is not a string"
    return "" if kind in ENTRY_KINDS else f"invalid config entry kind: {kind}"
