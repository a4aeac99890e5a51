"""The tables of CLI metadata and of portable PDBs: their columns, as data.

Source: ECMA-335 6th edition, partition II.22 and II.24.2.6 (coded indexes); the PDB tables 0x30-0x37 from
"Portable PDB v1.0: Format Specification" (dotnet/runtime, docs/design/specs/PortablePdb-Metadata.md).
"""

from enum import IntEnum
from typing import Final


class Table(IntEnum):
    """Number of a metadata table, which is also the top byte of a token to one of its rows."""

    MODULE = 0x00
    TYPE_REF = 0x01
    TYPE_DEF = 0x02
    FIELD_PTR = 0x03
    FIELD = 0x04
    METHOD_PTR = 0x05
    METHOD_DEF = 0x06
    PARAM_PTR = 0x07
    PARAM = 0x08
    INTERFACE_IMPL = 0x09
    MEMBER_REF = 0x0A
    CONSTANT = 0x0B
    CUSTOM_ATTRIBUTE = 0x0C
    FIELD_MARSHAL = 0x0D
    DECL_SECURITY = 0x0E
    CLASS_LAYOUT = 0x0F
    FIELD_LAYOUT = 0x10
    STAND_ALONE_SIG = 0x11
    EVENT_MAP = 0x12
    EVENT_PTR = 0x13
    EVENT = 0x14
    PROPERTY_MAP = 0x15
    PROPERTY_PTR = 0x16
    PROPERTY = 0x17
    METHOD_SEMANTICS = 0x18
    METHOD_IMPL = 0x19
    MODULE_REF = 0x1A
    TYPE_SPEC = 0x1B
    IMPL_MAP = 0x1C
    FIELD_RVA = 0x1D
    ENC_LOG = 0x1E
    ENC_MAP = 0x1F
    ASSEMBLY = 0x20
    ASSEMBLY_PROCESSOR = 0x21
    ASSEMBLY_OS = 0x22
    ASSEMBLY_REF = 0x23
    ASSEMBLY_REF_PROCESSOR = 0x24
    ASSEMBLY_REF_OS = 0x25
    FILE = 0x26
    EXPORTED_TYPE = 0x27
    MANIFEST_RESOURCE = 0x28
    NESTED_CLASS = 0x29
    GENERIC_PARAM = 0x2A
    METHOD_SPEC = 0x2B
    GENERIC_PARAM_CONSTRAINT = 0x2C
    DOCUMENT = 0x30
    METHOD_DEBUG_INFORMATION = 0x31
    LOCAL_SCOPE = 0x32
    LOCAL_VARIABLE = 0x33
    LOCAL_CONSTANT = 0x34
    IMPORT_SCOPE = 0x35
    STATE_MACHINE_METHOD = 0x36
    CUSTOM_DEBUG_INFORMATION = 0x37


# A column is "u1", "u2", "u4" (plain), "string", "guid", "blob" (heap index), the name of a table (row id), or the name of a coded index.
COLUMNS: Final[dict[Table, str]] = {
    Table.MODULE: "u2 string guid guid guid",
    Table.TYPE_REF: "ResolutionScope string string",
    Table.TYPE_DEF: "u4 string string TypeDefOrRef FIELD METHOD_DEF",
    Table.FIELD_PTR: "FIELD",
    Table.FIELD: "u2 string blob",
    Table.METHOD_PTR: "METHOD_DEF",
    Table.METHOD_DEF: "u4 u2 u2 string blob PARAM",
    Table.PARAM_PTR: "PARAM",
    Table.PARAM: "u2 u2 string",
    Table.INTERFACE_IMPL: "TYPE_DEF TypeDefOrRef",
    Table.MEMBER_REF: "MemberRefParent string blob",
    Table.CONSTANT: "u1 u1 HasConstant blob",
    Table.CUSTOM_ATTRIBUTE: "HasCustomAttribute CustomAttributeType blob",
    Table.FIELD_MARSHAL: "HasFieldMarshal blob",
    Table.DECL_SECURITY: "u2 HasDeclSecurity blob",
    Table.CLASS_LAYOUT: "u2 u4 TYPE_DEF",
    Table.FIELD_LAYOUT: "u4 FIELD",
    Table.STAND_ALONE_SIG: "blob",
    Table.EVENT_MAP: "TYPE_DEF EVENT",
    Table.EVENT_PTR: "EVENT",
    Table.EVENT: "u2 string TypeDefOrRef",
    Table.PROPERTY_MAP: "TYPE_DEF PROPERTY",
    Table.PROPERTY_PTR: "PROPERTY",
    Table.PROPERTY: "u2 string blob",
    Table.METHOD_SEMANTICS: "u2 METHOD_DEF HasSemantics",
    Table.METHOD_IMPL: "TYPE_DEF MethodDefOrRef MethodDefOrRef",
    Table.MODULE_REF: "string",
    Table.TYPE_SPEC: "blob",
    Table.IMPL_MAP: "u2 MemberForwarded string MODULE_REF",
    Table.FIELD_RVA: "u4 FIELD",
    Table.ENC_LOG: "u4 u4",
    Table.ENC_MAP: "u4",
    Table.ASSEMBLY: "u4 u2 u2 u2 u2 u4 blob string string",
    Table.ASSEMBLY_PROCESSOR: "u4",
    Table.ASSEMBLY_OS: "u4 u4 u4",
    Table.ASSEMBLY_REF: "u2 u2 u2 u2 u4 blob string string blob",
    Table.ASSEMBLY_REF_PROCESSOR: "u4 ASSEMBLY_REF",
    Table.ASSEMBLY_REF_OS: "u4 u4 u4 ASSEMBLY_REF",
    Table.FILE: "u4 string blob",
    Table.EXPORTED_TYPE: "u4 u4 string string Implementation",
    Table.MANIFEST_RESOURCE: "u4 u4 string Implementation",
    Table.NESTED_CLASS: "TYPE_DEF TYPE_DEF",
    Table.GENERIC_PARAM: "u2 u2 TypeOrMethodDef string",
    Table.METHOD_SPEC: "MethodDefOrRef blob",
    Table.GENERIC_PARAM_CONSTRAINT: "GENERIC_PARAM TypeDefOrRef",
    Table.DOCUMENT: "blob guid blob guid",
    Table.METHOD_DEBUG_INFORMATION: "DOCUMENT blob",
    Table.LOCAL_SCOPE: "METHOD_DEF IMPORT_SCOPE LOCAL_VARIABLE LOCAL_CONSTANT u4 u4",
    Table.LOCAL_VARIABLE: "u2 u2 string",
    Table.LOCAL_CONSTANT: "string blob",
    Table.IMPORT_SCOPE: "IMPORT_SCOPE blob",
    Table.STATE_MACHINE_METHOD: "METHOD_DEF METHOD_DEF",
    Table.CUSTOM_DEBUG_INFORMATION: "HasCustomDebugInformation guid blob",
}

