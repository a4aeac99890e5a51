"""Managed strings: length and UTF-16 text."""

from heaphound.dump.memory import Memory
from heaphound.errors import Unreadable
from heaphound.layouts.schema import Layout

MAXIMUM_CHARACTERS = 0x3FFFFFDF  # String.MaxLength of System.Private.CoreLib


class Strings:
    """Reads System.String objects. `show_text` False gives lengths only; `maximum_characters` bounds how much of one text is read."""

    def __init__(self, memory: Memory, layout: Layout, *, show_text: bool = True, maximum_characters: int = 1 << 20) -> None:
        self._memory = memory
        self._length = layout.offset("String", "m_StringLength")
        self._first = layout.offset("String", "m_FirstChar")
        self._show_text = show_text
        self._maximum = maximum_characters

    def length(self, address: int) -> int:
        """Characters (UTF-16 code units) of the string at `address`. Raises Unreadable."""
        return self._memory.u32(address + self._length)

    def text(self, address: int, maximum: int | None = None) -> str:
        """Its text, at most `maximum` characters from the start; a lone surrogate stays one. Raises Unreadable, not for what is cut off."""
        length = self.length(address)
        if length > MAXIMUM_CHARACTERS:
            raise Unreadable(address, 2 * length, "no string: it claims more characters than a string may have")
        return self._memory.utf16(address + self._first, min(length, self._maximum if maximum is None else maximum))

    def text_and_length(self, address: int, maximum: int | None = None) -> tuple[str | None, int]:
        """(text of at most `maximum` characters, or None when texts are not to be shown; all characters). Raises Unreadable."""
        length = self.length(address)
        return (self.text(address, maximum) if self._show_text else None), length
