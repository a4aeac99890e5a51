"""Values of calls under way that the oracle leaves out: a struct with references that is passed by value, and what follows it; and the
registers of a result that was returned.

The runtime takes such a struct apart by the series of its class (ReportPointersFromValueTypeArg of src/coreclr/vm/siginfo.cpp), which lie
before the MethodTable, where the data access library has copied the MethodTable alone. On x64 only structs on the stack are taken apart
so, on arm64 those in registers too.

Of a return that was diverted the runtime reports each register by the ReturnKind of the method's GcInfo (HijackFrame::GcScanRoots of
src/coreclr/vm/frames.cpp, up to v9.0), the library the first alone, and on arm64 none: it finds m_Args->ReturnValue[n] only where that
is the address of HijackArgs itself.
"""

from heaphound.errors import HeaphoundError
from heaphound.runtime.arguments.places import argument_kind
from heaphound.runtime.methods import Methods
from heaphound.runtime.stacks.frame import ExplicitFrame
from heaphound.session import Session


def frames_with_structs(session: Session) -> set[tuple[int, str]]:
    """Thread and address of each Frame of a call whose method takes such a struct."""
    return {
        (thread.os_id or 0, hex(frame.sp))
        for thread in session.threads
        for frame in session.stacks.walk(thread)
        if isinstance(frame, ExplicitFrame) and frame.transition_block and frame.method_desc and takes_struct(session, frame.method_desc)
    }


def untold_results(session: Session) -> set[tuple[int, str]]:
    """Thread and slot of each register of a diverted return that the oracle leaves out."""
    memory, layout = session.runtime.memory, session.runtime.layout
    arguments = layout.offset("HijackFrame", "HijackArgsPtr")
    first = layout.offset("HijackArgs", "ReturnValue")
    untold = (first, first + 8) if session.core.machine == "arm64" else (first + 8,)
    return {
        (thread.os_id or 0, hex(memory.pointer(frame.frame_address + arguments) + offset))
        for thread in session.threads
        for frame in session.stacks.walk(thread)
        if isinstance(frame, ExplicitFrame) and frame.frame_type == "HijackFrame"
        for offset in untold
    }


def takes_struct(session: Session, method_desc: int) -> bool:
    """Whether a method takes a struct with references by value; False where its signature cannot be read."""
    methods: Methods = session.stacks.locator.methods
    try:
        method = methods.method(method_desc)
        module, context = methods.module_of(method), methods.arguments_of(method)
        resolve = methods.types.signatures.resolve
        kinds = [argument_kind(resolve(node, module, *context)) for node in methods.signature(method).parameters]
    except HeaphoundError:
        return False
    return any(kind.is_struct and any(leaf.is_reference or leaf.is_interior for leaf in kind.leaves) for kind in kinds)
