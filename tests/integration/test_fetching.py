"""Files of another site: what is asked for, what is not, and what is said."""

import base64
import hashlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from services import fetching
from services.deployment import OtherSite
from services.errors import ConfigurationError, SurroundingsError, TransientError
from services.fetching import Offer, fetch, held
from services.steps.shared.travelled_files import packed_path, require_made
from tests.integration.offering import Offering, offering

CONTENT = bytes(range(256)) * 4000
PATH = packed_path(4, 17)


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offering]:
    monkeypatch.setattr(fetching, "PAUSE_S", 0.0)
    (tmp_path / PATH).parent.mkdir(parents=True)
    (tmp_path / PATH).write_bytes(CONTENT)
    with offering(tmp_path) as offers:
        yield offers


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "arriving.part"
    path.touch()
    return path


def offer(url: str, **more: object) -> Offer:
    return Offer("mountain", OtherSite(url=url, **more), PATH, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def soon() -> float:
    return time.monotonic() + 60.0


def test_what_has_come_is_not_asked_for_again(link: Offering, part: Path) -> None:
    link.cuts += [1000, 200_000, 0]
    with pytest.raises(SurroundingsError, match=r"the link was cut; 0\.201 of 1\.024 MB of 'packed/4/17\.packed' are"):
        fetch(offer(link.url), part, soon())
    assert fetch(offer(link.url), part, soon()) == len(CONTENT) - 201_000
    assert part.read_bytes() == CONTENT
    assert [start for _, start in link.asked] == [0, 1000, 201_000, 201_000]
    assert fetch(offer(link.url), part, soon()) == 0  # it is whole


def test_a_server_that_knows_no_ranges_sends_all(link: Offering, part: Path) -> None:
    link.ranges = False
    part.write_bytes(CONTENT[:1000])
    assert fetch(offer(link.url), part, soon()) == len(CONTENT)
    assert part.read_bytes() == CONTENT


def test_an_attempt_ends_before_its_time_is_over_and_keeps_what_came(link: Offering, part: Path) -> None:
    with pytest.raises(SurroundingsError, match=r"the time of this attempt is over; 0\.\d+ of 1\.024 MB"):
        fetch(offer(link.url), part, time.monotonic() - 1.0)
    assert CONTENT.startswith(part.read_bytes())
    assert part.stat().st_size > 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda whole: whole[:-1] + b"x", "came with the SHA-256 .*, and was packed with .*: nothing of it is kept"),
        (lambda whole: whole + b"x", "has more than the 1024000 bytes that were packed: nothing of it is kept"),
    ],
)
def test_another_file_is_not_kept(link: Offering, part: Path, spoil: "object", said: str) -> None:
    link.spoil = spoil
    with pytest.raises(TransientError, match=said) as caught:
        fetch(offer(link.url), part, soon())
    assert not isinstance(caught.value, SurroundingsError)
    assert part.stat().st_size == 0


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (404, TransientError, "has no file 'packed/4/17.packed'"),
        (401, ConfigurationError, r"does not give .*\(HTTP 401\)"),
        (302, ConfigurationError, "answers HTTP 302 for 'packed/4/17.packed'"),
        (400, ConfigurationError, "answers HTTP 400"),
        (503, SurroundingsError, "answers HTTP 503 now"),
        (416, SurroundingsError, "answers HTTP 416 now"),
    ],
)
def test_an_answer_says_what_happens_next(
    link: Offering, part: Path, code: int, kind: type[Exception], said: str
) -> None:
    link.answer = code
    with pytest.raises(kind, match=said) as caught:
        fetch(offer(link.url), part, soon())
    assert type(caught.value) is kind
    assert len(link.asked) == 1  # nothing was followed, nothing tried again


def test_a_secret_is_sent_from_its_file_and_never_shown(link: Offering, part: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    link.authorization = "Bearer s3cret"
    assert fetch(offer(link.url, secret_file=secret), part, soon()) == len(CONTENT)
    secret.write_text("wr0ng\n")
    part.write_bytes(b"")
    with pytest.raises(ConfigurationError, match="HTTP 401") as caught:
        fetch(offer(link.url, secret_file=secret), part, soon())
    assert "wr0ng" not in str(caught.value)
    asked = len(link.asked)
    with pytest.raises(ConfigurationError, match=r"everybody on the way to http://example\.org could"):
        fetch(offer("http://example.org", secret_file=secret), part, soon())
    assert len(link.asked) == asked


def test_a_user_has_a_password(link: Offering, part: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pa:ss\n")
    link.authorization = f"Basic {base64.b64encode(b'tianyu:pa:ss').decode()}"
    assert fetch(offer(link.url, user="tianyu", secret_file=secret), part, soon()) == len(CONTENT)


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("https://me:secret@host/x", {}, "holds no password"),
        ("https://me@host/x", {}, "a user stands in `user`"),
        ("https://host/x?token=secret", {}, "holds no password, . or #"),
        ("https:///x", {}, "names no host"),
        ("/data", {}, "expected an address"),
        ("https://host", {"user": "me"}, "a user needs a password"),
        ("sftp://host", {"secret_file": "/x"}, "are for http and https"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, more: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OtherSite(url=url, **more)


def test_a_way_that_nobody_knows_is_named(part: Path) -> None:
    with pytest.raises(ConfigurationError, match="site 'mountain': pigeon://loft cannot be used"):
        fetch(offer("pigeon://loft"), part, soon())


def test_without_fsspec_its_name_is_said(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ConfigurationError, match=r"needs fsspec: install 'tianyu\[sites\]'"):
        fetch(offer("file:///data"), part, soon())


def test_fsspec_reads_on_from_what_has_come(link: Offering, part: Path) -> None:
    part.write_bytes(CONTENT[:1000])
    assert fetch(offer(link.root.as_uri()), part, soon()) == len(CONTENT) - 1000
    (link.root / PATH).unlink()
    part.write_bytes(b"")
    with pytest.raises(TransientError, match="has no file"):
        fetch(offer(link.root.as_uri()), part, soon())


def test_an_error_of_the_own_disk_is_not_taken_for_one_of_the_link(link: Offering) -> None:
    with pytest.raises(OSError, match=r"Invalid argument|No space left"):
        fetch(offer(link.url), Path("/dev/full"), soon())


def test_one_attempt_at_a_time_writes_what_arrives(part: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with held(part, 60.0):
            order.append("second")

    with held(part, 60.0):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(2 * fetching.LOOK_S)
        order.append("first")
        part.unlink()  # it is done: who waits makes a file of its own
    thread.join()
    assert order == ["first", "second"]
    assert part.is_file()
    with held(part, 60.0), pytest.raises(TransientError, match="held by another attempt"), held(part, 0.0):
        pass


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "packed/4/../../x.packed", "packed/4/17.packed/../x", "light/4/17.fits", "packed//17.packed",
     "packed/4/17.packed\n", "packed/4/17.exe", "PACKED/4/17.packed"],
)  # fmt: skip
def test_no_other_path_is_asked_for_or_written(path: str) -> None:
    with pytest.raises(ConfigurationError, match="is no path of an image that a process made"):
        require_made(path)
    assert require_made(PATH) == PATH
