"""The generated reference is fresh and complete."""

from lastcopy import docs, keys


def test_the_generated_pages_are_fresh() -> None:
    stale = [path.name for path, text in docs.pages().items() if not path.exists() or path.read_text("utf-8") != text]
    assert stale == [], "run `make docs`"


def test_no_key_is_described_that_does_not_exist() -> None:
    page = docs.configuration()
    assert all(f"| `{key.split()[1]}` |" in page for key in keys.MEANINGS)
    assert len(keys.MEANINGS) == sum(len(model.model_fields) for model in docs.MODELS.values())
