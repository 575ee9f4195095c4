"""Goal: the project's parts know only those that they may know, and no two know each other.

Method: parse every source file with `ast` and follow its imports, those inside functions, too. Each rule is a function
from sources to violations; beside the test that the project has none stands one that the rule would see them.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("replication", "hub", "simulator", "benchmarks")
CORE_MAY_IMPORT = ("collections.abc", "dataclasses", "enum", "functools", "itertools", "replication.core", "typing")
GENERATED_FOLDERS = ("hub.rpc", "replication.rpc")
MAY_IMPORT_GENERATED = (
    "hub.service",
    "hub.client",
    "hub.flight",
    "hub.wire_values",
    "replication.segment_transport",
    "replication.transport",
    "replication.wire",
    "replication.witness_client",
    "replication.witness_service",
    "replication.witness_wire",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """`target` is what is imported, `name` what of it (empty for a module as a whole)."""

    line: int
    target: str
    name: str
    for_types: bool

    @property
    def full(self) -> str:
        return f"{self.target}.{self.name}" if self.name else self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    name: str
    is_package: bool
    tree: ast.Module
    imports: tuple[Import, ...]


Sources = Mapping[str, Module]
Rule = Callable[[Sources], list[str]]


def module(name: str, source: str, *, is_package: bool = False) -> Module:
    tree = ast.parse(source)
    package = name if is_package else name.rpartition(".")[0]
    return Module(name=name, is_package=is_package, tree=tree, imports=tuple(_imports(tree, package, for_types=False)))


def _imports(node: ast.AST, package: str, *, for_types: bool) -> Iterator[Import]:
    for target, name, line in _imported(node, package):
        yield Import(line=line, target=target, name=name, for_types=for_types)
    only_for_types: list[ast.stmt] = []
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            only_for_types = node.body
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, package, for_types=for_types or child in only_for_types)


def _imported(node: ast.AST, package: str) -> list[tuple[str, str, int]]:
    """(target, name, line) of what this node alone imports."""
    match node:
        case ast.Import():
            return [(alias.name, "", node.lineno) for alias in node.names]
        case ast.ImportFrom():
            return [(_origin(node, package), alias.name, node.lineno) for alias in node.names]
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(target)), *_],
        ):
            return [(target, "", node.lineno)]
        case _:
            return []


def _origin(node: ast.ImportFrom, package: str) -> str:
    """The module that an import is from; leading dots count from the package upwards."""
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, node.module] if node.module else above)


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of the packages or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


# --- Rules ----------------------------------------------------------------------------------------------------------


def violations(sources: Sources, of: tuple[str, ...], forbidden: Callable[[str], bool]) -> list[str]:
    """Imports in the packages `of` whose full name is forbidden."""
    return [
        f"{source.name}, line {found.line}: {found.full}"
        for source in sources.values()
        if within(source.name, *of)
        for found in source.imports
        if forbidden(found.full)
    ]


def core_imports_little(sources: Sources) -> list[str]:
    return violations(sources, ("replication.core",), lambda name: not within(name, *CORE_MAY_IMPORT))


def replication_stands_alone(sources: Sources) -> list[str]:
    return violations(sources, ("replication",), lambda name: within(name, "hub", "simulator", "benchmarks"))


def hub_knows_no_test_field(sources: Sources) -> list[str]:
    return violations(sources, ("hub",), lambda name: within(name, "simulator", "benchmarks"))


def ray_stays_with_the_jobs(sources: Sources) -> list[str]:
    others = tuple(name for name in sources if not within(name, "hub.risk.jobs"))
    found = violations(sources, PACKAGES, lambda name: within(name, "ray"))
    return [text for text in found if text.partition(",")[0] in others]


def generated_code_stays_at_the_edge(sources: Sources) -> list[str]:
    """The project's own generated modules; Google's belong to no schema of ours."""
    inner = {name: source for name, source in sources.items() if not within(name, *MAY_IMPORT_GENERATED)}
    return violations(inner, PACKAGES, lambda name: within(name, *GENERATED_FOLDERS))


def packages_hold_no_code(sources: Sources) -> list[str]:
    return [
        f"{source.name}, line {statement.lineno}: {type(statement).__name__}"
        for source in sources.values()
        if source.is_package
        for index, statement in enumerate(source.tree.body)
        if not _belongs_in_package(statement, first=index == 0)
    ]


def _belongs_in_package(statement: ast.stmt, *, first: bool) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return first
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case _:
            return isinstance(statement, ast.Import | ast.ImportFrom)


def modules_form_no_circle(sources: Sources) -> list[str]:
    graph: dict[str, set[str]] = {
        source.name: {_imported_module(found, sources) for found in source.imports if not found.for_types}
        for source in sources.values()
    }
    return _circle({name: targets - {""} for name, targets in graph.items()})


def parts_form_no_circle(sources: Sources) -> list[str]:
    """Parts are what lies right below `hub`, `replication` and so on: packages as wholes, and single modules."""
    graph: dict[str, set[str]] = {}
    for source in sources.values():
        targets = {_part(_imported_module(found, sources)) for found in source.imports if not found.for_types}
        graph.setdefault(_part(source.name), set()).update(targets - {"", _part(source.name)})
    return _circle(graph)


def _imported_module(found: Import, sources: Sources) -> str:
    """The project's module that an import needs, or an empty string for anything else."""
    return next((name for name in (found.full, found.target) if name in sources), "")


