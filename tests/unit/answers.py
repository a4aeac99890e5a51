"""One hand-written answer per verb: the founding leak at full size, with the oddities that a view must survive."""

from heaphound.address import Address
from heaphound.results.analyze import AnalyzeResult, CodeSite, Finding, FindingRoot, HeapSummary, Holder, PathStep
from heaphound.results.answer import Answer, Coverage, DumpFacts, Gap, SkippedRule
from heaphound.results.cache import CacheEntry, CacheResult
from heaphound.results.handles import HandleKindRow, HandleRow, HandlesResult, HandleStatRow
from heaphound.results.heap import AllocationContextRow, GenerationSize, HeapResult, HeapRow, SegmentRow
from heaphound.results.info import Ability, Held, InfoResult, RuntimeFacts
from heaphound.results.memory import MemoryPart, MemoryRange, MemoryResult
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
from heaphound.results.roots import FrameRef, RootRow
from heaphound.results.statics import StaticRow, StaticsResult
from heaphound.results.types import TypeRow, TypesResult, TypesTotal
from heaphound.results.verify import Checksum, Problem, VerifyResult

HANDLER = "System.EventHandler<StackExchange.Redis.ConnectionFailedEventArgs>"
MULTIPLEXER = "StackExchange.Redis.ConnectionMultiplexer"
HOSTILE = "Evil<script>alert('x')</script>\x1b[31m\u202egpj.exe&amp;"

DUMP = DumpFacts(
    file="core.4242",
    size_bytes=3_901_234_567,
    kind="createdump (full)",
    os="linux",
    architecture="x64",
    pid=4242,
    process="Shop.Orders",
    runtime="6.0.6",
    runtime_build_id="bb85ad27199297695efbcac87b8d03503302c6e9",
    server_gc=False,
    heap_count=1,
    regions=False,
)
COMPLETE = Coverage(heap_bytes=3_571_000_000, walked_bytes=3_571_000_000)
PARTIAL = Coverage(
    heap_bytes=3_571_000_000,
    walked_bytes=3_535_290_000,
    gaps=(Gap(Address(0x7F0000100000), Address(0x7F000230E4F0), "the file ends before these bytes"),),
    incomplete_roots=("stacks were scanned word by word, so some of their roots may be stale",),
    skipped_rules=(SkippedRule("timers", "System.Threading.TimerQueue is not loaded in this process"),),
)

MEMORY = MemoryResult(
    total_bytes=3_860_000_000,
    resident_bytes=3_870_000_000,
    parts=(
        MemoryPart("gc-heap-used", "GC heap in use", 3_571_000_000),
        MemoryPart("gc-heap-free", "free in the GC heap", 12_000_000),
        MemoryPart("gc-heap-committed-unused", "committed ahead for the GC heap", 20_000_000),
        MemoryPart("code", "code", 81_000_000),
        MemoryPart("loader-heaps", "loader heaps", 28_000_000),
        MemoryPart("stacks", "stacks", 12_000_000),
        MemoryPart("native-heap", "native heap", 110_000_000, exact=False, note="glibc arenas, recognised by their headers"),
        MemoryPart("native-other", "other", 26_000_000),
    ),
    ranges=(MemoryRange(Address(0x7F0000000000), Address(0x7F0010000000), "gc-heap-used", "segment 0", "rw-"),),
)

GENERATIONS = (
    GenerationSize("gen0", 120_000_000, 1_000_000, 130_000_000, 200_000),
    GenerationSize("gen2", 3_400_000_000, 10_000_000, 3_410_000_000, 39_500_000),
    GenerationSize("loh", 51_000_000, 1_000_000, 60_000_000, 89_084),
)

PATH = (
    PathStep(Address(0x7EFB42450758), MULTIPLEXER, "ConnectionFailed"),
    PathStep(Address(0x7EFB45474100), HANDLER, "_invocationList"),
    PathStep(Address(0x7EFB50000028), "System.Object[]", "[6541451]"),
    PathStep(Address(0x7EFB45474180), HANDLER),
)

TOP_TYPES = (
    TypeRow(Address(0x7F3B569829D8), HANDLER, 26_165_808, 1_674_611_712, 2_510_123_456, "StackExchange.Redis.dll"),
    TypeRow(Address(0x7F3B5583A1F0), "System.Object[]", 10_412, 836_000_000, None, "System.Private.CoreLib.dll"),
    TypeRow(Address(0x7F3B55830A90), "System.String", 812_345, 61_000_000, 60_000_000, "System.Private.CoreLib.dll"),
)

