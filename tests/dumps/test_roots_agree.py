"""Handles, statics and modules against the oracle."""

import re
from typing import Any

from heaphound.runtime.roots import STACK
from tests.dumps.conftest import Opened
from tests.dumps.known import Difference, Known, check, differences
from tests.lab.cases import GOLDEN_CASES, LIVE_CASES, SAMPLE_CASE
from tests.lab.oracle import Row


def address_of(value: dict[str, Any] | None) -> str | None:
    return None if value is None else value["address"]


def hexadecimal(address: int | None) -> str | None:
    return None if address is None else hex(address)


def test_handles(opened: Opened) -> None:
    rows = [row for row in opened.case.answers("handles") if row["object"] is not None]
    oracle = {row["address"]: (row["kind"], row["object"], row["type"], address_of(row["dependent"])) for row in rows}
    held = [row for row in opened.dump.handles().result.handles if row.object is not None]
    ours = {hex(row.address): (row.kind, hexadecimal(row.object), row.type, hexadecimal(row.dependent)) for row in held}
    check(opened.case.name, differences(ours, oracle), HANDLES)
    assert len(oracle) == len(rows)


HANDLES: list[Known] = [
    Known(
        "Handles in tables of heaps that a server GC has no longer: it makes a table for each processor at its start, and handles of its "
        "first moments lie in any of them; the oracle's library asks for as many tables as there are heaps now. The runtime's own "
        "preallocated exceptions (System.OutOfMemoryException), which every process has, are among those that the oracle lacks.",
        lambda difference: difference.oracle is None,
        frozenset(),
        swept=r"-(9|10)\..*-server-.*(one_processor|adapting)",
    ),
]


def object_in_static(row: Row) -> tuple[str, str, int | None] | None:
    """Object, type and thread of a static of the oracle; None where it holds none. A struct lies in a box, 8 bytes into it."""
    value = row.get("value")
    if not isinstance(value, dict):
        return None
    thread = row["owner"].get("managed_id") if row["row"] == "thread_static" else None
    if "at" in value:
        return hex(int(value["at"], 16) - 8), value["type"], thread
    return (value["address"], value["type"], thread) if "address" in value else None


def test_statics(opened: Opened) -> None:
    rows = opened.case.answers("statics", "--all")
    objects = [(row, object_in_static(row)) for row in rows]
    oracle = {f"{row['type']}.{row['field']} at {row['slot']}": held for row, held in objects if held is not None}
    ours = {
        f"{row.declaring_type}.{row.field} at {hex(row.slot)}": (hexadecimal(row.object), row.type, row.thread)
        for row in opened.dump.statics().result.statics
        if row.object is not None
    }
    check(opened.case.name, differences(ours, oracle), STATICS)


ALL = frozenset(case.name for case in [SAMPLE_CASE, *LIVE_CASES, *GOLDEN_CASES])
ZOOS = frozenset(name for name in ALL if "zoo" in name)
REDIS = frozenset(name for name in ALL if "zoo" not in name)
GENERIC = re.compile(r"\w<")
COLLECTIBLE = {"Zoo.Cat.ByName", "Zoo.Cat.Home", "Zoo.Animal.LastOnThread"}
PRECOMPILED_ONLY = {
    "System.AppContext.s_dataStore",
    "System.Diagnostics.Tracing.EventListener.s_EventSources",
    "System.Diagnostics.Tracing.RuntimeEventSource.s_RuntimeEventSource",
    "System.Environment.s_commandLineArgs",
    "System.Globalization.NumberFormatInfo.s_invariantInfo",
    "System.Reflection.InvokerEmitUtil+Methods.s_ByReferenceOfByte_Value",
    "System.Reflection.InvokerEmitUtil+Methods.s_NextCallReturnAddress",
    "System.Reflection.InvokerEmitUtil+Methods.s_Span_get_Item",
    "System.Runtime.CompilerServices.CastHelpers.s_table",
    "System.Runtime.Loader.AssemblyLoadContext.s_allContexts",
    "System.String.Empty",
    "System.Threading.PortableThreadPool+GateThread+<>O.<0>__GateThreadStart",
    "System.Threading.TimerQueue+<>O.<0>__TimerThread",
}
NOT_RUN = re.compile(r"(System\.TimeSpan|System\.Reflection\.Emit\.OpCodes|StackExchange\.Redis\.(RawResult|RedisBase|RedisDatabase))\.\w+")


def field_of(difference: Difference) -> str:
    """`Type.Field` of a static, without its slot."""
    return difference.what.split(" at ")[0]


def same_but_open(difference: Difference) -> bool:
    """Same object, and the oracle names its type by the parameters of the generic definition."""
    ours, oracle = difference.ours, difference.oracle
    return bool(ours and oracle) and ours[0] == oracle[0] and "<T1" in oracle[1] and ours[1].split("<")[0] == oracle[1].split("<")[0]