_HAS_CUSTOM_ATTRIBUTE: Final = (
    Table.METHOD_DEF,
    Table.FIELD,
    Table.TYPE_REF,
    Table.TYPE_DEF,
    Table.PARAM,
    Table.INTERFACE_IMPL,
    Table.MEMBER_REF,
    Table.MODULE,
    Table.DECL_SECURITY,
    Table.PROPERTY,
    Table.EVENT,
    Table.STAND_ALONE_SIG,
    Table.MODULE_REF,
    Table.TYPE_SPEC,
    Table.ASSEMBLY,
    Table.ASSEMBLY_REF,
    Table.FILE,
    Table.EXPORTED_TYPE,
    Table.MANIFEST_RESOURCE,
    Table.GENERIC_PARAM,
    Table.GENERIC_PARAM_CONSTRAINT,
    Table.METHOD_SPEC,
)

# Name of a coded index: (bits of the tag, table per tag value; None = tag not in use).
CODED_INDEXES: Final[dict[str, tuple[int, tuple[Table | None, ...]]]] = {
    "TypeDefOrRef": (2, (Table.TYPE_DEF, Table.TYPE_REF, Table.TYPE_SPEC)),
    "HasConstant": (2, (Table.FIELD, Table.PARAM, Table.PROPERTY)),
    "HasCustomAttribute": (5, _HAS_CUSTOM_ATTRIBUTE),
    "HasFieldMarshal": (1, (Table.FIELD, Table.PARAM)),
    "HasDeclSecurity": (2, (Table.TYPE_DEF, Table.METHOD_DEF, Table.ASSEMBLY)),
    "MemberRefParent": (3, (Table.TYPE_DEF, Table.TYPE_REF, Table.MODULE_REF, Table.METHOD_DEF, Table.TYPE_SPEC)),
    "HasSemantics": (1, (Table.EVENT, Table.PROPERTY)),
    "MethodDefOrRef": (1, (Table.METHOD_DEF, Table.MEMBER_REF)),
    "MemberForwarded": (1, (Table.FIELD, Table.METHOD_DEF)),
    "Implementation": (2, (Table.FILE, Table.ASSEMBLY_REF, Table.EXPORTED_TYPE)),
    "CustomAttributeType": (3, (None, None, Table.METHOD_DEF, Table.MEMBER_REF, None)),
    "ResolutionScope": (2, (Table.MODULE, Table.MODULE_REF, Table.ASSEMBLY_REF, Table.TYPE_REF)),
    "TypeOrMethodDef": (1, (Table.TYPE_DEF, Table.METHOD_DEF)),
    "HasCustomDebugInformation": (
        5,
        (
            *_HAS_CUSTOM_ATTRIBUTE,
            Table.DOCUMENT,
            Table.LOCAL_SCOPE,
            Table.LOCAL_VARIABLE,
            Table.LOCAL_CONSTANT,
            Table.IMPORT_SCOPE,
        ),
    ),
}


def token(table: Table, rid: int) -> int:
    """Token of row `rid` of `table`."""
    return (table << 24) | rid


def table_of(token: int) -> int:
    """Table number of a token (its top byte, not checked to be a known table)."""
    return token >> 24


def rid_of(token: int) -> int:
    """Row id of a token, 1-based; 0 is the null token."""
    return token & 0xFFFFFF
