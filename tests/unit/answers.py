"""One hand-written answer per verb, with the oddities that a view must survive."""

from heaphound.address import Address
from heaphound.results.analyze import PathStep
from heaphound.results.answer import Answer
from heaphound.results.cache import CacheEntry, CacheResult
from heaphound.results.handles import HandleKindRow, HandleRow, HandlesResult, HandleStatRow
from heaphound.results.heap import AllocationContextRow, HeapResult, HeapRow, SegmentRow
from heaphound.results.info import Ability, Held, InfoResult, RuntimeFacts
from heaphound.results.modules import ModuleRow, ModulesResult
from heaphound.results.object import (
    Absence,
    DelegateTarget,
    ElementRow,
    EnumValue,
    FieldRow,
    LockFacts,
    ObjectResult,
    Reference,
    ReferrerRow,
    StructValue,
)
from heaphound.results.objects import ObjectRow, ObjectsResult
from heaphound.results.path import PathResult, PathRow
from heaphound.results.retained import GroupRow, OwnerRow, RetainedResult
from heaphound.results.roots import FrameRef, RootKindRow, RootRow, RootsResult
from heaphound.results.statics import StaticRow, StaticsResult
from heaphound.results.types import TypesResult, TypesTotal
from heaphound.results.verify import Checksum, Problem, VerifyResult
from tests.unit.diagnosis_answers import (
    ANALYZE as ANALYZE,
)
from tests.unit.diagnosis_answers import (
    ANALYZE_HEALTHY as ANALYZE_HEALTHY,
)
from tests.unit.diagnosis_answers import (
    ANALYZE_HOSTILE as ANALYZE_HOSTILE,
)
from tests.unit.diagnosis_answers import (
    COMPLETE as COMPLETE,
)
from tests.unit.diagnosis_answers import (
    DUMP as DUMP,
)
from tests.unit.diagnosis_answers import (
    GENERATIONS as GENERATIONS,
)
from tests.unit.diagnosis_answers import (
    HANDLER as HANDLER,
)
from tests.unit.diagnosis_answers import (
    HEAP_SUMMARY as HEAP_SUMMARY,
)
from tests.unit.diagnosis_answers import (
    HOSTILE as HOSTILE,
)
from tests.unit.diagnosis_answers import (
    HOSTILE_FINDING as HOSTILE_FINDING,
)
from tests.unit.diagnosis_answers import (
    LEAK as LEAK,
)
from tests.unit.diagnosis_answers import (
    MEMORY as MEMORY,
)
from tests.unit.diagnosis_answers import (
    MULTIPLEXER as MULTIPLEXER,
)
from tests.unit.diagnosis_answers import (
    PARTIAL as PARTIAL,
)
from tests.unit.diagnosis_answers import (
    PATH as PATH,
)
from tests.unit.diagnosis_answers import (
    TOP_TYPES as TOP_TYPES,
)

