"""Pages of listings: elements that are all alike are read at one stroke, and mean the same as if each were read by itself."""

import random

import pytest

from catalog import pages, shaped

_TEXTS = ["a/b.txt", "", "x&amp;y", "50%25", "a+b", ">", "/Key>", "Contents>", "ü/€", "&lt;Key&gt;"]


def _page(items: list[list[tuple[str, str]]], between: str = "", element: str = "Contents") -> bytes:
    inner = between.join(f"<{element}>{between.join(f'<{name}>{text}</{name}>' for name, text in item)}</{element}>" for item in items)
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{inner}<KeyCount>{len(items)}</KeyCount></ListBucketResult>".encode()


def _item(key: str, **more: str) -> list[tuple[str, str]]:
    return [("Key", key), ("Size", "7"), ("LastModified", "2026-01-31T12:00:00Z"), *more.items()]


def _values(page: pages.Page) -> list[dict[str, list[bytes | None]]]:
    return [{name: column.to_pylist() for name, column in items.columns.items()} for items in page.items]


@pytest.mark.parametrize("between", ["", "\n  "])
@pytest.mark.parametrize("seed", range(20))
def test_items_that_are_alike_mean_what_each_means_by_itself(between: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    items = [_item("".join(chance.choices(_TEXTS, k=3)), ETag=f"&#34;{number}&#34;") for number in range(chance.randrange(1, 50))]
    body = _page(items, between)
    assert shaped.columns(body[body.find(b"<Contents>") : body.rfind(b"</Contents>") + 11], "Contents", ["Key"]) is not None
    at_once = _values(pages.objects(body))
    monkeypatch.setattr(shaped, "columns", lambda *_: None)
    assert at_once == _values(pages.objects(body))


@pytest.mark.parametrize(
    "strange",
    [
        [("Key", "b"), ("Size", "7"), ("LastModified", "2026-01-31T12:00:00Z")],  # lacks a field
        _item("b", ETag="1")[::-1],  # another order
        [*_item("b"), ("Xtag", "1")],  # as many tags, and one of them another
        [*_item("b"), ("ETag", "1"), ("Owner", "<ID>me</ID>")],  # one within another
    ],
)
def test_items_that_are_not_alike_are_read_one_by_one(strange: list[tuple[str, str]]) -> None:
    body = _page([_item("a", ETag="0"), strange, _item("c", ETag="2")])
    (found,) = _values(pages.objects(body))
    assert found["Key"] == [b"a", b"b", b"c"]
    assert found["ETag"] == [b"0", b"1" if ("ETag", "1") in strange else None, b"2"]


def test_a_field_that_items_have_twice_is_their_first() -> None:
    (found,) = _values(pages.objects(_page([[*_item("a"), ("Key", "other")], [*_item("b"), ("Key", "other")]])))
    assert found["Key"] == [b"a", b"b"]


@pytest.mark.parametrize("cut", [b"</Contents>", b"<Key>b</Key>", b"</Key>"])
def test_a_page_with_a_hole_is_no_page(cut: bytes) -> None:
    body = _page([_item("a"), _item("b"), _item("c")])
    place = body.find(cut, body.find(b"<Key>b"))
    with pytest.raises(pages.PageError):
        pages.objects(body[:place] + body[place + len(cut) :])


def test_items_that_follow_each_other_are_put_together_in_their_order() -> None:
    page = pages.objects(_page([_item("a"), _item("b")]))
    other = pages.objects(_page([_item("c", ETag="1")]))
    joined = pages.joined([*page.items, *page.items, *other.items])
    assert [items.keys for items in joined] == [[b"a", b"b", b"a", b"b"], [b"c"]]


def test_references_are_the_characters_that_they_stand_for_and_nothing_else_is_one() -> None:
    keys = ["a&amp;lt;b", "a&#1;b", "a&#x1F600;", "a&copy=1&nbsp;", "&#xD800;", "&#1114112;", "&quot;&apos;&gt;"]
    (found,) = _values(pages.objects(_page([_item(key) for key in keys])))
    wanted = ["a&lt;b", "a\x01b", "a\U0001f600", "a&copy=1&nbsp;", "&#xD800;", "&#1114112;", "\"'>"]
    assert found["Key"] == [key.encode() for key in wanted]


@pytest.mark.parametrize("form", ['<Contents xmlns="x">', "<Contents/>", "<Contents\n>"])
def test_elements_of_another_form_are_no_page_rather_than_overlooked(form: str) -> None:
    body = _page([_item("a"), _item("b")]).replace(b"<Contents>", form.encode(), 1)
    with pytest.raises(pages.PageError):
        pages.objects(body)


def test_an_element_within_one_of_its_kind_is_no_item() -> None:
    body = _page([_item("a"), _item("b")]).replace(b"<Size>", b"<Contents><Size>").replace(b"</Size>", b"</Size></Contents>")
    with pytest.raises(pages.PageError):
        pages.objects(body)
