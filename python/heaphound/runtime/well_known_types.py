"""Names of types that the runtime itself knows: they hold even where a dump lacks all metadata (a kernel core without the images)."""

from typing import Final

from heaphound.runtime.signatures import PRIMITIVES

WELL_KNOWN: Final = {
    "ArrayMethodTable": "System.Array",
    "CanonMethodTable": "System.__Canon",
    "DelegateMethodTable": "System.Delegate",
    "EnumMethodTable": "System.Enum",
    "ExceptionMethodTable": "System.Exception",
    "MulticastDelegateMethodTable": "System.MulticastDelegate",
    "ObjectMethodTable": "System.Object",
    "RuntimeTypeMethodTable": "System.RuntimeType",
    "StringMethodTable": "System.String",
    "ThreadMethodTable": "System.Threading.Thread",
    "ValueTypeMethodTable": "System.ValueType",
}
"""The runtime's globals that hold MethodTables (src/coreclr/vm/vars.hpp, g_pStringClass ...) and the types' names."""


def primitive_name(element_type: int) -> str | None:
    """Name of the primitive type of a CorElementType; None for others."""
    return PRIMITIVES.get(element_type)