INFO = Answer(
    DUMP,
    COMPLETE,
    InfoResult(
        RuntimeFacts(
            version="6.0.6",
            path="/usr/share/dotnet/shared/Microsoft.NETCore.App/6.0.6/libcoreclr.so",
            base=Address(0x7F3BD4800000),
            build_id="bb85ad27199297695efbcac87b8d03503302c6e9",
            architecture="x64",
            single_file=False,
            server_gc=False,
            regions=False,
            heap_count=1,
            contract_descriptor=None,
            layout="coreclr-6.0-x64",
        ),
        abilities=(
            Ability("heap walk", "available", "layout file, self-checked"),
            Ability("metadata", "partial", "layout file, self-checked", "2 images are not in the dump: --binaries DIR"),
            Ability("thread names", "unavailable", "", "Thread.Name is not in the layout"),
        ),
        held=(
            Held("GC heap", 3_571_000_000, 3_571_000_000),
            Held("images", 40_000_000, None),
            Held("modules with metadata", 30, 32, "count"),
        ),
        thread_count=19,
        module_count=32,
    ),
)
MEMORY_ANSWER = Answer(DUMP, COMPLETE, MEMORY)
HEAP = Answer(
    DUMP,
    COMPLETE,
    HeapResult(
        server=True,
        regions=True,
        segments=(
            SegmentRow(
                Address(0x7F0000000028),
                Address(0x7F0000400000),
                Address(0x7F0000401000),
                Address(0x7F0000800000),
                "Generation2",
                "gen2",
                0,
                51_200,
                4_096,
            ),
            SegmentRow(
                Address(0x7F0010000028), Address(0x7F0010000028), Address(0x7F0010001000), Address(0x7F0012000000), "Large", "loh", 1
            ),
        ),
        allocation_contexts=(AllocationContextRow(Address(0x7F00003FE000), Address(0x7F00003FFFE8)),),
        heaps=(
            HeapRow(0, Address(0x7F3B00001000), 4_194_264, 4_198_400, 1),
            HeapRow(1, Address(0x7F3B00002000), 0, 4_096, 1),
        ),
        generations=GENERATIONS,
        size_bytes=4_194_264,
        committed_bytes=4_202_496,
        gc_in_progress=True,
    ),
)
TYPES = Answer(DUMP, PARTIAL, TypesResult(TOP_TYPES, TypesTotal(39_789_084, 3_571_000_000), left_out=812))
OBJECTS = Answer(
    DUMP,
    COMPLETE,
    ObjectsResult(
        (
            ObjectRow(Address(0x7EFB42450758), MULTIPLEXER, Address(0x7F3B569829D8), 376, "gen2", 2_510_123_456),
            ObjectRow(Address(0x7EFB42450AC8), HOSTILE, Address(0x7F3B569829D8), 24, "gen0", 24),
        ),
        2,
        400,
    ),
)
OBJECT = Answer(
    DUMP,
    COMPLETE,
    ObjectResult(
        address=Address(0x7EFB42450758),
        type=MULTIPLEXER,
        method_table=Address(0x7F3B569829D8),
        size_bytes=376,
        fields=(
            FieldRow("_isDisposed", MULTIPLEXER, "System.Boolean", 356, False),
            FieldRow("failureMessage", MULTIPLEXER, "System.String", 16, None),
            FieldRow("ClientName", MULTIPLEXER, "System.String", 24, Reference(Address(0x7EFB42451000), "System.String", None, 12)),
            FieldRow("state", MULTIPLEXER, "System.ConsoleColor", 40, EnumValue("Red", 12)),
            FieldRow("odd", MULTIPLEXER, "System.ConsoleColor", 44, EnumValue(None, 99)),
            FieldRow("handle", MULTIPLEXER, "System.IntPtr", 48, Address(0x7F3BD5441098)),
            FieldRow("ratio", MULTIPLEXER, "System.Double", 56, float("nan")),
            FieldRow("started", MULTIPLEXER, "System.DateTime", 64, StructValue("System.DateTime", (), "2024-07-18 00:00:00")),
            FieldRow(
                "entry",
                MULTIPLEXER,
                "Shop.Pair",
                72,
                StructValue(
                    "Shop.Pair", (FieldRow("Key", "Shop.Pair", "System.Int32", 0, 7), FieldRow("Value", "Shop.Pair", "System.Int64", 8, -1))
                ),
            ),
            FieldRow("gone", MULTIPLEXER, "System.Int64", 88, Absence("unreadable", "not in the dump", Address(0x7EFB42450800))),
        ),
        elements=(ElementRow(0, 42, Reference(Address(0x7EFB42451100), "System.String", None, 3)),),
        delegate=(DelegateTarget(None, "Shop.Caching.RedisHub.OnConnectionFailed(System.Object)"),),
        module="StackExchange.Redis.dll",
        generation="gen2",
        segment=Address(0x7EFB42000000),
        retained_bytes=2_510_123_456,
        immediate_dominator=Reference(Address(0x7EFB42450AC8), "Shop.Hub"),
        reachable=True,
        referrers=(ReferrerRow(Address(0x7EFB42465D08), "StackExchange.Redis.RedisDatabase", "multiplexer"),),
        referrer_count=41,
        references=(ReferrerRow(Address(0x7EFB42458D78), "System.Byte[]", "ConfigurationChangedChannel"),),
        elements_left_out=9,
        lock=LockFacts("thin", 4, 0),
    ),
)
STATIC_ROOT = RootRow(
    "static-field", Address(0x7EFB40000680), Address(0x7EFB42450758), MULTIPLEXER, declaring_type="Shop.Caching.RedisHub", field="_hub"
)
STACK_ROOT = RootRow(
    "stack",
    Address(0x7FFCC1440EA8),
    Address(0x7EFB42465D08),
    "StackExchange.Redis.RedisDatabase",
    thread=1,
    frame=FrameRef(Address(0x7F3B567E203A), Address(0x7FFCC1440DA0), "RedisLeak.Program.Main(System.String[])"),
    register="rbp",
    offset=-344,
    exact=False,
)
LOCAL_ROOT = RootRow(
    "stack",
    Address(0x7FFCC1440EB8),
    Address(0x7EFB42450758),
    MULTIPLEXER,
    thread=1,
    frame=FrameRef(
        Address(0x7F3B567E203A),
        Address(0x7FFCC1440DA8),
        "RedisLeak.Program.Main(System.String[])",
        il_offset=0x1A,
        file="/src/Program.cs",
        line=42,
        variable="hub",
    ),
    register="rbp",
    offset=-24,
    os_id=4242,
)
NATIVE_ROOT = RootRow("stack", Address(0x7FFCC1440F00), Address(0x7EFB42450758), MULTIPLEXER, thread=1, os_id=4242)
CALL_ROOT = RootRow(
    "stack",
    Address(0x7FFCC1440F08),
    Address(0x7EFB42450758),
    MULTIPLEXER,
    thread=1,
    frame=FrameRef(Address(0x7F3B567E203A), Address(0x7FFCC1440DB8), "Shop.Hub.Open()", "PrestubMethodFrame"),
    os_id=4242,
)
PATH_ANSWER = Answer(
    DUMP,
    COMPLETE,
    PathResult(
        Address(0x7EFB45474180),
        HANDLER,
        (
            PathRow(STATIC_ROOT, PATH, (STACK_ROOT, LOCAL_ROOT, LOCAL_ROOT, NATIVE_ROOT, CALL_ROOT), 12),
            PathRow(STACK_ROOT, (PathStep(Address(0x7EFB42465D08), "StackExchange.Redis.RedisDatabase", "multiplexer"), *PATH)),
        ),
        complete=True,
        left_out=3,
        retained_bytes=64,
    ),
)
ROOTS = Answer(
    DUMP,
    COMPLETE,
    RootsResult(
        (
            STATIC_ROOT,
            RootRow("pinned-handle", Address(0x7F3BD54413F8), Address(0x7EFB43001020), "System.Object[]", pinned=True),
            STACK_ROOT,
            LOCAL_ROOT,
            NATIVE_ROOT,
            CALL_ROOT,
            RootRow(
                "stack",
                Address(0x7FFCC1440EB8),
                Address(0x7EFB42465D28),
                "Shop.Cat",
                interior=True,
                thread=1,
                frame=FrameRef(Address(0x7F3B567E203A), Address(0x7FFCC1440DA0), "RedisLeak.Program.Main(System.String[])"),
                register="rbp",
                offset=-328,
            ),
            RootRow(
                "stack",
                None,
                Address(0x7EFB42465D48),
                "System.String",
                thread=4,
                frame=FrameRef(Address(0x7F3B567E2100), Address(0x7F3B00001000), "Shop.Worker.Spin()"),
                register="rbx",
            ),
        ),
        left_out=2,
        kinds=(RootKindRow("static-field", 1, 1, 1), RootKindRow("pinned-handle", 1, 1, 1), RootKindRow("stack", 5, 4, 3)),
    ),
)
RETAINED = Answer(
    DUMP,
    COMPLETE,
    RetainedResult(
        3_500_000_000,
        (
            OwnerRow(Address(0x7EFB42450758), MULTIPLEXER, 376, 2_510_123_456, 26_165_900, "static Shop.Caching.RedisHub._hub"),
            OwnerRow(Address(0x7EFB42450AC8), "System.Byte[]", 5_000_024, 5_000_024),
        ),
        groups=(GroupRow(HANDLER, 6, 2_510_000_000),),
        left_out=5,
        unreachable_bytes=71_000_000,
    ),
)
STATICS = Answer(
    DUMP,
    COMPLETE,
    StaticsResult(
        (
            StaticRow(
                "Shop.Caching.RedisHub", "_hub", Address(0x7EFB40000680), Address(0x7EFB42450758), MULTIPLEXER, retained_bytes=2_510_123_456
            ),
            StaticRow("G<System.String>", "PerThread", Address(0x7EFB40000688), Address(0x7EFB42460A00), "System.String", thread=4),
            StaticRow("System.Type", "Missing", Address(0x7EFB40000690), None, None),
        )
    ),
)
HANDLES = Answer(
    DUMP,
    COMPLETE,
    HandlesResult(
        (
            HandleRow(Address(0x7F3BD5441098), "WeakShort", None, None),
            HandleRow(Address(0x7F3BD54412F8), "Dependent", Address(0x7EFB42002CC0), "Shop.Key", Address(0x7EFB42002D00)),
        ),
        (HandleKindRow("WeakShort", 1), HandleKindRow("Dependent", 1)),
    ),
)
HANDLES_COUNTED = Answer(
    DUMP, COMPLETE, HandlesResult((), (HandleKindRow("Strong", 40),), (HandleStatRow("Strong", "System.Threading.Thread", 40, 2_880),))
)
MODULES = Answer(
    DUMP,
    COMPLETE,
    ModulesResult(
        (
            ModuleRow(
                "Shop.Caching",
                "/app/Shop.Caching.dll",
                Address(0x7F3BD4FAC000),
                Address(0x7F3B56887038),
                Address(0x559F31D9A660),
                False,
                None,
                "1.0.0.0",
            ),
            ModuleRow("Plugin", None, None, Address(0x7F3B56999000), Address(0x559F31D9B000), True, "plugins", metadata="not in the dump"),
        )
    ),
)
VERIFY = Answer(
    DUMP,
    PARTIAL,
    VerifyResult(
        39_789_084,
        3_571_000_000,
        1_204,
        12_000_000,
        Checksum(0xF00DFEED12345678),
        78_500_000,
        Checksum(0x1),
        (Problem("bad method table", Address(0x7F0000100040), None, "0xdeadbeef is no method table"),),
    ),
)
CACHE = CacheResult(
    "/home/me/.cache/heaphound",
    (CacheEntry("redis.core.zst.0123456789abcdef.core", "redis.core.zst", 294_998_016, 201_326_592, 1_721_260_800.0),),
    (CacheEntry("old.core.gz.0123456789abcdef.core.partial-12", "old.core.gz", 1_000, 4_096, 1_721_260_800.0, partial=True),),
)
PATH_NONE = Answer(DUMP, COMPLETE, PathResult(Address(0x7EFB45474180), HANDLER, (), complete=True))
RETAINED_OBJECT = Answer(
    DUMP,
    COMPLETE,
    RetainedResult(
        3_500_000_000,
        (OwnerRow(Address(0x7EFB45474100), HANDLER, 64, 1_000_000),),
        object=OwnerRow(Address(0x7EFB42450758), MULTIPLEXER, 376, 2_510_123_456),
        chain=(OwnerRow(Address(0x7EFB42450AC8), "Shop.Hub", 24, 2_510_123_480, held_by="static Shop.Caching.RedisHub._hub"),),
    ),
)
