"""Which class a Frame object of the runtime is: by its vtable (before 10.0), or by the number in its first word (10.0 and later)."""

from heaphound.layouts.schema import Layout

HELPER_METHOD = (
    "HelperMethodFrame",
    "HelperMethodFrame_1OBJ",
    "HelperMethodFrame_2OBJ",
    "HelperMethodFrame_3OBJ",
    "HelperMethodFrame_PROTECTOBJ",
)
FRAMED_METHOD = (
    "MulticastFrame",
    "PInvokeCalliFrame",
    "PrestubMethodFrame",
    "StubDispatchFrame",
    "CallCountingHelperFrame",
    "ExternalMethodFrame",
    "DynamicHelperFrame",
)
CONTEXT_INSIDE = ("FaultingExceptionFrame", "SoftwareExceptionFrame")
CONTEXT_POINTER = ("ResumableFrame", "RedirectedThreadFrame")
# Markers and protectors of native code: they save no registers, and the walk only passes them.
WITHOUT_REGISTERS = (
    "DebuggerClassInitMarkFrame",
    "DebuggerSecurityCodeMarkFrame",
    "DebuggerExitFrame",
    "DebuggerU2MCatchHandlerFrame",
    "ProtectByRefsFrame",
    "ProtectValueClassFrame",
    "ExceptionFilterFrame",
    "GCFrame",
    "ContextTransitionFrame",
)
FRAME_TYPES = (
    *HELPER_METHOD,
    *FRAMED_METHOD,
    *CONTEXT_INSIDE,
    *CONTEXT_POINTER,
    *WITHOUT_REGISTERS,
    "HijackFrame",
    "InlinedCallFrame",
    "FuncEvalFrame",
)


def frame_types(layout: Layout) -> dict[int, str]:
    """First word of a Frame to the name of its class, for all that this runtime has; not those whose mark contradicts another."""
    found: dict[int, str] = {}
    for name in FRAME_TYPES:
        if {f"constant {name}Identifier", f"constant VTableIndex.{name}"} & layout.broken.keys():
            continue  # the address of a vtable is as right as the place in the table that it was found by
        if layout.has_constant(f"{name}Identifier"):
            found[layout.constant(f"{name}Identifier")] = name
        elif layout.has_global(f"{name}VTable"):
            found[layout.global_address(f"{name}VTable")] = name
    return found
