"""What heaphound reads of the program Shapes, against what its source says: where the oracle itself is wrong (its blind spots 8 to 12)."""

from collections.abc import Iterator
from typing import Any

import pytest

import heaphound
from heaphound.results.object import ElementRow, EnumValue, FieldRow, ObjectResult, Reference, StructValue
from tests.lab.dumps import Recipe, make_dump

RUNTIMES = ["6.0.6", "8.0.4", "9.0.11", "10.0.11"]
STRING = "System.String"
PAIR = "System.Collections.Generic.KeyValuePair"


class Shapes:
    """A dump of Shapes, its objects by type name."""

    def __init__(self, runtime: str) -> None:
        self.runtime = runtime
        self.dump = heaphound.open(str(make_dump(Recipe("Shapes", runtime)).path))

    def all(self, type_name: str) -> Iterator[ObjectResult]:
        """Every object of exactly that type."""
        for row in self.dump.objects(type_name=type_name, limit=None).result.objects:
            yield self.dump.object(int(row.address), strings=True, limit=None).result

    def one(self, type_name: str) -> ObjectResult:
        """The only object of that type."""
        (found,) = self.all(type_name)
        return found

    def items(self, type_name: str, count: int = 1) -> list[Any]:
        """Plain items of the one collection of that type that has any, `count` at least."""
        (found,) = [each for each in self.all(type_name) if each.collection is not None and each.collection.count >= count]
        assert found.elements is not None
        assert found.collection is not None
        assert found.collection.count == len(found.elements)
        return [plain_item(element) for element in found.elements]


@pytest.fixture(scope="module", params=RUNTIMES)
def shapes(request: pytest.FixtureRequest) -> Shapes:
    return Shapes(request.param)


def plain(value: Any) -> Any:
    """A value without addresses: texts of references, names of enum members, dictionaries for structs."""
    match value:
        case StructValue():
            return value.text if value.text is not None else {field.name: plain(field.value) for field in value.fields}
        case EnumValue():
            return value.name if value.name is not None else value.value
        case Reference():
            return value.text if value.text is not None else value.type
    return value


def plain_item(element: ElementRow) -> Any:
    return plain(element.value) if element.key is None else (plain(element.key), plain(element.value))


def fields(found: ObjectResult) -> dict[str, FieldRow]:
    return {field.name: field for field in found.fields}


def values(found: ObjectResult) -> dict[str, Any]:
    return {field.name: plain(field.value) for field in found.fields}


def test_types_of_fields_in_code_shared_over_references(shapes: Shapes) -> None:
    found = fields(shapes.one("Shapes.Shared<System.String>"))
    assert {name: field.type for name, field in found.items()} == {
        "Pair": f"{PAIR}<{STRING}, System.Int32>",
        "Map": f"System.Collections.Generic.Dictionary<{STRING}, System.Collections.Generic.List<{STRING}>>",
        "Jagged": f"{STRING}[][]",
        "Grid": f"{STRING}[,]",
        "Tuple": f"System.ValueTuple<{STRING}, System.Int64>",
        "Inner": f"Shapes.Shared<{STRING}>+Nested<Shapes.Spot>",
        "Value": STRING,
        "Self": f"System.Func<{STRING}, {STRING}>",
        "Maybe": STRING,
        "Height": f"Shapes.Shared<{STRING}>+Level",
        "Deep": f"{PAIR}<System.Int32, {PAIR}<{STRING}, {STRING}>>",
    }


def test_values_of_fields_in_code_shared_over_references(shapes: Shapes) -> None:
    found = values(shapes.one("Shapes.Shared<System.String>"))
    assert found["Pair"] == {"key": "pair", "value": 42}
    assert found["Tuple"] == {"Item1": "tuple", "Item2": 7}
    assert found["Inner"] == {"Outer": "outer", "Own": {"X": 3, "Y": 0}, "Both": {"key": {"X": 0, "Y": 4}, "value": "both"}}
    assert found["Deep"] == {"key": 1, "value": {"key": "d1", "value": "d2"}}
    assert (found["Value"], found["Maybe"], found["Height"]) == ("value", None, "Top")


def test_an_instantiation_over_a_value_type_has_its_own_layout(shapes: Shapes) -> None:
    found = values(shapes.one("Shapes.Shared<Shapes.Spot>"))
    assert found["Pair"] == {"key": {"X": 5, "Y": 0}, "value": 43}
    assert (found["Value"], found["Maybe"], found["Height"]) == ({"X": 6, "Y": 0}, {"X": 0, "Y": 1}, "Top")


def test_a_base_instantiated_over_an_array_of_the_parameter(shapes: Shapes) -> None:
    found = fields(shapes.one("Shapes.Shared<System.String>+Sub"))
    assert found["Value"].type == "System.String[]"
    assert found["Value"].declaring_type == "Shapes.Shared<System.String[]>"
    assert found["Jagged"].type == "System.String[][][]"
    assert plain(found["Own"].value) == "own"


