"""The founding leak at full size as a diagnosis, a healthy one, and one whose every text is hostile."""

from heaphound.address import Address
from heaphound.results.analyze import AnalyzeResult, CodeSite, Finding, FindingRoot, HeapSummary, Holder, PathStep
from heaphound.results.answer import Answer, Coverage, DumpFacts, Gap, SkippedRule
from heaphound.results.heap import GenerationSize
from heaphound.results.memory import MemoryPart, MemoryRange, MemoryResult
from heaphound.results.types import TypeRow

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
