"""The records of an archive, whole and damaged in every way."""

import gzip
import random
from collections.abc import Callable, Sequence
from io import BytesIO

import pytest
import zstandard
from archives_made import Trickle, broken, gz, in_small_letters, page, record, zst
from fastwarc import WarcRecord, WarcRecordType
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from openalign.files.states import RecordFault
from openalign.ingest.sources.archives.records import read_records
from openalign.ingest.sources.archives.tape import ArchiveError, NoArchiveError

Pack = Callable[..., bytes]

NAMES = ("a", "b", "c", "d")
RECORDS = [page(f"<p>{name}" * 300, url=f"http://{name}.example/") for name in NAMES]
A, B, C, D = RECORDS
RECORDS_CUT = [page(f"<p>{name}" * 9, url=f"http://{name}.example/") for name in "abc"]
DAMAGED, NO_RECORD = RecordFault.DAMAGED, RecordFault.NO_RECORD
WRONG_LENGTH, CUT_SHORT = RecordFault.WRONG_LENGTH, RecordFault.CUT_SHORT


def take(record: WarcRecord) -> tuple[str, int] | None:
    if record.record_type != WarcRecordType.response:
        return None
    url = record.headers.get("WARC-Target-URI") or ""
    return url.removeprefix("http://").removesuffix(".example/"), len(record.reader.read())


def read(content: bytes) -> tuple[list[str | RecordFault], str]:
    """Return the names and faults of an archive, in order, and why it ends too early."""
    found: list[str | RecordFault] = []
    try:
        for one in read_records(Trickle(content), take):
            found += [one if isinstance(one, RecordFault) else one.value[0]]
    except ArchiveError as error:
        return found, str(error)
    return found, ""


def offsets(content: bytes) -> list[int]:
    return [
        one.offset
        for one in read_records(BytesIO(content), take)
        if not isinstance(one, RecordFault)
    ]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"".join(RECORDS), id="plain"),
        pytest.param(gz(*RECORDS), id="gzip"),
        pytest.param(zst(*RECORDS), id="zstandard"),
        pytest.param(gzip.compress(b"".join(RECORDS)), id="gzip as a whole"),
        pytest.param(zstandard.compress(b"".join(RECORDS)), id="zstandard as a whole"),
        pytest.param(gz(A + B, C + D), id="members of several records"),
        pytest.param(gz(A[:100], A[100:] + B, C + D), id="members cut anywhere"),
        pytest.param(gz(*RECORDS) + bytes(512), id="padding"),
        pytest.param(b"".join(RECORDS)[:-4], id="no line ends behind the last one"),
        pytest.param(b"".join(RECORDS).replace(b"\r\n\r\nWARC", b"\n\nWARC"), id="short line ends"),
    ],
)
def test_an_archive_is_read_however_it_is_packed(content: bytes) -> None:
    assert read(content) == (list(NAMES), "")


@pytest.mark.parametrize("pack", [gz, zst], ids=["gzip", "zstandard"])
def test_an_offset_is_where_a_member_begins(pack: Pack) -> None:
    first, second = len(pack(A)), len(pack(B))

    assert offsets(pack(A, B, C)) == [0, first, first + second]


def test_an_offset_in_an_archive_that_is_packed_as_a_whole_counts_what_is_unpacked() -> None:
    assert offsets(A + B) == offsets(gzip.compress(A + B)) == [0, len(A)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(gz(A) + broken(gz(B)) + gz(C), ["a", DAMAGED, "c"], id="gzip"),
        pytest.param(zst(A) + broken(zst(B)) + zst(C), ["a", DAMAGED, "c"], id="zstandard"),
        pytest.param(broken(gz(A)) + gz(B, C), [DAMAGED, "b", "c"], id="the first"),
        pytest.param(gz(A, B) + broken(gz(C)), ["a", "b", DAMAGED], id="the last"),
        pytest.param(
            gz(A) + gz(B)[:-8] + bytes(4) + gz(B)[-4:] + gz(C), ["a", DAMAGED, "c"], id="checksum"
        ),
        pytest.param(
            gz(A) + gz(B)[:-150] + gz(C), ["a", DAMAGED, "c"], id="the end of a member is missing"
        ),
        pytest.param(gz(A) + b"junk" * 9 + gz(B), ["a", DAMAGED, "b"], id="junk between members"),
        pytest.param(gz(A, B) + b"junk" * 9, ["a", "b", DAMAGED], id="junk behind members"),
        pytest.param(
            gz(A) + gzip.compress(b"junk" * 99) + gz(B),
            ["a", NO_RECORD, "b"],
            id="a strange member",
        ),
        pytest.param(A + b"junk\r\n\r\n" + B, ["a", NO_RECORD, "b"], id="junk between records"),
        pytest.param(
            gz(A) + broken(gz(B)) + broken(gz(C)) + gz(D), ["a", DAMAGED, "d"], id="two in a row"
        ),
        pytest.param(
            gz(A) + broken(gz(B)) + gz(C) + broken(gz(D)) + gz(A),
            ["a", DAMAGED, "c", DAMAGED, "a"],
            id="two apart",
        ),
    ],
)
def test_a_damaged_record_costs_itself_alone(
    content: bytes, expected: list[str | RecordFault]
) -> None:
    assert read(content) == (expected, "")


