"""
Who may import whom: the architecture, as a test.

The table is the project's; `python -m tests.test_layers` prints it for the documentation.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PACKAGE = Path(__file__).resolve().parent.parent / "txconsul"

#: Module (or package) of ours -> its layer. The longest name that fits counts.
LAYERS = {
    "txconsul": 0,  # the version
    "txconsul.records": 0,
    "txconsul.codec": 0,
    "txconsul.language": 0,
    "txconsul.interfaces": 0,
    "txconsul.metrics": 0,
    "txconsul.errors": 0,
    "txconsul.raft": 1,
    "txconsul.serf": 1,
    "txconsul.swim": 1,
    "txconsul.state": 1,
    "txconsul.caching": 1,
    "txconsul.watches": 1,
    "txconsul.http.parser": 1,
    "txconsul.http.request": 1,
    "txconsul.dns.message": 1,
    "txconsul.rpc.raftwire": 1,
    "txconsul.rpc.streams": 1,
    "txconsul.rpc.router": 1,
    "txconsul.rpc.yamux": 1,
    "txconsul.rpc.call": 1,
    "txconsul.net": 2,
    "txconsul.storage": 2,
    "txconsul.driver": 3,
    "txconsul.consensus": 3,
    "txconsul.gossip": 3,
    "txconsul.gossip_files": 3,
    "txconsul.gossip_keys": 3,
    "txconsul.gossip_streams": 3,
    "txconsul.rpc": 3,
    "txconsul.endpoints": 4,
    "txconsul.http": 5,
    "txconsul.dns": 5,
    "txconsul.rpc.bodies": 5,
    "txconsul.rpc.forwarding": 5,
    "txconsul.rpc.methods": 5,
    "txconsul.rpc.serving": 5,
    "txconsul.rpc.refusals": 5,
    "txconsul.rpc.replies": 5,
    "txconsul.rpc.requests": 5,
    "txconsul.agent": 6,
    "txconsul.leader": 6,
    "txconsul.simulation": 6,
    "txconsul.testing": 6,
    "txconsul.cli": 6,
    "txconsul.tap": 6,
    "txconsul.gossip_tap": 6,
}

#: Packages of ours that a layer may import, beside itself.
MAY = {
    0: {0},
    1: {0},
    2: {0},
    3: {0, 1, 2, 3},
    4: {0, 4},
    5: {0, 4, 5},
    6: {0, 1, 2, 3, 4, 5, 6},
}

#: What a module may import beyond its layer's rule.
BEYOND = {
    "txconsul.serf": {"txconsul.swim"},
    "txconsul.rpc.raftwire": {"txconsul.raft"},
    "txconsul.endpoints": {"txconsul.serf.coordinate", "txconsul.state"},
    "txconsul.http": {"txconsul.http.parser", "txconsul.http.request"},
    "txconsul.dns": {"txconsul.dns.message"},
}

#: Nothing that could do I/O, tell the time or draw lots.
IMPURE = {"time", "os", "socket", "asyncio", "select", "subprocess", "threading", "tempfile", "pathlib", "io"}
#: What the pure layers may import of others.
THIRD_PARTY = {
    0: {"msgspec", "msgpack", "zope"},
    1: {"msgspec", "msgpack", "zope", "cryptography", "httptools"},
}


def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def layer(module: str) -> int:
    """The layer of a module of ours."""
    name = module
    while name not in LAYERS:
        name = name.rpartition(".")[0]
        if not name:
            raise AssertionError(f"{module} has no layer")
    if name == "txconsul" and module != "txconsul":
        raise AssertionError(f"{module} is in no room of the architecture: give it a layer")
    return LAYERS[name]


def _typing_only(tree: ast.Module) -> set[ast.AST]:
    """The nodes below C{if TYPE_CHECKING:}, which are never run."""
    hidden: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for inner in node.body:
                hidden.update(ast.walk(inner))
    return hidden


def imports(path: Path) -> list[tuple[str, int]]:
    """What a module imports when it runs, with line numbers; C{from a import b} is C{a.b}."""
    tree = ast.parse(path.read_text())
    hidden = _typing_only(tree)
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


class LayerTests(SynchronousTestCase):
    """The import rules of the architecture."""

    def test_everyModuleHasALayer(self) -> None:
        """No module stands outside the tree that the architecture draws."""
        for module in modules():
            layer(module)

    def test_layersLookDown(self) -> None:
        """A module imports from its own package and from the layers that its layer may see, nothing else of ours."""
        known = modules()
        wrong = []
        for module, path in known.items():
            mine = layer(module)
            own = ".".join(module.split(".")[:2])
            beyond = BEYOND.get(own, set()) | BEYOND.get(module, set())
            for name, line in imports(path):
                if not name.startswith("txconsul"):
                    continue
                target = name if name in known else name.rpartition(".")[0]
                if target == own or target.startswith(own + "."):
                    continue
                if layer(target) in MAY[mine] or any(target == one or target.startswith(one + ".") for one in beyond):
                    continue
                wrong.append(f"{path.name}:{line}: {module} (layer {mine}) imports {target} (layer {layer(target)})")
        self.assertEqual(wrong, [])

    def test_pureModulesArePure(self) -> None:
        """Layers 0 and 1 can do no I/O, tell no time and draw no lots: those come in as arguments."""
        wrong = []
        for module, path in modules().items():
            mine = layer(module)
            if mine > 1:
                continue
            for name, line in imports(path):
                top = name.split(".")[0]
                if top in IMPURE:
                    wrong.append(f"{path.name}:{line}: {module} imports {name}")
                if top == "random" and name != "random.Random":
                    wrong.append(f"{path.name}:{line}: {module} imports {name}")
                ours = top == "txconsul" or top in sys.stdlib_module_names
                if not ours and top not in THIRD_PARTY[mine]:
                    wrong.append(f"{path.name}:{line}: {module} imports {name}")
        self.assertEqual(wrong, [])

    def test_onlyTheTopImportsTheReactor(self) -> None:
        """The reactor is imported where the program starts, and passed on from there."""
        wrong = []
        for module, path in modules().items():
            if module in ("txconsul.tap", "txconsul.gossip_tap", "txconsul.cli.agent"):
                continue
            for name, line in imports(path):
                if name == "twisted.internet.reactor":
                    wrong.append(f"{path.name}:{line}: {module}")
        self.assertEqual(wrong, [])

    def test_thePluginImportsNothingOfOurs(self) -> None:
        """Every run of twist reads the plugin's file: it must be cheap."""
        plugin = PACKAGE.parent / "twisted" / "plugins" / "txconsul_plugin.py"
        self.assertEqual([name for name, _ in imports(plugin) if name.startswith("txconsul")], [])

    def test_noShapelessNames(self) -> None:
        """No module hides what it is for behind a noun that fits everything."""
        shapeless = ("util", "common", "misc", "helper", "manager", "handler")
        wrong = [module for module in modules() if any(word in module.rpartition(".")[2] for word in shapeless)]
        self.assertEqual(wrong, [])


def table() -> str:
    """The layers as a table for the documentation."""
    rows = ["| layer | modules | may import |", "|---|---|---|"]
    for number in sorted(MAY):
        names = [name.removeprefix("txconsul.") for name, one in LAYERS.items() if one == number and name != "txconsul"]
        below = ", ".join(str(one) for one in sorted(MAY[number]) if one != number) or "-"
        beyond = [f"{', '.join(sorted(more))}" for own, more in BEYOND.items() if LAYERS[own] == number]
        rows.append(f"| {number} | {', '.join(names)} | {below}{''.join('; ' + one for one in beyond)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
