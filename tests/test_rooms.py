"""The room map of the house style as a dict: every module is parsed, and the one that strayed is named."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
APPLIANCE = ROOT / "appliance"


@dataclass(frozen=True)
class Room:
    """What the modules of one room may import: other rooms, foreign packages, and of the standard library."""

    rooms: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    portable: bool = False  # runs on a client: Python 3.9 and its standard library
    only: frozenset[str] = frozenset()  # all that it may use of the standard library
    never: frozenset[str] = frozenset()  # what it may not use of it


def room(rooms: str = "", foreign: str = "", **rest: object) -> Room:
    return Room(words(rooms), words(foreign), **rest)  # type: ignore[arg-type]


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PURE = words("""
    __future__ abc bisect collections dataclasses datetime enum functools ipaddress itertools json math numbers
    operator re string types typing unicodedata
""")
OUTSIDE = words("""
    asyncio ctypes fcntl getpass glob http locale logging multiprocessing os pathlib platform pwd random
    secrets select shutil signal socket sqlite3 ssl subprocess sys tempfile threading time urllib uuid
""")

ROOMS = {
    "__init__": room(portable=True, only=frozenset({"__future__"})),
    "__main__": room("agent cli", portable=True),  # the first word picks the program, each imported lazily
    "clock": room(portable=True),
    "disk": room(portable=True),
    "domain": room(portable=True, only=PURE),
    "wire": room("domain", portable=True, never=OUTSIDE),
    "agent": room("domain wire disk clock", portable=True),
    "settings": room("domain"),
    "store": room("domain disk clock settings", "aiosqlite zstandard"),
    "trust": room("domain disk clock", "cryptography"),
    "operations": room("domain wire store trust clock settings disk"),
    "web": room("domain wire operations settings clock", "aiohttp jinja2"),
    "server": room("domain wire store trust operations web settings clock disk", "aiohttp"),
    "cli": room("domain operations settings clock disk server demo"),
    "demo": room("domain operations settings clock disk server cli"),  # starts the agent as a process only
}

# (module, what it imports against the map): why. Nothing else is let through.
ALLOWED: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class Module:
    """One parsed file of the appliance."""

    path: Path
    tree: ast.Module = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def room(self) -> str:
        return self.path.relative_to(APPLIANCE).parts[0].removesuffix(".py")


def parsed() -> list[Module]:
    return [Module(path, ast.parse(path.read_bytes())) for path in sorted(APPLIANCE.rglob("*.py"))]


MODULES = parsed()
every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
portable_modules = pytest.mark.parametrize(
    "module", [m for m in MODULES if ROOMS.get(m.room, Room()).portable], ids=lambda module: module.name
)


def imported(module: Module) -> Iterator[tuple[int, str]]:
    """Every dotted name a module imports, at its top or anywhere inside, with the line."""
    package = [*module.path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from appliance import clock` names a room, `from appliance import __version__` does not
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif called(node) == "import_module" and (name := spelled_out(node)):
            yield node.lineno, name


def called(node: ast.AST) -> str:
    """The last name of what a call calls, empty for anything else."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def spelled_out(node: ast.AST) -> str:
    first = node.args[0] if isinstance(node, ast.Call) and node.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def strayed(module: Module) -> Iterator[str]:
    """The imports of a module that its room must not know."""
    rules = ROOMS[module.room]
    for line, name in imported(module):
        first, second = [*name.split("."), ""][:2]
        if first == "appliance":
            fine = second in rules.rooms or second == module.room or second.startswith("__")
        elif first in sys.stdlib_module_names:
            fine = first in rules.only if rules.only else first not in rules.never
        else:
            fine = first in rules.foreign
        if not fine and (module.name, name) not in ALLOWED:
            yield f"{module.name}:{line} imports {name}"


def test_the_map_knows_every_module_and_finds_the_rooms_that_exist() -> None:
    assert sorted({m.name for m in MODULES if m.room not in ROOMS}) == []
    assert {"domain", "wire", "agent", "clock", "disk"} <= {m.room for m in MODULES}