@pytest.mark.parametrize("off_by", [-90, -1, 5, 90, 100_000], ids=str)
@pytest.mark.parametrize("pack", [lambda *all_: b"".join(all_), gz], ids=["plain", "gzip"])
def test_a_wrong_length_costs_the_record_that_says_it(off_by: int, pack: Pack) -> None:
    block = page("<p>b" * 300).partition(b"\r\n\r\n")[2][:-4]
    lie = record(block, length=len(block) + off_by)

    assert read(pack(A, lie, C, D)) == (["a", WRONG_LENGTH, "c", "d"], "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(gz(A, B, C)[:-9], ["a", "b", CUT_SHORT], id="within the last bytes"),
        pytest.param(gz(A, B) + gz(C)[:5], ["a", "b", CUT_SHORT], id="within a member's header"),
        pytest.param(zst(A, B, C)[:-9], ["a", "b", CUT_SHORT], id="zstandard"),
        pytest.param((A + B + C)[:-500], ["a", "b", CUT_SHORT], id="plain"),
        pytest.param(A + B + C[:70], ["a", "b", CUT_SHORT], id="within a record's header"),
        pytest.param(gz(A)[:90], [CUT_SHORT], id="within the first record"),
    ],
)
def test_an_archive_that_is_cut_short_is_read_as_far_as_it_goes_and_says_so(
    content: bytes, expected: list[str | RecordFault]
) -> None:
    assert read(content) == (expected, "it ends within a record: it was cut short")


def test_an_archive_that_is_packed_as_a_whole_is_read_as_far_as_it_can_be_unpacked() -> None:
    rng = random.Random(1)
    noisy = [
        record(rng.randbytes(100_000).hex().encode(), url=f"http://{name}.example/")
        for name in ("a", "b", "c")
    ]
    content = gzip.compress(b"".join(noisy))

    assert read(content[:-50]) == (
        ["a", "b", CUT_SHORT],
        "it ends within a record: it was cut short",
    )
    found, problem = read(content[:180_000] + bytes(99) + content[180_099:])
    assert [name for name in found if not isinstance(name, RecordFault)] == ["a"]
    assert problem == "its compressed data is damaged: what lies behind is lost"


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(RECORDS_CUT, id="plain"),
        pytest.param([gz(one) for one in RECORDS_CUT], id="gzip"),
        pytest.param([zst(one) for one in RECORDS_CUT], id="zstandard"),
        pytest.param([gzip.compress(b"".join(RECORDS_CUT), mtime=0)], id="gzip as a whole"),
        pytest.param([zstandard.compress(b"".join(RECORDS_CUT))], id="zstandard as a whole"),
    ],
)
def test_wherever_an_archive_is_cut_it_costs_what_is_behind_and_says_so(
    packed: Sequence[bytes],
) -> None:
    content = b"".join(packed)
    ends = [len(b"".join(packed[: number + 1])) for number in range(len(packed))]
    # The empty line behind the last record may lack.
    whole = {end - less for end in ends for less in range(5 if packed is RECORDS_CUT else 1)}
    for length in range(len(content)):
        found, problem = read(content[:length])

        names = [one for one in found if not isinstance(one, RecordFault)]
        faults = found[len(names) :]
        assert names == ["a", "b", "c"][: len(names)], length
        assert faults in ([], [CUT_SHORT]), length
        assert (not problem) == (length in whole), length
        if length in whole:
            assert len(names) == sum(length > end - 5 for end in ends), length


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(broken(gz(A)), "no record in it can be read", id="nothing whole"),
        pytest.param(gz(A)[:20] + bytes(99), "no record in it can be read", id="lost"),
    ],
)
def test_an_archive_without_a_record_says_so(content: bytes, problem: str) -> None:
    assert read(content)[1] == problem


@pytest.mark.parametrize(
    "content", [b"<html>" * 99, gzip.compress(b"<html>" * 99), b"\0"], ids=["HTML", "gz", "zero"]
)
def test_another_kind_of_file_is_told_from_a_damaged_archive(content: bytes) -> None:
    with pytest.raises(NoArchiveError, match="it begins with"):
        list(read_records(BytesIO(content), take))


