"""Whether a path is on a local filesystem: only what is known to be local is."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity.storage.filesystem import filesystem_type, is_local

MOUNTS = r"""rootfs / rootfs rw 0 0
/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
scratch /scratch lustre rw 0 0
/dev/sdb1 /home/local xfs rw 0 0
sshfs /mnt/my\040lab fuse.sshfs rw 0 0
x
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib", "ext4"),
        ("/homeless", "ext4"),
        ("/home", "nfs4"),
        ("/home/anna/.comity", "nfs4"),
        ("/home/local/anna", "xfs"),
        ("/scratch/x", "lustre"),
        ("/mnt/my lab/x", "fuse.sshfs"),
        ("/tmp/x", "tmpfs"),
    ],
)
def test_deepest_and_latest_mount_wins(path: str, kind: str) -> None:
    assert filesystem_type(path, MOUNTS) == kind


@pytest.mark.parametrize(("kind", "local"), [("ext4", True), ("nfs4", False), ("gpfs", False), ("x", False)])
def test_only_known_types_are_local(tmp_path: Path, kind: str, local: bool) -> None:
    table = tmp_path / "mounts"
    table.write_text(f"x / {kind} rw 0 0\n")
    assert is_local(tmp_path, table) is local


def test_without_a_table_nothing_is_local(tmp_path: Path) -> None:
    assert not is_local(tmp_path, tmp_path / "absent")


def test_resolved_before_it_is_looked_up(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    table.write_text(f"x / ext4 rw 0 0\ny {tmp_path.resolve() / 'far'} nfs rw 0 0\n")
    assert not is_local(tmp_path / "near", table)
