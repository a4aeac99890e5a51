"""Makes docs/json.md out of the records: keys, kinds and meanings stand once, in `python/heaphound/results/`."""

import ast
import inspect
import re
import types
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from heaphound.address import Address
from heaphound.results.analyze import AnalyzeResult
from heaphound.results.answer import Coverage, DumpFacts
from heaphound.results.cache import CacheResult
from heaphound.results.exceptions import ExceptionsResult
from heaphound.results.handles import HandlesResult
from heaphound.results.heap import HeapResult
from heaphound.results.info import InfoResult
from heaphound.results.locks import LocksResult
from heaphound.results.memory import MemoryResult
from heaphound.results.modules import ModulesResult
from heaphound.results.object import ObjectResult
from heaphound.results.objects import ObjectsResult
from heaphound.results.path import PathResult
from heaphound.results.retained import RetainedResult
from heaphound.results.roots import RootsResult
from heaphound.results.stack import StackResult
from heaphound.results.statics import StaticsResult
from heaphound.results.tasks import TasksResult
from heaphound.results.threads import ThreadsResult
from heaphound.results.types import TypesResult
from heaphound.results.verify import Checksum, VerifyResult

RESULTS = {
    "analyze": AnalyzeResult,
    "info": InfoResult,
    "memory": MemoryResult,
    "heap": HeapResult,
    "types": TypesResult,
    "objects": ObjectsResult,
    "object": ObjectResult,
    "path": PathResult,
    "retained": RetainedResult,
    "statics": StaticsResult,
    "roots": RootsResult,
    "handles": HandlesResult,
    "threads": ThreadsResult,
    "stack": StackResult,
    "locks": LocksResult,
    "exceptions": ExceptionsResult,
    "tasks": TasksResult,
    "modules": ModulesResult,
    "verify": VerifyResult,
    "cache": CacheResult,
}
INTRODUCTION = """# JSON

Generated from the records in `python/heaphound/results/` by `./dev docs`; a test compares. `--json` prints one object:

```
{"schema": "heaphound/<verb>/<n>", "dump": {...}, "coverage": {...}, "result": {...}}
```

- Addresses and checksums are hexadecimal strings (`"0x7efb42450758"`); sizes are integers in bytes, named `*_bytes`.
- `null` means not known or not applicable, never zero.
- Keys stay: `<n>` goes up when a key changes its meaning or goes away, not when one is added.
- The output is ASCII; other characters are escaped as JSON does it. NaN and infinities in dumped fields are `"nan"`, `"inf"`, `"-inf"`.
- Lists have all rows unless `--limit` is given; `objects`, `path`, `retained`, `object`, `threads` and `stack` have limits of their own.
  `left_out` counts what was cut.
- `cache` opens no dump, so it has no `dump` and no `coverage`.
"""
SIMPLE = {str: "text", int: "integer", float: "number", bool: "true or false", Address: "address", Checksum: "checksum", type(None): "null"}


def json_page() -> str:
    """The whole page."""
    written: set[type] = set()
    parts = [INTRODUCTION, *_record("dump", DumpFacts, 2, written), *_record("coverage", Coverage, 2, written)]
    for verb, result in RESULTS.items():
        parts += _record(verb, result, 2, written)
    return "\n".join(parts)


def _record(title: str, record: type, level: int, written: set[type]) -> list[str]:
    written.add(record)
    hints = get_type_hints(record)
    meanings = _meanings(record)
    lines = [f"{'#' * level} {title}\n", f"{_one_line(inspect.getdoc(record) or '')}\n", "| key | kind | meaning |", "|---|---|---|"]
    nested: list[type] = []
    for field in fields(record):
        lines.append(f"| `{field.name}` | {_kind(hints[field.name], nested)} | {meanings.get(field.name, '')} |")
    parts = ["\n".join(lines) + "\n"]
    for inner in nested:
        if inner not in written:
            parts += _record(inner.__name__, inner, 3, written)
    return parts


def _kind(hint: Any, nested: list[type]) -> str:
    if hint in SIMPLE:
        return SIMPLE[hint]
    if isinstance(hint, type) and is_dataclass(hint):
        nested.append(hint)
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return f"list of {_kind(arguments[0], nested)}"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(argument, nested) for argument in arguments)
    raise TypeError(f"{hint} has no words yet")


def _meanings(record: type) -> dict[str, str]:
    """The string that stands below a field is its meaning."""
    (definition,) = ast.parse(inspect.cleandoc(inspect.getsource(record))).body
    assert isinstance(definition, ast.ClassDef)
    meanings = {}
    for before, after in zip(definition.body, definition.body[1:], strict=False):
        match before, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                meanings[name] = _one_line(text)
    return meanings


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("``", "`").replace("|", "\\|").replace("None", "`null`").strip()
