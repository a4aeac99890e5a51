"""Arguments that the runtime's Frames protect: against what the program passed, and against the oracle.

Calls has a thread for each shape of a call; all but a few arrays and strings it passes have lengths of their own, so that each argument
is known by its type and length. Stacks has calls that are being dispatched. Two answers of the oracle differ: it stops at the first
struct that is passed on the stack, and takes a by-reference into a stack for a root of what the slot there holds (its blind spots).
"""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from heaphound.runtime.stack_roots import StackRoot
from heaphound.runtime.stacks.frame import ExplicitFrame
from tests.dumps.conftest import Opened
from tests.dumps.test_stacks_agree import RUNTIMES, stacks
from tests.lab.cases import Case
from tests.lab.dumps import Recipe, make_dump
from tests.lab.runtimes import VERSIONS

STRUCTS_ON_THE_STACK = {"many-floats", "structs", "structs-on-stack", "spans", "values"}
PASSED = {
    "references": "object s2 object[3]",
    "mixed": "object s3 i1 i2 i3 i4",
    "many-floats": "object s4",
    "structs": "i5 s5 i6 s6 object i7 i8 i9 s7",
    "structs-on-stack": "i10 i11 i12 i13 i14 i15",
    "by-references": "&object[1] &Small[2]",
    "spans": "&byte[40] &s9 i19 byte[40] &object[6]",
    "values": "i20 i21 s10 s11 i22 i23",
    "pointers": "i24 s12 i25",
    "returns-big": "i26 s13",
    "returns-small": "i27 s14",
    "returns-half": "i28 s15",
    "generic": "s16 i29 string[2]",
    "generic-value": "i30 i31 Small[2]",
    "generic-returns-big": "s17 i32",
    "vectors": "i33 s18 i34 i35",
    "static-of-generic": "s19 i36",
    "instance-of-generic": "Box<string> s20 i37",
    "generic-of-generic": "Box<string> s21 i38 i39",
    "struct-method": "i41 s22",
    "boxed-struct-method": "&ActingStruct i43 s23",
    "generic-struct-method": "i44 s25",
    "struct-in-array": "&Pair<string>[3] i45 s26",
    "interface": "Actor i46 s27",
    "virtual": "Derived i47 s28",
    "instance": "Instance i48 s29 i49 i50 i51 i52 s30",
    "instance-returns-big": "Instance i53 s31",
    "constructor": "Instance i54 s32",
    "delegate": "i55 s33 object[4]",
}
SHORT = (("Calls.", ""), ("System.Object", "object"), ("System.String", "string"), ("System.Byte", "byte"))


# Of arm64, where a struct of more than 16 bytes is passed as a pointer to a copy: its references are the calling method's.
IN_CALLER = {"structs": "i6 s6 i7 i8"}


def calls(version: str) -> Path:
    """The dump of Calls on one runtime."""
    return make_dump(Recipe("Calls", version)).path


CALL_CASES = [Case(f"calls-{version}", partial(calls, version)) for version in VERSIONS]
ARM64_CASES = [Case(f"calls-{version}", partial(calls, version)) for version in ("3.1.2-arm64", "8.0.31-arm64", "10.0.11-arm64")]
PASSED_CASES = [
    *(pytest.param(case, id=case.name) for case in CALL_CASES),
    *(pytest.param(case, id=case.name, marks=pytest.mark.arm64) for case in ARM64_CASES),
]
DISPATCH_CASES = [Case(f"stacks-blocked-{version}", partial(stacks, version, ("blocked",))) for version in RUNTIMES]


def told(opened: Opened, thread: str) -> list[str]:
    """Each argument of the innermost call of a thread that a Frame protects, as PASSED writes them."""
    found = roots_of(opened, thread)
    innermost = min(root.frame.sp for root in found if is_call(root.frame))
    return [written(opened, root) for root in found if root.frame.sp == innermost]


def of_caller(opened: Opened, thread: str) -> list[str]:
    """The references of the managed frame behind that Frame, written so."""
    found = roots_of(opened, thread)
    innermost = min(root.frame.sp for root in found if is_call(root.frame))
    behind = min(root.frame.sp for root in found if root.frame.sp > innermost)
    return [written(opened, root) for root in found if root.frame.sp == behind]


def roots_of(opened: Opened, thread: str) -> list[StackRoot]:
    session = opened.dump.session
    os_id = next(item.os_id for item in session.threads if item.name == thread)
    return [root for root in session.stack_roots.exact if root.os_id == os_id and root.frame is not None]


def written(opened: Opened, root: StackRoot) -> str:
    read = opened.dump.session.objects.read(root.object)
    name = read.type
    for long, short in SHORT:
        name = name.replace(long, short)
    if read.length is not None:
        plain = {"string": f"s{read.length}", "System.Int32[]": f"i{read.length}"}
        name = plain.get(name, f"{name.removesuffix('[]')}[{read.length}]")
    return f"{'&' if root.reference.interior else ''}{name}"


def is_call(frame: object) -> bool:
    return isinstance(frame, ExplicitFrame) and frame.transition_block is not None


@pytest.mark.parametrize("opened", PASSED_CASES, indirect=True)
def test_arguments_that_were_passed(opened: Opened) -> None:
    elsewhere = IN_CALLER if opened.dump.session.core.machine == "arm64" else {}
    for thread, passed in PASSED.items():
        copies = Counter(elsewhere.get(thread, "").split())
        assert Counter(told(opened, thread)) == Counter(passed.split()) - copies, thread
        assert copies <= Counter(of_caller(opened, thread)), thread


@pytest.mark.parametrize(
    "opened", [pytest.param(case, id=case.name, marks=pytest.mark.oracle) for case in [*CALL_CASES, *DISPATCH_CASES]], indirect=True
)
def test_every_protected_argument(opened: Opened) -> None:
    session = opened.dump.session
    names = {thread.os_id: thread.name for thread in session.threads}
    frames = {
        (thread.os_id, hex(frame.sp)): frame.frame_type
        for thread in session.threads
        for frame in session.stacks.walk(thread)
        if is_call(frame)
    }
    ours = {
        (root.os_id, hex(root.frame.sp), hex(root.reference.address), hex(root.object), root.reference.interior)
        for root in session.stack_roots.exact
        if is_call(root.frame)
    }
    oracle = {
        (row["thread"], row["frame"]["sp"], row["address"], row["object"], row["interior"])
        for row in opened.case.answers("roots")
        if row["row"] == "root" and row["kind"] == "Stack" and (row["thread"], row["frame"]["sp"]) in frames
        if not row["interior"] or session.table.index_containing(int(row["slot_value"], 16)) is not None
    }
    assert [words.reason for words in session.stack_roots.words] == []
    assert oracle - ours == set()
    assert {names[key[0]] for key in ours - oracle} <= STRUCTS_ON_THE_STACK
    kinds = {frames[key[:2]] for key in oracle}
    assert kinds >= ({"PrestubMethodFrame", "ExternalMethodFrame"} if "calls" in opened.case.name else {"StubDispatchFrame"})
