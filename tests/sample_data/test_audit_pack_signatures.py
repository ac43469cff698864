"""Signed audit packs: only a signature shows that evidence and figures were forged together."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lastcopy.program import ask, run
from tests.sample_data.conftest import Demo
from tests.sample_data.packs import copied, resum


def _key(folder: Path, name: str, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", folder / name], check=True)
    return folder / name


def _signers(file: Path, **keys: Path) -> Path:
    lines = [f'{who}@example.org namespaces="lastcopy-audit-pack" {" ".join(key.with_suffix(".pub").read_text().split()[:2])}\n' for who, key in keys.items()]
    file.write_text("".join(lines))
    return file


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        _key(folder, name)
    _signers(folder / "signers", auditor=folder / "ours")
    return folder


@pytest.fixture(scope="module")
def signed(demo: Demo, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed") / "pack"
    assert run("audit", "pack", "--output", str(folder), "--sign", str(keys / "ours"), "--format", "json", folder=demo.folder).data["state"] == "signed"
    return folder


@pytest.fixture
def mine(signed: Path, tmp_path: Path) -> Path:
    return copied(signed, tmp_path)


@pytest.mark.slow
def test_a_good_signature_names_its_signer(mine: Path, keys: Path) -> None:
    found = ask("audit", "verify", str(mine), "--signers", str(keys / "signers"), "--format", "json", folder=keys).data
    told = subprocess.run(["ssh-keygen", "-l", "-f", keys / "ours.pub"], capture_output=True, text=True, check=True).stdout
    assert (found["state"], found["signature"], found["signer"]) == ("verified", "good", "auditor@example.org")
    assert found["key"] == told.split()[1]


@pytest.mark.slow
def test_without_signers_the_key_is_told_and_trusted_by_nobody(mine: Path, keys: Path) -> None:
    found = ask("audit", "verify", str(mine), "--format", "json", folder=keys).data
    assert (found["state"], found["signature"], found["signer"]) == ("verified", "unknown_signer", None)
    assert found["key"].startswith("SHA256:")


def test_ssh_keygen_verifies_the_signature_without_lastcopy(mine: Path, keys: Path) -> None:
    command = ["ssh-keygen", "-Y", "verify", "-f", str(keys / "signers"), "-I", "auditor@example.org", "-n", "lastcopy-audit-pack"]
    command += ["-s", str(mine / "SHA256SUMS.sig")]
    with (mine / "SHA256SUMS").open("rb") as listed:
        assert subprocess.run(command, stdin=listed, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_signature_of_another_list_is_bad_with_and_without_signers(mine: Path, keys: Path) -> None:
    (mine / "README.txt").write_text("read something else\n")
    resum(mine)
    for options in ((), ("--signers", str(keys / "signers"))):
        ended = ask("audit", "verify", str(mine), *options, "--format", "json", folder=keys, code=1)
        assert (ended.data["signature"], ended.data["signer"]) == ("bad", None)
        assert {"file": "SHA256SUMS.sig", "wrong": "is not a signature of the list as it is"} in ended.data["findings"]


@pytest.mark.slow
def test_one_changed_byte_of_the_signature_is_found(mine: Path, keys: Path) -> None:
    file = mine / "SHA256SUMS.sig"
    content = file.read_bytes()
    for place in (5, len(content) // 2, len(content) - 60):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert ask("audit", "verify", str(mine), "--format", "json", folder=keys, code=1).data["signature"] == "bad"
    file.write_bytes(b"x" * (1 << 20))
    assert ask("audit", "verify", str(mine), "--format", "json", folder=keys, code=1).data["signature"] == "bad"


@pytest.mark.slow
def test_a_pack_that_must_be_signed_and_is_not_does_not_verify(mine: Path, keys: Path) -> None:
    (mine / "SHA256SUMS.sig").unlink()
    assert ask("audit", "verify", str(mine), "--format", "json", folder=keys).data["signature"] == "none"
    ended = ask("audit", "verify", str(mine), "--signers", str(keys / "signers"), folder=keys, code=1)
    assert "nobody signed the pack" in ended.err
    ask("audit", "verify", str(mine), "--signers", str(keys / "no such"), folder=keys, code=6)


@pytest.mark.slow
def test_a_signature_by_another_key_does_not_verify(mine: Path, keys: Path) -> None:
    (mine / "SHA256SUMS.sig").unlink()
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", keys / "theirs", "-n", "lastcopy-audit-pack", mine / "SHA256SUMS"], check=True)
    found = ask("audit", "verify", str(mine), "--signers", str(keys / "signers"), "--format", "json", folder=keys, code=1).data
    assert (found["signature"], found["signer"]) == ("other_signer", None)
    both = _signers(keys / "both", auditor=keys / "ours", other=keys / "theirs")
    assert ask("audit", "verify", str(mine), "--signers", str(both), "--format", "json", folder=keys).data["signer"] == "other@example.org"


@pytest.mark.slow
def test_a_signature_for_another_purpose_is_bad(mine: Path, keys: Path) -> None:
    (mine / "SHA256SUMS.sig").unlink()
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", keys / "ours", "-n", "git", mine / "SHA256SUMS"], check=True)
    assert ask("audit", "verify", str(mine), "--signers", str(keys / "signers"), "--format", "json", folder=keys, code=1).data["signature"] == "bad"


def test_a_signature_that_is_a_link_is_not_read(mine: Path, keys: Path, tmp_path: Path) -> None:
    shutil.move(mine / "SHA256SUMS.sig", tmp_path / "elsewhere")
    (mine / "SHA256SUMS.sig").symlink_to(tmp_path / "elsewhere")
    found = ask("audit", "verify", str(mine), "--format", "json", folder=keys, code=1).data
    assert found["signature"] == "none"
    assert {"file": "SHA256SUMS.sig", "wrong": "is a symbolic link, and no file of a pack"} in found["findings"]


@pytest.mark.slow
def test_a_key_with_a_passphrase_does_not_sign_where_nobody_is_asked(demo: Demo, tmp_path: Path) -> None:
    key = _key(tmp_path, "locked", "secret")
    ended = run("audit", "pack", "--output", str(tmp_path / "pack"), "--sign", str(key), "--no-input", folder=demo.folder, code=2, SSH_AUTH_SOCK="")
    assert "--sign" in ended.err
    assert not (tmp_path / "pack").exists()
    ask("audit", "pack", "--output", str(tmp_path / "pack"), "--sign", str(tmp_path / "none"), folder=demo.folder, code=6)
