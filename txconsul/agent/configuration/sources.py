"""
Where the configuration comes from, and in which order it is merged.

From weakest to strongest: defaults, those of C{-dev}, lists given by flags, the caller's own defaults, files in the
order of the command line (those of a directory in the order of their names), all other flags, C{-hcl} texts, what
cannot be changed.

Source: Consul's documentation of -config-dir, -config-file and -hcl.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from txconsul.agent.configuration.decode import decode
from txconsul.agent.configuration.defaults import DEFAULTS, DEV, FIXED, FIXED_DEV
from txconsul.agent.configuration.deprecated import move_deprecated
from txconsul.agent.configuration.errors import ConfigurationError, several
from txconsul.agent.configuration.flags import AgentFlags
from txconsul.agent.configuration.jsontext import BadJSONText, parse_json
from txconsul.agent.configuration.merging import fold_single, leaves, merge, split_lists
from txconsul.language.hcl import HCLError
from txconsul.language.hcl import parse as parse_hcl

__all__ = ["FILE_BYTES_MAX", "Collected", "collect"]

#: Larger files are hardly meant; definitions of ten thousand services are about 3 MiB.
FILE_BYTES_MAX = 16 * 1024 * 1024

#: Keys of Consul Enterprise: known, without effect, and warned about.
_ENTERPRISE = (
    ("read_replica", "read_replica (or the deprecated non_voting_server)"),
    ("partition", "partition"),
    ("autopilot.redundancy_zone_tag", ""),
    ("autopilot.upgrade_version_tag", ""),
    ("autopilot.disable_upgrade_migration", ""),
    ("dns_config.prefer_namespace", ""),
    ("acl.msp_disable_bootstrap", ""),
    ("acl.tokens.managed_service_provider", ""),
    ("license_path", ""),
    ("reporting.license.enabled", ""),
)


@dataclass(frozen=True)
class _Text:
    """One file, or one C{-hcl}, that was read."""

    name: str
    format: str
    text: str


@dataclass
class Collected:
    """
    Everything merged.

    @ivar values: nested by key, as in one file.
    @ivar origins: dotted key to the name of what set it last; defaults are not in it.
    @ivar files: names of the files that were read.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def add(self, values: dict[str, Any], name: str = "") -> None:
        """Merge one more source."""
        self.values = merge(self.values, values)
        if name:
            self.origins.update(dict.fromkeys(leaves(values), name))


def collect(flags: AgentFlags, own_defaults: Mapping[str, Any]) -> Collected:
    """
    Read and merge all sources.

    @param own_defaults: what this way of starting presumes, weaker than files.
    @raise ConfigurationError: a file cannot be read or parsed, or has a key that is not known, or a wrong type.
    """
    if flags.config_format not in ("", "hcl", "json"):
        raise ConfigurationError("config: -config-format must be either 'hcl' or 'json'", file="-config-format")
    collected = Collected(warnings=list(flags.warnings))
    texts: list[_Text] = []
    for path in flags.config_files:
        texts.extend(_read_path(path, flags.config_format, collected.warnings))
    collected.files = [text.name for text in texts]
    collected.add(DEFAULTS)
    if flags.dev:
        collected.add(DEV)
    lists, values = split_lists(flags.values)
    collected.add(lists)
    collected.add(dict(own_defaults))
    for text in texts:
        _add_text(collected, text)
    _warn_enterprise(flags.values, collected.warnings)
    collected.add(values)
    collected.origins.update(flags.origins)
    for index, hcl in enumerate(flags.hcl):
        _add_text(collected, _Text(f"flags-{index}.hcl", "hcl", hcl))
    collected.add(FIXED)
    if flags.dev:
        collected.add(FIXED_DEV)
    return collected


def _add_text(collected: Collected, text: _Text) -> None:
    if not text.text:
        return
    try:
        raw = parse_json(text.text) if text.format == "json" else parse_hcl(text.text)
        decoded = decode(raw, json=text.format == "json")
    except (HCLError, BadJSONText) as error:
        raise ConfigurationError(f"failed to parse {text.name}: {error}", file=text.name) from None
    except ConfigurationError as error:
        raise ConfigurationError(f"failed to parse {text.name}: {error}", error.key, text.name) from None
    unknown = []
    for key in decoded.unknown:
        if key == "acl_enforce_version_8":
            collected.warnings.append(f'config key "{key}" is deprecated and should be removed')
        elif key.startswith("audit.sink[") and key.endswith("].name"):
            collected.warnings.append("config key audit.sink[].name is deprecated and should be removed")
        else:
            unknown.append(key)
    if unknown:
        problem = several([f"invalid config key {key}" for key in unknown])
        raise ConfigurationError(f"failed to parse {text.name}: {problem}", unknown[0], text.name)
    values = decoded.values
    moved = move_deprecated(values)
    _warn_enterprise(values, collected.warnings)
    collected.warnings.extend(moved)
    collected.add(fold_single(values), text.name)


def _warn_enterprise(values: dict[str, Any], warnings: list[str]) -> None:
    for key, shown in _ENTERPRISE:
        value: Any = values
        for step in key.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value not in (None, "", []):
            warnings.append(f'"{shown or key}" is a Consul Enterprise configuration and will have no effect')
    audit = values.get("audit", {})
    if audit.get("enabled") or audit.get("sink"):
        warnings.append('"audit" is a Consul Enterprise configuration and will have no effect')


# ---- files ----


def _format_of(path: str, forced: str) -> str:
    if forced:
        return forced
    return next((name for name in ("json", "hcl") if path.endswith("." + name)), "")


def _read_path(path: str, forced: str, warnings: list[str]) -> Iterator[_Text]:
    """The file of this name, or the files of this directory, but not of its directories."""
    if not os.path.isdir(path):
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise ConfigurationError(f"config: Open failed on {path}. open {path}: {_why(error)}", file=path) from None
        if not _format_of(path, forced):
            raise ConfigurationError(
                f"file {path} has unknown extension; must be .hcl or .json, or config format must be set", file=path
            )
        yield _read_file(path, forced)
        return
    try:
        names = sorted(os.listdir(path), key=os.fsencode)
    except OSError as error:
        raise ConfigurationError(f"config: Open failed on {path}. open {path}: {_why(error)}", file=path) from None
    for name in names:
        # As filepath.Join has it: "." adds nothing.
        file = os.path.normpath(os.path.join(path, name))
        if os.path.islink(file):
            file = os.path.realpath(file)
            if not os.path.exists(file):
                raise ConfigurationError(f"lstat {file}: no such file or directory", file=file)
        if os.path.isdir(file):
            continue
        if not _format_of(file, forced):
            warnings.append(f"skipping file {file}, extension must be .hcl or .json, or config format must be set")
            continue
        yield _read_file(file, forced)


def _read_file(path: str, forced: str) -> _Text:
    try:
        with open(path, "rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"config: failed to read {path}: open {path}: {_why(error)}", file=path) from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigurationError(f"config: failed to read {path}: it has more than {FILE_BYTES_MAX} bytes", file=path)
    try:
        # Some editors begin a file with a byte order mark.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"failed to parse {path}: illegal UTF-8 encoding in line {line}", file=path) from None
    return _Text(path, _format_of(path, forced), text)


def _why(error: OSError) -> str:
    """The system's words, as Go begins them."""
    words = error.strerror or type(error).__name__
    return words[:1].lower() + words[1:]
