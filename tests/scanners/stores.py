"""Real object stores on loopback, for the tests: SeaweedFS, and Ceph's RADOS Gateway as the strict one. Started once a process, gone with it."""

import atexit
import ctypes
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from tests.scanners.contract import Item

KEY, SECRET = "labkey0001", "labsecret00000001"
READER_KEY, READER_SECRET = "readkey0001", "readsecret000001"  # of a user who owns nothing
_SECONDS = 90
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Server:
    """A store that runs: how it is reached, and where it keeps what it must forget."""

    name: str
    endpoint: str
    folder: Path

    @functools.cached_property
    def client(self) -> Any:  # noqa: ANN401 - botocore has no types
        """A client of the SDK with all rights, which tries once. Made once: it reads a description of the service that is as long as a book."""
        session: Any = Session()
        session.set_credentials(KEY, SECRET)
        chosen: Any = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}, request_checksum_calculation="when_required", read_timeout=60)
        return session.create_client("s3", endpoint_url=self.endpoint, region_name="us-east-1", config=chosen)

    def bucket(self, *, versioned: bool = False, locked: bool = False) -> str:
        """A new bucket."""
        name = f"t-{secrets.token_hex(8)}"
        self.client.create_bucket(Bucket=name, **({"ObjectLockEnabledForBucket": True} if locked else {}))
        if versioned:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def filled(self, items: Iterable[Item], **options: bool) -> str:
        """A new bucket with some objects."""
        name, client = self.bucket(**options), self.client
        for item in items:
            client.put_object(Bucket=name, Key=os.fsdecode(item.path), Body=item.content or b"")
        return name

    def declared(self, bucket: str, *, reader: bool = False, **more: object) -> dict[str, Any]:
        """The volume that a bucket is, to who owns it or to a user who was granted something."""
        key, secret = (READER_KEY, READER_SECRET) if reader else (KEY, SECRET)
        file = self.folder / f"credentials-{key}"
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
        return {"url": f"s3://{bucket}", "endpoint": self.endpoint, "credentials_file": str(file), "role": "backup", **more}


def weed() -> Server:
    """SeaweedFS. Skips where it is not installed, unless the tests must not be skipped."""
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    return _weed(_needed("weed", program))


def ceph() -> Server:
    """Ceph's RADOS Gateway on one OSD in memory. Skips likewise."""
    for name in ("radosgw", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "radosgw-admin"):
        _needed(name, shutil.which(name))
    return _ceph()


def _needed(name: str, program: str | None) -> str:
    if program is None:
        assert not os.environ.get("REQUIRE_SERVERS"), f"{name} is not installed"
        pytest.skip(f"{name} is not installed")
    return program