def _part(name: str) -> str:
    return ".".join(name.split(".")[:2])


def _circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" ← ".join(error.args[1])]
    return []


# --- The project ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project() -> Sources:
    """All of its modules but the generated ones."""
    modules = {}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if path.stem.endswith(("_pb2", "_pb2_grpc")):
            continue
        is_package = path.stem == "__init__"
        name = ".".join((path.parent if is_package else path.with_suffix("")).relative_to(ROOT).parts)
        modules[name] = module(name, path.read_text(), is_package=is_package)
    assert len(modules) > 50
    return modules


RULES: list[Rule] = [
    core_imports_little,
    replication_stands_alone,
    hub_knows_no_test_field,
    ray_stays_with_the_jobs,
    generated_code_stays_at_the_edge,
    packages_hold_no_code,
    modules_form_no_circle,
    parts_form_no_circle,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Rule, project: Sources) -> None:
    """Goal: the rule holds. Method: look for violations in all sources."""
    assert rule(project) == []


# --- The rules themselves -------------------------------------------------------------------------------------------

VIOLATIONS: list[tuple[Rule, dict[str, str]]] = [
    (core_imports_little, {"replication.core.step": "import time"}),
    (core_imports_little, {"replication.core.step": "def step():\n    from asyncio import sleep"}),
    (core_imports_little, {"replication.core.step": "from collections import deque"}),
    (core_imports_little, {"replication.core.step": "from replication.codec import make_entry"}),
    (core_imports_little, {"replication.core.step": "from .. import codec"}),
    (core_imports_little, {"replication.core.step": "import itertools, random"}),
    (core_imports_little, {"replication.core.step": "__import__('random')"}),
    (replication_stands_alone, {"replication.driver": "from hub.errors import HubError"}),
    (replication_stands_alone, {"replication.core.step": "import simulator"}),
    (replication_stands_alone, {"replication.driver": "if TYPE_CHECKING:\n    import hub.node"}),
    (replication_stands_alone, {"replication.driver": "import importlib\nimportlib.import_module('benchmarks.run')"}),
    (hub_knows_no_test_field, {"hub.cli.run": "from simulator.city import readings"}),
    (hub_knows_no_test_field, {"hub": "import benchmarks"}),
    (ray_stays_with_the_jobs, {"hub.risk.exposure": "import ray"}),
    (ray_stays_with_the_jobs, {"hub.risk.jobs_of_others": "from ray.data import Dataset"}),
    (ray_stays_with_the_jobs, {"benchmarks.bench_risk": "import ray"}),
    (generated_code_stays_at_the_edge, {"hub.node": "from hub.rpc.v1 import query_pb2 as pb"}),
    (generated_code_stays_at_the_edge, {"hub.query.run": "import hub.rpc.v1.query_pb2"}),
    (generated_code_stays_at_the_edge, {"replication.driver": "from replication.rpc.v1.replication_pb2 import Entry"}),
    (generated_code_stays_at_the_edge, {"simulator.drill.load": "from hub.rpc.v1 import exchange_pb2_grpc"}),
    (packages_hold_no_code, {"hub.query/": '"""Reading."""\n\ndef helper() -> None: ...'}),
    (packages_hold_no_code, {"hub.query/": "LIMIT = 3"}),
    (packages_hold_no_code, {"hub.query/": '"""One."""\n"""Two."""'}),
    (packages_hold_no_code, {"hub.query/": "if True:\n    import os"}),
    (modules_form_no_circle, {"hub.store.a": "import hub.store.b", "hub.store.b": "from hub.store import a"}),
    (modules_form_no_circle, {"hub.a": "from .b import x", "hub.b": "def f():\n    from . import a"}),
    (modules_form_no_circle, {"hub.store/": "from hub.store.a import x", "hub.store.a": "from hub.store import y"}),
    (
        modules_form_no_circle,
        {"hub.a": "import hub.b", "hub.b": "import hub.c", "hub.c": "import hub.a", "hub.d": "import hub.a"},
    ),
    (parts_form_no_circle, {"hub.a.x": "import hub.b.x", "hub.b.x": "", "hub.b.y": "import hub.a.y", "hub.a.y": ""}),
]

