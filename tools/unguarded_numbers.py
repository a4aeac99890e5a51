"""Why a number of the layout files can move by a step without any self-check noticing, by pattern, each group with its reason."""

SECOND_WAY = "its neighbour leads to the same thing, or tells the same of it"
NO_FROZEN = "the flag beside it is set in no segment of these dumps, and frozen ones are rare before 8.0"
NO_CASE = "these dumps have no case of it"
RARE_KINDS = "no process on Linux had such handles here, and the table marks both kinds alike"
SAYS_ITSELF = "the table says itself how many buckets it has, so that nothing asks for it"
BY_CHANCE = "in these dumps its neighbour holds null where it does; a thread that handles an exception tells them apart"
MOVED = "this build's table is longer, so that it is read by the places that the file has for such builds (`moved`)"
SERVER = (
    "read under the server GC alone, of which the dumps of arm64 are not; in 3.1 no more than a name for a place, by which nothing is read"
)

REASONS = {
    RARE_KINDS: ["handle kind *"],
    SAYS_ITSELF: ["contract HashTable"],
    SECOND_WAY: [
        "AppDomain.TPABinder",
        "AssemblyBinder.AssemblyLoadContext",
        "BinderAssembly.Binder",
        "PEAssembly.*",
        "TPABinder.*",
    ],
    NO_FROZEN: ["constant HeapSegmentFlags.ReadOnly"],
    BY_CHANCE: ["Thread.ExceptionTracker", "Thread.LastThrownObject"],
    MOVED: ["global FCallMethods", "global SyncBlockCache", "global SyncTableEntries"],
    SERVER: ["constant GCHeapFieldIndex.*", "ServerHeap.*", "GcDacVars.Heap*"],
    NO_CASE: [
        "AsyncMethodData.*",
        "constant StubPrecodeType.ThisPtrRetBuf",
        "contract ILMap",
        "contract NibbleMap",
        "size of ArrayMethodDesc",
        "DynamicMetadata.*",
        "EEClassOptionalFields.*",
        "GenericsStaticsInfo.*",
        "ThisPtrRetBufPrecodeData.*",
    ],
}
