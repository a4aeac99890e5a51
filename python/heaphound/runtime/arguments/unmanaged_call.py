"""References among the arguments of an unmanaged call through a pointer, whose stub the runtime is making (PInvokeCalliFrame).

No method is called: the call site's VASigCookie has the signature. Source: PInvokeCalliFrame::PromoteCallerStack of
src/coreclr/vm/frames.cpp, VASigCookie of ceeload.h, v3.1 to v10.0.
"""

from collections.abc import Sequence

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.arguments.caller_stack import signature_references
from heaphound.runtime.arguments.places import argument_kind
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.methods import Methods
from heaphound.runtime.signatures import MethodSignature, method_signature

_WORD = 8


def unmanaged_call_references(memory: Memory, layout: Layout, methods: Methods, machine: str, frame: int, block: int) -> list[Reference]:
    """The references of all arguments that the PInvokeCalliFrame at `frame` protects. Raises Malformed, LimitExceeded, Unreadable."""
    cookie = memory.pointer(frame + layout.offset("PInvokeCalliFrame", "VASigCookiePtr"))
    signature = _signature(memory, cookie + layout.offset("VASigCookie", "Signature"))
    if signature is None:
        return []
    address = memory.pointer(cookie + layout.offset("VASigCookie", "Module"))
    module = methods.types.module_at(address)
    if module is None:
        raise Malformed(f"the signature of the unmanaged call at {frame:#x} belongs to a module at {address:#x} that is not loaded")
    context = [_instantiation(memory, layout, methods, cookie, name) for name in ("ClassInst", "MethodInst")]
    resolve = methods.types.signatures.resolve
    kinds = [argument_kind(resolve(node, module, *context)) for node in (signature.returns, *signature.parameters)]
    return signature_references(memory, layout, machine, kinds, block)


def _signature(memory: Memory, field: int) -> MethodSignature | None:
    """{pointer, u32 size}; None where it is empty, which protects nothing."""
    size = memory.u32(field + _WORD)
    if size > LIMITS.method_signature_bytes:
        raise LimitExceeded(f"the signature of an unmanaged call claims {size} bytes")
    return method_signature(memory.bytes(memory.pointer(field), size)) if size else None


def _instantiation(memory: Memory, layout: Layout, methods: Methods, cookie: int, name: str) -> Sequence[ResolvedType]:
    """{pointer to TypeHandles, u32 count}: what type parameters of the signature stand for, since 9.0."""
    if not layout.has("VASigCookie", name):
        return ()
    field = cookie + layout.offset("VASigCookie", name)
    count = memory.u32(field + _WORD)
    if count > LIMITS.generic_arguments:
        raise LimitExceeded(f"the signature of an unmanaged call claims {count} generic arguments")
    handles = memory.words(memory.pointer(field), count) if count else ()
    return tuple(methods.types.resolve_handle(handle) for handle in handles)
