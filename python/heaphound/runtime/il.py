"""IL: every opcode, and a decoder of method bodies (ECMA-335 partition III)."""

from collections.abc import Iterator
from struct import Struct, unpack_from
from typing import Final, NamedTuple

from heaphound.errors import Malformed

# Operand kinds: "" none, "v1"/"v2" variable number, "i1" "i4" "i8" integers, "r4" "r8" floats, "b1" "b4" branch offsets,
# "t" metadata token, "s" user string token, "switch" a table of branch offsets.
_ONE_BYTE: Final = """
00 nop|01 break|02 ldarg.0|03 ldarg.1|04 ldarg.2|05 ldarg.3|06 ldloc.0|07 ldloc.1|08 ldloc.2|09 ldloc.3|0a stloc.0|0b stloc.1|0c stloc.2
0d stloc.3|0e ldarg.s v1|0f ldarga.s v1|10 starg.s v1|11 ldloc.s v1|12 ldloca.s v1|13 stloc.s v1|14 ldnull|15 ldc.i4.m1|16 ldc.i4.0
17 ldc.i4.1|18 ldc.i4.2|19 ldc.i4.3|1a ldc.i4.4|1b ldc.i4.5|1c ldc.i4.6|1d ldc.i4.7|1e ldc.i4.8|1f ldc.i4.s i1|20 ldc.i4 i4|21 ldc.i8 i8
22 ldc.r4 r4|23 ldc.r8 r8|25 dup|26 pop|27 jmp t|28 call t|29 calli t|2a ret|2b br.s b1|2c brfalse.s b1|2d brtrue.s b1|2e beq.s b1
2f bge.s b1|30 bgt.s b1|31 ble.s b1|32 blt.s b1|33 bne.un.s b1|34 bge.un.s b1|35 bgt.un.s b1|36 ble.un.s b1|37 blt.un.s b1|38 br b4
39 brfalse b4|3a brtrue b4|3b beq b4|3c bge b4|3d bgt b4|3e ble b4|3f blt b4|40 bne.un b4|41 bge.un b4|42 bgt.un b4|43 ble.un b4
44 blt.un b4|45 switch switch|46 ldind.i1|47 ldind.u1|48 ldind.i2|49 ldind.u2|4a ldind.i4|4b ldind.u4|4c ldind.i8|4d ldind.i|4e ldind.r4
4f ldind.r8|50 ldind.ref|51 stind.ref|52 stind.i1|53 stind.i2|54 stind.i4|55 stind.i8|56 stind.r4|57 stind.r8|58 add|59 sub|5a mul|5b div
5c div.un|5d rem|5e rem.un|5f and|60 or|61 xor|62 shl|63 shr|64 shr.un|65 neg|66 not|67 conv.i1|68 conv.i2|69 conv.i4|6a conv.i8
6b conv.r4|6c conv.r8|6d conv.u4|6e conv.u8|6f callvirt t|70 cpobj t|71 ldobj t|72 ldstr s|73 newobj t|74 castclass t|75 isinst t
76 conv.r.un|79 unbox t|7a throw|7b ldfld t|7c ldflda t|7d stfld t|7e ldsfld t|7f ldsflda t|80 stsfld t|81 stobj t|82 conv.ovf.i1.un
83 conv.ovf.i2.un|84 conv.ovf.i4.un|85 conv.ovf.i8.un|86 conv.ovf.u1.un|87 conv.ovf.u2.un|88 conv.ovf.u4.un|89 conv.ovf.u8.un
8a conv.ovf.i.un|8b conv.ovf.u.un|8c box t|8d newarr t|8e ldlen|8f ldelema t|90 ldelem.i1|91 ldelem.u1|92 ldelem.i2|93 ldelem.u2
94 ldelem.i4|95 ldelem.u4|96 ldelem.i8|97 ldelem.i|98 ldelem.r4|99 ldelem.r8|9a ldelem.ref|9b stelem.i|9c stelem.i1|9d stelem.i2
9e stelem.i4|9f stelem.i8|a0 stelem.r4|a1 stelem.r8|a2 stelem.ref|a3 ldelem t|a4 stelem t|a5 unbox.any t|b3 conv.ovf.i1|b4 conv.ovf.u1
b5 conv.ovf.i2|b6 conv.ovf.u2|b7 conv.ovf.i4|b8 conv.ovf.u4|b9 conv.ovf.i8|ba conv.ovf.u8|c2 refanyval t|c3 ckfinite|c6 mkrefany t
d0 ldtoken t|d1 conv.u2|d2 conv.u1|d3 conv.i|d4 conv.ovf.i|d5 conv.ovf.u|d6 add.ovf|d7 add.ovf.un|d8 mul.ovf|d9 mul.ovf.un|da sub.ovf
db sub.ovf.un|dc endfinally|dd leave b4|de leave.s b1|df stind.i|e0 conv.u
"""
_TWO_BYTES: Final = """
00 arglist|01 ceq|02 cgt|03 cgt.un|04 clt|05 clt.un|06 ldftn t|07 ldvirtftn t|09 ldarg v2|0a ldarga v2|0b starg v2|0c ldloc v2|0d ldloca v2
0e stloc v2|0f localloc|11 endfilter|12 unaligned. i1|13 volatile.|14 tail.|15 initobj t|16 constrained. t|17 cpblk|18 initblk|19 no. i1
1a rethrow|1c sizeof t|1d refanytype|1e readonly.
"""
_FORMATS: Final = {
    "v1": "<B",
    "v2": "<H",
    "i1": "<b",
    "i4": "<i",
    "i8": "<q",
    "r4": "<f",
    "r8": "<d",
    "b1": "<b",
    "b4": "<i",
    "t": "<I",
    "s": "<I",
}


