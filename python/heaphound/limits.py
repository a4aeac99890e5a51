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
    program_headers: int = 16_777_216  # PN_XNUM counts go to 2^32; a mapping each, 16 times the raised vm.max_map_count
    image_program_headers: int = 4_096  # of one mapped ELF image; linkers write about 10
    dynamic_entries: int = 4_096  # of one image's .dynamic section; linkers write about 30
    dynamic_symbols: int = 4_194_304  # of one image; the largest C++ libraries export some 200,000
    gnu_hash_chain: int = 4_194_304  # symbols in one bucket: never more than the symbols there are
    symbol_name_bytes: int = 65_536  # C++ mangled names reach some kilobytes
    image_notes_bytes: int = 1 << 20  # PT_NOTE of one image; build-id and ABI tag take about 100 bytes
    relocation_entries: int = 16_777_216  # of one image; Chromium, the largest known, has some 1.2 million
    binaries_files: int = 1_000_000  # files looked at below one --binaries directory; a whole container image has some 100,000
    compared_pages: int = 256  # pages of a mapped file held against the file on disk: 1 MiB, no chance left for another build
    glibc_arenas: int = 65_536  # glibc makes at most 8 arenas a core (malloc/arena.c, narenas_limit)


LIMITS = Limits()
