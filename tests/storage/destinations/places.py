"""Real places for copies: a folder, and an S3 server of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from storage.destinations.destination import Destination, parse_url

KEY, SECRET = "haven-key", "haven-secret"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class ObjectServer:
    """SeaweedFS, which checks signatures; each bucket that is asked for is made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.filer_port = folder, _free_port(), _free_port()
        (folder / "s3.json").write_text(
            json.dumps(
                {
                    "identities": [
                        {
                            "name": "tests",
                            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                        }
                    ]
                }
            )
        )
        (folder / "data").mkdir()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        ports = [f"-filer.port={self.filer_port}"]
        ports += [f"-{name}.port={_free_port()}" for name in ("master", "volume")]
        grpc = [f"-{name}.port.grpc={_free_port()}" for name in ("master", "volume", "filer", "s3")]
        program = Path(sys.executable).with_name("weed")
        process = subprocess.Popen(
            [program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.folder}/data",
             "-master.volumeSizeLimitMB=64", "-volume.max=0", "-filer", "-s3", f"-s3.port={self.port}",
             f"-s3.config={self.folder}/s3.json", "-master.peers=none",
             "-s3.port.iceberg=0", "-s3.port.lance=0", *ports, *grpc],
            cwd=self.folder, stdout=subprocess.DEVNULL, stderr=(self.folder / "weed.log").open("wb"),
        )  # fmt: skip
        until = time.monotonic() + 40
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2)
            except urllib.error.HTTPError as answer:
                if answer.code == 403:
                    return process
            except OSError:
                pass  # not yet
            time.sleep(0.1)
        process.kill()
        raise AssertionError((self.folder / "weed.log").read_text()[-2000:])

    def stop(self) -> None:
        # It takes half a minute to end by itself.
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def destination(self, name: str = "bucket", *, secret: str = SECRET) -> Destination:
        self._make_bucket("haven")
        return parse_url(
            name, f"s3://{KEY}:{secret}@haven/copies/{name}?endpoint=http://127.0.0.1:{self.port}&region=us-east-1"
        )

    def _make_bucket(self, bucket: str) -> None:
        # A bucket is a folder of its filer.
        request = urllib.request.Request(f"http://127.0.0.1:{self.filer_port}/buckets/{bucket}/", method="POST")
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as answer:
            assert answer.code == 409, answer  # it is there


Place = Callable[[str], Destination]