@functools.cache
def _weed(program: str) -> Server:
    folder = _folder("weed")
    identity = {"name": "lab", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin", "Read", "List", "Tagging", "Write"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    master, filer, volume, admin, port = _ports(5, 10_000)
    words = [f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={folder / 's3.json'}", "-admin.ui=false", "-webdav=false"]
    words += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-master.port={master}", f"-filer.port={filer}", f"-volume.port={volume}", f"-admin.port={admin}"]
    words += ["-volume.max=100000"]  # a bucket takes several; else there are as many as the free disk has times 128 MB
    _start(folder, program, "mini", *words, f"-s3.port={port}")
    server = Server("weed", f"http://127.0.0.1:{port}", folder)
    _await(server)
    _await_long_names(server)
    return server


@functools.cache
def _ceph() -> Server:
    folder = _folder("ceph")
    for name in ("mon", "osd", "rgw", "run"):
        (folder / name).mkdir()
    one, two, port = _ports(3)
    network = f"[v2:127.0.0.1:{one},v1:127.0.0.1:{two}]"
    fsid, osd = (Path("/proc/sys/kernel/random/uuid").read_text().strip() for _ in range(2))
    everything = {"fsid": fsid, "mon host": network, "public addr": "127.0.0.1", "cluster addr": "127.0.0.1", "auth allow insecure global id reclaim": "false"}
    everything |= {"ms bind ipv6": "false", "osd pool default size": "1", "osd pool default min size": "1", "osd pool default pg num": "1"}
    everything |= {"osd pool default pg autoscale mode": "off", "osd crush chooseleaf type": "0", "mon allow pool size one": "true"}
    everything |= {"mon max pg per osd": "4000", "mon data avail crit": "1", "mon data avail warn": "2", "osd objectstore": "memstore"}
    everything |= {"memstore device bytes": "2147483648", "run dir": str(folder / "run"), "admin socket": f"{folder}/run/$name.asok"}
    everything |= {"log file": f"{folder}/$name.log", "keyring": str(folder / "keyring"), "mon data": str(folder / "mon"), "osd data": str(folder / "osd")}
    gateway = {"rgw frontends": f"beast endpoint=127.0.0.1:{port}", "rgw data": str(folder / "rgw"), "rgw enable usage log": "false", "debug rgw": "0"}
    conf = folder / "ceph.conf"
    conf.write_text(
        "\n".join(f"[{part}]\n" + "\n".join(f"{k} = {v}" for k, v in keys.items()) for part, keys in (("global", everything), ("client.rgw", gateway))) + "\n"
    )
    keyring = str(folder / "keyring")
    caps = {"mon.": {"mon": "allow *"}, "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"}}
    caps |= {"osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"}}
    caps |= {"client.rgw": {"mon": "allow rwx", "osd": "allow rwx", "mgr": "allow r"}}
    for place, (name, given) in enumerate(caps.items()):
        rights = [word for of, what in given.items() for word in ("--cap", of, what)]
        _run(folder, "ceph-authtool", *([] if place else ["--create-keyring"]), keyring, "--gen-key", "-n", name, *rights)
    _run(folder, "monmaptool", "--create", "--addv", "a", network, "--fsid", fsid, str(folder / "monmap"))
    us = ("-c", str(conf), "--setuser", "root", "--setgroup", "root")
    _run(folder, "ceph-mon", *us, "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"), "--keyring", keyring)
    _start(folder, "ceph-mon", "-f", *us, "-i", "a")
    secret = _run(folder, "ceph-authtool", keyring, "-p", "-n", "osd.0").strip()
    (folder / "secret.json").write_text(json.dumps({"cephx_secret": secret}))
    _run(folder, "ceph", "-c", str(conf), "osd", "new", osd, "0", "-i", str(folder / "secret.json"))
    _run(folder, "ceph-osd", *us, "-i", "0", "--mkfs", "--osd-uuid", osd)
    _start(folder, "ceph-osd", "-f", *us, "-i", "0")
    _start(folder, "radosgw", "-f", *us, "-n", "client.rgw")
    server = Server("ceph", f"http://127.0.0.1:{port}", folder)
    _await(server)
    for user, key, secret in (("lab", KEY, SECRET), ("reader", READER_KEY, READER_SECRET)):
        words = ("user", "create", "--uid", user, "--display-name", user, "--access-key", key, "--secret-key", secret)
        _run(folder, "radosgw-admin", "-c", str(conf), *words)
    return server


def _folder(name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"lastcopy-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _ports(count: int, beside: int = 0) -> list[int]:
    """Free ports of loopback; with `beside` also the ports so far above them are free."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1] % 20_000 + 11_000
            try:
                two.bind(("127.0.0.1", port))
                with socket.socket() as other:
                    other.bind(("127.0.0.1", port + beside if beside else 0))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def _run(folder: Path, *words: str) -> str:
    ran = subprocess.run(
        words, cwd=folder, env={**os.environ, "CEPH_CONF": str(folder / "ceph.conf")}, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _start(folder: Path, *words: str) -> None:
    """Start a server that ends with us, however we end."""
    with (folder / f"{Path(words[0]).name}.out").open("ab") as out:
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, preexec_fn=_die_with_us)  # noqa: PLW1509 - no threads yet
    atexit.register(process.wait)
    atexit.register(process.send_signal, signal.SIGKILL)


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _await_long_names(server: Server) -> None:
    """Wait until a store that answers keeps versions of the longest names: in its first moments SeaweedFS answers 500 to them, and later never."""
    until, bucket = time.monotonic() + _SECONDS, server.bucket(versioned=True)
    while True:
        try:
            server.client.put_object(Bucket=bucket, Key="n" * 255, Body=b"content")
        except ClientError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _await(server: Server) -> None:
    """Wait until a store answers, whatever it says."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        try:
            urllib3.request("GET", server.endpoint, retries=False, timeout=5)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.1)
        else:
            return
    said = "\n".join(path.read_text(errors="replace")[-2000:] for path in server.folder.glob("*.out"))
    pytest.fail(f"{server.name} does not answer: {said}")
