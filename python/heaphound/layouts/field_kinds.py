"""What each field of the runtime's structures is: how many bytes it takes, and at a multiple of what it lies."""

from typing import Final

from heaphound.layouts.field_widths import widths_in_bytes
from heaphound.layouts.schema import Layout

POINTER_BYTES: Final = 8
# Structures inside of others: the field to its structure, which is as long as the layout's fields of it reach.
EMBEDDED: Final = {
    "AppDomain.DomainAssemblyList": "ArrayListBase",
    "EEAllocContext.GCAllocationContext": "GCAllocContext",
    "HelperMethodFrame.MachineState": "MachineState",
    "HijackArgs.CalleeSavedRegisters": "CalleeSavedRegisters",
    "Module.MethodDefToDescMap": "ModuleLookupMap",
    "Module.TypeDefToMethodTableMap": "ModuleLookupMap",
    "Module.TypeRefToMethodTableMap": "ModuleLookupMap",
    "PEImage.Path": "SString",
    "RuntimeThreadLocals.AllocContext": "EEAllocContext",
    "SyncBlock.Monitor": "AwareLock",
    "Thread.AllocContext": "GCAllocContext",
    "Thread.ThreadLocalBlock": "ThreadLocalBlock",
    "TransitionBlock.CalleeSavedRegisters": "CalleeSavedRegisters",
}
# CONTEXT is declared to lie at a multiple of 16 (src/coreclr/pal/inc/pal.h).
CONTEXTS: Final = ("DebuggerEval.TargetContext", "FaultingExceptionFrame.TargetContext", "SoftwareExceptionFrame.TargetContext")
CONTEXT_ALIGNMENT_BYTES: Final = 16
# #pragma pack(1) of src/coreclr/gc/handletablepriv.h
PACKED: Final = ("TableSegment",)
BLOCK_TABLES: Final = ("TableSegment.BlockType", "TableSegment.UserData")
# MachState has arrays of the preserved registers; on arm64 they are x19 to fp, without lr (arm64/gmscpu.h).
REGISTER_ARRAYS: Final = ("MachineState.Capture", "MachineState.SavedAt", "MachineState.Unwound")
ARGUMENT_REGISTERS: Final = "TransitionBlock.ArgumentRegisters"  # rdi, rsi, rdx, rcx, r8, r9; x0 to x7 (cgencpu.h)
ARGUMENT_REGISTER_COUNTS: Final = (6, 8)
_WIDTHS: Final = widths_in_bytes()


def is_known(name: str) -> bool:
    """Whether it is said here what the field is. Others, which only the runtime's own descriptor names, may be anything."""
    return name in _WIDTHS or name in EMBEDDED or name in BLOCK_TABLES or name in REGISTER_ARRAYS or name == ARGUMENT_REGISTERS


def width_bytes(layout: Layout, name: str) -> int:
    """How many bytes of its structure a field takes, at least: of a structure inside of it as many as the layout knows of.

    0 for a field that is not known.
    """
    if name in EMBEDDED:
        return extent_bytes(layout, EMBEDDED[name])
    if name in BLOCK_TABLES:
        return layout.constants.get("HandleTable.BlocksPerSegment", 0)
    if name in REGISTER_ARRAYS:
        return extent_bytes(layout, "CalleeSavedRegisters") - (POINTER_BYTES if _has_link_register(layout) else 0)
    if name == ARGUMENT_REGISTERS:
        return POINTER_BYTES * ARGUMENT_REGISTER_COUNTS[_has_link_register(layout)]
    return _WIDTHS.get(name, 0)


def alignment_bytes(name: str) -> int:
    """A field lies at a multiple of this."""
    if name.partition(".")[0] in PACKED:
        return 1
    if name in CONTEXTS:
        return CONTEXT_ALIGNMENT_BYTES
    return _WIDTHS.get(name, POINTER_BYTES if is_known(name) else 1)


def extent_bytes(layout: Layout, type_name: str) -> int:
    """Where the last of a structure's fields ends that the layout knows of; 0 for a structure without any."""
    known = layout.types.get(type_name)
    if known is None:
        return 0
    ends = [field.offset + width_bytes(layout, f"{type_name}.{name}") for name, field in known.fields.items()]
    return max(ends, default=0)


def _has_link_register(layout: Layout) -> bool:
    return layout.has("CalleeSavedRegisters", "Lr")
