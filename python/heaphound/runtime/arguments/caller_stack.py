"""References among the arguments of a call, by the signature of the method that is called.

Source: TransitionFrame::PromoteCallerStack of src/coreclr/vm/frames.cpp, MetaSig::GcScanRoots of siginfo.cpp, v3.1 to v10.0.
"""

from collections.abc import Iterable, Sequence

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.runtime.arguments.aapcs64 import Arm64Arguments
from heaphound.runtime.arguments.places import ArgumentKind, CallingConvention, argument_kind
from heaphound.runtime.arguments.system_v import SystemVArguments
from heaphound.runtime.async_methods import takes_continuation
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.methods import Method, Methods
from heaphound.runtime.signatures import MethodSignature

_VARIABLE_ARGUMENTS = 5  # calling convention of a signature (ECMA-335 II.23.2.1)
_SHARED = "System.__Canon"


def calling_convention(layout: Layout, machine: str) -> CallingConvention:
    """The convention of a machine, at the first argument. Raises Malformed for a machine that has none here."""
    conventions: dict[str, type[SystemVArguments | Arm64Arguments]] = {"x64": SystemVArguments, "arm64": Arm64Arguments}
    if machine not in conventions:
        raise Malformed(f"the calling convention of {machine} is not known")
    return conventions[machine](layout.offset("TransitionBlock", "ArgumentRegisters"), layout.size("TransitionBlock"))


def caller_references(memory: Memory, layout: Layout, methods: Methods, machine: str, method_desc: int, block: int) -> list[Reference]:
    """The references of all arguments of a call of a method, whose TransitionBlock is at `block`. Raises Malformed, Unreadable."""
    method = methods.method(method_desc)
    signature = methods.signature(method)
    if signature.convention == _VARIABLE_ARGUMENTS:
        raise Malformed(f"{method.full_name} takes variable arguments")
    places = calling_convention(layout, machine)
    found = _Found(memory, layout, block)
    if _has_this(method, signature):
        found.add(places.hidden(), interior=_is_value(memory, methods, method, block, layout))
    module, context = methods.module_of(method), methods.arguments_of(method)
    resolve = methods.types.signatures.resolve
    kinds = [argument_kind(resolve(node, module, *context)) for node in (signature.returns, *signature.parameters)]
    found.add_result(places, kinds[0])
    if _takes_instantiation(methods, method, signature, found):
        places.hidden()
    if takes_continuation(memory, layout, method_desc):
        found.add(places.hidden(), interior=False)
    found.add_all(places, kinds[1:])
    return found.references


def signature_references(memory: Memory, layout: Layout, machine: str, kinds: Sequence[ArgumentKind], block: int) -> list[Reference]:
    """The references of the arguments of a call that has a signature and no method. `kinds`: of its result, then of its parameters."""
    places = calling_convention(layout, machine)
    found = _Found(memory, layout, block)
    found.add_result(places, kinds[0])
    found.add_all(places, kinds[1:])
    return found.references


class _Found:
    """References of one block; null ones are none."""

    def __init__(self, memory: Memory, layout: Layout, block: int) -> None:
        self._memory = memory
        self._layout = layout
        self._block = block
        self.references: list[Reference] = []

    def add(self, offset: int, interior: bool) -> None:
        value = self._memory.pointer(self._block + offset)
        if value:
            self.references.append(Reference(self._block + offset, value, interior, pinned=False, register=None, offset=None))

    def add_result(self, places: CallingConvention, kind: ArgumentKind) -> None:
        """The buffer for a result, which may lie in an object: reflection has the box itself filled (RuntimeMethodHandle::InvokeMethod)."""
        offset = places.result_buffer(kind)
        if offset is not None:
            self.add(offset, interior=True)

    def add_all(self, places: CallingConvention, kinds: Iterable[ArgumentKind]) -> None:
        """The arguments of the signature, in its order."""
        for kind in kinds:
            for piece in places.place(kind):
                if piece.by_reference:
                    self.add(piece.block_offset, interior=True)
                    continue
                for leaf in kind.leaves:
                    within = leaf.offset - piece.value_offset
                    if (leaf.is_reference or leaf.is_interior) and 0 <= within < piece.size_bytes:
                        self.add(piece.block_offset + within, leaf.is_interior)


def _has_this(method: Method, signature: MethodSignature) -> bool:
    """A constructor of String is called without one: it makes the object itself."""
    return signature.has_this and not (method.declaring_type == "System.String" and method.name == ".ctor")


def _is_value(memory: Memory, methods: Methods, method: Method, block: int, layout: Layout) -> bool:
    """Whether `this` points to an unboxed value. The runtime tells by a flag of the MethodDesc (an unboxing stub takes the boxed one); here
    the object's own first word tells, as a box begins with the MethodTable of its class and a value does not."""
    if method.method_table is None:
        return False
    owner = methods.types.type(method.method_table)
    if not owner.is_value_type:
        return False
    this = memory.pointer(block + layout.offset("TransitionBlock", "ArgumentRegisters"))
    first = memory.optional(memory.pointer, this) if this else None
    if first is None:
        return True
    try:
        boxed = methods.types.type(first & ~layout.constant("ObjectToMethodTableUnmask"))
        return boxed.canonical.method_table != owner.canonical.method_table
    except (Malformed, Unreadable):
        return True


def _takes_instantiation(methods: Methods, method: Method, signature: MethodSignature, found: _Found) -> bool:
    """Whether shared code gets its instantiation as an argument of its own (MethodDesc::RequiresInstArg)."""
    if any(_SHARED in argument for argument in method.generic_arguments):
        return True
    if method.generic_arguments or _SHARED not in method.declaring_type or method.method_table is None:
        return False
    if not signature.has_this:
        return True
    owner = methods.types.type(method.method_table)
    unboxed = owner.is_value_type and any(reference.interior for reference in found.references[:1])
    return unboxed or (owner.is_interface and not methods.is_abstract(method))
