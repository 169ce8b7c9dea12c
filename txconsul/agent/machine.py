"""
The machine below an agent: memory and disk in bytes, processors, the system; for C{/v1/agent/host}, and as gauges.

Source: Consul's documentation of C{/v1/agent/host} and of C{telemetry.enable_host_metrics}; proc(5) and os-release(5).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from txconsul.metrics.metrics import Gauge

__all__ = ["CPUTimes", "disk", "host_gauges", "machine", "memory", "processors", "system"]

_KIB = 1024
#: Lines of /proc/meminfo, and their names in what is told.
_MEMORY = {
    "total": "MemTotal",
    "available": "MemAvailable",
    "free": "MemFree",
    "active": "Active",
    "inactive": "Inactive",
    "buffers": "Buffers",
    "cached": "Cached",
    "writeBack": "Writeback",
    "dirty": "Dirty",
    "writeBackTmp": "WritebackTmp",
    "shared": "Shmem",
    "slab": "Slab",
    "sreclaimable": "SReclaimable",
    "sunreclaim": "SUnreclaim",
    "pageTables": "PageTables",
    "swapCached": "SwapCached",
    "commitLimit": "CommitLimit",
    "committedAS": "Committed_AS",
    "highTotal": "HighTotal",
    "highFree": "HighFree",
    "lowTotal": "LowTotal",
    "lowFree": "LowFree",
    "swapTotal": "SwapTotal",
    "swapFree": "SwapFree",
    "mapped": "Mapped",
    "vmallocTotal": "VmallocTotal",
    "vmallocUsed": "VmallocUsed",
    "vmallocChunk": "VmallocChunk",
    "hugePageSize": "Hugepagesize",
}


def machine(data_path: str = "/") -> dict[str, Any]:
    """All of it, with what could not be read among C{Errors}."""
    errors: list[str] = []
    document: dict[str, Any] = {
        "Memory": _told(errors, memory),
        "CPU": _told(errors, processors),
        "Host": _told(errors, system),
        "Disk": _told(errors, lambda: disk(data_path)),
        "CollectionTime": time.time_ns(),
    }
    document["Errors"] = errors or None
    return document


def _told(errors: list[str], ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (OSError, ValueError, KeyError, IndexError) as error:
        errors.append(str(error))
        return None


def memory(text: str | None = None) -> dict[str, Any]:
    """
    Bytes of each kind; what this kernel does not tell is 0.

    @param text: of /proc/meminfo, which is read where it is not given.
    """
    lines = {}
    for line in (Path("/proc/meminfo").read_text() if text is None else text).splitlines():
        name, _, rest = line.partition(":")
        number, *unit = rest.split()
        lines[name] = int(number) * (_KIB if unit else 1)
    lines["MemTotal"]  # without it, this is no such file
    found: dict[str, Any] = {name: lines.get(theirs, 0) for name, theirs in _MEMORY.items()}
    found["used"] = found["total"] - found["free"] - found["buffers"] - found["cached"]
    found["usedPercent"] = 100 * found["used"] / found["total"]
    found |= {"wired": 0, "laundry": 0}
    found |= {"hugePagesTotal": lines.get("HugePages_Total", 0), "hugePagesFree": lines.get("HugePages_Free", 0)}
    return found


def processors(text: str | None = None) -> list[dict[str, Any]]:
    """@param text: of /proc/cpuinfo, which is read where it is not given."""
    found = []
    for block in (Path("/proc/cpuinfo").read_text() if text is None else text).split("\n\n"):
        it = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in block.splitlines())}
        if "processor" not in it:
            continue
        found.append(
            {
                "cpu": int(it["processor"]),
                "vendorId": it.get("vendor_id", ""),
                "family": it.get("cpu family", ""),
                "model": it.get("model", ""),
                "stepping": int(it.get("stepping", "0")) if it.get("stepping", "0").isdigit() else 0,
                "physicalId": it.get("physical id", ""),
                "coreId": it.get("core id", ""),
                "cores": 1,
                "modelName": it.get("model name", ""),
                "mhz": float(it.get("cpu MHz", "0")),
                "cacheSize": int(it.get("cache size", "0").split()[0]),
                "flags": (it.get("flags") or it.get("Features") or "").split(),
                "microcode": it.get("microcode", ""),
            }
        )
    return found


def system() -> dict[str, Any]:
    """The operating system, and since when it runs."""
    up = float(Path("/proc/uptime").read_text().split()[0])
    names = os.uname()
    release = _release()
    return {
        "hostname": names.nodename,
        "uptime": int(up),
        "bootTime": int(time.time() - up),
        "procs": sum(name.isdigit() for name in os.listdir("/proc")),
        "os": names.sysname.lower(),
        "platform": release.get("ID", ""),
        "platformFamily": release.get("ID_LIKE", release.get("ID", "")),
        "platformVersion": release.get("VERSION_ID", ""),
        "kernelVersion": names.release,
        "kernelArch": names.machine,
        "virtualizationSystem": "",
        "virtualizationRole": "",
        "hostId": _host_id(),
    }


def _release() -> dict[str, str]:
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value.strip("\"'") for name, _, value in pairs}


def _host_id() -> str:
    """The machine's id in the form of a UUID; empty where there is none."""
    try:
        text = Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" if len(text) == 32 else ""


