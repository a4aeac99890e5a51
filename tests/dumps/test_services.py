"""Services that leak, and some that only look so: who holds what piles up, by which code, and what is no leak."""

from collections.abc import Callable

import pytest

import heaphound
from heaphound.results.analyze import AnalyzeResult, Finding
from tests.lab.dumps import PROGRAMS, LabDump, Recipe

COUNT = 20_000
SOURCE = (PROGRAMS / "Services" / "Program.cs").read_text().splitlines()
DumpFactory = Callable[[Recipe], LabDump]


def analyzed(scenario: str, runtime: str, dump_factory: DumpFactory, count: int = COUNT, release: bool = False) -> AnalyzeResult:
    recipe = Recipe("Services", runtime, (scenario, str(count)), release=release)
    return heaphound.open(dump_factory(recipe).path, symbols=[recipe.assembly.parent]).analyze().result


def line_with(text: str) -> int:
    (line,) = [number for number, content in enumerate(SOURCE, 1) if text in content]
    return line


def lines(finding: Finding) -> list[int | None]:
    return [site.line for site in finding.code]


@pytest.mark.parametrize(
    ("scenario", "runtime", "holder", "field", "piles_up", "adds"),
    [
        ("channel", "10.0.11", "Services.OrderPipeline", "channel", "Services.Order", "channel.Writer.TryWrite"),
        ("sorted", "9.0.11", "Services.Lists", "timeline", "Services.Quote", "timeline.Add"),
        ("pipeline", "8.0.4", "Services.Pipeline", "handler", "Services.Pipeline+<>c__DisplayClass1_0", "handler = x => next(x)"),
        ("async-local", "6.0.6", "Services.Heartbeats", "timers", "System.Threading.TimerQueueTimer", "timers.Add"),
        ("array", "3.1.2", "Services.Lists", "array", "Services.Quote", "Array.Resize"),
        ("immutable", "3.1.23", "Services.Lists", "snapshot", "Services.Quote", "snapshot = snapshot.SetItem"),
    ],
)
def test_the_field_of_the_program_that_holds_what_piles_up(
    scenario: str, runtime: str, holder: str, field: str, piles_up: str, adds: str, dump_factory: DumpFactory
) -> None:
    """A property of it is written to, a wrapper of .NET, a chain, two holders, an array made longer, a collection that is replaced."""
    result = analyzed(scenario, runtime, dump_factory, 5000 if scenario == "array" else COUNT, release=scenario == "channel")
    first = next(finding for finding in result.findings if finding.rule == "growing-collection")
    assert (result.verdict, first.holder.type, first.holder.field, first.type) == ("leak", holder, field, piles_up)
    assert lines(first) == [line_with(adds)]
    assert first.object_count >= (4999 if scenario == "array" else COUNT - 1)


@pytest.mark.parametrize(
    ("scenario", "runtime", "field", "words"),
    [
        ("steady-cache", "9.0.11", "map", "makes room where it adds"),
        ("loaded-once", "6.0.6", "byId", "assigned as a whole by Services.Countries.Load"),
        ("pool", "8.0.4", "pool", "takes from it or makes a new one"),
        ("ring", "9.0.11", "ring", "it is an array that Services.Recent..cctor() makes"),
        ("evicting", "8.0.4", "pages", "Services.PageCache.MakeRoom() makes room where it adds"),
    ],
)
def test_what_the_code_keeps_at_a_size_is_no_leak(scenario: str, runtime: str, field: str, words: str, dump_factory: DumpFactory) -> None:
    """All of them hold 99 % of the heap."""
    result = analyzed(scenario, runtime, dump_factory, 5000 if scenario == "pool" else COUNT)
    first = result.findings[0]
    assert (result.verdict, first.severity, first.holder.field) == ("no-leak", "note", field)
    assert any(words in sentence for sentence in first.evidence)


