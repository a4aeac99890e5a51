"""Arguments and locals of an async method that waits: the compiler keeps those that it needs later in fields of the state machine.

Names: Roslyn, src/Compilers/CSharp/Portable/Symbols/Synthesized/GeneratedNames.cs (``<x>5__1`` a local, ``<>4__this``, an argument by its
own name) and VisualBasic/Portable/Symbols/GeneratedNames.vb. Optimised code keeps no local whose value is not needed behind an await.
"""

import re

from heaphound.answers.async_nodes import AWAITERS, BUILDERS, STATES
from heaphound.results.tasks import AsyncVariableRow
from heaphound.runtime.types import Type
from heaphound.runtime.values import Values

LOCAL = re.compile(r"(?:<(\w+)>5__\d+|\$VB\$(?:ResumableLocal|Local)_(\w+?)(?:\$\d+)?)$")
THIS = ("<>4__this", "$VB$Me")
ITERATOR_COPIES = "<>3__"  # of arguments, for a second enumeration


def machine_variables(values: Values, machine: Type, start: int) -> tuple[AsyncVariableRow, ...]:
    """What a state machine keeps, `start` being the address of its fields: ``this``, arguments and locals, then the compiler's own."""
    rows: list[AsyncVariableRow] = []
    for field in values.fields(start, tuple(one for one in machine.fields if not one.is_static)):
        named = LOCAL.match(field.name)
        if field.name in (*STATES, *BUILDERS) or field.name.startswith((*AWAITERS, ITERATOR_COPIES)):
            continue
        if field.name in THIS:
            kind, name = "this", "this"
        elif named is not None:
            kind, name = "local", named[1] or named[2]
        else:
            kind, name = ("temporary" if field.name.startswith(("<", "$")) else "argument"), field.name
        rows.append(AsyncVariableRow(kind, name, field.type, field.value))
    order = ("this", "argument", "local", "temporary")
    return tuple(sorted(rows, key=lambda row: order.index(row.kind)))
