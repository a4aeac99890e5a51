"""Self-checks on stacks: they are walked to their end, Frames lead to managed code, and what frames hold are objects."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice

from heaphound.dump.elf_modules import elf_modules
from heaphound.errors import HeaphoundError, LayoutError, Malformed, Unreadable
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.frame_roots import FrameReferences, gc_frame_references, gc_frames
from heaphound.runtime.gc_info.frame_slots import Reference, frame_references
from heaphound.runtime.gc_info.gc_info import read_gc_info
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.debug_info import PROLOG, ILMap
from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame, StackEnd
from heaphound.runtime.stacks.il_maps import ILMaps
from heaphound.runtime.stacks.walk import StackWalker
from heaphound.runtime.symbols import SymbolStore
from heaphound.runtime.threads import Thread

SAMPLE_STACKS = 16
SAMPLE_STACKS_ALIKE = 3  # with the same class of innermost Frame
SAMPLE_FRAMES = 24
MAIN_THREAD = 1  # the runtime numbers its threads, and is started by that which runs Main
MOST_FRAMES = 512
SAMPLE_PROTECTING = 64  # threads whose chain of GCFrames is read
Outcomes = dict[str, list[str | None]]
"""Of each kind of thing what was wrong with each one, None for nothing. One may be broken: it counts where most are."""


def check_stacks(subject: CheckSubject) -> None:
    """Most stacks are walked to their end, most Frames tell what they have to, and what code says of itself fits it."""
    locator = subject.code
    walker = StackWalker(subject.runtime, locator)
    maps = ILMaps(walker.debug_infos, subject.types, SymbolStore(()))
    outcomes: Outcomes = {}
    seen: set[int] = set()
    native, explicit = NativeCode(subject.runtime), FrameReferences(subject.runtime, locator)
    for thread in sampled_threads(subject):
        end: str | None = None
        source = "registers of threads"
        for frame in islice(walker.walk(thread), SAMPLE_FRAMES):
            if isinstance(frame, StackEnd):
                end = frame.reason
                continue
            if isinstance(frame, ManagedFrame):
                outcomes.setdefault(f"callers by {source}", []).append(_caller_problem(walker, native, frame))
                if frame.active and not frame.interrupted and source == "registers of threads":
                    idle = None if thread.cooperative else f"thread {thread.managed_id} runs managed code"
                    outcomes.setdefault("Thread.PreemptiveGCDisabled", []).append(idle)
            if isinstance(frame, ExplicitFrame):
                source = frame.frame_type if frame.resume is not None else source
                outcomes.setdefault(frame.frame_type, []).append(_frame_problem(walker, frame))
            elif frame.code.start not in seen:
                seen.add(frame.code.start)
                outcomes.setdefault(f"{frame.code.kind} code", []).append(_code_problem(subject, maps, frame))
            _add_references(subject, explicit, frame, outcomes)
        outcomes.setdefault("stacks", []).append(end)
    _expect_most(outcomes)


def sampled_threads(subject: CheckSubject) -> list[Thread]:
    """Some threads that run, so that there are as many classes of innermost Frames among them as there are."""
    alike: dict[int, int] = {}
    found: list[Thread] = []
    for thread in subject.threads:
        if not thread.alive or thread.os_id is None or len(found) >= SAMPLE_STACKS:
            continue
        try:
            identity = subject.memory.pointer(thread.frame) if thread.frame else 0
        except Unreadable:
            identity = -1
        alike[identity] = alike.get(identity, 0) + 1
        if alike[identity] <= SAMPLE_STACKS_ALIKE:
            found.append(thread)
    return found


def _expect_most(outcomes: Outcomes) -> None:
    for what, problems in outcomes.items():
        failed = [problem for problem in problems if problem is not None]
        expect(2 * len(failed) <= len(problems), f"{what}: {len(failed)} of {len(problems)} cannot be read: {failed[0] if failed else ''}")


def _frame_problem(walker: StackWalker, frame: ExplicitFrame) -> str | None:
    """What is wrong with a Frame: above all, that managed code is not where it says to go on."""
    if frame.problem is not None or frame.resume is None or walker.codes.is_managed(frame.resume.ip):
        return frame.problem
    return f"the Frame at {frame.frame_address:#x} leads to {frame.resume.ip:#x}, which is no managed code"


class NativeCode:
    """Where native code lies: in the images that the process had loaded."""

    def __init__(self, runtime: Runtime) -> None:
        self._modules = elf_modules(runtime.core)
        self._starts = [module.base for module in self._modules]

    def __contains__(self, address: int) -> bool:
        index = bisect_right(self._starts, address) - 1
        return index >= 0 and address < self._modules[index].end


def _caller_problem(walker: StackWalker, native: NativeCode, frame: ManagedFrame) -> str | None:
    """A frame returns to managed code or into an image: else its registers were not these."""
    caller = frame.caller
    if caller is None or caller.ip in native or walker.codes.is_managed(caller.ip):
        return None
    return f"the frame of {frame.code.start:#x} at {frame.sp:#x} returns to {caller.ip:#x}, which is no code"


def _code_problem(subject: CheckSubject, maps: ILMaps, frame: ManagedFrame) -> str | None:
    code = frame.code
    if code.problem is not None:
        return None if code.kind == "ready-to-run" and code.method is not None else code.problem  # a funclet: only likely is its method
    if not code.fragment_start <= frame.ip <= code.fragment_end:
        return f"the code at {frame.ip:#x} is said to lie from {code.fragment_start:#x} to {code.fragment_end:#x}"
    try:
        info = read_gc_info(subject.memory, code.gc_info, subject.layout.constant("GCInfoVersion"), subject.runtime.core.machine)
        il_map = maps.map_of(code) if code.kind == "jit" else None
    except (Malformed, Unreadable) as error:
        return str(error)
    if not code.fragment_end - code.start <= info.header.code_length or frame.native_offset > info.header.code_length:
        return f"GcInfo says that the code at {code.start:#x} has {info.header.code_length} bytes"
    return None if il_map is None else _map_problem(il_map, code.start, info.header.code_length)


def _map_problem(il_map: ILMap, start: int, code_length: int) -> str | None:
    """A map begins with the method's prologue, where its code begins, and tells of nothing behind its end."""
    if any(bound.native_offset > code_length for bound in il_map.bounds):
        return f"the IL map of the code at {start:#x} goes on behind its end"
    first = next(((bound.native_offset, bound.il_offset) for bound in il_map.bounds), (0, PROLOG))
    return None if first == (0, PROLOG) else f"the IL map of the code at {start:#x} begins with {first}, not with a prologue"