def test_one_stream_that_grows_is_a_leak_and_large_arrays_are_not(dump_factory: DumpFactory) -> None:
    stream = analyzed("memory-stream", "6.0.6", dump_factory, 60_000).findings[0]
    assert (stream.severity, stream.holder.field, stream.object_count) == ("leak", "stream", 1)
    assert lines(stream) == [line_with("stream.Write(b")]
    model = analyzed("model", "9.0.11", dump_factory)
    assert (model.verdict, model.findings[0].severity, model.findings[0].holder.field) == ("no-leak", "note", "weights")


@pytest.mark.parametrize(
    ("scenario", "runtime", "release", "rule", "root", "code"),
    [
        ("timer-objects", "3.1.23", False, "timers", "timer", "timer = new Timer(OnIdle"),
        ("async-local", "6.0.6", False, "timers", "timer", "public static void Start() => timers.Add"),
        ("linked-cts", "8.0.4", True, "cancellation-registrations", "static-field", "CreateLinkedTokenSource(stopping)"),
        ("linked-cts", "3.1.2", False, "cancellation-registrations", "static-field", "CreateLinkedTokenSource(stopping)"),
        ("semaphore", "8.0.4", False, "waiting-methods", "static-field", "gate.WaitAsync()"),
        ("delays", "9.0.11", True, "waiting-methods", "static-field", "Task.Delay(TimeSpan.FromDays(1))"),
        ("starved", "6.0.6", True, "thread-pool-queue", "static-field", "FetchAsync().Wait()"),
    ],
)
def test_what_the_runtime_keeps_for_the_program(
    scenario: str, runtime: str, release: bool, rule: str, root: str, code: str, dump_factory: DumpFactory
) -> None:
    result = analyzed(scenario, runtime, dump_factory, release=release)
    found = next(finding for finding in result.findings if finding.rule == rule)
    assert (result.verdict, found.severity, found.root.kind) == ("leak", "leak", root)
    assert found.object_count >= COUNT - 10  # the pool's own threads took some
    assert lines(found) == [line_with(code)]
    assert found.retained_bytes > 400 * COUNT
    assert not [other for other in result.findings if other.holder.type.startswith("System.") and other.rule == "growing-collection"]


def test_a_finalizer_that_waits_for_a_lock_names_who_holds_it(dump_factory: DumpFactory) -> None:
    first = analyzed("finalizer-lock", "8.0.4", dump_factory).findings[0]
    assert (first.rule, first.root.kind, first.type) == ("rooted-objects", "finalizer-queue", "Services.Connection")
    line = line_with("private static void Hold()")
    (sentence,) = [words for words in first.evidence if "finalizer thread" in words]
    assert "waits in Services.Connection.Finalize()" in sentence
    assert f"held by thread 4 (pool-cleaner), which is in Services.Connection.Hold() (Program.cs:{line}) (sleep)" in sentence


def test_a_deadlock_names_its_threads_and_lines(dump_factory: DumpFactory) -> None:
    result = analyzed("threads-stuck", "8.0.4", dump_factory, 20, release=True)
    first = result.findings[0]
    assert (result.verdict, first.rule, first.severity, first.object_count) == ("no-leak", "deadlock", "waste", 2)
    assert {site.line for site in first.code} == {line_with("private static void One"), line_with("private static void Two")}
    assert "18 more wait behind them" in first.title


@pytest.mark.parametrize(
    ("scenario", "runtime", "kind", "made"),
    [
        ("pinned-buffers", "6.0.6", "pinned-handle", "public NativeFrame()"),
        ("normal-handles", "10.0.11", "strong-handle", "class Callback"),
    ],
)
def test_handles_name_the_code_that_makes_such_handles(
    scenario: str, runtime: str, kind: str, made: str, dump_factory: DumpFactory
) -> None:
    first = analyzed(scenario, runtime, dump_factory).findings[0]
    assert (first.rule, first.root.kind, first.object_count) == ("rooted-objects", kind, COUNT)
    assert lines(first) == [line_with(made)]