def test_a_field_that_hides_another_is_beside_it(shapes: Shapes) -> None:
    (found, _) = shapes.all("Shapes.Derived")  # the second is the one of the assembly that was loaded out of a byte array
    declared = [(field.declaring_type, plain(field.value)) for field in found.fields if field.name == "Value"]
    assert declared == [("Shapes.Shared<System.String>", None), ("Shapes.Derived", 5)]


def test_inline_arrays_have_all_their_elements_where_the_runtime_knows_them(shapes: Shapes) -> None:
    found = values(shapes.one("Shapes.Inlined"))
    assert (found["Before"], found["After"]) == (1, 2)
    if shapes.runtime.startswith("6."):
        assert found["Names"] == {"first": "first"}
        assert found["Spots"] == {"first": {"Name": "named", "At": {"X": 1, "Y": 2}}}
        return
    assert found["Names"] == {"[0]": "first", "[1]": "name 1", "[2]": "name 2", "[3]": "name 3"}
    assert found["Spots"]["[2]"] == {"Name": "third", "At": {"X": 9, "Y": 8}}
    references = {row.via for row in shapes.one("Shapes.Inlined").references}
    assert references == {"Names[0]", "Names[1]", "Names[2]", "Names[3]", "Spots[0].Name", "Spots[2].Name"}


def test_pointers_and_function_pointers(shapes: Shapes) -> None:
    found = fields(shapes.one("Shapes.Pointers"))
    assert (found["Raw"].type, found["Raw"].value) == ("System.Int32*", 0x1234)
    assert (found["Function"].type, found["Function"].value) == ("delegate*<System.Int32, System.Void>", 0x5678)
    assert shapes.one("delegate*<System.String, System.Int32>[]").array is not None
    assert [plain_item(element) for element in shapes.one("System.Int32**[]").elements or ()] == [0]


def test_numbers_dates_and_enums_as_their_source_writes_them(shapes: Shapes) -> None:
    found = values(next(shapes.all("Shapes.Numbers")))
    assert found["NaN"] != found["NaN"]
    assert {name: value for name, value in found.items() if name != "NaN"} == {
        "Half": "1.5", "Third": 0.33333334, "Tenth": 0.1, "Infinite": float("inf"),
        "Small": "0.0001", "Negative": "-79228162514264337593543950335", "Zero": "0.00",
        "Day": "2024-02-29", "Clock": "23:59:58", "Back": "-3.12:00:00",
        "Local": "2020-01-02T03:04:05.0000000", "First": "0001-01-01T00:00:00.0000000", "Final": "9999-12-31T23:59:59.9999999",
        "West": "2024-07-18T18:44:00.0000000-05:30",
        "Tiny": "Below", "NoName": 5, "Flags": "Middle, Both", "Zeroes": "None", "Unknown": 2, "SomeTiny": "One", "NoGuid": "null",
        "Lone": "\ud83d", "Native": 0xFFFFFFFFFFFFFFFF,
        "BoxedEnum": "High", "BoxedDate": "2001-02-03T00:00:00.0000000", "BoxedBool": "true", "BoxedChar": "x", "BoxedNullable": "7",
    }  # fmt: skip


def test_arrays_with_lower_bounds_and_arrays_of_arrays(shapes: Shapes) -> None:
    bounded = shapes.one("Shapes.Named[,]").array
    assert bounded is not None
    assert (bounded.lengths, bounded.lower_bounds) == ((2, 2), (1, -1))
    inner, outer = shapes.one("System.Int32[][,]").array, shapes.one("System.Int32[,][]").array
    assert inner is not None
    assert outer is not None
    assert (inner.element_type, inner.lengths, outer.element_type, outer.lengths) == ("System.Int32[]", (2, 3), "System.Int32[,]", (2,))


def test_sequences(shapes: Shapes) -> None:
    generic, concurrent = "System.Collections.Generic", "System.Collections.Concurrent"
    assert shapes.items(f"{generic}.Stack<System.Int32>") == [3, 2, 1, 0]
    assert shapes.items(f"{generic}.Queue<System.String>") == ["q2", "q3", "q4"]
    assert shapes.items(f"{generic}.LinkedList<System.String>") == ["l1", "l2"]
    assert shapes.items(f"{generic}.PriorityQueue<System.String, System.Int32>") == [(1, "soon"), (9, "late")]
    assert shapes.items(f"{concurrent}.ConcurrentQueue<System.Int32>") == list(range(40, 100))
    assert shapes.items(f"{concurrent}.ConcurrentStack<System.String>") == ["top", "bottom"]
    assert shapes.items(f"{concurrent}.ConcurrentBag<System.Int32>") == [0, 1, 2]
    assert shapes.items("System.Collections.ArrayList") == ["1", "two", None]
    assert shapes.items("System.Collections.ObjectModel.ReadOnlyCollection<System.Int32>") == [4, 5]
    assert shapes.items("System.Collections.ObjectModel.ObservableCollection<System.String>") == ["seen"]


