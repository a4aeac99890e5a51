"""Short texts for objects whose meaning their fields hide: StringBuilder, Lazy, Task, weak references, load contexts.

Recognised by their fields and the framework's names. Flags: System.Threading.Tasks.Task (TASK_STATE_*), LazyState, WeakReference of
src/libraries/System.Private.CoreLib of 6.0 to 10.0.
"""

from collections.abc import Callable
from typing import Final

from heaphound.errors import Malformed, Unreadable
from heaphound.results.object import Reference, Value
from heaphound.runtime.container_view import View
from heaphound.runtime.types import Type
from heaphound.runtime.values import Values

_MAXIMUM_CHUNKS = 1 << 20
_TASK_STATES: Final = (
    (0x1000000, "ran to completion"),
    (0x200000, "faulted"),
    (0x400000, "canceled"),
    (0x800000, "waiting for children"),
    (0x20000, "running"),
    (0x10000, "waiting to run"),
)
"""Bits of Task.m_stateFlags, the deciding one first."""
_WAITING_FOR_ACTIVATION = 0x2000000


class Descriptions:
    """Describes objects of one dump in a few words; None for those that speak for themselves. Never raises for a bad dump."""

    def __init__(self, values: Values, *, strings: bool = True) -> None:
        self._values = values
        self._strings = strings

    def text(self, address: int, found: Type) -> str | None:
        """A short text, or None."""
        try:
            view = View.of_object(self._values, address, found)
            return next((text for describe in _DESCRIBE if (text := describe(self, view, found)) is not None), None)
        except (Unreadable, Malformed):
            return None

    def string_builder(self, view: View, found: Type) -> str | None:
        """The text so far, put together from its chunks (the last one first)."""
        if found.name != "System.Text.StringBuilder" or not self._strings:
            return None
        return string_builder_text(view)

    def lazy(self, view: View, found: Type) -> str | None:
        """Whether the value was made: `_state` is null once it was."""
        if not found.name.startswith("System.Lazy<") or not view.has("_state"):
            return None
        if view.pointer("_state"):
            return "value not created"
        value = _shown(view.value("_value"))
        return "value created" + (f": {value}" if value else "")

    def task(self, view: View, _found: Type) -> str | None:
        """State of a Task in words."""
        return task_state(view.integer("m_stateFlags")) if view.has("m_stateFlags", "m_continuationObject") else None

    def weak_reference(self, view: View, found: Type) -> str | None:
        """What a WeakReference refers to, and whether it tracks resurrection."""
        if not found.name.startswith("System.WeakReference"):
            return None
        target = weak_target(view)
        if target is None:
            return "target collected or none"
        reference = self._values.reference(target)
        return f"target {target:#x} {reference.type}" if isinstance(reference, Reference) else f"target {target:#x}"

    def load_context(self, view: View, _found: Type) -> str | None:
        """Name of an AssemblyLoadContext."""
        if not view.has("_name", "_isCollectible", "_nativeAssemblyLoadContext"):
            return None
        name = view.pointer("_name")
        kind = "collectible" if view.value("_isCollectible") is True else "not collectible"
        return f"{self._values.strings.text(name)} ({kind})" if name else kind


_DESCRIBE: Final[list[Callable[[Descriptions, View, Type], str | None]]] = [
    Descriptions.string_builder,
    Descriptions.lazy,
    Descriptions.task,
    Descriptions.weak_reference,
    Descriptions.load_context,
]


def string_builder_text(view: View) -> str:
    """Text of a StringBuilder. Raises Malformed (chunks form a loop, a length beyond its array) or Unreadable."""
    parts: list[str] = []
    chunk: View | None = view
    while chunk is not None:
        if len(parts) >= _MAXIMUM_CHUNKS:
            raise Malformed(f"the chunks of the string builder at {view.address:#x} form a loop")
        characters, length = chunk.array("m_ChunkChars"), chunk.integer("m_ChunkLength")
        if characters is None or not 0 <= length <= characters.length:
            raise Malformed(f"a chunk of the string builder at {view.address:#x} claims {length} characters")
        parts.append(view.values.memory.utf16(characters.data, length))
        chunk = chunk.object("m_ChunkPrevious")
    return "".join(reversed(parts))


def task_state(flags: int) -> str:
    """A task's state in words, as TaskStatus names it."""
    for bit, word in _TASK_STATES:
        if flags & bit:
            return word
    return "waiting for activation" if flags & _WAITING_FOR_ACTIVATION else "created"


def weak_target(view: View) -> int | None:
    """Object that a WeakReference (of T) refers to; None when collected or cleared. Raises Unreadable or Malformed.

    The handle is tagged in its lowest bits since 8.0 (`_taggedHandle`), plain in `m_handle` before.
    """
    handle = view.values.memory.pointer(view.slot(view.first("_taggedHandle", "m_handle", "_handle"))) & ~3
    return view.values.memory.pointer(handle) or None if handle else None


def _shown(value: Value) -> str | None:
    match value:
        case Reference():
            return f"{value.address} {value.type}"
        case bool() | int() | float() | str():
            return str(value)
    return None
