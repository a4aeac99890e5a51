"""A target address: an int that the views print as hexadecimal."""


class Address(int):
    """An address in the dumped process. Equal to, and usable as, the plain int; JSON and text print it as ``0x7f...``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return hex(self)

    __str__ = __repr__
