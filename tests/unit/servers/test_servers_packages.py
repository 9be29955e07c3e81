"""What is read from apt's sources."""

import pytest

from tests.servers.unpacked import DEFAULT_MIRROR, NOT_UNPACKED, mirror

DEB822 = """Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://ftp.example.org/debian
Suites: bookworm bookworm-updates
"""


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (DEB822, "http://ftp.example.org/debian"),
        ("deb https://mirror.example/debian/ trixie main\n", "https://mirror.example/debian"),
        ("deb [signed-by=/k.gpg arch=amd64] http://a.example/debian sid main\n", "http://a.example/debian"),
        ("deb http://archive.ubuntu.com/ubuntu noble main\n", DEFAULT_MIRROR),
        ("URIs: http://deb.debian.org/debian-security\n", DEFAULT_MIRROR),
        ("", DEFAULT_MIRROR),
    ],
)
def test_the_mirror_of_this_machine(sources: str, expected: str) -> None:
    assert mirror(sources) == expected


@pytest.mark.parametrize("name", ["libc6", "libprotobuf-lite32t64", "mysql-server-core", "perlmagick", "libssl3t64"])
def test_libraries_are_unpacked(name: str) -> None:
    assert not NOT_UNPACKED.match(name)


@pytest.mark.parametrize("name", ["perl", "perl-base", "libperl5.40", "gcc-15-base"])
def test_what_only_scripts_need_is_not(name: str) -> None:
    assert NOT_UNPACKED.match(name)
