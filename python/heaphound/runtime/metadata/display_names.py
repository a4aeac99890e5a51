"""The method that a person wrote, for a method that the compiler made out of it: lambdas, local functions, async and iterator bodies.

Name patterns: Roslyn, src/Compilers/CSharp/Portable/Symbols/Synthesized/GeneratedNames.cs (`<M>b__`, `<M>g__F|`, `<M>d__`, `<>c`).
"""

import re
from dataclasses import dataclass
from typing import Final

from heaphound.runtime.metadata.member_names import method_display_name, open_type_name
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.metadata.type_names import type_token_name

_LAMBDA: Final = re.compile(r"^<(?P<method>.*)>b__")
_LOCAL_FUNCTION: Final = re.compile(r"^<(?P<method>.*)>g__(?P<name>[^|]+)\|")
_STATE_MACHINE: Final = re.compile(r"^<(?P<method>.*)>d(__|$)")
_VB_STATE_MACHINE: Final = re.compile(r"^VB\$StateMachine_\d+_(?P<method>.+)$")
_VB_LAMBDA: Final = re.compile(r"^_Lambda\$__")
_CLOSURE: Final = re.compile(r"^(<>c(__DisplayClass.*)?(`\d+)?|_Closure\$__.*)$")
_MAXIMUM_NESTING: Final = 16


@dataclass(frozen=True, slots=True)
class DisplayMethod:
    """How to show a method. `name`: full name of the written method (or of the method itself); `role`: "" or what of it this code is."""

    name: str
    role: str
    declaring_type: str

    def __str__(self) -> str:
        """`lambda in Ns.Type.Method`, or the plain name."""
        return f"{self.role} {self.name}" if self.role else self.name


def display_method(metadata: Metadata, method_rid: int) -> DisplayMethod:
    """The written method behind a MethodDef row. Parameter types are given only where the method itself was written so."""
    name = metadata.method_name(method_rid)
    owner = metadata.method_owner(method_rid)
    written, roles = _written(metadata, name, owner)
    if not roles:
        return DisplayMethod(method_display_name(metadata, method_rid), "", open_type_name(metadata, owner))
    declaring = _written_type(metadata, owner)
    declaring_name = open_type_name(metadata, declaring)
    return DisplayMethod(f"{declaring_name}.{written}", " ".join(roles), declaring_name)


def written_type(metadata: Metadata, typedef_rid: int) -> int:
    """TypeDef row id of the type that a person wrote, for a closure, cache or state machine class inside it; else the row itself."""
    return _written_type(metadata, typedef_rid)


def _written(metadata: Metadata, name: str, owner: int) -> tuple[str, list[str]]:
    """Innermost written method name, and what the code is of it, from the inside out."""
    roles: list[str] = []
    if name in ("MoveNext", "System.Collections.IEnumerator.MoveNext"):
        machine = _state_machine_name(metadata.typedef(owner).name)
        if machine is not None:
            name = machine
            roles.append("async body of" if _is_async(metadata, owner) else "iterator body of")
    for _ in range(_MAXIMUM_NESTING):
        local = _LOCAL_FUNCTION.match(name)
        if local:
            roles.append(f"local function {local['name']} in")
            name = local["method"]
            continue
        lambda_ = _LAMBDA.match(name)
        if lambda_:
            roles.append("lambda in")
            name = lambda_["method"]
            continue
        break
    if _VB_LAMBDA.match(name):
        roles.append("lambda")
    return name, roles


def _is_async(metadata: Metadata, owner: int) -> bool:
    names = (type_token_name(metadata, token) for token in metadata.interfaces(owner))
    return "System.Runtime.CompilerServices.IAsyncStateMachine" in names


def _state_machine_name(type_name: str) -> str | None:
    """Method behind a state machine class: `<M>d__3` gives M, `<<M>b__0>d` gives <M>b__0; None for other classes."""
    plain = type_name.partition("`")[0]
    found = _STATE_MACHINE.match(plain) or _VB_STATE_MACHINE.match(plain)
    return found["method"] if found else None


def _written_type(metadata: Metadata, typedef_rid: int) -> int:
    rid = typedef_rid
    for _ in range(_MAXIMUM_NESTING):
        enclosing = metadata.enclosing(rid)
        name = metadata.typedef(rid).name
        generated = _CLOSURE.match(name) or name == "<>O" or _state_machine_name(name) is not None
        if enclosing is None or not generated:
            return rid
        rid = enclosing
    return rid