def disk(path: str) -> dict[str, Any]:
    """The file system that has C{path}."""
    it = os.statvfs(path)
    total, free, available = it.f_blocks * it.f_frsize, it.f_bfree * it.f_frsize, it.f_bavail * it.f_frsize
    used, inodes_used = total - free, it.f_files - it.f_ffree
    return {
        "path": path,
        "fstype": "",
        "total": total,
        "free": available,
        "used": used,
        "usedPercent": _percent(used, used + available),
        "inodesTotal": it.f_files,
        "inodesUsed": inodes_used,
        "inodesFree": it.f_ffree,
        "inodesUsedPercent": _percent(inodes_used, it.f_files),
    }


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


class CPUTimes:
    """What processors did between two looks, in percent of the time."""

    def __init__(self) -> None:
        self._before: dict[str, list[int]] = {}

    def look(self, text: str | None = None) -> dict[str, dict[str, float]]:
        """
        By the processor's name; the first look tells what was since the start of the machine.

        @param text: of /proc/stat, which is read where it is not given.
        """
        found = {}
        for line in (Path("/proc/stat").read_text() if text is None else text).splitlines():
            name, *numbers = line.split()
            if not name.startswith("cpu") or name == "cpu":
                continue
            times = [int(one) for one in numbers[:8]]
            before = self._before.get(name, [0] * len(times))
            self._before[name] = times
            user, nice, kernel, idle, waiting = (now - then for now, then in zip(times[:5], before[:5], strict=True))
            whole = sum(times) - sum(before)
            found[name] = {
                "total": _percent(whole - idle - waiting, whole),
                "user": _percent(user + nice, whole),
                "idle": _percent(idle, whole),
                "iowait": _percent(waiting, whole),
                "system": _percent(kernel, whole),
            }
        return found


def host_gauges(times: CPUTimes, data_dir: str) -> Iterator[Gauge]:
    """
    C{telemetry.enable_host_metrics}.

    @param data_dir: whose disk is told of; empty for none.
    """
    try:
        kinds = memory()
        for name, key in (("total", "total"), ("available", "available"), ("used", "used"), ("free", "free")):
            yield Gauge(f"host.memory.{name}", kinds[key])
        yield Gauge("host.memory.used_percent", kinds["usedPercent"])
        for cpu, shares in times.look().items():
            for name, share in shares.items():
                yield Gauge(f"host.cpu.{name}", share, (("cpu", cpu),))
        if data_dir:
            it, labels = disk(data_dir), (("path", data_dir),)
            for name, key in (("size", "total"), ("used", "used"), ("available", "free")):
                yield Gauge(f"host.disk.{name}", it[key], labels)
            yield Gauge("host.disk.used_percent", it["usedPercent"], labels)
            yield Gauge("host.disk.inodes_percent", it["inodesUsedPercent"], labels)
        yield Gauge("host.uptime", int(float(Path("/proc/uptime").read_text().split()[0])))
    except (OSError, ValueError, KeyError, IndexError):  # a system that tells this otherwise, or not at all
        return
