"""What the rules of the diagnosis may ask: one bundle of the layers below, and the questions that several rules share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from heaphound.address import Address
from heaphound.diagnose.observed import Observed
from heaphound.errors import Malformed, Unreadable
from heaphound.graph.object_graph import ObjectGraph
from heaphound.results.analyze import PathStep
from heaphound.runtime.calls import CodeSearch
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.containers import Containers
from heaphound.runtime.edges import Edges
from heaphound.runtime.roots import RootTable
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.threads import Thread
from heaphound.runtime.types import Type
from heaphound.runtime.typesystem import TypeSystem


@dataclass(frozen=True)
class Subject:
    """One dump under diagnosis. Objects are indices of the walk where a name ends in `index`, addresses where it ends in `address`."""

    runtime: Runtime
    types: TypeSystem
    edges: Edges
    containers: Containers
    graph: ObjectGraph
    roots: RootTable
    threads: Sequence[Thread]
    code: CodeLocator
    search: CodeSearch
    observed: Observed | None = None
    """None for a diagnosis by the heap and the code alone."""

    @cached_property
    def heap_bytes(self) -> int:
        """Bytes of all objects, free blocks left out."""
        table = self.graph.table
        free = 0 if table.free_type_index is None else int(table.type_bytes[table.free_type_index])
        return int(table.type_bytes.sum()) - free

    @cached_property
    def type_names(self) -> tuple[str, ...]:
        """Names of the heap's types in the order of their indices; "" for one that cannot be read (the walk has listed it)."""
        return tuple(self._name(method_table) for method_table in self.graph.table.method_tables.tolist())

    def _name(self, method_table: int) -> str:
        try:
            return self.types.type(method_table).name
        except (Unreadable, Malformed):
            return ""

    def types_named(self, *names: str) -> Iterator[Type]:
        """Types of the heap that have one of these names."""
        for index, name in enumerate(self.type_names):
            if name in names:
                yield self.types.type(int(self.graph.table.method_tables[index]))

    def type_of(self, index: int) -> Type:
        """Type of a walked object. Raises Unreadable, Malformed."""
        return self.types.type(int(self.graph.table.method_tables[self.graph.table.type_of(index)]))

    def address_of(self, index: int) -> int:
        """Address of a walked object."""
        return int(self.graph.table.address_of(index))

    def instances(self, method_table: int) -> NDArray[np.uint32]:
        """All objects of one type; none if the heap has none."""
        found = np.flatnonzero(self.graph.table.method_tables == np.uint64(method_table))
        return self.graph.table.instances(int(found[0])) if len(found) else np.empty(0, dtype=np.uint32)

    def edge(self, source: int, target: int) -> str:
        """The first field or index of one object that refers to another, by their addresses; in words where no field does."""
        names = self.edges.edge_names(source, target, 1)
        return names[0] if names else "(dependent handle or load context)"

    def steps(self, indices: Sequence[int]) -> tuple[PathStep, ...]:
        """Objects of a path with the field or index that leads from each to the next."""
        addresses = [self.address_of(index) for index in indices]
        return tuple(
            PathStep(
                Address(address),
                self.type_of(indices[position]).name,
                None if position + 1 == len(addresses) else self.edge(address, addresses[position + 1]),
            )
            for position, address in enumerate(addresses)
        )