def test_native_memory_names_the_objects_that_point_to_it(dump_factory: DumpFactory) -> None:
    """5,000 blocks of 20,000 bytes; glibc rounds a block up to 20,016 with its header."""
    result = analyzed("native-held", "10.0.11", dump_factory, 5000, release=True)
    first = result.findings[0]
    assert (result.verdict, first.rule, first.severity) == ("unclear", "native-memory", "waste")
    assert (first.holder.type, first.holder.field, first.object_count) == ("Services.Bitmap", "pixels", 5000)
    assert (first.root.declaring_type, first.root.field) == ("Services.Gallery", "bitmaps")
    assert lines(first) == [line_with("Marshal.AllocHGlobal(size)")]
    assert any("together 100,080,000 bytes" in words for words in first.evidence)
    assert any("5,000 blocks of 20,016 bytes are in use" in words for words in first.evidence)


def test_free_space_between_large_objects_is_told_and_no_leak(dump_factory: DumpFactory) -> None:
    found = [finding for finding in analyzed("large-holes", "10.0.11", dump_factory, 1000).findings if finding.rule == "free-space"]
    assert [(finding.severity, finding.holder.type) for finding in found] == [("note", "the large object heap")]
    assert (found[0].root.declaring_type, found[0].root.field) == ("Services.Reports", "kept")


def test_memory_that_a_burst_left_committed_is_no_leak(dump_factory: DumpFactory) -> None:
    recipe = Recipe("Services", "8.0.4", ("burst", "40000"), server_gc=True)
    result = heaphound.open(dump_factory(recipe).path).analyze().result
    assert (result.verdict, [finding.rule for finding in result.findings]) == ("no-leak", ["free-space"])
    assert result.findings[0].severity == "note"


@pytest.mark.parametrize("runtime", ["3.1.2", "9.0.11"])
def test_interned_strings_name_the_code_that_interns(runtime: str, dump_factory: DumpFactory) -> None:
    (first,) = analyzed("intern", runtime, dump_factory).findings
    assert (first.rule, first.severity, first.type) == ("interned-strings", "leak", "System.String")
    assert COUNT <= first.object_count < COUNT + 200  # and the literals of the program
    assert lines(first) == [line_with("string.Intern(")]


@pytest.mark.parametrize("runtime", ["6.0.6", "9.0.11"])
def test_load_contexts_that_cannot_be_unloaded_name_what_holds_them(runtime: str, dump_factory: DumpFactory) -> None:
    result = analyzed("plugins", runtime, dump_factory, 60)
    found = next(finding for finding in result.findings if finding.rule == "load-contexts")
    assert (found.severity, found.object_count) == ("leak", 60)
    assert (found.holder.type, found.holder.field, found.root.kind) == ("Services.Plugins", "Reloaded", "static-field")
    assert lines(found) == [line_with("context.Unload()")]
    assert "of 60 the unloading has begun" in found.evidence[0]


def test_a_method_that_would_remove_and_is_not_called_removes_nothing(dump_factory: DumpFactory) -> None:
    result = analyzed("forgotten", "9.0.11", dump_factory, release=True)
    first = result.findings[0]
    assert (result.verdict, first.severity, first.holder.field) == ("leak", "leak", "sessions")
    assert any("Services.SessionRegistry.Close(System.Int32) would remove from it" in words for words in first.evidence)


def test_what_comes_and_goes_is_not_called_a_leak(dump_factory: DumpFactory) -> None:
    """A timer sweeps it: whether more comes than goes, one dump cannot tell."""
    result = analyzed("expiring", "6.0.6", dump_factory)
    first = result.findings[0]
    assert (result.verdict, first.severity, first.holder.field) == ("unclear", "waste", "tokens")
    assert any("Services.TokenCache.Sweep(System.Object) removes from it" in words for words in first.evidence)


def test_two_indexes_of_the_same_objects_are_both_named(dump_factory: DumpFactory) -> None:
    result = analyzed("two-indexes", "10.0.11", dump_factory)
    first = result.findings[0]
    assert (result.verdict, first.holder.type, first.holder.field) == ("leak", "Services.Customers", "byId, byName")
    assert (first.type, first.object_count, first.retained_bytes) == ("Services.Quote", COUNT, 376 * COUNT)
    assert set(lines(first)) == {line_with("byId.Add(id, q)")}
