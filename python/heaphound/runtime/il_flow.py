"""Data flow of one method: a single pass over its IL with a symbolic evaluation stack.

It answers "what is the receiver, what are the arguments" of calls and stores. Forward branches carry their stack and variables to the
target and merge there; backward branches are not followed, so a value that only a later turn of a loop would bring is not seen.
"""

from dataclasses import dataclass
from typing import Final

from heaphound.errors import Malformed
from heaphound.runtime.il import Instruction, instructions
from heaphound.runtime.il_values import (
    Argument,
    CallResult,
    Element,
    FieldValue,
    FunctionAddress,
    Literal,
    Local,
    NewArray,
    NewObject,
    Other,
    Value,
    merged,
)
from heaphound.runtime.metadata.member_names import Member, member
from heaphound.runtime.metadata.method_body import MethodBody
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.signatures import MethodSignature, Modified, Primitive, method_signature

_MAXIMUM_SAVED_VALUES = 2_000_000  # over all branches of a method; beyond it, branches carry nothing and values become unknown
_MAXIMUM_STACK = 65_535  # max_stack is a u16

_SAME: Final = frozenset(["castclass", "isinst", "box", "unbox", "unbox.any", "ldobj", "mkrefany", "refanyval", "ckfinite"])
_PUSH_OTHER: Final = frozenset(["ldtoken", "sizeof", "arglist"])
_POPS: Final[dict[str, int]] = {
    **dict.fromkeys(["pop", "initobj", "throw", "switch", "endfilter"], 1),
    **dict.fromkeys(["stobj", "cpobj"], 2),
    **dict.fromkeys(["cpblk", "initblk"], 3),
}
_UNARY: Final = frozenset(["neg", "not", "ldlen", "localloc", "refanytype"])
_BINARY_PREFIXES: Final = ("add", "sub", "mul", "div", "rem", "and", "or", "xor", "shl", "shr", "ceq", "cgt", "clt")
_ENDS: Final = frozenset(["br", "br.s", "ret", "throw", "rethrow", "endfinally", "endfilter", "jmp", "leave", "leave.s"])


@dataclass(frozen=True, slots=True)
class Operation:
    """A call, object creation, field store or element store, with the values that went in.

    `opcode`: call, callvirt, newobj, newarr, stfld, stsfld, stelem, ldfld, ldsfld, ldftn (address forms included). `arguments` in stack
    order: receiver first for instance calls; (holder, value) of stfld; (value,) of stsfld; (array, value) of stelem; (holder,) of ldfld.
    `member` is None for array operations.
    """

    offset: int
    opcode: str
    member: Member | None
    arguments: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class MethodFlow:
    """All operations of a method in order of IL offset, and the values that it returns."""

    operations: tuple[Operation, ...]
    returns: tuple[Value, ...]


_Variables = dict[tuple[str, int], Value]
_State = tuple[list[Value], _Variables | None]


def method_flow(metadata: Metadata, body: MethodBody) -> MethodFlow:
    """The flow of one body. Raises Malformed when the IL or a token in it makes no sense."""
    pass_ = _Pass(metadata, body)
    for instruction in instructions(body.code):
        pass_.step(instruction)
    return MethodFlow(tuple(pass_.operations), tuple(pass_.returned))