def test_hash_tables(shapes: Shapes) -> None:
    generic = "System.Collections.Generic"
    assert shapes.items(f"{generic}.Dictionary<System.Int32, System.String>", 2) == [(i, f"v{i}") for i in (0, 1, 2, 4, 5, 6, 8, 9)]
    assert shapes.items(f"{generic}.HashSet<System.String>") == ["s0", "s1", "s3", "s4", "s5"]
    assert shapes.items(f"{generic}.SortedList<System.String, System.Int32>") == [("a", 1), ("b", 2)]
    assert shapes.items("Shapes.Closed<System.String, System.Int32>") == [("c", 3)]
    assert shapes.items("System.Collections.ObjectModel.ReadOnlyDictionary<System.String, System.Int32>") == [("only", 1)]
    assert [value for _, value in shapes.items(f"{generic}.Dictionary<Shapes.Program+Collider, System.Int32>")] == [0, 1, 2, 3]
    assert sorted(shapes.items("System.Collections.Hashtable+SyncHashtable", 2)) == [("2", "two"), ("h", "1")]
    concurrent = dict(shapes.items("System.Collections.Concurrent.ConcurrentDictionary<System.String, Shapes.Spot>"))
    assert {key: value["X"] for key, value in concurrent.items()} == {f"c{i}": i for i in range(70) if i != 5}


def test_trees(shapes: Shapes) -> None:
    immutable = "System.Collections.Immutable"
    assert shapes.items("System.Collections.Generic.SortedSet<System.Int32>") == list(range(50))
    assert shapes.items(f"{immutable}.ImmutableArray<System.Int32>") == [1, 2, 3]
    assert shapes.items(f"{immutable}.ImmutableList<System.Int32>") == list(range(20))
    assert sorted(shapes.items(f"{immutable}.ImmutableDictionary<System.Int32, System.String>")) == [(i, f"i{i}") for i in range(15)]
    assert sorted(shapes.items(f"{immutable}.ImmutableHashSet<System.String>")) == ["x", "y", "z"]
    assert shapes.items(f"{immutable}.ImmutableSortedDictionary<System.String, System.Int32>") == [("k1", 1), ("k2", 2)]
    assert shapes.items(f"{immutable}.ImmutableSortedSet<System.Int32>") == [1, 2, 3]
    assert shapes.items(f"{immutable}.ImmutableList<System.String>", 0) == []


def test_a_weak_table_gives_what_is_attached(shapes: Shapes) -> None:
    found = dict(shapes.items("System.Runtime.CompilerServices.ConditionalWeakTable<System.Object, System.Object>"))
    assert found["System.Collections.Generic.Stack<System.Int32>"] == "attached to Stack`1"
    assert found["System.Collections.ArrayList"] == "attached to ArrayList"


def test_load_contexts_by_name(shapes: Shapes) -> None:
    modules = [module for module in shapes.dump.modules().result.modules if module.name == "Shapes"]
    contexts = [module.load_context for module in modules]
    assert contexts[:2] == [None, "shapes plugin"]
    assert contexts[2] is not None
    assert contexts[2].startswith("<unnamed System.Runtime.Loader.AssemblyLoadContext at 0x")
    assert contexts[3] == "Assembly.Load(byte[], ...)"
    assert [module.collectible for module in modules] == [False, True, False, False]
    assert [module.path is None for module in modules] == [False, False, False, True]


def test_instantiations_over_a_collectible_type(shapes: Shapes) -> None:
    found = fields(shapes.one("Shapes.Collectible<Shapes.Spot>"))
    assert found["Value"].type == "Shapes.Spot"
    assert found["Pairs"].type == f"{PAIR}<Shapes.Spot, System.Guid>[]"
    assert shapes.items("System.Collections.Generic.List<Shapes.Spot>") == [{"X": 0, "Y": 0}]
    assert shapes.one("System.Collections.Generic.Dictionary<Shapes.Spot, System.String>").type.endswith("<Shapes.Spot, System.String>")


def test_boxed_structs_that_refer_to_each_other(shapes: Shapes) -> None:
    first, second = sorted(shapes.all("Shapes.Ring"), key=lambda found: values(found)["Number"])
    next_of_first, next_of_second = fields(first)["Next"].value, fields(second)["Next"].value
    assert isinstance(next_of_first, Reference)
    assert isinstance(next_of_second, Reference)
    assert (next_of_first.address, next_of_second.address) == (second.address, first.address)


@pytest.mark.parametrize(("assembly", "field_count"), [("Many", 4), ("Wide", 8)])
@pytest.mark.parametrize("number", [7, 298])
def test_types_made_by_reflection_emit(shapes: Shapes, assembly: str, field_count: int, number: int) -> None:
    found = values(shapes.one(f"{assembly}.Type{number}"))
    own = {name: value for name, value in found.items() if name.startswith(f"Field{number}_")}
    expected: dict[str, object] = {f"Field{number}_{index}": 0 for index in range(field_count)}
    assert own == expected | {f"Field{number}_0": f"emitted {number}", f"Field{number}_3": number}
    bases = {int(name.split("_")[0].removeprefix("Field")) for name in found} - {number}
    assert bases == {base for base in range(number // 100 * 100, number) if base % 10 != 9}
    (module,) = [module for module in shapes.dump.modules().result.modules if module.name == assembly]
    assert (module.dynamic, module.path, module.metadata) == (True, None, "present")
