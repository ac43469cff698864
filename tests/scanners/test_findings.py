"""What is wrong with entries of repositories, where very much is."""

import pytest

from scanners import _nodes


def test_of_very_many_findings_the_last_one_says_once_that_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_nodes, "_MOST_PROBLEMS", 3)
    findings = _nodes.Findings()
    for keep, kept in ((findings.damage, findings.damaged), (findings.refuse_path, findings.refused)):
        for path in ("a", "b", "c", "c"):
            keep(path, "why")
        assert kept == {"a": "why", "b": "why", "c": "why"}
        for path in ("d", "e"):
            keep(path, "why")
        assert kept == {"a": "why", "b": "why", "c": "why; there are more such paths, which are not told of"}
