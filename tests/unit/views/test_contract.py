"""Keys that programs read: none of these may go away or change its name."""

from dataclasses import fields

import pytest

from heaphound.results.analyze import AnalyzeResult, CodeSite, Finding, FindingRoot, Holder, PathStep
from heaphound.results.handles import HandleRow, HandlesResult
from heaphound.results.heap import AllocationContextRow, HeapResult, SegmentRow
from heaphound.results.modules import ModuleRow, ModulesResult
from heaphound.results.object import DelegateTarget, FieldRow, ObjectResult
from heaphound.results.path import PathResult, PathRow
from heaphound.results.roots import FrameRef, RootRow, RootsResult
from heaphound.results.statics import StaticRow, StaticsResult
from heaphound.results.threads import FrameRow, ThreadRow, ThreadsResult
from heaphound.results.types import TypeRow, TypesResult, TypesTotal
from heaphound.results.verify import VerifyResult

CONTRACT: dict[type, str] = {
    AnalyzeResult: "verdict findings memory heap top_types skipped_rules",
    Finding: "rule title severity confidence retained_bytes object_count fingerprint type method_table holder root path code "
    "advice evidence caveats",
    Holder: "type field address",
    FindingRoot: "kind declaring_type field thread method",
    PathStep: "address type via",
    CodeSite: "role method declaring_type module file line il_offset evidence",
    VerifyResult: "objects size_bytes free_objects free_bytes walk_checksum references reference_checksum problems",
    TypesResult: "types total",
    TypeRow: "method_table name count size_bytes",
    TypesTotal: "count size_bytes",
    HeapResult: "segments allocation_contexts heaps regions server",
    SegmentRow: "start end committed_end kind generation heap",
    AllocationContextRow: "start end",
    ObjectResult: "address type method_table size_bytes fields elements delegate",
    FieldRow: "name declaring_type type offset value",
    DelegateTarget: "target method",
    StaticsResult: "statics",
    StaticRow: "declaring_type field slot object type thread retained_bytes",
    HandlesResult: "handles",
    HandleRow: "address kind object type dependent",
    RootsResult: "roots left_out kinds",
    RootRow: "kind address object type interior pinned thread frame register offset exact declaring_type field",
    FrameRef: "ip sp method",
    ThreadsResult: "threads",
    ThreadRow: "managed_id os_id name state frames",
    FrameRow: "kind ip sp method module il_offset file line",
    PathResult: "target paths complete",
    PathRow: "root path",
    ModulesResult: "modules",
    ModuleRow: "name path image_base module assembly dynamic load_context",
}


@pytest.mark.parametrize("record", CONTRACT, ids=lambda record: record.__name__)
def test_no_key_is_missing(record: type) -> None:
    assert set(CONTRACT[record].split()) <= {field.name for field in fields(record)}
