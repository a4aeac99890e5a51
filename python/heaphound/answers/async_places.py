"""Where an async method stands: its name, its first line, and the line of the await that its state says.

Before it gives up control, MoveNext stores the number of the await in `<>1__state`; the first such store of a number is at that await
(Roslyn, src/Compilers/CSharp/Portable/Lowering/AsyncRewriter/AsyncMethodToStateMachineRewriter.cs, GenerateAwaitForIncompleteTask).
"""

from collections.abc import Callable
from dataclasses import dataclass

from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.il import Instruction, instructions
from heaphound.runtime.metadata.display_names import display_method
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.modules import Module
from heaphound.runtime.types import Type
from heaphound.session import Session

RESUMPTION = "IL_STUB_AsyncResume_"
ASYNC = 0x2000  # MethodImplAttributes.Async
BETWEEN = 4  # instructions between the constant and the store: dup and the store into a local


@dataclass(frozen=True, slots=True)
class Place:
    """A method in words. Files and lines are None without a PDB; `lines` leads from a state to the line of its await."""

    method: str
    file: str | None = None
    first_line: int | None = None
    lines: dict[int, int] | None = None
    il_offsets: dict[int, int] | None = None


class Places:
    """Places of state machines; each is read once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[int, Place] = {}

    def of(self, machine: Type | None, name: str) -> Place:
        """The place of a state machine; its bare name where the type is not loaded."""
        if machine is None:
            return Place(name)
        if machine.method_table not in self._known:
            self._known[machine.method_table] = self._read(machine)
        return self._known[machine.method_table]

    def resumed(self, stub: int) -> Place:
        """The method that a stub goes on with, of those that the runtime suspends. Raises HeaphoundError.

        The stub's name ends in that method's and its tier (CEEInfo::getAsyncResumptionStub, src/coreclr/vm/jitinterface.cpp, 10.0), and it
        belongs to the same module; where several methods there have the name, it stays the bare name.
        """
        found = self._session.code.resolve(stub)
        if found is None or not found.name.startswith(RESUMPTION):
            return Place("a method that is not known" if found is None else found.full_name)
        name = found.name.removeprefix(RESUMPTION).rpartition("_")[0]
        module = self._session.types.module_at(found.module)
        if module is None or module.metadata is None:
            return Place(name)
        metadata = module.metadata
        rows = range(1, metadata.tables.count(Table.METHOD_DEF) + 1)
        named = [rid for rid in rows if metadata.method_name(rid) == name]
        asynchronous = [rid for rid in named if metadata.methoddef(rid).impl_flags & ASYNC]
        candidates = asynchronous or named
        if len(candidates) != 1:
            return Place(f"{name} of {module.name}")
        pdb = None if module.pe is None else self._session.symbols.find(module.pe, module.path).pdb
        first = None if pdb is None else pdb.first_location(candidates[0])
        file = None if first is None else first.file.replace("\\", "/").rpartition("/")[2]
        return Place(display_method(metadata, candidates[0]).name, file, None if first is None else first.start_line)

    def _read(self, machine: Type) -> Place:
        module = machine.module
        if module is None or module.metadata is None or machine.row is None:
            return Place(machine.name)
        moves = [rid for rid in module.metadata.typedef(machine.row).methods if module.metadata.method_name(rid).endswith("MoveNext")]
        if not moves:
            return Place(machine.name)
        shown = display_method(module.metadata, moves[0])
        role = shown.role.removeprefix("async body of").removeprefix("iterator body of").strip()
        name = f"{role} {shown.name}" if role else shown.name
        pdb = None if module.pe is None else self._session.symbols.find(module.pe, module.path).pdb
        first = None if pdb is None else pdb.first_location(moves[0])
        offsets = await_offsets(module, moves[0])
        lines: dict[int, int] = {}
        for state, offset in offsets.items():
            place = None if pdb is None else pdb.location(moves[0], offset)
            if place is not None:
                lines[state] = place.start_line
        file = None if first is None else first.file.replace("\\", "/").rpartition("/")[2]
        return Place(name, file, None if first is None else first.start_line, lines, offsets)


def await_offsets(module: Module, move_next: int) -> dict[int, int]:
    """State → IL offset in MoveNext at which it is stored; empty where the IL is not in the dump or is no state machine's."""
    metadata, image = module.metadata, module.pe
    if metadata is None or image is None:
        return {}
    try:
        rva = metadata.methoddef(move_next).rva
        code = [] if not rva else list(instructions(image.method_body(rva).code))
    except (Unreadable, Malformed):
        return {}
    return stored_states(code, lambda token: _is_state(metadata, token))


def stored_states(code: list[Instruction], is_state: Callable[[int], bool]) -> dict[int, int]:
    """Constant → IL offset of the first instruction that stores it into a field that `is_state` knows by its token."""
    found: dict[int, int] = {}
    for at, instruction in enumerate(code):
        if instruction.name == "stfld" and is_state(instruction.token):
            before = (_constant(one) for one in reversed(code[max(0, at - BETWEEN) : at]))
            number = next((one for one in before if one is not None), None)
            if number is not None:
                found.setdefault(number, instruction.offset)
    return found


def _is_state(metadata: Metadata, token: int) -> bool:
    if token >> 24 == 0x04:
        return metadata.field(token & 0xFFFFFF).name in ("<>1__state", "$State")
    return token >> 24 == 0x0A and metadata.memberref(token & 0xFFFFFF).name in ("<>1__state", "$State")


def _constant(instruction: Instruction) -> int | None:
    name = instruction.name
    if name in ("ldc.i4", "ldc.i4.s") and isinstance(instruction.operand, int):
        return instruction.operand
    if name == "ldc.i4.m1":
        return -1
    return int(name[-1]) if name.startswith("ldc.i4.") and name[-1].isdigit() else None
