"""References in the registers of a return that was diverted into the runtime (HijackFrame), up to 9.0.

The runtime takes the kind of the returned value from the GcInfo of the method that returned (HijackFrame::GcScanRoots of
src/coreclr/vm/frames.cpp, ReturnKind of inc/gcinfotypes.h); the method's signature says the same. Which method it was, the Thread remembers
in three fields one after another (m_pvHJRetAddr, m_ppvHJRetAddrPtr, m_HijackedFunction of threads.h), found by the first two: they hold
what the Frame knows as well.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.layouts.schema import Layout
from heaphound.runtime.arguments.places import argument_kind
from heaphound.runtime.arguments.system_v import eightbytes
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.methods import Methods
from heaphound.runtime.stacks.frame import ExplicitFrame

_WORD = 8
_THREAD_BYTES = 2_048  # of the Thread that are searched: the fields lie in its first 400 from 3.1 to 9.0


def returned_references(memory: Memory, layout: Layout, methods: Methods, frame: ExplicitFrame) -> list[Reference]:
    """The references that the method returned which a HijackFrame interrupted. Raises Malformed where it cannot be told, Unreadable."""
    method = methods.method(_hijacked_method(memory, layout, frame))
    signature = methods.signature(method)
    context = methods.arguments_of(method)
    kind = argument_kind(methods.types.signatures.resolve(signature.returns, methods.module_of(method), *context))
    classes = eightbytes(kind) if kind.is_struct else None
    if kind.is_struct and classes is None:
        return []  # it was returned through a buffer, which its owner knows
    arguments = memory.pointer(frame.frame_address + layout.offset("HijackFrame", "HijackArgsPtr"))
    first = arguments + layout.offset("HijackArgs", "ReturnValue")
    found = []
    for leaf in kind.leaves:
        register = leaf.offset // _WORD if classes is None else classes[: leaf.offset // _WORD].count("integer")
        slot = first + _WORD * register
        value = memory.pointer(slot) if leaf.is_reference or leaf.is_interior else 0
        if value:
            found.append(Reference(slot, value, leaf.is_interior, pinned=False, register=None, offset=None))
    return found


def _hijacked_method(memory: Memory, layout: Layout, frame: ExplicitFrame) -> int:
    """MethodDesc of the method that was returning."""
    if frame.resume is None or frame.resume.machine != "x64":
        raise Malformed("the method whose return was diverted cannot be told")
    thread = memory.pointer(frame.frame_address + layout.offset("HijackFrame", "Thread"))
    words = memory.words(thread, memory.image.readable_bytes(thread, _THREAD_BYTES) // _WORD)
    wanted = (frame.resume.ip, frame.resume.sp - _WORD)
    for index in range(len(words) - 2):
        if words[index : index + 2] == wanted:
            return words[index + 2]
    raise Malformed(f"the thread at {thread:#x} does not know whose return was diverted")
