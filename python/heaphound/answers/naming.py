"""Names and sizes of objects by address or index, for the rows of many answers."""

from heaphound.errors import Malformed, Unreadable
from heaphound.session import Session


class Naming:
    """Type names and sizes; what cannot be read is None, so that a row can say so."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._mask = session.runtime.layout.constant("ObjectToMethodTableUnmask")
        self._names: dict[int, str] = {}

    def type_name(self, method_table: int) -> str:
        """Name of a type; a name in angle brackets where it cannot be read."""
        known = self._names.get(method_table)
        if known is None:
            try:
                known = self._session.types.type(method_table).name
            except (Unreadable, Malformed) as error:
                known = f"<unreadable type at {method_table:#x}: {error}>"
            self._names[method_table] = known
        return known

    def type_of(self, address: int) -> str | None:
        """Type name of the object at an address; None when its first word is not in the dump."""
        try:
            return self.type_name(self._session.core.memory.pointer(address) & ~self._mask)
        except Unreadable:
            return None

    def type_of_index(self, index: int) -> str:
        """Type name of a walked object."""
        table = self._session.table
        return self.type_name(int(table.method_tables[table.type_of(index)]))

    def size_of(self, address: int) -> int | None:
        """Aligned size of the object in bytes; None where the walk found none at the address."""
        index = self._session.table.index_of(address)
        return None if index is None else int(self._session.table.size_of(index))
