"""Commands about threads on cores that lie: each must end soon, in bounded memory, with an answer or with one sentence and exit code 3.

    python -m tests.lab.lie_runs CORE [--told] [--seeds 100] [--first 0] [--lies N] [--directory DIR] [--command "stack --all"]

makes a copy of CORE, writes lies into it (`tests.lab.lies`), asks each command, and prints what went wrong with the seed that
shows it again. A failure is a traceback, a signal, an exit code that is none of ours, more than one sentence, output beside an exit code 3,
JSON that is none, silence about a lie of `tests.lab.told_lies`, more time or memory than the bounds below.
"""

import argparse
import json
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import heaphound.api  # what is imported here is there in each child
from heaphound.cli.main import main as heaphound_main
from tests.lab.lies import LyingCore, ReadPlaces
from tests.lab.told_lies import Teller, ToldLie

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("threads", "--json"),
    ("threads",),
    ("stack", "--all", "-a", "--native", "--json"),
    ("stack", "--all", "-a", "--native"),
    ("stack", "--parallel"),
    ("exceptions", "--json"),
    ("locks", "--json"),
    ("locks",),
    ("roots", "--json"),
    ("tasks", "--json"),
    ("analyze", "--json"),
)
SECONDS = 60
BYTES = 3 << 30
_USED = heaphound.api


@dataclass(frozen=True)
class Run:
    """What one command did: its exit code (negative for a signal), its outputs, seconds of its processor time, and its memory."""

    command: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float
    peak_bytes: int

    @property
    def failure(self) -> str | None:
        """What is wrong with it, None where nothing is."""
        if self.code < 0:
            return f"died of signal {-self.code} after {self.seconds:.0f} s"
        if "a bug in heaphound" in self.stderr or "panicked" in self.stderr:
            return last_call(self.stderr)
        if "not enough memory" in self.stderr:
            return "asked for more memory than there is"
        if self.code not in (0, 3):
            return f"exit code {self.code}"
        if self.code == 3 and self.stdout:
            return "exit code 3 with an answer"
        if self.code == 0 and "--json" in self.command:
            try:
                json.loads(self.stdout)
            except ValueError as error:
                return f"no JSON: {error}"
        if self.seconds > SECONDS / 2:
            return f"took {self.seconds:.0f} s"
        return None


def last_call(stderr: str) -> str:
    """The place where a traceback ends, in our code, and the error."""
    lines = stderr.splitlines()
    calls = [line.strip() for line in lines if line.lstrip().startswith("File ") and "heaphound" in line]
    bugs = [line for line in lines if "a bug in heaphound" in line or "panicked" in line]
    return f"{calls[-1] if calls else '?'}: {bugs[-1][:300] if bugs else ''}"


def run(core: Path, command: tuple[str, ...], directory: Path) -> Run:
    """One command in a child of this process, which has everything imported already."""
    out, err = directory / "stdout", directory / "stderr"
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
            resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.environ["HEAPHOUND_DEBUG"] = "1"
            signal.alarm(10 * SECONDS)
            for stream, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
            code = heaphound_main([command[0], str(core), *command[1:]])
            sys.stdout.flush()
        finally:
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    seconds = used.ru_utime + used.ru_stime if code >= 0 else time.monotonic() - begin
    return Run(command, code, out.read_text(errors="replace"), err.read_text(errors="replace"), seconds, used.ru_maxrss << 10)


def told_lies(core: Path) -> list[ToldLie]:
    """Those about one core, made by a child: the kernel's threads do not outlive a later fork."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(Teller(core).told(), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told: list[ToldLie] = pickle.load(pipe)
    os.waitpid(child, 0)
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds; the exit code is 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("core", type=Path)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--told", action="store_true", help="tell the lies of tests.lab.told_lies first")
    parser.add_argument("--lies", type=int, help="told at once; default: between 1 and 100")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--command", action="append", help="one command with its options; default: all that are about threads")
    chosen = parser.parse_args(arguments)
    commands = tuple(tuple(command.split()) for command in chosen.command) if chosen.command else COMMANDS
    failed: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    told = told_lies(chosen.core) if chosen.told else []
    with tempfile.TemporaryDirectory(dir=chosen.directory) as temporary:
        directory = Path(temporary)
        places = ReadPlaces(chosen.core, commands, directory / "reads")
        lying = LyingCore(chosen.core, directory / "core")
        print(f"{len(places.places)} words are read", flush=True)
        for command in commands:
            whole = run(lying.path, command, directory)
            print(f"{' '.join(command)}: {whole.code}, {whole.seconds:.1f} s, {whole.peak_bytes >> 20} MB, {whole.failure}", flush=True)
        for lie in told:
            with lying.telling(lie.lies):
                done = run(lying.path, lie.command, directory)
            codes[done.code] += 1
            silent = bool(lie.words) and not any(word in done.stdout + done.stderr for word in lie.words)
            failure = done.failure or ("says nothing of it" if silent else None)
            if failure is not None:
                failed[failure] += 1
                print(f"{lie.name}, {' '.join(lie.command)}: {failure}", flush=True)
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            chance = random.Random(seed)
            lies = places.lies(chance, chosen.lies or chance.choice((1, 1, 3, 10, 30, 100)))
            with lying.telling(lies):
                for command in commands:
                    done = run(lying.path, command, directory)
                    codes[done.code] += 1
                    if done.failure is not None:
                        failed[done.failure] += 1
                        print(f"seed {seed}, {' '.join(map(str, lies))}, {' '.join(command)}: {done.failure}", flush=True)
            if seed % 10 == 9:
                print(f"up to seed {seed}: exit codes {dict(codes)}, {sum(failed.values())} failures", flush=True)
    print(f"exit codes: {dict(codes)}")
    for failure, count in failed.most_common():
        print(f"{count} x {failure}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