def _add_references(subject: CheckSubject, explicit: FrameReferences, frame: ManagedFrame | ExplicitFrame, outcomes: Outcomes) -> None:
    """What a frame holds, by where: in each register that inner frames saved, on the stack, in slots that a Frame names."""
    if frame.dead or subject.heap.collecting:
        return
    try:
        if isinstance(frame, ExplicitFrame):
            found = explicit.of(frame)
        elif frame.code.problem is None:
            version, machine = subject.layout.constant("GCInfoVersion"), subject.runtime.core.machine
            info = read_gc_info(subject.memory, frame.code.gc_info, version, machine)
            found = frame_references(subject.memory, info, frame, frame.filter_funclet)
        else:
            return
    except (Unreadable, Malformed, LayoutError):
        return  # not every frame tells: then its words are looked through one by one
    for reference in found:
        where = f"references in {reference.register}" if reference.offset is None and reference.register else "references on stacks"
        _add_reference(subject, f"{frame.frame_type}: {where}" if isinstance(frame, ExplicitFrame) else where, reference, outcomes)


def _add_reference(subject: CheckSubject, where: str, reference: Reference, outcomes: Outcomes) -> None:
    if reference.interior:
        return  # it may point anywhere, also to no object
    outcomes.setdefault(where, []).append(_object_problem(subject, reference.value))


def _object_problem(subject: CheckSubject, address: int) -> str | None:
    if subject.heap.segment_of(address) is None:
        if subject.small and subject.heap.gaps:
            return None  # the list of segments breaks off
        return f"{address:#x} is no object of the heap"
    try:
        subject.types.type(subject.memory.pointer(address) & ~subject.layout.constant("ObjectToMethodTableUnmask"))
    except Unreadable:
        return None
    except Malformed as error:
        return str(error)
    return None


def check_protected(subject: CheckSubject) -> None:
    """What native code of the runtime protects are objects; the chain names its thread."""
    outcomes: Outcomes = {}
    exercised = False
    for thread in [thread for thread in subject.threads if thread.alive][:SAMPLE_PROTECTING]:
        try:
            found = gc_frame_references(subject.runtime, thread)
        except HeaphoundError as error:
            outcomes.setdefault("GCFrame", []).append(str(error))
            continue
        exercised = exercised or bool(found)
        outcomes.setdefault("GCFrame", []).append(_first(subject, (reference for _, reference in found)))
    if not exercised:
        subject.not_exercised("GCFrame")
    _check_main(subject)
    for what, problems in outcomes.items():
        failed = [problem for problem in problems if problem is not None]
        expect(not failed or len(failed) < len(problems), f"{what}: of {len(failed)} threads: {failed[0] if failed else ''}")


def _check_main(subject: CheckSubject) -> None:
    """What called Main protects its arguments for as long as it runs (RunMain, src/coreclr/vm/assembly.cpp)."""
    thread = next((thread for thread in subject.threads if thread.managed_id == MAIN_THREAD and thread.alive), None)
    main = None if thread is None else _running_main(subject, thread)
    if thread is None or main is None:
        subject.not_exercised("Thread.GCFrame")
        return
    behind = [frame for frame in gc_frames(subject.runtime, thread) if frame > main.sp]
    expect(bool(behind), f"Thread.GCFrame: thread {thread.managed_id} runs {main.method and main.method.full_name}, and protects nothing")


def _running_main(subject: CheckSubject, thread: Thread) -> ManagedFrame | None:
    """The outermost managed frame, if it is of a method by which a program begins; None too where the stack is cut or very deep."""
    outermost: ManagedFrame | None = None
    for place, frame in enumerate(StackWalker(subject.runtime, subject.code).walk(thread)):
        if isinstance(frame, StackEnd) or place >= MOST_FRAMES:
            return None
        outermost = frame if isinstance(frame, ManagedFrame) else outermost
    method = None if outermost is None else outermost.method
    module = None if method is None else subject.types.module_at(method.module)
    begins = method is not None and module is not None and module.pe is not None and method.token == module.pe.cor.entry_point
    return outermost if begins else None


def _first(subject: CheckSubject, references: Iterable[Reference]) -> str | None:
    if subject.heap.collecting:
        return None
    problems = (_object_problem(subject, reference.value) for reference in references if not reference.interior)
    return next((problem for problem in problems if problem is not None), None)
