"""Amounts as people read them."""

import pytest

from reports import terminal


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.0, "0.00"), (1234.5, "1,234.50"), (0.01, "0.01"), (0.0099, "0.0099"), (0.00000568, "0.0000057")],
)
def test_a_small_amount_never_reads_as_nothing(amount: float, shown: str) -> None:
    assert terminal.money(amount) == shown