class _Pass:
    def __init__(self, metadata: Metadata, body: MethodBody) -> None:
        self._metadata = metadata
        self._stack: list[Value] = []
        self._variables: _Variables = {}
        self._saved: dict[int, _State] = {}
        self._saved_values = 0
        self._reachable = True
        self._members: dict[int, tuple[Member, MethodSignature | None]] = {}
        self.operations: list[Operation] = []
        self.returned: list[Value] = []
        for clause in body.clauses:
            if clause.kind in ("catch", "filter"):
                self._saved[clause.handler_start] = ([Other("exception")], None)
            if clause.filter_offset is not None:
                self._saved[clause.filter_offset] = ([Other("exception")], None)

    def step(self, instruction: Instruction) -> None:
        self._arrive(instruction.offset)
        name = instruction.name
        self._execute(instruction, name)
        if instruction.opcode.operand in ("b1", "b4", "switch"):
            self._branch(instruction, name)
        self._reachable = name not in _ENDS

    def _arrive(self, offset: int) -> None:
        """Take over what forward branches brought here. Unreachable code without any starts with an empty stack (ECMA-335 III.1.7.5)."""
        saved = self._saved.pop(offset, None)
        if saved is None:
            if not self._reachable:
                self._stack = []
            return
        if self._reachable:
            self._stack, self._variables = self._merge(saved, (self._stack, self._variables))
        else:
            self._stack = list(saved[0])
            self._variables = dict(self._variables if saved[1] is None else saved[1])

    def _branch(self, instruction: Instruction, name: str) -> None:
        operand = instruction.operand
        targets = operand if isinstance(operand, tuple) else (operand,)
        if name.startswith("leave"):
            self._stack = []
        for target in set(targets):
            if isinstance(target, int) and target > instruction.offset:
                self._save(target)

    def _save(self, target: int) -> None:
        state = (list(self._stack), dict(self._variables)) if self._affordable() else ([], {})
        known = self._saved.get(target)
        self._saved[target] = state if known is None else self._merge(known, state)

    def _affordable(self) -> bool:
        self._saved_values += len(self._stack) + len(self._variables) + 1
        return self._saved_values <= _MAXIMUM_SAVED_VALUES

    def _merge(self, known: _State, current: tuple[list[Value], _Variables]) -> tuple[list[Value], _Variables]:
        stack, variables = current
        if not self._affordable():
            return [], {}
        return _merge_stacks(known[0], stack), variables if known[1] is None else _merge_variables(known[1], variables)

    def _pop(self, count: int = 1) -> list[Value]:
        """The topmost values in push order; unknown ones where the stack is shorter, as after a branch that was not followed."""
        have = min(count, len(self._stack))
        taken = self._stack[len(self._stack) - have :]
        del self._stack[len(self._stack) - have :]
        return [Other("unknown") for _ in range(count - have)] + taken

    def _push(self, value: Value) -> None:
        if len(self._stack) >= _MAXIMUM_STACK:
            raise Malformed(f"IL pushes more than {_MAXIMUM_STACK} values")
        self._stack.append(value)

    def _execute(self, instruction: Instruction, name: str) -> None:
        kind = instruction.opcode.operand
        if name in ("call", "callvirt", "newobj", "jmp"):
            self._call(instruction, name)
        elif name == "calli":
            self._indirect_call(instruction)
        elif kind == "t" and name[:2] in ("ld", "st") and "fld" in name:
            self._field(instruction, name)
        elif name in ("ldftn", "ldvirtftn"):
            self._pop(1 if name == "ldvirtftn" else 0)
            method = self._member(instruction.token)[0]
            self._record(instruction, "ldftn", method, ())
            self._push(FunctionAddress(method))
        elif name.startswith(("ldarg", "ldloc", "starg", "stloc")) and name != "localloc":
            self._variable(instruction, name)
        elif name.startswith(("ldc.", "ldnull", "ldstr")):
            self._push(self._literal(instruction, name))
        elif "elem" in name or name == "newarr":
            self._array(instruction, name)
        else:
            self._plain(name)

    def _plain(self, name: str) -> None:
        if name == "dup":
            value = self._pop()[0]
            self._push(value)
            self._push(value)
        elif name in _POPS:
            self._pop(_POPS[name])
        elif name == "ret":
            if self._stack:
                self.returned.append(self._pop()[0])
        elif name in _SAME or name.startswith(("ldind", "conv.")):
            self._push(self._pop()[0])
        elif name.startswith("stind"):
            self._pop(2)
        elif name in _UNARY:
            self._pop()
            self._push(Other(name))
        elif name.startswith(_BINARY_PREFIXES):
            self._pop(2)
            self._push(Other(name))
        elif name in _PUSH_OTHER:
            self._push(Other(name))
        elif name.startswith(("brtrue", "brfalse")):
            self._pop()
        elif name.startswith(("beq", "bge", "bgt", "ble", "blt", "bne")):
            self._pop(2)

    def _literal(self, instruction: Instruction, name: str) -> Value:
        operand = instruction.operand
        if name == "ldnull":
            return Literal(None)
        if name == "ldstr":
            return Literal(self._metadata.user_strings[instruction.token & 0xFFFFFF])
        if isinstance(operand, int | float):
            return Literal(operand)
        suffix = name.rpartition(".")[2]
        return Literal(-1 if suffix == "m1" else int(suffix))

    def _variable(self, instruction: Instruction, name: str) -> None:
        base, _, suffix = name.partition(".")
        slot = int(suffix) if suffix.isdecimal() else instruction.operand
        if not isinstance(slot, int):
            raise Malformed(f"{name} at IL_{instruction.offset:04x} has no variable number")
        key = (base[2:5], slot)
        if base.startswith("st"):
            self._variables[key] = self._pop()[0]
            return
        value = self._variables.get(key) or (Argument(slot) if key[0] == "arg" else Local(slot))
        self._push(value)
        if base in ("ldloca", "ldarga") and isinstance(value, Literal):
            self._variables[key] = Local(slot)  # an out or ref parameter is about to replace the initial null or zero

    def _array(self, instruction: Instruction, name: str) -> None:
        if name == "newarr":
            self._pop()
            self._record(instruction, "newarr", None, ())
            self._push(NewArray(instruction.token))
        elif name.startswith("stelem"):
            array, _, value = self._pop(3)
            self._record(instruction, "stelem", None, (array, value))
        else:
            array, _ = self._pop(2)
            self._push(Element(array))

    def _field(self, instruction: Instruction, name: str) -> None:
        field = self._member(instruction.token)[0]
        static = "sfld" in name
        if name.startswith("st"):
            self._record(instruction, name, field, tuple(self._pop(1 if static else 2)))
            return
        holder = None if static else self._pop()[0]
        self._record(instruction, "ldsfld" if static else "ldfld", field, () if holder is None else (holder,))
        self._push(FieldValue(field, holder))

    def _call(self, instruction: Instruction, name: str) -> None:
        method, signature = self._member(instruction.token)
        if signature is None:
            raise Malformed(f"{name} at IL_{instruction.offset:04x} calls the field {method.full_name}")
        if name == "jmp":
            return
        this = name != "newobj" and signature.has_this and not signature.explicit_this
        arguments = tuple(self._pop(len(signature.parameters) + this))
        self._record(instruction, name, method, arguments)
        if name == "newobj":
            self._push(NewObject(method, arguments))
        elif not _is_void(signature):
            self._push(CallResult(method, arguments))

    def _indirect_call(self, instruction: Instruction) -> None:
        signature = method_signature(self._metadata.standalone_signature(instruction.token & 0xFFFFFF))
        self._pop(len(signature.parameters) + (signature.has_this and not signature.explicit_this) + 1)
        if not _is_void(signature):
            self._push(Other("calli"))

    def _member(self, token: int) -> tuple[Member, MethodSignature | None]:
        known = self._members.get(token)
        if known is None:
            found = member(self._metadata, token)
            is_field = found.signature[:1] == b"\x06"
            known = self._members[token] = (found, None if is_field else method_signature(found.signature))
        return known

    def _record(self, instruction: Instruction, opcode: str, found: Member | None, arguments: tuple[Value, ...]) -> None:
        self.operations.append(Operation(instruction.offset, opcode, found, arguments))


def _is_void(signature: MethodSignature) -> bool:
    returns = signature.returns
    while isinstance(returns, Modified):
        returns = returns.inner
    return isinstance(returns, Primitive) and returns.element_type == 1


def _merge_stacks(first: list[Value], second: list[Value]) -> list[Value]:
    """Position by position; of stacks of different height (only broken IL has them) the shorter one decides."""
    return [merged(left, right) for left, right in zip(first, second, strict=False)]


def _merge_variables(first: _Variables, second: _Variables) -> _Variables:
    result = dict(first)
    for key, value in second.items():
        result[key] = merged(result[key], value) if key in result else value
    return result
