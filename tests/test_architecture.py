"""The shape of the code, read from its imports: they point one way, and each kind of work stays in its place.

A new module has to be given its place in `GROUPS`. When this test fails, the module is mostly right about what it
needs and wrong about where it lives.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "assay"
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50

PURE = {"crash_points", "error_summary", "errors", "fieldtypes", "fileformats", "ids", "jobs", "log", "migrations"}
PURE |= {"rejections", "schema", "schema_names", "whole_files", "wire"}
PACKAGES = {"kernel", "db", "storage", "web"}
# Every other module's place; a package is a group of its own, and a family of modules has its first word in common.
GROUPS = {
    **dict.fromkeys(PURE, "pure"),
    "config": "config",
    "chunk_runs": "importing",
    "importing": "importing",
    "migrating": "importing",
    "migration_runs": "importing",
    "operations": "operations",
    "appending": "operations",
    "compacting": "operations",
    "batches": "operations",
    "deleting": "operations",
    "inferring": "operations",
    "noticing": "operations",
    "export_text": "operations",
    "exporting": "operations",
    "faulty_records": "operations",
    "previewing": "operations",
    "reading": "operations",
    "rejected": "operations",
    "signing_in": "operations",
    "sweeping": "operations",
    "webhooks": "operations",
    "tracing": "operations",
    "guarded_post": "operations",
    "engines": "worker",
    "dask_engine": "worker",
    "plans": "worker",
    "sweeper": "worker",
    "worker": "worker",
    "children": "edge",
    "opening": "edge",
    "serving": "edge",
    "__main__": "edge",
    "offline": "offline",
}
FAMILIES = {"cli": "edge", "client": "client"}
# What a group may import, besides itself and the package's own root.
MAY_IMPORT = {
    "pure": set(),
    "config": {"pure"},
    "kernel": {"pure"},
    "db": {"pure"},
    "storage": {"pure"},
    "importing": {"pure", "kernel", "storage"},
    "operations": {"pure", "kernel", "db", "storage"},
    "worker": {"pure", "config", "kernel", "db", "storage", "importing", "operations"},
    "web": {"pure", "config", "db", "storage", "operations"},
    "edge": {"pure", "config", "kernel", "db", "storage", "importing", "operations", "worker", "web", "client"},
    "client": {"pure"},
    "offline": {"pure", "kernel", "client"},
}
# The finer points: what these modules and groups alone may do.
READERS_OF_CONFIG = {"sweeper", "plans", "web.app", "web.services", "worker", "engines"}  # and the edge
READERS_OF_ENVIRONMENT = {
    "children",
    "config",
    "storage.base",
    "storage.s3",
    "client_transport",
    "kernel.rehearsal",
}  # and commands
WRITERS = {"appending", "compacting", "operations", "worker", "db"}
PURE_OF_CLIENT = {"errors", "schema_names", "whole_files", "wire"}
SQL = {"sqlalchemy", "alembic", "sqlite3", "psycopg"}


def _name_of(path: Path) -> str:
    """`db.jobs` for db/jobs.py, `db` for db/__init__.py, and the empty name for the root."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}
each_module = pytest.mark.parametrize("name", MODULES)


def _group_of(name: str) -> str | None:
    head = name.partition(".")[0]
    return head if head in PACKAGES else GROUPS.get(name) or FAMILIES.get(name.partition("_")[0])


@cache
def _tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


def _is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imports_of(node: ast.AST) -> Iterator[str]:
    """The full names of all that is imported, in functions too; a name in a module as `module.name`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif not _is_for_types_only(child):
            yield from _imports_of(child)


def _own_imports_of(name: str) -> set[str]:
    """The modules of this package that a module imports, named as in `MODULES`."""
    found = set()
    for imported in _imports_of(_tree_of(name)):
        head, _, rest = imported.partition(".")
        if head == "assay":
            found.add(rest if rest in MODULES else rest.rpartition(".")[0])
    return found - {""}


def _functions_of(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree_of(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@each_module
def test_every_module_has_a_place(name: str) -> None:
    assert name == "" or _group_of(name) is not None, f"give {name} its place in GROUPS"


@each_module
def test_imports_point_one_way(name: str) -> None:
    group = _group_of(name)
    allowed = MAY_IMPORT[group] | {group} if group else set()
    wrong = {imported for imported in _own_imports_of(name) if _group_of(imported) not in allowed}
    assert not wrong, f"{name or 'the root'} ({group}) may not import {sorted(wrong)}"


@each_module
def test_settings_are_read_where_a_service_is_put_together(name: str) -> None:
    assert _group_of(name) == "edge" or name in READERS_OF_CONFIG or "config" not in _own_imports_of(name)


@each_module
def test_wire_bodies_are_known_at_the_edges_alone(name: str) -> None:
    assert _group_of(name) in {"web", "client", "edge", "offline"} or "wire" not in _own_imports_of(name)


def test_the_client_knows_errors_and_bodies_and_nothing_else_of_the_service() -> None:
    of_client = set().union(*(_own_imports_of(name) for name in MODULES if _group_of(name) == "client"))
    assert {name for name in of_client if _group_of(name) != "client"} <= PURE_OF_CLIENT


@each_module
def test_sql_is_in_db_alone(name: str) -> None:
    imported = {full.partition(".")[0] for full in _imports_of(_tree_of(name))}
    assert _group_of(name) == "db" or not imported & SQL


@each_module
def test_the_environment_is_read_in_few_places(name: str) -> None:
    reads = [
        node
        for node in ast.walk(_tree_of(name))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    names = [full for full in _imports_of(_tree_of(name)) if full in {"os.environ", "os.getenv"}]
    assert name in READERS_OF_ENVIRONMENT or name.startswith("cli") or not (reads or names)


@each_module
def test_write_transactions_open_in_few_places(name: str) -> None:
    opens = [
        item
        for node in ast.walk(_tree_of(name))
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.context_expr, ast.Call)
        and isinstance(item.context_expr.func, ast.Attribute)
        and item.context_expr.func.attr == "write"
    ]
    assert _group_of(name) in WRITERS or not opens


@each_module
def test_modules_and_functions_are_short(name: str) -> None:
    lines = len(MODULES[name].read_text().splitlines())
    assert lines <= MAX_MODULE_LINES, f"{name} has {lines} lines"
    # A migration is a list of what is done, and never changed.
    for function in [] if name.startswith("db.migrations") else _functions_of(name):
        assert function.end_lineno is not None
        length = function.end_lineno - function.lineno + 1
        assert length <= MAX_FUNCTION_LINES, f"{name}.{function.name} has {length} lines"


@each_module
def test_modules_say_what_they_are_for(name: str) -> None:
    is_empty = not MODULES[name].read_text().strip()
    assert is_empty or ast.get_docstring(_tree_of(name)), f"{name} opens with no sentence about itself"


@pytest.mark.parametrize("name", ["assay", "assay.client", "assay.client_async"])
def test_the_client_loads_no_part_of_the_service(name: str) -> None:
    heavy = [
        "duckdb",
        "sqlalchemy",
        "alembic",
        "fastapi",
        "starlette",
        "uvicorn",
        "numba",
        "pyarrow",
        "numpy",
        "obstore",
    ]
    code = f"import sys, {name}; print(*[module for module in {heavy} if module in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == []


def test_every_group_has_its_rule() -> None:
    assert set(MAY_IMPORT) == {*GROUPS.values(), *FAMILIES.values(), *PACKAGES}
