"""The machine below an agent."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.machine import CPUTimes, disk, host_gauges, machine, memory, processors
from txconsul.metrics.names import METRICS

MEMINFO = (
    "MemTotal: 1000 kB\nMemFree: 400 kB\nBuffers: 50 kB\nCached: 150 kB\nHugePages_Total: 3\nHugepagesize: 2048 kB\n"
)
CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model name\t: Some CPU
stepping\t: 7
cpu MHz\t\t: 2500.5
cache size\t: 36608 KB
flags\t\t: fpu vme

processor\t: 1
Features\t: fp asimd
"""


class MachineTests(SynchronousTestCase):
    """C{/v1/agent/host}."""

    def test_here(self) -> None:
        """This machine can be told of, without errors."""
        it = machine()
        self.assertIsNone(it["Errors"])
        self.assertGreater(it["Memory"]["total"], 0)
        self.assertGreater(it["Disk"]["total"], 0)
        self.assertGreater(it["Host"]["bootTime"], 0)
        self.assertEqual(it["Disk"]["path"], "/")
        self.assertTrue(it["CPU"])

    def test_memory(self) -> None:
        """Kinds of memory in bytes; those that this kernel does not know are 0."""
        it = memory(MEMINFO)
        self.assertEqual((it["total"], it["used"], it["usedPercent"]), (1024000, 400 * 1024, 40.0))
        self.assertEqual((it["hugePagesTotal"], it["hugePageSize"], it["active"]), (3, 2048 * 1024, 0))
        self.assertRaises(KeyError, memory, "")

    def test_processors(self) -> None:
        """Each processor, whatever of it is known."""
        first, second = processors(CPUINFO)
        self.assertEqual((first["modelName"], first["mhz"], first["cacheSize"]), ("Some CPU", 2500.5, 36608))
        self.assertEqual((second["cpu"], second["flags"], second["modelName"]), (1, ["fp", "asimd"], ""))

    @given(st.text(max_size=200))
    def test_strangeFiles(self, text: str) -> None:
        """Whatever the kernel writes is read, or refused as what is not understood."""
        for read in (memory, processors, CPUTimes().look):
            with contextlib.suppress(ValueError, KeyError, IndexError):
                read(text)

    def test_times(self) -> None:
        """Shares of the time since the last look."""
        times = CPUTimes()
        times.look("cpu  1 2 3\ncpu0 100 0 100 800 0 0 0 0\n")
        found = times.look("cpu0 130 20 120 820 10 0 0 0\n")
        self.assertEqual(found, {"cpu0": {"total": 70.0, "user": 50.0, "idle": 20.0, "iowait": 10.0, "system": 20.0}})

    def test_disk(self) -> None:
        """A path that is not there is an error, and a machine with one is told of all the same."""
        self.assertRaises(OSError, disk, "/no/such/path")
        it = machine("/no/such/path")
        self.assertIsNone(it["Disk"])
        self.assertEqual(len(it["Errors"]), 1)

    def test_gauges(self) -> None:
        """All gauges are described; without a data directory there are none of a disk."""
        found = {one.name for one in host_gauges(CPUTimes(), "/")}
        self.assertEqual(found, {name for name in METRICS if name.startswith("host.")})
        self.assertFalse([one for one in host_gauges(CPUTimes(), "") if one.name.startswith("host.disk")])