@every_module
def test_a_module_imports_only_what_its_room_may_know(module: Module) -> None:
    assert list(strayed(module)) == []


def test_no_room_of_the_server_knows_the_agent() -> None:
    assert {name for name, rules in ROOMS.items() if "agent" in rules.rooms} == {"__main__"}
    texts = {m.name: ast.unparse(m.tree) for m in MODULES if m.room not in ("agent", "__main__")}
    assert [name for name, text in texts.items() if "appliance.agent" in text] == []


@every_module
def test_no_module_imports_by_a_name_that_this_test_cannot_see(module: Module) -> None:
    hidden = {"import_module", "__import__", "exec", "eval", "run_module", "run_path"}
    found = [n for n in ast.walk(module.tree) if called(n) in hidden]
    assert [ast.unparse(n) for n in found if called(n) != "import_module" or not spelled_out(n)] == []


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("import os", "imports os"),
        ("from appliance.store import packages", "imports appliance.store.packages"),
        ("from appliance import wire", "imports appliance.wire"),
        ("def f():\n    import aiohttp", ":2 imports aiohttp"),
        ("from ..agent import main", "imports appliance.agent.main"),
    ],
)
def test_a_domain_module_that_strays_is_named(source: str, named: str) -> None:
    module = Module(APPLIANCE / "domain" / "stray.py", ast.parse(source))
    assert [named in line for line in strayed(module)] == [True]


# Time and SQL have one room each

