"""Names of enum values, as Enum.ToString gives them: a member's name, or for [Flags] the members that make up the value."""

from heaphound.errors import Malformed
from heaphound.runtime.attributes import has_attribute
from heaphound.runtime.types import Type


class EnumNames:
    """Members of enum types, read once per type."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[list[tuple[int, str]], bool]] = {}

    def name(self, enum: Type, value: int) -> str | None:
        """Name of a value: None when no member or combination of flags has it, or there is no metadata."""
        members, flags = self._members(enum)
        for number, name in members:
            if number == value:
                return name
        return _combination(members, value) if flags and value else None

    def _members(self, enum: Type) -> tuple[list[tuple[int, str]], bool]:
        known = self._known.get(enum.method_table)
        if known is None:
            try:
                members = [(value, name) for name, value in enum.literals.items() if isinstance(value, int)]
                known = (members, has_attribute(enum, "System.FlagsAttribute"))
            except Malformed:
                known = ([], False)  # the number is shown instead of a name
            self._known[enum.method_table] = known
        return known


def _combination(members: list[tuple[int, str]], value: int) -> str | None:
    """Members in ascending order that together have exactly the bits of `value`, found from the largest down as Enum.ToString does."""
    left = value & 0xFFFFFFFFFFFFFFFF
    found: list[str] = []
    for number, name in sorted(members, key=lambda member: member[0] & 0xFFFFFFFFFFFFFFFF, reverse=True):
        bits = number & 0xFFFFFFFFFFFFFFFF
        if bits and left & bits == bits:
            found.append(name)
            left &= ~bits
    return None if left else ", ".join(reversed(found))
