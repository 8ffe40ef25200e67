"""
Reads who imports whom from the source, without importing anything.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path

import attrs


class Kind(Enum):
    """
    When an import happens.
    """

    LOAD = "load"  #: as the module is imported
    LATE = "late"  #: as a function is called
    TYPING = "typing"  #: for the type checker only


@attrs.frozen
class Import:
    """
    One name that one module imports.
    """

    importer: str
    target: str
    line: int
    kind: Kind

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target} ({self.kind.value})"


@attrs.frozen
class ImportGraph:
    """
    The modules of some packages and every import statement in them.
    """

    modules: Mapping[str, Path]
    imports: Sequence[Import]

    @property
    def packages(self) -> set[str]:
        """
        The names of the packages that were read.
        """
        return {name.partition(".")[0] for name in self.modules}

    def dangling(self) -> list[Import]:
        """
        The imports of modules that a package that was read does not have.
        """
        return [
            found
            for found in self.imports
            if found.top in self.packages and found.target not in self.modules
        ]

    def of(self, *prefixes: str) -> list[Import]:
        """
        The imports written in the modules at or below one of *prefixes*.
        """
        return [found for found in self.imports if within(found.importer, prefixes)]

    def inner(self, *kinds: Kind) -> list[Import]:
        """
        The imports of one module of the graph by another.
        """
        return [
            found for found in self.imports if found.kind in kinds and found.target in self.modules
        ]

    def outer(self, *kinds: Kind) -> list[Import]:
        """
        The imports of third-party modules.
        """
        return [
            found
            for found in self.imports
            if found.kind in kinds
            and found.top not in self.packages
            and found.top not in sys.stdlib_module_names
        ]


def within(module: str, prefixes: Iterable[str]) -> bool:
    """
    Whether *module* is one of *prefixes* or below one of them.
    """
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def read_packages(*packages: Path) -> ImportGraph:
    """
    Reads the packages in these folders; a folder's name is its package's name.
    """
    modules = {
        module_name(package, path): path
        for package in packages
        for path in sorted(package.rglob("*.py"))
    }
    imports = [
        found for name, path in modules.items() for found in _imports_of(name, path, modules)
    ]
    return ImportGraph(modules=modules, imports=imports)


def module_name(package: Path, path: Path) -> str:
    """
    The dotted name of the module in *path*.
    """
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_of(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node, kind in _statements(tree, Kind.LOAD):
        for target in _targets(node, package, modules):
            yield Import(importer=name, target=target, line=node.lineno, kind=kind)


def _statements(tree: ast.AST, kind: Kind) -> Iterator[tuple[ast.Import | ast.ImportFrom, Kind]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, kind
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            for inner in node.body:
                yield from _statements(ast.Module([inner], []), Kind.TYPING)
            for inner in node.orelse:
                yield from _statements(ast.Module([inner], []), kind)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _statements(node, Kind.LATE if kind is Kind.LOAD else kind)
        else:
            yield from _statements(node, kind)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _targets(
    node: ast.Import | ast.ImportFrom, package: str, modules: Mapping[str, Path]
) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        above = package.split(".")
        above = above[: len(above) - node.level + 1]
        base = ".".join([*above, *([node.module] if node.module else [])])
    for alias in node.names:
        full = f"{base}.{alias.name}"
        yield full if full in modules else base


def cycles(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """
    The groups of modules that import each other in a circle (Tarjan's algorithm).
    """
    graph: dict[str, set[str]] = {}
    for source, target in edges:
        graph.setdefault(source, set()).add(target)
        graph.setdefault(target, set())
    finder = _ComponentFinder(graph)
    for name in sorted(graph):
        finder.visit(name)
    return [sorted(group) for group in finder.groups if _is_circle(group, graph)]


def _is_circle(group: Sequence[str], graph: Mapping[str, set[str]]) -> bool:
    return len(group) > 1 or group[0] in graph[group[0]]


class _ComponentFinder:
    """
    Tarjan's strongly connected components, one visit per module.
    """

    def __init__(self, graph: Mapping[str, set[str]]) -> None:
        self.graph = graph
        self.order: dict[str, int] = {}
        self.low: dict[str, int] = {}
        self.open: list[str] = []
        self.groups: list[list[str]] = []

    def visit(self, name: str) -> None:
        if name in self.order:
            return
        self.order[name] = self.low[name] = len(self.order)
        self.open.append(name)
        for target in sorted(self.graph[name]):
            if target not in self.order:
                self.visit(target)
                self.low[name] = min(self.low[name], self.low[target])
            elif target in self.open:
                self.low[name] = min(self.low[name], self.order[target])
        if self.low[name] == self.order[name]:
            at = self.open.index(name)
            self.groups.append(self.open[at:])
            del self.open[at:]
