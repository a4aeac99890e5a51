"""Values of constants in metadata (the Constant table, ECMA-335 II.22.9)."""

from struct import unpack
from typing import Final

from heaphound.errors import Malformed
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.metadata.rows import Constant

_FORMATS: Final[dict[int, str]] = {
    ElementType.BOOLEAN: "<B",
    ElementType.CHAR: "<H",
    ElementType.I1: "<b",
    ElementType.U1: "<B",
    ElementType.I2: "<h",
    ElementType.U2: "<H",
    ElementType.I4: "<i",
    ElementType.U4: "<I",
    ElementType.I8: "<q",
    ElementType.U8: "<Q",
    ElementType.R4: "<f",
    ElementType.R8: "<d",
}
_SIZES: Final = {"B": 1, "b": 1, "H": 2, "h": 2, "I": 4, "i": 4, "Q": 8, "q": 8, "f": 4, "d": 8}


def literal_value(constant: Constant) -> int | float | str | None:
    """The value; None for the null reference. Raises Malformed on a blob of the wrong size or an unknown kind."""
    if constant.element_type == ElementType.STRING:
        return constant.value.decode("utf-16-le", "surrogatepass")
    if constant.element_type == ElementType.CLASS:
        return None
    form = _FORMATS.get(constant.element_type)
    if form is None or len(constant.value) != _SIZES[form[1]]:
        raise Malformed(f"constant of element type {constant.element_type:#x} has {len(constant.value)} bytes")
    value: int | float = unpack(form, constant.value)[0]
    return value
