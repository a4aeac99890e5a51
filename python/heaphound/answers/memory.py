"""`memory`: where all bytes of the dump went."""

from collections.abc import Callable

from heaphound.address import Address
from heaphound.answers.facts import dump_facts
from heaphound.answers.runtime_ranges import Accounted, account_for
from heaphound.dump.address_space import AddressSpace
from heaphound.dump.region import CATEGORIES
from heaphound.results.answer import Answer, Coverage
from heaphound.results.memory import MemoryPart, MemoryRange, MemoryResult
from heaphound.session import Session

ESTIMATED = (
    "native: glibc main heap",
    "native: glibc arenas",
    "native: glibc large allocations",
    "native: musl groups",
    "native: musl large allocations",
)
PERMISSIONS = ((4, "r"), (2, "w"), (1, "x"))


def memory(session: Session, ranges: bool = False, account: Callable[[Session], Accounted] = account_for) -> Answer[MemoryResult]:
    """The breakdown; with `ranges` every single stretch too. `account`: where somebody else has asked `account_for` already."""
    space, missing = account(session)
    return Answer(dump_facts(session), Coverage(notes=tuple(missing)), memory_result(session, space, ranges))


def memory_result(session: Session, space: AddressSpace, ranges: bool = False) -> MemoryResult:
    """An address space as the result of the verb."""
    parts = tuple(
        MemoryPart(
            kind=_kind(category.name),
            name=CATEGORIES[category.name],
            size_bytes=category.resident_bytes,
            exact=category.name not in ESTIMATED,
        )
        for category in space.categories
    )
    listed = _ranges(session, space) if ranges else ()
    return MemoryResult(total_bytes=space.resident_bytes, parts=parts, ranges=listed)


def _kind(category: str) -> str:
    """The category's name as programs read it."""
    return category.replace(": ", "-").replace(" ", "-")


def _ranges(session: Session, space: AddressSpace) -> tuple[MemoryRange, ...]:
    """The stretches with the permissions of the mapping that they lie in; both lists ascend."""
    mappings = [(address, address + size, flags) for address, size, _memory, _offset, flags in session.core.image.segments if size]
    found, position = [], 0
    for piece in space.ranges:
        while position < len(mappings) and mappings[position][1] <= piece.start:
            position += 1
        inside = position < len(mappings) and mappings[position][0] <= piece.start
        flags = mappings[position][2] if inside else 0
        permissions = "".join(letter if flags & bit else "-" for bit, letter in PERMISSIONS) if inside else ""
        name = piece.detail or CATEGORIES[piece.category]
        found.append(MemoryRange(Address(piece.start), Address(piece.end), _kind(piece.category), name, permissions))
    return tuple(found)
