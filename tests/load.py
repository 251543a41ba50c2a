#!/usr/bin/env python3
"""Loads `neural serve` with the digits of MNIST, a picture of 784 numbers as JSON a request, stops it under load, and
sends bodies that it must refuse.

usage: tests/load.py [--binary FILE] [--run RUN] [--connections N] [--seconds S]
       (cargo build --release first; needs wrk, a load generator, which is a package of Debian)

Prints the requests answered a second, their latency, and the server's CPU time for each, which other work on the
machine changes little. Fails if an answer is wrong, a request is lost or a body is not refused.
"""

import argparse
import gzip
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

root = pathlib.Path(__file__).resolve().parent.parent
arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", default=root / "target/release/neural", type=pathlib.Path)
arguments.add_argument("--run", type=pathlib.Path, help="a run of the digits; one of 3 epochs is trained where there is none")
arguments.add_argument("--connections", type=int, nargs="+", default=[16, 64])
arguments.add_argument("--seconds", type=int, default=10)
arguments = arguments.parse_args()
binary = arguments.binary.resolve()

WRK = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = io.open("picture.json"):read("*a")
response = function(status, headers, body)
    if status ~= 200 or not body:find('"class":"7"', 1, true) then error(status .. body) end
end
"""


def picture(place):
    """One of the test pictures as the lists of its rows."""
    pixels = gzip.open(root / "data/mnist/t10k-images-idx3-ubyte.gz").read()[16 + 784 * place :][:784]
    return [list(pixels[28 * row :][:28]) for row in range(28)]


def request(body, kind="application/json", more=""):
    head = f"POST /predict HTTP/1.1\r\nhost: here\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def read(connection):
    """The status of the next answer, its body, and whether the connection ends with it; `None` where it ended before that."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(1 << 16)
        if not more:
            return None
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    while length and len(body) < int(length[1]):
        more = connection.recv(1 << 16)
        if not more:
            return None
        body += more
    return int(head.split()[1]), body, b"connection: close" in head.lower()


