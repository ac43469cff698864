"""Times as restic tells them, which are read all at once where that can be, and else one part after the other."""

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from scanners import _nodes

_ZONES = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(
    lambda east: timezone(timedelta(minutes=east // timedelta(minutes=1)))
)
_MOMENTS = st.datetimes(datetime(1500, 1, 1), datetime(2500, 1, 1), timezones=_ZONES)
_TOLD = st.tuples(_MOMENTS, st.text("0123456789", max_size=9))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(
    st.lists(_TOLD, max_size=10),
    st.sampled_from(["", "yesterday", "2020-01-01", "2020-01-01 00:00:00Z", "2020-01-01T00:00:00", "2020-01-01T00:00Z"]),
    st.booleans(),
)
def test_every_time_is_told_to_the_nanosecond_and_what_is_none_is_unknown(told: list[tuple[datetime, str]], wrong: str, with_wrong: bool) -> None:
    texts = [_text(moment, fraction) for moment, fraction in told]
    whole, rest = _nodes.times(pa.array([*texts, wrong] if with_wrong else texts, pa.string()))
    expected = [divmod(int(fraction.ljust(9, "0")), 1000) for _, fraction in told]
    seconds = [(moment.replace(microsecond=0) - _EPOCH) // timedelta(seconds=1) for moment, _ in told]
    assert whole.to_pylist() == [second * 1_000_000 + us for second, (us, _) in zip(seconds, expected, strict=True)] + [None] * with_wrong
    assert rest.to_pylist()[: len(told)] == [ns for _, ns in expected]


def _text(moment: datetime, fraction: str) -> str:
    zone = moment.strftime("%z")
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + (f".{fraction}" if fraction else "") + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:5]}")
