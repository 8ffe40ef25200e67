"""
The value that names a version.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chariots_core.versioning import Version, VersionType

digests = st.text("0123456789abcdef", min_size=1, max_size=40)
versions = st.builds(
    Version,
    major=digests,
    minor=digests,
    patch=digests,
    creation_time=st.datetimes(
        # hypothesis wants bounds without a zone
        min_value=datetime(1970, 1, 1),  # noqa: DTZ001
        max_value=datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
)


@given(versions)
def test_text_round_trip(version: Version) -> None:
    """
    The text of a version gives the version again, its creation time included.
    """
    parsed = Version.parse(str(version))

    assert (version, version.creation_time) == (parsed, parsed.creation_time)


def test_text_form() -> None:
    """
    The text is the three digests with dots, an underscore, and the time in ISO form.
    """
    version = Version(
        major="aa", minor="bb", patch="cc", creation_time=datetime(2020, 1, 2, 3, 4, tzinfo=UTC)
    )

    assert "aa.bb.cc_2020-01-02T03:04:00+00:00" == str(version)
    assert "aa.bb.cc" == version.identity


def test_text_of_the_old_form_is_read() -> None:
    """
    A time with a space, a short fraction and no zone is UTC.
    """
    version = Version.parse("aa.bb.cc_2020-01-01 10:00:00.1")

    assert datetime(2020, 1, 1, 10, 0, 0, 100_000, tzinfo=UTC) == version.creation_time


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b.c",
        "a.b.c_",
        "a.b_2020-01-01",
        "a.b.c.d_2020-01-01",
        "A.b.c_2020-01-01",
        "../b.c_2020-01-01",
        "g.b.c_2020-01-01",
        "a..c_2020-01-01",
        "a.b.c_yesterday",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    """
    Text of any other form is a ValueError that says the form.
    """
    with pytest.raises(ValueError, match="is no version: give <major>"):
        Version.parse(text)


def test_equality_is_that_of_the_digests() -> None:
    """
    Versions of the same digests are one in a set, whenever they were created.
    """
    early = Version(creation_time=datetime(2020, 1, 1, tzinfo=UTC))
    late = Version(creation_time=datetime(2021, 1, 1, tzinfo=UTC))

    assert early == late
    assert {early} == {late}


def test_every_digest_counts() -> None:
    """
    A difference in one digest makes versions differ.
    """
    versions = {Version(), Version(major="ab"), Version(minor="ab"), Version(patch="ab")}

    assert 4 == len(versions)


def test_greater_means_different_and_later() -> None:
    """
    An equal version is not greater, and neither is an earlier one.
    """
    early = Version(creation_time=datetime(2020, 1, 1, tzinfo=UTC))
    same = Version(creation_time=datetime(2021, 1, 1, tzinfo=UTC))
    other = Version(major="ab", creation_time=datetime(2021, 1, 1, tzinfo=UTC))

    assert (False, True, False) == (same > early, other > early, early > other)
    assert (False, False, True) == (early < same, other < early, early < other)


def test_versions_do_not_compare_with_others() -> None:
    """
    Comparing with, or adding, another type is a TypeError.
    """
    with pytest.raises(TypeError):
        _ = Version() > 3  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = Version() < 3  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = Version() + 3  # type: ignore[operator]


@pytest.mark.parametrize("version_type", VersionType)
def test_update_changes_one_digest(version_type: VersionType) -> None:
    """
    An update gives a new version that differs in the digest of its type, and is later.
    """
    old = Version()

    new = getattr(old, f"update_{version_type.value}")(b"data")

    changed = {kind for kind in VersionType if getattr(old, kind.value) != getattr(new, kind.value)}
    assert {version_type} == changed
    assert new > old
    assert Version() == old


def test_updates_build_on_each_other() -> None:
    """
    Updates are told apart by their order and by where one ends and the next begins.
    """
    version = Version()

    updated = {
        version.update_patch(b"a").update_patch(b"b").patch,
        version.update_patch(b"b").update_patch(b"a").patch,
        version.update_patch(b"ab").patch,
        version.update_patch(b"").patch,
        version.patch,
    }

    assert 5 == len(updated)


def test_same_update_gives_the_same_digest() -> None:
    """
    What an update gives depends on the digest before and the data only.
    """
    assert Version().update_major(b"x") == Version().update_major(b"x")


def test_sum_depends_on_order_and_parts() -> None:
    """
    A sum differs from its parts and from the sum the other way round.
    """
    one, two = Version().update_major(b"1"), Version().update_minor(b"2")

    assert 4 == len({one, two, one + two, two + one})
    assert one + two == Version.parse(str(one)) + two


def test_sum_is_as_late_as_its_latest_part() -> None:
    """
    The creation time of a sum is that of the later part.
    """
    early = Version(creation_time=datetime(2020, 1, 1, tzinfo=UTC))
    late = Version(creation_time=datetime(2021, 1, 1, tzinfo=UTC))

    assert late.creation_time == (early + late).creation_time == (late + early).creation_time


def test_versions_are_frozen() -> None:
    """
    A version cannot be changed in place.
    """
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Version().major = "ab"  # type: ignore[misc]


def test_digests_are_checked() -> None:
    """
    What is no hexadecimal digest cannot get into a version, and so not into a path.
    """
    with pytest.raises(ValueError, match=r"'\.\./etc' is no minor digest"):
        Version(minor="../etc")


def test_times_are_in_utc() -> None:
    """
    A time of another zone is the same moment in UTC.
    """
    zone = timezone(timedelta(hours=2))

    version = Version(creation_time=datetime(2020, 1, 1, 12, tzinfo=zone))

    assert "2020-01-01T10:00:00+00:00" == version.creation_time.isoformat()