LEAK = Finding(
    rule="event-subscribers",
    title=f"26.2 M {HANDLER} and others (2.51 GB) are subscribers of six events of one {MULTIPLEXER}, "
    "held by static Shop.Caching.RedisHub._hub",
    severity="leak",
    confidence=0.97,
    retained_bytes=2_510_123_456,
    object_count=26_165_808,
    fingerprint="9f31c2d07ab4",
    type=HANDLER,
    method_table=Address(0x7F3B569829D8),
    holder=Holder(MULTIPLEXER, "ConnectionFailed, ConnectionRestored, ErrorMessage", Address(0x7EFB42450758)),
    root=FindingRoot("static-field", "Shop.Caching.RedisHub", "_hub"),
    path=PATH,
    code=(
        CodeSite(
            "subscribes",
            "Shop.Caching.RedisHub.get_Instance()",
            "Shop.Caching.RedisHub",
            "Shop.Caching.dll",
            "RedisHub.cs",
            37,
            0x1F,
            "calls add_ConnectionFailed on the object in _hub each time it runs",
        ),
        CodeSite("subscribes", "Shop.Caching.RedisHub.Renew()", "Shop.Caching.RedisHub", "Shop.Caching.dll", None, None, 0x42, ""),
    ),
    advice="Subscribe once, where _hub is assigned, not on each use.",
    evidence=("6,541,452 identical subscriptions of Shop.Caching.RedisHub.OnConnectionFailed",),
    caveats=("Two of the six events could not be matched to source lines.",),
)
HOSTILE_FINDING = Finding(
    rule="static-collection",
    title=f"A list of {HOSTILE} grows",
    severity="waste",
    confidence=0.5,
    retained_bytes=1_000,
    object_count=3,
    fingerprint="<b>not bold</b>",
    type=HOSTILE,
    method_table=None,
    holder=Holder(HOSTILE),
    root=FindingRoot("stack", thread=7, method=HOSTILE),
    path=(PathStep(Address(0x10), HOSTILE, '"><img src=x onerror=alert(1)>'),),
    code=(CodeSite("adds", HOSTILE, HOSTILE, HOSTILE, "</style><script>.cs", 1, None, HOSTILE),),
    advice="{{ 7 * 7 }} [bold red]not red[/]",
    evidence=(HOSTILE,),
    caveats=(HOSTILE,),
)

HEAP_SUMMARY = HeapSummary(
    object_count=39_789_084,
    size_bytes=3_571_000_000,
    free_count=1_204,
    free_bytes=12_000_000,
    committed_bytes=3_603_000_000,
    live_count=39_000_000,
    live_bytes=3_500_000_000,
    largest_owner=f"one {MULTIPLEXER} at 0x7efb42450758",
    largest_owner_retained_bytes=2_510_123_456,
    generations=GENERATIONS,
)

ANALYZE = Answer(DUMP, COMPLETE, AnalyzeResult("leak", (LEAK,), MEMORY, HEAP_SUMMARY, TOP_TYPES))
ANALYZE_HEALTHY = Answer(DUMP, COMPLETE, AnalyzeResult("no-leak", (), MEMORY, HEAP_SUMMARY, TOP_TYPES))
ANALYZE_HOSTILE = Answer(
    DumpFacts(HOSTILE, 1, HOSTILE, HOSTILE, "x64", process=HOSTILE, truncated=HOSTILE),
    PARTIAL,
    AnalyzeResult(
        "unclear",
        (HOSTILE_FINDING,),
        MemoryResult(0, (MemoryPart("x", HOSTILE, 5, note=HOSTILE),)),
        HeapSummary(0, 0, 0, 0, 0),
        (TypeRow(None, HOSTILE, 1, 1),),
        (SkippedRule(HOSTILE, HOSTILE),),
    ),
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
PATH_ANSWER = Answer(
    DUMP,
    COMPLETE,
    PathResult(
        Address(0x7EFB45474180),
        HANDLER,
        (
            PathRow(STATIC_ROOT, PATH),
            PathRow(STACK_ROOT, (PathStep(Address(0x7EFB42465D08), "StackExchange.Redis.RedisDatabase", "multiplexer"), *PATH)),
        ),
        complete=True,
        left_out=3,
        retained_bytes=64,
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