CLOCKS = {
    "time": {"time", "time_ns", "sleep", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
# These write a moment that they are given, the last of so many arguments; without it they look at the clock.
WRITERS = {"strftime": 2, "localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1}

LOOKING: dict[str, str] = {}  # module: why it may look at time all the same


def looks_at_time(tree: ast.Module) -> list[int]:
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            lines += [node.lineno for alias in node.names if alias.name in CLOCKS["time"] or alias.name in WRITERS]
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in CLOCKS.get(owner, ()):
                lines.append(node.lineno)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("time."):
            lines += [node.lineno] * (len(node.args) < WRITERS.get(called(node), 0))
    return lines


@every_module
def test_time_is_looked_at_in_the_clock_only(module: Module) -> None:
    lines = looks_at_time(module.tree)
    may = module.room == "clock" or module.name in LOOKING
    assert may == bool(lines), f"{module.name} looks at time in lines {lines}"


SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+(OR|INTO)\s|UPDATE\s+\w+\s|DELETE\s+FROM\s|REPLACE\s+INTO\s|WITH\s+\w+\s+AS\s*\(|PRAGMA\s"
    r"|BEGIN\s+IMMEDIATE|(CREATE|DROP|ALTER)\s+(TABLE|INDEX|VIEW|TRIGGER)\s)"
)


def speaks_sql(tree: ast.Module) -> list[int]:
    texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [node.lineno for node in texts if SQL.match(node.value)]


@pytest.mark.parametrize("module", [m for m in MODULES if m.room != "store"], ids=lambda module: module.name)
def test_sql_is_spoken_in_the_store_only(module: Module) -> None:
    assert speaks_sql(module.tree) == []


@pytest.mark.parametrize(
    "source",
    ["x = 'SELECT a FROM b'", "x = f'''\n  DELETE FROM {t} WHERE a'''", "x = 'UPDATE computer SET a = 1'"],
)
def test_sql_elsewhere_would_be_found(source: str) -> None:
    assert len(speaks_sql(ast.parse(source))) == 1


@pytest.mark.parametrize(
    "source",
    ["import time\ntime.sleep(1)", "import datetime\ndatetime.datetime.now()", "\nx = time.strftime('%Y')"],
)
def test_a_look_at_time_elsewhere_would_be_found(source: str) -> None:
    assert looks_at_time(ast.parse(source)) == [2]


# What runs on clients must run on Python 3.9

NEWER_MODULES = {"tomllib", "compression", "annotationlib", "concurrent.interpreters"}
NEWER_NAMES = words("""
    StrEnum ReprEnum verify nonmember KW_ONLY pairwise batched chdir aclosing file_digest
    stdlib_module_names ExceptionGroup BaseExceptionGroup EncodingWarning Self TypeAlias ParamSpec
    Concatenate TypeGuard TypeIs Never LiteralString assert_never assert_type reveal_type override
    NotRequired Required Unpack TypeVarTuple NoneType dataclass_transform EllipsisType UnionType aiter
    anext hardlink_to is_junction add_note TaskGroup
""")
NEWER_ARGUMENTS = {
    "dataclass": {"slots", "kw_only", "match_args", "weakref_slot"},
    "zip": {"strict"},
    "map": {"strict"},
    "rmtree": {"onexc"},
    "extractall": {"filter"},
    "extract": {"filter"},
    "write_text": {"newline"},
    "ZipFile": {"metadata_encoding"},
    "bisect": {"key"},
    "insort": {"key"},
}
TYPES = {
    "int",
    "str",
    "bytes",
    "float",
    "bool",
    "dict",
    "list",
    "tuple",
    "set",
    "frozenset",
    "object",
    "type",
    "None",
}


def annotations(tree: ast.Module) -> set[ast.AST]:
    """Every node inside an annotation; with `from __future__ import annotations` nobody evaluates them."""
    roots: list[ast.AST | None] = []
    for node in ast.walk(tree):
        roots += [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return {inner for root in roots if root is not None for inner in ast.walk(root)}


def newer_than_39(tree: ast.Module) -> Iterator[str]:
    """What Python 3.9 does not have, as far as the text shows it."""
    unevaluated = annotations(tree)
    futures = {
        a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "__future__" for a in n.names
    }
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            sides = {ast.unparse(side).split("[")[0] for side in (node.left, node.right)}
            if sides & TYPES and (node not in unevaluated or "annotations" not in futures):
                yield f"line {line}: {ast.unparse(node)} is evaluated"
        elif isinstance(node, ast.Import):
            yield from (f"line {line}: {a.name}" for a in node.names if a.name in NEWER_MODULES)
        elif isinstance(node, ast.ImportFrom):
            names = {a.name for a in node.names} & (NEWER_NAMES | {"UTC"})
            yield from (f"line {line}: {name}" for name in sorted(names))
            if node.module in NEWER_MODULES:
                yield f"line {line}: {node.module}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in NEWER_NAMES and node.value.id not in ("self", "cls"):
                yield f"line {line}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call):
            given = {k.arg for k in node.keywords if k.arg} & NEWER_ARGUMENTS.get(called(node), set())
            yield from (f"line {line}: {called(node)}({name}=...)" for name in sorted(given))


@portable_modules
def test_what_runs_on_clients_is_python_39(module: Module) -> None:
    source = module.path.read_bytes()
    ast.parse(source, module.name, feature_version=(3, 9))
    assert list(newer_than_39(module.tree)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import tomllib",
        "from enum import StrEnum",
        "from itertools import pairwise",
        "x = zip(a, b, strict=True)",
        "@dataclass(frozen=True, slots=True)\nclass A: ...",
        "def f(x: int | None) -> None: ...",  # without the __future__ import it is evaluated
        "from __future__ import annotations\nX = int | None",
        "from __future__ import annotations\nisinstance(x, str | bytes)",
    ],
)
def test_newer_python_would_be_found(source: str) -> None:
    assert len(list(newer_than_39(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source",
    ["match x:\n    case 1: ...", "try: ...\nexcept* ValueError: ...", "type X = int", "def f[T](x: T): ..."],
)
def test_newer_syntax_would_be_found(source: str) -> None:
    with pytest.raises(SyntaxError):
        ast.parse(source, feature_version=(3, 9))
