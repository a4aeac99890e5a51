"""References in the registers of a return that was diverted into the runtime (HijackFrame), up to 9.0.

The runtime takes the kind of the returned value from the GcInfo of the method that returned (HijackFrame::GcScanRoots of
src/coreclr/vm/frames.cpp, ReturnKind of inc/gcinfotypes.h); the method's signature says the same. Which method it was, the Thread remembers
in three fields one after another (m_pvHJRetAddr, m_ppvHJRetAddrPtr, m_HijackedFunction of threads.h), found by the first two: they hold
the return address, as the Frame does, and where it lay in the stack of the method that returned, which ended where the caller's goes on.
"""

from collections.abc import Sequence

from heaphound.dump.memory import Memory
from heaphound.dump.registers import Machine
from heaphound.errors import Malformed
from heaphound.layouts.schema import Layout
from heaphound.runtime.arguments.leaves import Leaf
from heaphound.runtime.arguments.places import ArgumentKind, argument_kind
from heaphound.runtime.arguments.system_v import eightbytes
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.methods import Methods
from heaphound.runtime.stacks.diverted_return import THREAD_BYTES
from heaphound.runtime.stacks.frame import ExplicitFrame
from heaphound.runtime.stacks.registers import RegisterContext

_WORD = 8
_LARGEST_STACK_FRAME = 8 << 20  # the whole stack that Linux gives a thread, where it is not told otherwise


def returned_references(memory: Memory, layout: Layout, methods: Methods, frame: ExplicitFrame) -> list[Reference]:
    """The references that the method returned which a HijackFrame interrupted. Raises Malformed where it cannot be told, Unreadable."""
    if frame.resume is None:
        raise Malformed("the method whose return was diverted cannot be told")
    method = methods.method(_hijacked_method(memory, layout, frame, frame.resume))
    signature = methods.signature(method)
    context = methods.arguments_of(method)
    kind = argument_kind(methods.types.signatures.resolve(signature.returns, methods.module_of(method), *context))
    arguments = memory.pointer(frame.frame_address + layout.offset("HijackFrame", "HijackArgsPtr"))
    first = arguments + layout.offset("HijackArgs", "ReturnValue")
    found = []
    for leaf, register in _in_registers(frame.resume.machine, kind):
        slot = first + _WORD * register
        value = memory.pointer(slot)
        if value:
            found.append(Reference(slot, value, leaf.is_interior, pinned=False, register=None, offset=None))
    return found


def _in_registers(machine: Machine, kind: ArgumentKind) -> Sequence[tuple[Leaf, int]]:
    """The references of a result that is returned in general registers, each with which of them; none of one that goes through a buffer,
    which its owner knows."""
    if machine == "arm64":  # AAPCS64: a struct of up to 16 bytes in x0 and x1, as it lies in memory
        within = not kind.is_struct or kind.size_bytes <= 2 * _WORD
        registers = {leaf: leaf.offset // _WORD for leaf in kind.leaves} if within else {}
    else:
        classes = eightbytes(kind) if kind.is_struct else ("integer",)
        registers = {} if classes is None else {leaf: classes[: leaf.offset // _WORD].count("integer") for leaf in kind.leaves}
    return [(leaf, register) for leaf, register in registers.items() if leaf.is_reference or leaf.is_interior]


def _hijacked_method(memory: Memory, layout: Layout, frame: ExplicitFrame, resume: RegisterContext) -> int:
    """MethodDesc of the method that was returning."""
    thread = memory.pointer(frame.frame_address + layout.offset("HijackFrame", "Thread"))
    words = memory.words(thread, memory.readable_bytes(thread, THREAD_BYTES) // _WORD)
    # x64 has the return address right before the caller's stack goes on; arm64 anywhere in the stack of the method that returned.
    furthest = resume.sp - (_WORD if resume.machine == "x64" else _LARGEST_STACK_FRAME)
    for return_address, place, method in zip(words, words[1:], words[2:], strict=False):
        if return_address == resume.ip and furthest <= place < resume.sp and place % _WORD == 0:
            return method
    raise Malformed(f"the thread at {thread:#x} does not know whose return was diverted")
