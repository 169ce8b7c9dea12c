"""Pools of SWIM nodes: what all of them make of joins, deaths, losses and stalls."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.swim.pool import SwimPool
from txconsul.swim.messages import State
from txconsul.swim.outputs import MemberChanged, Problem, Sent


class PoolTests(SynchronousTestCase):
    """On a network of a few lines, in virtual time."""

    def test_joins(self) -> None:
        """Everybody who joins by one member knows everybody soon."""
        pool = SwimPool(30)
        pool.join_all()
        self.assertTrue(pool.agrees())
        self.assertEqual({len(view) for view in pool.views().values()}, {30})

    def test_death(self) -> None:
        """A killed member is dead to all within the time that suspicion takes, and nobody else is."""
        pool = SwimPool(20)
        pool.join_all()
        pool.kill("n7")
        self.assertTrue(pool.until(lambda: pool.agrees(n7=State.DEAD), 30.0))
        pool.run(60.0)
        self.assertTrue(pool.agrees())
        self.assertEqual({len(view) for view in pool.views().values()}, {19})

    def test_leave(self) -> None:
        """A member that leaves has left to all, and is not called dead."""
        pool = SwimPool(20)
        pool.join_all()
        node = pool.nodes["n7"]
        pool.do(node, lambda: node.leave(pool.now, "told"))
        self.assertTrue(pool.until(lambda: pool.agrees(n7=State.LEFT), 3.0))
        self.assertTrue(pool.until(lambda: pool.outputs("n7", Sent) == [Sent("told")], 5.0))
        pool.kill("n7")
        pool.run(30.0)
        self.assertTrue(pool.agrees(n7=State.LEFT))

    def test_restart(self) -> None:
        """A member that comes back under its name and address at once is let in, and outlives what is said of it."""
        pool = SwimPool(10)
        pool.join_all()
        pool.kill("n3")
        node = pool.add("n3", at=3, meta=b"new")
        pool.join(node)
        self.assertTrue(pool.until(pool.agrees, 10.0))
        pool.run(30.0)
        self.assertTrue(pool.agrees())
        metas = {one.members.get("n3").meta for one in pool.nodes.values()}  # type: ignore[union-attr]
        self.assertEqual(metas, {b"new"})

    def test_update(self) -> None:
        """What a member says anew of itself is heard by all."""
        pool = SwimPool(20)
        pool.join_all()
        node = pool.nodes["n4"]
        pool.do(node, lambda: node.change_meta(b"changed", pool.now))
        pool.run(3.0)
        metas = {one.members.get("n4").meta for one in pool.nodes.values()}  # type: ignore[union-attr]
        self.assertEqual(metas, {b"changed"})

    def test_onePathCut(self) -> None:
        """Packets that are lost between two members only make neither suspect: others are asked."""
        pool = SwimPool(10)
        pool.join_all()
        pool.cut |= {("n1", "n2"), ("n2", "n1")}
        pool.cut_streams |= {("n1", "n2"), ("n2", "n1")}
        pool.run(120.0)
        self.assertTrue(pool.agrees())
        self.assertEqual([one for name in pool.nodes for one in pool.outputs(name, Problem)], [])

    def test_packetsCut(self) -> None:
        """A member that no packets reach, but streams do, is not dead; its operator has reason to look."""
        pool = SwimPool(6)
        pool.join_all()
        pool.cut |= {(None, "n2")}
        pool.run(60.0)
        for name, view in pool.views().items():
            if name != "n2":
                self.assertIs(view["n2"], State.ALIVE)
        problems = [one for name in pool.nodes for one in pool.outputs(name, Problem)]
        self.assertTrue(any(isinstance(one, Problem) and "TCP" in one.text for one in problems))

    def test_healedPartition(self) -> None:
        """Two halves that lost each other for a short time find together again."""
        pool = SwimPool(10)
        pool.join_all()
        half = {f"n{number}" for number in range(5)}
        cut = {(one, other) for one in pool.nodes for other in pool.nodes if (one in half) != (other in half)}
        pool.cut |= cut
        pool.cut_streams |= cut
        self.assertTrue(pool.until(lambda: pool.views()["n0"]["n9"] is State.DEAD, 30.0))
        pool.cut.clear()
        pool.cut_streams.clear()
        self.assertTrue(pool.until(pool.agrees, 60.0))

    def test_loss(self) -> None:
        """Where every fourth packet is lost, everybody hears of everything, and nobody is called dead."""
        pool = SwimPool(25, loss=0.25)
        pool.join_all()
        self.assertTrue(pool.until(pool.agrees, 30.0))
        pool.run(120.0)
        self.assertTrue(pool.agrees())
        gone = [one for name in pool.nodes for one in pool.outputs(name, MemberChanged)]
        self.assertFalse([one for one in gone if isinstance(one, MemberChanged) and one.member.is_gone])

    def test_sameSeed(self) -> None:
        """The same seed makes the same history."""

        def history(seed: int) -> str:
            pool = SwimPool(12, seed=seed, loss=0.1)
            pool.join_all()
            pool.kill("n5")
            pool.run(30.0)
            return repr(pool.told)

        self.assertEqual(history(4), history(4))
        self.assertNotEqual(history(4), history(5))