class OpCode(NamedTuple):
    """Name of an opcode and the kind of its operand."""

    name: str
    operand: str


class Instruction(NamedTuple):
    """One IL instruction. A branch's operand is its target offset, a switch's the tuple of them, other operands as stored."""

    offset: int
    opcode: OpCode
    operand: int | float | tuple[int, ...] | None
    size_bytes: int

    @property
    def name(self) -> str:
        """Name of the opcode, such as `callvirt`."""
        return self.opcode.name

    @property
    def token(self) -> int:
        """The metadata token operand; 0 when the opcode has none."""
        return self.operand if isinstance(self.operand, int) and self.opcode.operand in ("t", "s") else 0


def _table(text: str) -> dict[int, OpCode]:
    entries = (entry.split() for entry in text.replace("\n", "|").split("|") if entry.strip())
    return {int(parts[0], 16): OpCode(parts[1], parts[2] if len(parts) > 2 else "") for parts in entries}


ONE_BYTE: Final = _table(_ONE_BYTE)
TWO_BYTES: Final = _table(_TWO_BYTES)
BY_NAME: Final[dict[str, bytes]] = {
    **{opcode.name: bytes((number,)) for number, opcode in ONE_BYTE.items()},
    **{opcode.name: bytes((0xFE, number)) for number, opcode in TWO_BYTES.items()},
}
_READERS: Final = {kind: Struct(layout) for kind, layout in _FORMATS.items()}


def instructions(code: bytes) -> Iterator[Instruction]:
    """The instructions of a method's code, in order. Raises Malformed at an unknown opcode or where the code breaks off."""
    offset = 0
    end = len(code)
    while offset < end:
        start = offset
        number = code[offset]
        offset += 1
        if number == 0xFE:
            opcode = TWO_BYTES.get(code[offset]) if offset < end else None
            offset += 1
        else:
            opcode = ONE_BYTE.get(number)
        if opcode is None:
            raise Malformed(f"unknown IL opcode {code[start : start + 2].hex()} at IL_{start:04x}")
        kind = opcode.operand
        if not kind:
            yield Instruction(start, opcode, None, offset - start)
            continue
        operand: int | float | tuple[int, ...]
        if kind == "switch":
            operand, offset = _switch(code, offset)
        else:
            reader = _READERS[kind]
            if offset + reader.size > end:
                raise Malformed(f"IL breaks off inside {opcode.name} at IL_{start:04x}")
            value = reader.unpack_from(code, offset)[0]
            offset += reader.size
            operand = offset + value if kind in ("b1", "b4") else value
        yield Instruction(start, opcode, operand, offset - start)


def _switch(code: bytes, offset: int) -> tuple[tuple[int, ...], int]:
    if offset + 4 > len(code):
        raise Malformed(f"IL breaks off inside a switch at IL_{offset - 1:04x}")
    count = int.from_bytes(code[offset : offset + 4], "little")
    after = offset + 4 + 4 * count
    if after > len(code):
        raise Malformed(f"IL switch at IL_{offset - 1:04x} claims {count} targets, more than the code holds")
    return tuple(after + target for target in unpack_from(f"<{count}i", code, offset + 4)), after
