from openalign.settings.differences import settings_that_differ


def test_settings_that_differ_are_named_by_their_path() -> None:
    old = {"text": {"min_count": 2, "top_k": None}, "num_files": 4}
    new = {"text": {"min_count": 3, "top_k": None}, "num_files": 4, "added": 1}

    assert settings_that_differ(old, new) == ["text.min_count: 2 -> 3", "added: null -> 1"]
    assert settings_that_differ(old, old) == []


def test_lists_of_sections_differ_by_item_or_by_length() -> None:
    old = {"tasks": [{"kind": "retrieval", "benchmark": "a"}], "languages": ["en"]}
    other = {"tasks": [{"kind": "retrieval", "benchmark": "b"}], "languages": ["de"]}
    longer = {"tasks": [*old["tasks"], {"kind": "probe"}], "languages": ["en"]}

    assert settings_that_differ(old, other) == [
        "tasks[0].benchmark: a -> b",
        "languages: ['en'] -> ['de']",
    ]
    assert settings_that_differ(old, longer) == ["tasks: a list of 1 -> a list of 2"]
