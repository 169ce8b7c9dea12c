"""Simulated pools of SWIM nodes: small ones of each kind of experiment."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txconsul.serf.messages import Status
from txconsul.serf.settings import Settings
from txconsul.simulation import gossip_experiments as experiments
from txconsul.simulation.__main__ import main
from txconsul.simulation.gossip import GossipWorld, address_of
from txconsul.swim.messages import State
from txconsul.swim.timing import LAN


class GossipWorldTests(SynchronousTestCase):
    """What the figures stand on."""

    def test_sameSeed(self) -> None:
        """The same seed makes the same history, another seed another."""

        def digest(seed: int) -> str:
            world = GossipWorld(40, seed, loss=0.1)
            world.run(3.0)
            world.kill(7)
            world.run(20.0)
            return world.digest

        self.assertEqual(digest(1), digest(1))
        self.assertNotEqual(digest(1), digest(2))

    def test_convergedIsNoOtherPool(self) -> None:
        """A pool that stands on a shared base finds a death as one that found together does."""
        for converged in (True, False):
            world = GossipWorld(30, 3, converged=converged)
            if not converged:
                for number in range(1, 30):
                    world.do(number, lambda node: node.exchange(address_of(0), 0.0, join=True))
                world.run(5.0)
            world.kill(4)

            def buried(world: GossipWorld = world) -> bool:
                views = [node.members.get("node-4") for node in world.nodes if node is not None]
                return all(view is None or view.state is State.DEAD for view in views)

            self.assertTrue(world.run(40.0, buried), converged)
            alive = {len([one for one in node.members if not one.is_gone]) for node in world.nodes if node is not None}
            self.assertEqual(alive, {29})

    def test_dissemination(self) -> None:
        """A word reaches a thousand nodes within 1.8 s, and all of them where a quarter of the packets is lost."""
        world = experiments.dissemination(1000, 5)
        self.assertLess(float(world.split(" in ")[1].split(" s")[0]), 1.8)
        self.assertIn("all in", experiments.dissemination(300, 5, loss=0.25))

    def test_lifeguard(self) -> None:
        """Nodes that are held up call hardly anybody dead falsely; without Lifeguard they do."""
        off = experiments._false_positives(experiments.WITHOUT_LIFEGUARD, 3, 60, 5, 60.0)
        on = experiments._false_positives(LAN, 3, 60, 5, 60.0)
        self.assertGreater(off, 50 * max(1, on))

    def test_pruning(self) -> None:
        """Members that are dead and pruned at once are forgotten by all, and none comes back."""
        told = experiments.pruning(60, 1, seconds=300.0)
        self.assertIn("known to one after", told)
        self.assertIn("forgotten by all after", told)
        self.assertIn("0 came back, at the end 0 nodes hold any", told)

    def test_replacing(self) -> None:
        """Where half of the members are replaced, queues stay short, and all agree a minute later."""
        told = experiments.replacing(60, 1, seconds=60.0)
        self.assertLess(int(told.split("queue had ")[1].split()[0]), 200)
        self.assertIn("60 nodes hold 60 alive, 0 of them differ", told)

    def test_serf(self) -> None:
        """Nodes of Serf's layer make the same history from the same seed, too."""

        def digest(seed: int) -> str:
            world = GossipWorld(20, seed, serf=Settings(timing=LAN))
            world.run(3.0)
            world.kill(7)
            world.do(3, lambda node: node.leave(world.now))
            world.run(20.0)
            self.assertEqual(world.nodes[0].members.get("node-7").status, Status.FAILED)
            self.assertEqual(world.nodes[0].members.get("node-3").status, Status.LEFT)
            return world.digest

        self.assertEqual(digest(1), digest(1))
        self.assertNotEqual(digest(1), digest(2))

    def test_command(self) -> None:
        """An experiment that there is not is an error."""
        self.assertEqual(main(["gossip", "nonsense"]), 2)
