"""The server that comes with the client of UmaDB."""

import os
import socket
import subprocess
import sys
import time


def serve(directory):
    """Starts it, and waits until it listens: the process, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = os.path.join(os.path.dirname(sys.executable), "umadb")
    server = subprocess.Popen(
        [program, "--listen", f"127.0.0.1:{port}", "--db-path", os.path.join(directory, "uma.db")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 30
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.01)
    server.kill()
    sys.exit("the server of UmaDB does not listen")
