from __future__ import annotations

import subprocess
import sys

import pytest

from medkit.rules.replay.secluding import network_tried

TRY = """
import sys
from pathlib import Path
from medkit.rules.replay.secluding import cut_off
cut_off(Path(sys.argv[1]) / "network.txt")
import socket
try:
    {code}
except OSError as error:
    print(error)
"""
WAYS = {
    "a connection": "socket.create_connection(('127.0.0.1', 9))",
    "a name": "socket.getaddrinfo('example.com', 80)",
    "a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('10.0.0.1', 9))",
    "a page": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/x')",
}


def run(code, folder):
    command = [sys.executable, "-c", TRY.format(code=code), str(folder)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_to_the_network_and_each_try_is_noted(way, tmp_path):
    assert "no network while a hand-in is trained again" in run(WAYS[way], tmp_path)
    assert len(network_tried(tmp_path)) == 1


def test_sockets_within_the_machine_work(tmp_path):
    code = "a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))"
    assert run(code, tmp_path).strip() == "b'x'"
    assert network_tried(tmp_path) == []


def test_a_process_that_it_starts_reaches_nobody_either(tmp_path):
    """Where the system gives a process a network of its own; the hook does not reach so far."""
    inner = "import socket; socket.create_connection(('127.0.0.1', PORT), 5)"
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        inner = inner.replace("PORT", str(server.getsockname()[1]))
        alone = [sys.executable, "-c", inner]
        subprocess.run(alone, check=True)  # so it would, if it could
        code = f"import subprocess; print(subprocess.run({alone!r}, stderr=-3).returncode)"
        can = subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL)
        if can.returncode:
            pytest.skip("this system gives no process a network of its own")
        assert run(code, tmp_path).strip() == "1"
