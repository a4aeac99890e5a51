"""A real redis-server on a free loopback port, for the programs that need one."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.runtimes import LabError


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a redis-server without persistence, yield its `host:port`, stop it.

    Raises LabError when the program is missing or does not answer.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise LabError("redis-server is not installed; the dumps of RedisLeak need a real one (Debian: apt-get install redis-server)")
    port = _free_port()
    # Started from / because the folder stands in its INFO answer, which a client keeps and so a dump would show.
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/"]
    with subprocess.Popen(command, cwd="/", env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for_answer(port, server)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_answer(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise LabError(f"redis-server ended at once with status {server.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            time.sleep(0.05)
    raise LabError(f"redis-server on port {port} did not answer within 20 s")
