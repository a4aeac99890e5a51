"""What the loaded code does to the collection in a field: adds to it, removes from it, makes room in it, assigns it as a whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from heaphound.diagnose.code_places import code_row, place
from heaphound.diagnose.slot import Slot, item_count
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import CodeSite
from heaphound.runtime.calls import CALLS
from heaphound.runtime.calls import CodeSite as Site
from heaphound.runtime.collection_writes import CollectionWrite, collection_writes, value_source
from heaphound.runtime.evictions import evicting_methods, is_called, makes_another
from heaphound.runtime.field_uses import whole_assignments
from heaphound.runtime.types import Type

SITES_LISTED = 5
CONSTRUCTORS = (".ctor", ".cctor")
# fmt: off
REMOVING_NAMES = frozenset((
    "Remove", "RemoveAt", "RemoveAll", "RemoveRange", "RemoveFirst", "RemoveLast", "RemoveWhere", "TryRemove", "Clear", "Dequeue",
    "TryDequeue", "Pop", "TryPop", "TryTake", "Take", "TryRead", "ReadAsync", "ReadAllAsync", "Evict", "Compact", "SetLength", "set_Length",
))
TAKING_NAMES = frozenset((
    "Dequeue", "TryDequeue", "Pop", "TryPop", "TryTake", "Take", "TryRead", "ReadAsync", "ReadAllAsync", "RemoveFirst",
))
POOL_NAMES = frozenset(("TryTake", "TryPop", "Pop", "TryDequeue", "Dequeue", "Take"))
EMPTYING_NAMES = frozenset(("Clear", "SetLength", "set_Length"))
# fmt: on


@dataclass(frozen=True)
class CollectionCode:
    """What the loaded code does to the collections in some fields; nothing where no field is known."""

    subject: Subject
    slots: Sequence[Slot]
    piled: Type
    count: int
    """How many pile up."""

    @cached_property
    def adds(self) -> list[CollectionWrite]:
        """Calls that add to it."""
        return [write for slot in self.slots for write in collection_writes(self.subject.search, slot.definition, slot.field)]

    @cached_property
    def _removals(self) -> list[CollectionWrite]:
        search = self.subject.search
        return [write for slot in self.slots for write in collection_writes(search, slot.definition, slot.field, REMOVING_NAMES)]

    @cached_property
    def removes(self) -> list[CollectionWrite]:
        """Calls that remove from it, in methods that some code calls."""
        return [write for write in self._removals if is_called(self.subject.search, write.site)]

    @cached_property
    def evictions(self) -> list[CollectionWrite]:
        """Removals in every method that adds: it is kept at a size. Empty where some method only adds."""
        return evicting_methods(self.adds, self.removes)

    @cached_property
    def takes_or_makes(self) -> list[CollectionWrite]:
        """Methods that take the next item or make one, and add none: the collection is a pool, no larger than what was in use at once."""
        made = None if self.piled.is_array else self.piled.definition_name
        adding = {(write.site.module.name, write.site.method_rid) for write in self.adds}
        return [
            write
            for write in self.removes
            if _called(write) in POOL_NAMES
            and (write.site.module.name, write.site.method_rid) not in adding
            and makes_another(write.site, made)
        ]

    @cached_property
    def assigned_whole(self) -> list[Site]:
        """Where it is assigned, if nothing adds to it and no other code gets hold of it: it cannot grow otherwise."""
        if self.adds or not self.slots or any(item_count(self.subject, slot.collection_index) is None for slot in self.slots):
            return []
        found = [whole_assignments(self.subject.search, slot.definition, slot.field) for slot in self.slots]
        return [site for sites in found for site in sites] if all(found) else []

    @cached_property
    def fixed_array(self) -> list[Site]:
        """Where constructors assign it, if it is an array that holds the piled objects itself and no other code assigns or resizes it."""
        if len(self.slots) != 1 or self.replacements:
            return []
        index, search = self.slots[0].collection_index, self.subject.search
        held = self.subject.type_of(index).is_array and len(self.subject.graph.references(index)) >= self.count / 2
        return search.stores(self.slots[0].definition, self.slots[0].field) if held else []

    @cached_property
    def replacements(self) -> list[Site]:
        """Stores into it outside of constructors: how a chain, an array or an immutable collection grows."""
        search = self.subject.search
        stores = [site for slot in self.slots for site in search.stores(slot.definition, slot.field)]
        fields = {(slot.definition, slot.field) for slot in self.slots}
        resized = [site for site in search.calls(("System.Array",), "Resize") if value_source(site.operation.arguments[0]) in fields]
        return [site for site in stores if site.module.metadata.method_name(site.method_rid) not in CONSTRUCTORS] + resized

    @property
    def is_bounded(self) -> bool:
        """Whether the code shows that the collection does not grow without limit."""
        return bool(self.evictions or self.takes_or_makes or self.assigned_whole or self.fixed_array)

    @property
    def is_swept(self) -> bool:
        """Whether single entries are removed that the code chooses, and not only whatever comes next, as from a queue, or all at once."""
        names = {_called(write) for write in self.removes}
        return bool(names) and not names & TAKING_NAMES and not names <= EMPTYING_NAMES

    @property
    def only_grows(self) -> bool:
        """Whether some code adds and none removes."""
        return bool(self.adds) and not self.removes

    def sites(self) -> Iterator[CodeSite]:
        """The places that add, as rows of a finding."""
        for write in self.adds[:SITES_LISTED]:
            through = f" through {write.through}" if write.through else ""
            yield code_row(write.site, "adds", f"calls {write.method} on the field{through}")
        if not self.adds and not self.assigned_whole:
            for site in self.replacements[:SITES_LISTED]:
                resizes = site.operation.opcode in CALLS
                words = (
                    "makes the array in the field longer" if resizes else f"assigns {site.text(site.operation.arguments[-1])} to the field"
                )
                yield code_row(site, "adds", words)

    def evidence(self) -> Iterator[str]:
        """What of this bears on whether it grows, in words."""
        if self.evictions:
            for write in self.evictions[:2]:
                yield f"{write.site.written_method} makes room where it adds ({place(write.site)}): it is kept at a size"
        elif self.takes_or_makes:
            for write in self.takes_or_makes[:2]:
                yield f"{write.site.written_method} takes from it or makes a new one ({place(write.site)}): a pool"
        elif self.removes:
            for write in self.removes[:2]:
                yield f"{write.site.written_method} removes from it ({place(write.site)})"
        elif self.adds:
            for write in self._removals[:2]:
                yield f"{write.site.written_method} would remove from it ({place(write.site)}), but no loaded code calls it"
            if not self._removals:
                yield "no code of the loaded assemblies removes from it"
        elif self.fixed_array:
            yield f"it is an array that {self.fixed_array[0].written_method} makes ({place(self.fixed_array[0])}): it does not grow"
        elif self.assigned_whole:
            methods = dict.fromkeys(f"{site.written_method} ({place(site)})" for site in self.assigned_whole[:2])
            yield f"it is assigned as a whole by {', '.join(methods)}, and no code of the loaded assemblies adds to it or hands it on"


def _called(write: CollectionWrite) -> str:
    """Name of the collection's method that is called, without its type."""
    return write.method.partition("(")[0].rpartition(".")[2]