STATICS = [
    Known(
        "Statics of generic instantiations: the oracle lists none on 8 and earlier, and on 9 and later only those of types that "
        "some object has as its type or base (its blind spots 20 and 21). That ours are right shows in test_statics_of_zoo.",
        lambda difference: difference.oracle is None and GENERIC.search(field_of(difference)) is not None,
        ALL,
    ),
    Known(
        "Statics of the collectible copy of Zoo: the oracle lists none on 8 and earlier (its blind spot 20); thread statics of "
        "collectible types are not asked for, because its library crashes (3) or reads null (7).",
        lambda difference: difference.oracle is None and field_of(difference) in COLLECTIBLE,
        ZOOS,
    ),
    Known(
        "Struct statics of a class whose static constructor has not run: the runtime has made their boxes, all zero, and they hold "
        "memory; the oracle lists statics of initialised classes only (its blind spot 22).",
        lambda difference: difference.oracle is None and NOT_RUN.fullmatch(field_of(difference)) is not None,
        REDIS - {"redis-6.0.6"},
    ),
    Known(
        "Statics of types in assemblies that can be collected, emitted ones or others, and of instantiations: the oracle has none of "
        "collectible types on 8 and earlier (its blind spot 20), and later no name for the argument of the instantiation.",
        lambda difference: (
            (field_of(difference) in ("Emitted.Item.Last", "Extremes.Plugin.Blob") and difference.oracle is None)
            or field_of(difference) == "System.Collections.Generic.List<T1>.s_emptyArray"
        ),
        frozenset(),
        swept="-(emitted|contexts)-",
    ),
    Known(
        "Statics of types of Reflection.Emit on 8 and earlier: the oracle lists none. Ours are as many as the program sets, each the "
        "object that it puts there.",
        lambda difference: difference.oracle is None and re.fullmatch(r"Generated\.Type\d+\.Shared", field_of(difference)) is not None,
        frozenset(),
        swept=r"-(6|8)\..*-types-",
    ),
    Known(
        "The type of a boxed generic struct: ours is that of the box's own method table; the oracle takes the field's signature and "
        "leaves its arguments open (its blind spot 9).",
        same_but_open,
        frozenset(name for name in ALL if re.search(r"-(9|10)\.", name)),
        swept=r"-(9|10)\.",
    ),
    Known(
        "Statics of classes without static constructor that only precompiled code uses, on 8 and earlier: the flags of class "
        "initialisation stay clear (MethodTable::IsClassPreInited, methodtable.h), and the oracle asks those. The slots hold objects "
        "of the fields' types: System.String.Empty, System.AppContext.s_dataStore, AssemblyLoadContext.s_allContexts.",
        lambda difference: difference.oracle is None and field_of(difference) in PRECOMPILED_ONLY,
        frozenset(name for name in ALL if re.search(r"-(3|6|8)\.|^sample$", name)),
        swept=r"-(3|6|8)\.",
    ),
]


def test_statics_of_zoo(opened: Opened) -> None:
    """What the oracle cannot see, by the source of Zoo: `Outer<string>.Last = "outer-last"`, and the last animal born on each thread."""
    statics = opened.dump.statics().result.statics
    held = [row.object for row in statics if (row.declaring_type, row.field) == ("Zoo.Outer<System.String>", "Last")]
    last = {(row.thread, row.type) for row in statics if (row.declaring_type, row.field) == ("Zoo.Animal", "LastOnThread") and row.object}
    if "zoo" in opened.case.name:
        assert [opened.dump.object(address, strings=True).result.text for address in held] == ["outer-last"]
        assert (1, "Zoo.Cat+Kitten") in last
        assert len(last) >= 3
    else:
        assert (held, last) == ([], set())


def test_no_word_of_the_heap_is_taken_for_one_of_a_stack(opened: Opened) -> None:
    """A core merges neighbouring mappings, so that a thread's stack and a GC segment behind it can be one segment of the file."""
    session = opened.dump.session
    slots = session.roots.slots[session.roots.slots != 0]
    stacks = slots[session.roots.kinds[session.roots.slots != 0] == STACK]
    assert len(stacks) > 0
    inside = [(hex(part.start), hex(part.end)) for part in session.gc_heap.segments if ((stacks >= part.start) & (stacks < part.end)).any()]
    assert inside == []


def test_modules(opened: Opened) -> None:
    oracle = {
        row["address"]: (row["name"], row["image_base"], row["assembly"], row["is_dynamic"]) for row in opened.case.answers("modules")
    }
    ours = {
        hex(row.module): (row.path, hexadecimal(row.image_base) or "0x0", hex(row.assembly), row.dynamic)
        for row in opened.dump.modules().result.modules
    }
    check(opened.case.name, differences(ours, oracle), MODULES)


def without_file(difference: Difference) -> bool:
    """Equal but for a path that ours lacks, where the oracle writes a name without a folder."""
    ours, oracle = difference.ours, difference.oracle
    return bool(ours and oracle) and ours[1:] == oracle[1:] and ours[0] is None and "/" not in oracle[0]


MODULES: list[Known] = [
    Known(
        "An assembly that was loaded from a stream has no file: ours has no path, the oracle writes the name in the module's metadata.",
        without_file,
        frozenset(),
        swept="-contexts-",
    ),
]
