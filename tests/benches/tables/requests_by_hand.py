"""Requests that cost the one who asks as little as can be: what is measured is the server."""
import contextlib
import os
import re
import socket
import statistics
import subprocess
import time


@contextlib.contextmanager
def started(core, command):
    """A server on one core, by what it says that it listens on; this process goes to another core, if there is one."""
    others = os.sched_getaffinity(0) - {int(core)}
    os.sched_setaffinity(0, others or {int(core)})
    process = subprocess.Popen(
        ["taskset", "-c", core, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        for line in process.stdout:
            if found := re.search(r"listening=([0-9.]+):(\d+);", line):
                yield found.group(1), int(found.group(2))
                return
        raise SystemExit(f"{command}: ended without saying where it listens")
    finally:
        process.terminate()
        process.wait()


class Client:
    def __init__(self, address):
        self.address = address
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(address):
                return
            time.sleep(0.05)

    def p50(self, content_type, body, count, keep):
        """Seconds of a request, from its connection on, or on one that is there."""
        head = (f"POST /invocations HTTP/1.1\r\nhost: here\r\ncontent-type: {content_type}\r\n"
                f"content-length: {len(body)}\r\n" + ("" if keep else "connection: close\r\n") + "\r\n")
        request, seconds, connection = head.encode() + body, [], None
        for _ in range(count):
            began = time.perf_counter()
            if connection is None:
                connection = socket.create_connection(self.address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
            answer(connection)
            if not keep:
                connection.close()
                connection = None
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds)


def answer(connection):
    """Reads an answer to its end."""
    got = connection.recv(1 << 20)
    while (end := got.find(b"\r\n\r\n")) < 0:
        got += connection.recv(1 << 20)
    head = got[:end].decode().lower()
    assert " 200 " in head.split("\r\n", 1)[0], got[:500]
    left = int(re.search(r"content-length: (\d+)", head).group(1)) - (len(got) - end - 4)
    while left > 0:
        left -= len(connection.recv(1 << 20))