class Server:
    def __init__(self, run, *more):
        words = [binary, "serve", f"digits={run}", "--port", "0", "--device", "cpu", *more]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if found := re.match(r"listening at http://([\d.]+):(\d+)/", line):
                self.address = found[1], int(found[2])
                return
        sys.exit(self.process.stderr.read())

    def connect(self):
        connection = socket.create_connection(self.address)
        connection.settimeout(30)
        return connection

    def ask(self, sent):
        with self.connect() as connection:
            try:
                connection.sendall(sent)
            except ConnectionError:
                pass  # It may refuse a body before it has read all of it.
            return read(connection)

    def processor_seconds(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """The number of requests that it reports as answered."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.stderr.read()
        assert self.process.wait() == 0, said
        return int(re.search(r"answered (\d+) requests", said)[1])


def load(run, folder):
    for connections in arguments.connections:
        server = Server(run)
        (folder / "post.lua").write_text(WRK)
        before = server.processor_seconds()
        url = "http://{}:{}/predict".format(*server.address)
        words = ["wrk", "-t1", f"-c{connections}", f"-d{arguments.seconds}", "-s", "post.lua", "--latency", url]
        said = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout
        took = server.processor_seconds() - before
        assert "Non-2xx" not in said and "Socket errors" not in said, said
        rate = float(re.search(r"Requests/sec: +([\d.]+)", said)[1])
        half, most = (re.search(rf"{share}% +(\S+)", said)[1] for share in (50, 99))
        answered = server.stop()
        print(
            f"{connections} connections: {rate:.0f} requests/s, median {half}, p99 {most}, "
            f"{1e6 * took / answered:.0f} us of processor time a request",
            flush=True,
        )


def stop_under_load(run):
    """Clients that send one request after another while the server stops get an answer to each."""
    server = Server(run)
    bodies = [request(json.dumps({"inputs": [picture(place)]}).encode()) for place in range(8)]
    expected = [json.loads(server.ask(body)[1])["predictions"][0]["class"] for body in bodies]
    counts, lost = [0] * len(bodies), []

    def client(place):
        while True:
            try:
                connection = server.connect()
            except ConnectionRefusedError:
                return
            with connection:
                is_over = False
                while not is_over:
                    try:
                        connection.sendall(bodies[place])
                        status, body, is_over = read(connection)
                        assert status == 200 and json.loads(body)["predictions"][0]["class"] == expected[place], body
                        counts[place] += 1
                    except Exception as error:
                        lost.append(error)
                        return

    clients = [threading.Thread(target=client, args=[place]) for place in range(len(bodies))]
    for one in clients:
        one.start()
    time.sleep(1)
    answered = server.stop()
    for one in clients:
        one.join()
    assert not lost, lost
    assert answered == sum(counts) + len(bodies), (answered, counts)
    print(f"stopped under load: {answered} requests sent, as many answered", flush=True)


def hostile(run):
    server = Server(run, "--max-body", "0.5", "--timeout", "2")
    good = request(json.dumps({"inputs": [picture(0)]}).encode())
    row = [0] * 28
    kinds = {
        "a body that is too long": (request(b"[" * 600_000), 413),
        "lists that are too deep": (request(b'{"inputs": ' + b"[" * 400_000), 400),
        "lists of other lengths": (request(json.dumps({"inputs": [[row] * 27 + [[0] * 27]]}).encode()), 400),
        "another size": (request(json.dumps({"inputs": [[row] * 27]}).encode()), 400),
        "pixels of 256": (request(json.dumps({"inputs": [[[256] * 28] * 28]}).encode()), 400),
        "halves of pixels": (request(json.dumps({"inputs": [[[0.5] * 28] * 28]}).encode()), 400),
        "numbers beyond all types": (request(b'{"inputs": [' + b"9" * 1000 + b"]}"), 400),
        "NaN": (request(b'{"inputs": [[NaN]]}'), 400),
        "null": (request(b'{"inputs": [[null]]}'), 400),
        "no samples": (request(b'{"inputs": []}'), 400),
        "a key that is none": (request(b'{"input": []}'), 400),
        "two values of a key": (request(b'{"inputs": [1], "inputs": [2]}'), 400),
        "bytes that are no text": (request(b'{"inputs": "\xff\xfe"}'), 400),
        "a picture of nothing": (request(b"\x89PNG\r\n\x1a\n" + bytes(100), "image/png"), 400),
        "a kind that is not read": (request(b"<a/>", "text/xml"), 415),
        "a body that does not come": (request(b"")[:-2].replace(b"length: 0", b"length: 9") + b"\r\n{", 408),
        "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        "a length that is no number": (request(b"").replace(b"length: 0", b"length: -1"), 400),
        "very long heads": (request(b"", more="x: " + "y" * 1_000_000 + "\r\n"), 431),
    }
    for name, (sent, status) in kinds.items():
        answer = server.ask(sent)
        assert answer and answer[0] == status, (name, answer)
        assert server.ask(good)[0] == 200, f"after {name}"
    # A head that never ends: the connection does.
    with server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost:")
        began = time.monotonic()
        answer = read(connection)
        assert (answer is None or answer[0] == 408) and time.monotonic() - began < 10, answer
    server.stop()
    print(f"{len(kinds) + 1} hostile requests refused, the server answering after each", flush=True)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "picture.json").write_text(json.dumps({"inputs": [picture(0)]}, separators=(",", ":")))
    run = arguments.run
    if run is None:
        run = folder / "runs/mnist-1"
        words = [binary, "train", root / "scripts/recipes/mnist.toml", "--epochs", "3", "--device", "cpu", "--quiet"]
        subprocess.run([*words, "--runs", folder / "runs"], cwd=root, check=True, stdout=subprocess.DEVNULL)
    run = run.resolve()
    hostile(run)
    stop_under_load(run)
    load(run, folder)
