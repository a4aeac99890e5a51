"""The direction of imports and the size of files: the house rules that a program can check by reading the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "python" / "heaphound"

# Modules that every layer may use: they know nothing of any layer.
NEUTRAL = {"address", "errors", "limits", "progress", "results"}

# layer: the layers it may import besides the neutral ones and itself.
ARROWS = {
    "address": set(),
    "errors": set(),
    "limits": set(),
    "progress": set(),
    "results": set(),
    "dump": {"_core"},
    "layouts": {"dump"},
    "runtime": {"layouts", "dump", "_core"},
    "graph": {"_core"},
    "diagnose": {"graph", "runtime"},
    "session": {"diagnose", "graph", "runtime", "layouts", "dump", "_core"},
    # one file a verb: a session in, a result out
    "answers": {"session", "diagnose", "graph", "runtime", "layouts", "dump", "_core"},
    "api": {"answers", "session", "dump"},
    "__init__": {"api"},
    "views": set(),
    "cli": {"__init__", "views"},
    "__main__": {"cli"},
}
MOST_LINES = 400


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer_of(module: str) -> str:
    """`heaphound.runtime.heap` → `runtime`; `heaphound` itself and the names it defines (`heaphound.open`) → `__init__`."""
    parts = module.split(".")
    is_module = len(parts) > 1 and (parts[1] == "_core" or bool(list(PACKAGE.glob(f"{parts[1]}*"))))
    return parts[1] if is_module else "__init__"


def module_of(file: Path) -> str:
    relative = file.relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


def imported_modules(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of each import of the package's own modules, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "heaphound")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: len(module.split(".")) - node.level + (1 if is_package else 0)]
                base = ".".join([*above, *([node.module] if node.module else [])])
            if base == "heaphound":
                yield from ((node.lineno, f"heaphound.{alias.name}") for alias in node.names)
            elif base.startswith("heaphound."):
                yield node.lineno, base


def wrong_arrows(file: Path) -> list[str]:
    module = module_of(file)
    layer = layer_of(module)
    if layer not in ARROWS:
        return [f"{module} is in no layer that this test knows"]
    allowed = ARROWS[layer] | NEUTRAL | {layer}
    tree = ast.parse(file.read_text(), str(file))
    return [
        f"{file.relative_to(REPOSITORY)}:{line} imports {target}"
        for line, target in imported_modules(tree, module, file.name == "__init__.py")
        if layer_of(target) not in allowed
    ]


def test_there_is_something_to_check() -> None:
    assert len(python_files()) > 30


def test_every_import_points_to_the_left() -> None:
    assert [arrow for file in python_files() for arrow in wrong_arrows(file)] == []


def test_the_checker_sees_relative_and_nested_imports() -> None:
    source = "def f():\n    from ..graph import graph\nimport heaphound.views.to_text\nfrom heaphound import session\n"
    found = list(imported_modules(ast.parse(source), "heaphound.runtime.heap", False))
    assert sorted(found) == [(2, "heaphound.graph"), (3, "heaphound.views.to_text"), (4, "heaphound.session")]


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_loader_of_layouts_compares_versions(file: Path) -> None:
    if file == PACKAGE / "layouts" / "load.py":
        return
    compares = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Compare)]
    named = re.compile(r"\b(runtime_)?version(_info|_tuple)?\b|\b(major|minor)(_version)?\b")
    # A comparison of the package's own version with None, or of a file format's version, is no knowledge of .NET versions.
    suspects = [ast.unparse(node) for node in compares if named.search(ast.unparse(node)) and not only_none(node)]
    assert [text for text in suspects if text not in FORMAT_VERSIONS.get(module_of(file), ())] == []


def only_none(node: ast.Compare) -> bool:
    return all(isinstance(operand, ast.Constant) and operand.value is None for operand in node.comparators)


# Versions of formats that say their own version, not of .NET: module → the comparisons it makes.
FORMAT_VERSIONS: dict[str, tuple[str, ...]] = {
    # contracts of the descriptor are numbered
    "heaphound.layouts.descriptor": ("type(version) is int",),
    # GcDacVars begins with its own major and minor (src/coreclr/gc/gcinterface.dac.h)
    "heaphound.runtime.gc_variables": ("minor > MAXIMUM_VERSION", "1 <= major <= MAXIMUM_VERSION"),
    # of the format of ready-to-run images (src/coreclr/inc/readytorun.h)
    "heaphound.runtime.ready_to_run": ("self.version >= since",),
    # GcInfo's own version, which the layout gives (src/coreclr/inc/gcinfo.h)
    "heaphound.runtime.gc_info.header": (
        "self.version >= _EXACT_SAFE_POINTS",
        "self.version >= _CONTEXT_FROM_FRAME_REGISTER",
        "MINIMUM_VERSION <= version <= MAXIMUM_VERSION",
        "version < _WITHOUT_RETURN_KIND",
        "self.version >= _ABORTED_BEHIND_CALLS",
    ),
    # CodeView entries of the PE debug directory
    "heaphound.runtime.metadata.debug_directory": ("entry.minor_version == _PORTABLE_MINOR_VERSION",),
}


def test_only_the_python_face_of_the_kernel_knows_python() -> None:
    outside = [file for file in (REPOSITORY / "src").rglob("*.rs") if not file.relative_to(REPOSITORY / "src").parts[0].startswith("py")]
    assert outside
    knowing = re.compile(r"\b(pyo3|numpy)::|#\[py(class|function|methods|module)\b")
    assert [str(file.relative_to(REPOSITORY)) for file in outside if knowing.search(file.read_text())] == []


def test_no_source_file_is_longer_than_a_reader_wants() -> None:
    files = [*python_files(), *(REPOSITORY / "src").rglob("*.rs"), *(REPOSITORY / "tests").rglob("*.py")]
    long = {str(file.relative_to(REPOSITORY)): lines for file in files if (lines := file.read_text().count("\n")) > MOST_LINES}
    assert long == {}