def plain(*records: bytes) -> bytes:
    return b"".join(records)


def as_a_whole(*records: bytes) -> bytes:
    return gzip.compress(b"".join(records))


@pytest.mark.parametrize("pack", [plain, gz, zst, as_a_whole])
@pytest.mark.parametrize("small", ["a", "b", "d", "ab", "cd", "abcd"])
def test_the_case_of_field_names_means_nothing(pack: Pack, small: str) -> None:
    """WARC 1.1, section 4; fastwarc knows some in one spelling alone."""
    for spell in (
        in_small_letters,
        lambda one: one.replace(b"WARC-Type", b"warc-type"),
        lambda one: one.replace(b"Content-Length", b"CONTENT-LENGTH"),
    ):
        spelled = zip(NAMES, RECORDS, strict=True)
        content = pack(*(spell(one) if name in small else one for name, one in spelled))

        assert read(content) == (list(NAMES), "")


@pytest.mark.parametrize(
    ("pack", "fault"),
    [pytest.param(plain, NO_RECORD, id="plain"), pytest.param(gz, DAMAGED, id="gzip")],
)
def test_damage_beside_a_record_in_small_letters_costs_itself_alone(
    pack: Pack, fault: RecordFault
) -> None:
    small = in_small_letters(B)
    wrong = small.replace(b"content-length: ", b"content-length: 9")

    assert read(pack(A, small) + b"?\n" * 50 + pack(C)) == (["a", "b", fault, "c"], "")
    assert read(pack(A, wrong, C)) == (["a", WRONG_LENGTH, "c"], "")
    assert read(pack(A) + pack(small)[:-50])[0] == ["a", CUT_SHORT]


def test_a_record_without_a_type_is_no_fault() -> None:
    odd = in_small_letters(record(b"x", kind="odd"))

    assert read(gz(odd, A, B.replace(b"WARC-Type", b"X-Type"), odd, C)) == (["a", "c"], "")


def test_a_record_that_is_not_wanted_is_no_fault() -> None:
    other = record(b"a: b\r\n", kind="metadata", content_type="application/warc-fields")

    assert read(gz(other, A, other, B)) == (["a", "b"], "")


def random_archive(rng: random.Random) -> list[bytes]:
    return [
        record(
            rng.randbytes(rng.choice([0, 10, 1000, 70_000])),
            kind=rng.choice(["response", "request", "metadata", "revisit"]),
            url=f"http://{number}.example/",
            more=rng.choice(["", "X-Long: " + "y" * 3000 + "\r\n"]),
        )
        for number in range(30)
    ]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("pack", [lambda *all_: b"".join(all_), gz], ids=["plain", "gzip"])
def test_records_are_those_that_warcio_reads(seed: int, pack: Pack) -> None:
    content = pack(*random_archive(random.Random(seed)))
    expected: list[tuple[int, str, int]] = []
    reader = WarcioIterator(BytesIO(content), no_record_parse=True)
    for one in reader:
        body = one.raw_stream.read()
        if one.rec_type == "response":
            url = one.rec_headers.get_header("WARC-Target-URI")
            expected.append((reader.get_record_offset(), url, len(body)))

    found = [
        (one.offset, f"http://{one.value[0]}.example/", one.value[1])
        for one in read_records(Trickle(content), take)
        if not isinstance(one, RecordFault)
    ]

    assert found == expected
    assert len(expected) > 0


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize(
    "pack", [lambda *all_: b"".join(all_), gz, zst], ids=["plain", "gz", "zst"]
)
def test_whatever_is_damaged_every_other_record_is_read(seed: int, pack: Pack) -> None:
    """Damage one record by random bytes, a hole or an insertion; the others are found by hand."""
    rng = random.Random(seed)
    packed = [pack(one) for one in random_archive(rng)]
    place = rng.randrange(1, len(packed))
    victim = packed[place]
    start = rng.randrange(len(victim) - 4)  # the next record begins where one should
    end = min(len(victim) - 4, start + rng.choice([1, 5, 40]))
    noise = rng.choice([b"", rng.randbytes(end - start), rng.randbytes(300)])
    packed[place] = victim[:start] + noise + victim[end:]
    whole = {
        f"{number}"
        for number, one in enumerate(random_archive(random.Random(seed)))
        if number != place and b"WARC-Type: response" in one[:50]
    }

    found, _ = read(b"".join(packed))

    names = [name for name in found if not isinstance(name, RecordFault)]
    assert whole <= set(names)
    assert len(names) <= len(whole) + 1  # the damaged one may be readable
