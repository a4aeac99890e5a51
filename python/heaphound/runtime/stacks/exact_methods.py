"""Methods of frames with the generic arguments of the very call, where code is shared between instantiations over references.

Such code gets its instantiation from a hidden argument (a MethodDesc or MethodTable) or from its `this`; what it needs later it keeps in a
stack slot that GcInfo names (EECodeManager::GetExactGenericsToken, src/coreclr/vm/eetwain.cpp: an offset from the caller's stack pointer,
in GcInfo 4 from the frame register).
Optimised code that needs it no more names none; then `this`, where the debug information still knows it, tells as well.
"""

from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.runtime.gc_info.gc_infos import GcInfos
from heaphound.runtime.methods import Method, Methods
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.debug_infos import DebugInfos
from heaphound.runtime.stacks.frame import ManagedFrame
from heaphound.runtime.stacks.frame_code import FrameCodes
from heaphound.runtime.stacks.native_variables import TYPE_CONTEXT, NativeVariable
from heaphound.runtime.stacks.unwinding import parent_caller_sp
from heaphound.runtime.stacks.variable_places import word_of

SHARED = "System.__Canon"
_ERRORS = (Unreadable, Malformed, LayoutError)


class ExactMethods:
    """Tells the exact methods of frames. Nothing is taken for granted: what a slot holds must fit the method of the code."""

    def __init__(self, runtime: Runtime, codes: FrameCodes, methods: Methods, gc_infos: GcInfos, debug_infos: DebugInfos) -> None:
        self._memory = runtime.memory
        self._layout = runtime.layout
        self._tables = codes.tables
        self._codes = codes
        self._methods = methods
        self._gc_infos = gc_infos
        self._debug_infos = debug_infos

    def of(self, frame: ManagedFrame) -> Method | None:
        """The exact method; None where the code is not shared, or where nothing in the frame tells. Raises nothing of the dump's."""
        method = frame.code.method
        if method is None or SHARED not in method.full_name or method.method_table is None:
            return None
        for ask in (self._by_context, self._by_variables):
            try:
                found = ask(frame, method)
            except _ERRORS:
                continue  # the frame has not set it up yet, or its page is not in the dump: the shared name stays
            if found is not None:
                return found
        return None

    def _by_context(self, frame: ManagedFrame, method: Method) -> Method | None:
        info = self._gc_infos.at(frame.code.gc_info)
        header = info.header
        if header.generic_context_slot is None:
            return None
        if header.context_counts_from_frame_register:
            base = frame.context.value(info.encoding.registers[header.stack_base_register or 0])
        else:
            base = self._caller_sp(frame)
        token = self._memory.pointer(base + header.generic_context_slot)
        if header.generic_context == "method":
            return self._exact(method, token)
        return self._of_object(method, token) if header.generic_context == "this" else self._of_type(method, token)

    def _by_variables(self, frame: ManagedFrame, method: Method) -> Method | None:
        """By the hidden argument or `this`, as the debug information knows them."""
        offset = frame.code_offset
        places = self._debug_infos.variables_of(frame.code) or ()
        live = {place.number: place for place in places if place.start <= offset < place.end and place.number in (0, TYPE_CONTEXT)}
        if TYPE_CONTEXT in live:
            token = self._word(frame, live[TYPE_CONTEXT])
            return self._exact(method, token) if method.generic_arguments else self._of_type(method, token)
        if 0 in live and not method.generic_arguments and self._has_this_object(method):
            return self._of_object(method, self._word(frame, live[0]))
        return None

    def _word(self, frame: ManagedFrame, place: NativeVariable) -> int:
        return word_of(self._memory, frame, place)

    def _has_this_object(self, method: Method) -> bool:
        """Whether argument 0 is a reference to an object of the method's own class."""
        owner = self._methods.types.type(method.method_table or 0)
        return not owner.is_value_type and self._methods.has_this(method)

    def _caller_sp(self, frame: ManagedFrame) -> int:
        """That of the method's main body: a funclet works on the slots of its method's frame."""
        if not frame.code.is_funclet:
            if frame.caller is None:
                raise Malformed("the frame cannot be unwound")
            return frame.caller.sp
        main = self._codes.find(frame.code.start)
        if main is None:
            raise Malformed("the funclet's method has no code")
        return parent_caller_sp(self._tables, frame.context, main)

    def _of_object(self, method: Method, address: int) -> Method | None:
        mask = self._layout.constant("ObjectToMethodTableUnmask")
        return self._of_type(method, self._memory.pointer(address) & ~mask) if address else None

    def _of_type(self, method: Method, method_table: int) -> Method | None:
        """The method in the class, or the base of it, that the code's own class is the shared form of."""
        shared = self._methods.types.type(method.method_table or 0).canonical.method_table
        start = self._methods.types.type(method_table)
        for found in (start, *start.bases()):
            if found.canonical.method_table == shared:
                return self._methods.of_type(method, found)
        return None

    def _exact(self, method: Method, method_desc: int) -> Method | None:
        if not method_desc:
            return None
        found = self._methods.method(method_desc)
        same = found.token == method.token and found.module == method.module and found.method_table is not None
        if not same or len(found.generic_arguments) != len(method.generic_arguments):
            return None
        types = self._methods.types
        one, other = types.type(found.method_table or 0), types.type(method.method_table or 0)
        return found if one.canonical.method_table == other.canonical.method_table else None
