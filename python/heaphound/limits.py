"""Every upper bound on what is read from a dump: a dump is untrusted input, and a count in it may be anything."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds, each far above what a real process reaches, so that meeting one means a broken or hostile dump."""

    # bytes: heaphound.dump
    notes_bytes: int = 1 << 30  # kernel notes take about 4 KB a thread: 1 GiB is a quarter of a million threads
    note_count: int = 4_000_000  # 15 notes a thread at the kernel's own maximum of threads (4,194,304 pids), rounded down
    threads: int = 4_194_304  # PID_MAX_LIMIT of 64-bit Linux (include/linux/threads.h)
    mapped_files: int = 1_000_000  # vm.max_map_count is 65,530 by default; administrators raise it to 1 M for databases
    auxv_entries: int = 4_096  # the kernel writes about 25
    path_bytes: int = 65_536  # PATH_MAX is 4,096; overlay and /proc paths are longer, none by a factor of 16
    scanned_stack_bytes: int = 2 << 30  # stacks looked through for untouched pages: above it the look would take minutes from a slow disk
    image_program_headers: int = 4_096  # of one mapped ELF image; linkers write about 10
    dynamic_entries: int = 4_096  # of one image's .dynamic section; linkers write about 30
    dynamic_symbols: int = 4_194_304  # of one image; the largest C++ libraries export some 200,000
    symbol_names_bytes: int = 1 << 28  # names of one image's symbols; Chromium's with all symbols has some 100 MB
    symbol_name_bytes: int = 65_536  # one name; C++ templates reach some thousands
    gnu_hash_chain: int = 4_194_304  # symbols in one bucket: never more than the symbols there are
    image_notes_bytes: int = 1 << 20  # PT_NOTE of one image; build-id and ABI tag take about 100 bytes
    relocation_entries: int = 16_777_216  # of one image; Chromium, the largest known, has some 1.2 million
    symbolic_links: int = 40  # followed for one path below --sysroot, as many as Linux follows
    binaries_files: int = 1_000_000  # files looked at below one --binaries directory; a whole container image has some 100,000
    compared_pages: int = 256  # pages of a mapped file held against the file on disk: 1 MiB, no chance left for another build

    # types: heaphound.runtime
    assemblies: int = 1_000_000  # of one process; plugin hosts that leak load contexts reach some 100,000
    metadata_bytes: int = 1 << 28  # of one module; the largest known have some 40 MB
    lookup_map_blocks: int = 4_096  # of one Module map; each block doubles what a dynamic module holds
    hash_buckets: int = 1 << 24  # of one class hash table; a table of a million instantiations has a few million
    loaded_types: int = 1 << 24  # of one process; the largest services load some 200,000
    type_parents: int = 4_096  # depth of inheritance; deep frameworks reach 20
    generic_arguments: int = 4_096  # of one type; the language has no bound, tools write up to 17
    type_nesting: int = 64  # arrays of generics of arrays ...; bounded by what a name can still be read as
    struct_nesting: int = 32  # value types inside value types; deep state machines reach 10
    array_rank: int = 32  # the runtime's own bound (MAX_RANK)
    fields_of_type: int = 65_535  # the runtime's own bound on FieldDescs of one class (16 bits)
    loader_heap_blocks: int = 1 << 22  # of one loader heap; 64 KB each, so 256 GB of type data
    loader_heap_block_bytes: int = 1 << 40  # of one block; the largest are single oversized requests of some MB
    gc_bookkeeping_tables: int = 4_096  # card tables in one list; a segments heap makes one each time it outgrows the last
    invocation_list: int = 1 << 28  # delegates in one multicast list; a leak reaches tens of millions

    # stacks: heaphound.runtime.stacks
    stack_frames: int = 4_000_000  # of one thread; the smallest frame takes 16 bytes, and a stack overflow of 8 MB has some 100,000
    code_fragments: int = 65_536  # funclets of one method; generated parsers reach some hundreds
    exception_clauses: int = 65_536  # of one method; the runtime's own bound on funclets is of that size
    native_frames: int = 64  # between a runtime helper and the managed code that called it; seen are 1 to 3
    native_run_frames: int = 1 << 20  # of native code on one thread; a stack overflow of 8 MB has at most half as many
    nested_signals: int = 64  # handlers that interrupted each other on one thread; there are no more signals than that
    call_frame_instructions: int = 65_536  # of one function's .eh_frame entry; the longest known have some thousands
    method_parameters: int = 65_536  # of one method; IL counts them in 16 bits
    native_variables: int = 1 << 20  # places of one method's variables; the largest methods have some 10,000
    debug_info_bytes: int = 16 << 20  # of one method's IL map; the largest methods have some 100 KB
    il_bounds: int = 1 << 19  # entries of one method's IL map; the largest methods have some 50,000
    nested_exceptions: int = (
        4_096  # that one thread handles, each thrown while the one before is; a thread's stack has room for some hundreds
    )
    stack_references: int = 1 << 23  # that all frames hold; a stack of 8 MB has room for a million

    # code: heaphound.runtime.code and what it rests on
    code_sections: int = 1_000_000  # of one process; it has a few a module and code heap, the largest seen some thousands
    stub_jumps: int = 16  # from stub to stub; call counting, backpatching and jump stubs together make three
    image_sections: int = 1_024  # of one ready-to-run header; the format knows about 25 kinds
    image_methods: int = 1 << 24  # entry points of one image: row ids have 24 bits
    image_hash_bits: int = 24  # buckets of one ready-to-run hash table, as a power of two; the core library has 2^13
    prepared_buckets: int = 1 << 22  # of four methods each; the largest services prepare some 100,000
    internal_call_chain: int = 4_096  # in one bucket of the runtime's table of internal calls, which are some 300 in all
    method_chunks: int = 65_536  # of MethodDescs of one class; a chunk holds dozens
    method_name_bytes: int = 4_096  # of a dynamic method; serializers and expression trees write some 100
    method_signature_bytes: int = 65_536  # of a dynamic method; parameters take a few bytes each

    # references of frames: heaphound.runtime.gc_info, heaphound.runtime.stack_roots
    gc_info_bytes: int = 4 << 20  # of one method; generated parsers with thousands of locals reach some 100 KB
    gc_slots: int = 65_536  # registers and stack slots of one method that hold references; the largest have a few thousand
    gc_ranges: int = 65_536  # of fully interruptible code in one method; the largest have some hundreds
    method_code_bytes: int = 1 << 28  # of one method's native code; the largest known have a few MB
    import_sections: int = 4_096  # of one ready-to-run image; crossgen writes about ten
    gc_ref_map_bytes: int = 4_096  # of one call's arguments; four words take a byte
    value_leaves: int = 65_536  # primitive values inside one value type; the largest inline arrays have some thousands
    gc_frames: int = 1 << 20  # GCFrames of one thread in a chain; deep native recursion in the runtime makes some hundreds
    frame_scan_bytes: int = 64 << 20  # of one frame looked through word by word; the largest main-thread stacks have 8 MB


LIMITS = Limits()
