"""The sample dump of the repository, and the oracle's answers about it that lie in `tests/oracle`.

    python -m tests.lab.sample

records the answers again (needs the oracle); do it whenever samples/make_sample.py made a new sample.
"""

import gzip
import json
from pathlib import Path

import zstandard

from tests.lab.cache import cache_directory, file_digest, locked
from tests.lab.oracle import RECORDED, REPOSITORY, ask, first_of_each_type
from tests.lab.runtimes import framework_directory

SAMPLE = REPOSITORY / "samples" / "redis-leak.core.zst"
SYMBOLS = REPOSITORY / "samples" / "symbols"
RUNTIME = "8.0.4"
NAME = "redis-leak"
VERBS = {
    "walk": (),
    "stat": (),
    "refs": (),
    "segments": (),
    "handles": (),
    "statics": ("--all",),
    "modules": (),
    "threads": (),
    "finalizer": (),
    "roots": (),
    "asyncs": (),
}


def sample_core() -> Path:
    """The sample decompressed, in the cache."""
    core = cache_directory() / "dumps" / f"sample-{file_digest(SAMPLE)[:16]}.core"
    if not core.exists():
        with locked("sample"):
            core.parent.mkdir(exist_ok=True)
            part = core.with_suffix(".part")
            with open(SAMPLE, "rb") as compressed, open(part, "wb") as plain:
                zstandard.ZstdDecompressor().copy_stream(compressed, plain)
            part.rename(core)
    return core


def record() -> None:
    """Ask the oracle about the sample and keep its answers in the repository, each beside the hash of the sample it is about."""
    core, dac = sample_core(), framework_directory(RUNTIME) / "libmscordaccore.so"
    RECORDED.mkdir(exist_ok=True)
    answers = {verb: ask(core, verb, *operands, dac=dac) for verb, operands in VERBS.items()} | {
        "object": ask(core, "object", *first_of_each_type(ask(core, "objects", dac=dac)), dac=dac)
    }
    for verb, rows in answers.items():
        timeless = [{key: value for key, value in row.items() if not key.startswith("seconds") and "per_second" not in key} for row in rows]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in timeless)
        # mtime 0: the same answer gives the same file, so that recording again shows in git only when an answer changed.
        (RECORDED / f"{NAME}.{verb}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), compresslevel=9, mtime=0))
    (RECORDED / f"{NAME}.sha256").write_text(file_digest(SAMPLE) + "\n")


def answers_are_of_this_sample() -> bool:
    """Whether the recorded answers were given about the sample that lies in the repository now."""
    return (RECORDED / f"{NAME}.sha256").read_text().strip() == file_digest(SAMPLE)


if __name__ == "__main__":
    record()