PERMITTED: list[tuple[Rule, dict[str, str]]] = [
    (core_imports_little, {"replication.core.step": "from collections.abc import Sequence\nfrom .types import Entry"}),
    (core_imports_little, {"replication.core.step": "from replication.core.types import Entry\nimport functools"}),
    (core_imports_little, {"replication.corner": "import time"}),
    (replication_stands_alone, {"replication.driver": "import hubble, structlog", "hub.node": "import hub.store"}),
    (hub_knows_no_test_field, {"simulator.drill.load": "import hub.client"}),
    (ray_stays_with_the_jobs, {"hub.risk.jobs": "import ray", "hub.risk.jobs.flood": "import ray.data"}),
    (generated_code_stays_at_the_edge, {"hub.service.queries": "from hub.rpc.v1 import query_pb2 as pb"}),
    (generated_code_stays_at_the_edge, {"replication.transport": "import replication.rpc.v1.replication_pb2"}),
    (generated_code_stays_at_the_edge, {"hub.wire": "from google.rpc.status_pb2 import Status"}),
    (packages_hold_no_code, {"hub.query/": '"""Reading."""\nfrom hub.query.run import run\n__all__ = ["run"]'}),
    (packages_hold_no_code, {"hub.query": "LIMIT = 3"}),
    (modules_form_no_circle, {"hub.a": "if TYPE_CHECKING:\n    import hub.b", "hub.b": "import hub.a"}),
    (modules_form_no_circle, {"hub.s/": "from hub.s.a import x", "hub.s.a": "from hub.s.b import y", "hub.s.b": ""}),
    (
        parts_form_no_circle,
        {"hub.a.x": "import hub.b.x, hub.a.y", "hub.b.x": "import hub.c", "hub.c": "", "hub.a.y": ""},
    ),
]


def fake(sources: Mapping[str, str]) -> Sources:
    """Modules from their sources; a name that ends in a slash is a package's."""
    return {name.rstrip("/"): module(name.rstrip("/"), text, is_package="/" in name) for name, text in sources.items()}


@pytest.mark.parametrize(("rule", "sources"), VIOLATIONS)
def test_a_rule_sees_its_violation(rule: Rule, sources: dict[str, str]) -> None:
    """Goal: no rule is blind. Method: sources that break it."""
    assert len(rule(fake(sources))) == 1


@pytest.mark.parametrize(("rule", "sources"), PERMITTED)
def test_a_rule_permits_what_is_right(rule: Rule, sources: dict[str, str]) -> None:
    """Goal: no rule forbids too much. Method: sources close to a violation."""
    assert rule(fake(sources)) == []


def test_every_rule_is_tried() -> None:
    """Goal: a new rule gets its own trial. Method: compare the lists."""
    assert {rule for rule, _ in VIOLATIONS} == {rule for rule, _ in PERMITTED} == set(RULES)
