"""Names of runtime types as C# writes them, out of the module's metadata and the names of element and argument types."""

from collections.abc import Sequence

from heaphound.runtime.metadata.type_names import with_arguments
from heaphound.runtime.modules import Module

FREE = "Free"
"""What the GC's own filler objects are called (as SOS does); no type of a program has this name without a namespace by habit."""


def definition_name(module: Module | None, module_address: int, row: int | None, method_table: int) -> tuple[str, str | None]:
    """(metadata name, None), or a placeholder and why there is no name. Raises nothing that a dump can cause."""
    if module is None:
        return placeholder(method_table), f"its module {module_address:#x} is not in the list of loaded assemblies"
    if row is None:
        return placeholder(method_table), "its token lies outside the 16 bits that the MethodTable has for it"
    if module.metadata is None:
        return f"<type {0x02000000 | row:#010x} of {module.name}>", f"no metadata of {module.name}: {module.metadata_missing}"
    return module.metadata.typedef_full_name(row), None


def placeholder(method_table: int) -> str:
    """Name of a type of which only the address is known."""
    return f"<unreadable type at {method_table:#x}>"


def generic_name(definition: str, arguments: Sequence[str]) -> str:
    """`Ns.Outer`1+Inner`1` with [X, Y] is `Ns.Outer<X>+Inner<Y>`."""
    return with_arguments(definition, arguments)


def array_name(element: str, rank: int, is_vector: bool) -> str:
    """`T[]`, `T[,]`; `T[*]` for an array of one dimension that may have another lower bound than 0 (as reflection writes it)."""
    if is_vector:
        return f"{element}[]"
    return f"{element}[*]" if rank == 1 else f"{element}[{',' * (rank - 1)}]"


def function_pointer_name(returns: str, parameters: Sequence[str]) -> str:
    """`delegate*<System.Int32, System.Void>`: parameters, then the return type."""
    return f"delegate*<{', '.join([*parameters, returns])}>"
