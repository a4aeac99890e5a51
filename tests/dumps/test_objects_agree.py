"""One object of every type on the heap against the oracle: fields, elements, delegates."""

from dataclasses import replace
from typing import Any

from tests.dumps.conftest import Opened
from tests.dumps.known import Difference, Known, check, differences
from tests.dumps.values import (
    flat_elements,
    flat_fields,
    flat_targets,
    oracle_elements,
    oracle_fields,
    oracle_targets,
    without_what_the_oracle_leaves_open,
)
from tests.lab.cases import GOLDEN_CASES, LIVE_CASES, SAMPLE_CASE
from tests.lab.oracle import Row, first_of_each_type

ELEMENTS = 20  # as many as the oracle prints


def oracle_objects(opened: Opened) -> list[Row]:
    case = opened.case
    if case.recorded:
        return case.answers("object")
    return case.answers("object", *first_of_each_type(case.answers("objects")))


def test_fields_elements_and_delegates(opened: Opened) -> None:
    found: list[Difference] = []
    compared = 0
    for row in oracle_objects(opened):
        result = opened.dump.object(int(row["address"], 16), limit=ELEMENTS).result
        ours: dict[str, Any] = {"": (result.type, hex(result.method_table), result.size_bytes)}
        oracle: dict[str, Any] = {"": (row["type"], row["mt"], row["size"])}
        if row["fields"] is not None:
            ours |= flat_fields(result.fields)
            oracle |= oracle_fields(row["fields"])
        if row["array"] is not None:
            ours |= flat_elements((result.elements or ())[:ELEMENTS])
            oracle |= oracle_elements(row["array"]["elements"])
        if row["delegate"] is not None:
            ours |= flat_targets((result.delegate or ())[:ELEMENTS])
            oracle |= oracle_targets(row["delegate"]["targets"])
        ours = without_what_the_oracle_leaves_open(ours, oracle)
        oracle = without_what_the_oracle_leaves_open(oracle, oracle)
        compared += len(ours)
        name = f"{row['type']} {row['address']} "
        found += [replace(one, what=name + one.what) for one in differences(ours, oracle)]
    assert compared > 500
    check(opened.case.name, found, OBJECTS)


ALL = frozenset(case.name for case in [SAMPLE_CASE, *LIVE_CASES, *GOLDEN_CASES])
ZOOS = frozenset(name for name in ALL if "zoo" in name)


def of_a_delegate(difference: Difference) -> bool:
    return " target " in difference.what


def static_target(difference: Difference) -> bool:
    ours, oracle = difference.ours, difference.oracle
    itself = of_a_delegate(difference) and ours and oracle and ours[1:] == oracle[1:] and ours[0] is None
    return bool(itself and oracle[0] is not None and difference.what.startswith(f"{oracle[0][1]} "))


def open_generic(difference: Difference) -> bool:
    """Same place, and the oracle names the type of the struct there by the parameters of the generic definition."""
    ours, oracle = difference.ours, difference.oracle
    if not (ours and oracle and isinstance(oracle[-1], str) and "<T1" in oracle[-1]):
        return False
    return bool(ours[:-1] == oracle[:-1] and ours[-1].split("<")[0] == oracle[-1].split("<")[0])


OBJECTS = [
    Known(
        "A delegate to a static method has no target (Delegate.Target is null, its _target field is the delegate itself); the oracle "
        "reports the field (its blind spot 12).",
        static_target,
        ALL,
    ),
    Known(
        "Delegates to dynamic methods and to code that is not compiled yet, in a withheap dump: the oracle finds no method and so no "
        "target, because its library looks in pages that such a dump lacks; ours are those that it too finds in full dumps of 8.0.4.",
        lambda difference: of_a_delegate(difference) and difference.oracle is None,
        frozenset({"sample"}),
        swept="withheap",
    ),
    Known(
        "A struct field of generic type: ours has its arguments, the oracle leaves them open (its blind spot 9).",
        open_generic,
        ALL,
    ),
    Known(
        "A null field of a class that was never loaded: the oracle takes it for a struct of System.Void.",
        lambda difference: bool(difference.oracle) and difference.oracle[-1] == "System.Void" and difference.ours[-1] is None,
        ALL,
    ),
    Known(
        "System.Int32[*] is the oracle's System.Int32<*> (its blind spot 10).",
        lambda difference: repr(difference.ours).replace("[*]", "<*>") == repr(difference.oracle),
        ZOOS,
    ),
    Known(
        "The elements of int*[]: four null pointers by the source of Zoo; the oracle reads them 2 GB too low (its blind spot 10).",
        lambda difference: difference.what.startswith("System.Int32*[] ") and difference.ours == ("0x0",),
        ZOOS,
    ),
    Known(
        "A struct in a type shared over reference arguments: ours has the arguments of this object's type, the oracle's name is of the "
        "shared code, System.__Canon.",
        lambda difference: repr(difference.ours) == repr(difference.oracle).replace("System.__Canon", "System.String"),
        ZOOS,
    ),
    Known(
        "The object of Reflection.Emit on 6.0: the oracle has no names of its type and fields (test_heap_agrees.py says why); ours are "
        "those that Zoo gives them.",
        lambda difference: difference.what.startswith("None ") and difference.ours[0] == "Emitted.Thing",
        frozenset({"zoo-6.0.6", "zoo-6.0.6-server"}),
        swept="-zoo-6",
    ),
    Known(
        "Objects of emitted types and of instantiations over them: the oracle has no name for the type (test_heap_agrees.py says why).",
        lambda difference: (
            "Emitted.Item" in repr(difference.ours)
            and (difference.oracle is None or "None" in repr(difference.oracle) or "<T1>" in repr(difference.oracle))
        ),
        frozenset(),
        swept="-emitted-",
    ),
    Known(
        "Objects of Reflection.Emit on 6.0 (test_heap_agrees.py says why).",
        lambda difference: difference.what.startswith("None ") and difference.ours[0].startswith("Generated.Type"),
        frozenset(),
        swept=r"-6\..*-types-",
    ),
]
