"""How faults are worded."""

import string

from assay.rejections import REJECTION_CODES, counted, fault, listed, quoted_key


def test_every_template_is_a_sentence_of_named_parameters_without_full_stop():
    for row in REJECTION_CODES.values():
        names = [name for _, name, _, _ in string.Formatter().parse(row.template) if name is not None]
        assert "" not in names
        assert row.template[0].isupper()
        assert not row.template.endswith(".")
        assert row.title


def test_reason_is_the_template_filled():
    made = fault("_raw", "malformed_json", what="trailing comma in object", position=7)
    assert made == ("_raw", "malformed_json", "Malformed JSON in record: trailing comma in object at byte 7")
    assert fault("_raw", "record_too_long", found=17825792, limit=16777216).reason == (
        "Record is 17,825,792 bytes long; at most 16,777,216 are allowed"
    )


def test_limits_that_are_equal_are_each_worded_as_they_are_written():
    for limit, words in ((1, "1"), (1.0, "1.0"), (True, "True")):
        assert fault("n", "below_minimum", limit=limit).reason == f"Value must be at least {words}"


def test_key_is_shown_on_one_line_and_cut_to_128_characters():
    assert quoted_key("a.b c") == "a.b c"
    assert quoted_key("a\nb\x1b[31m") == "a�b�[31m"
    assert quoted_key("k" * 128) == "k" * 128
    assert quoted_key("k" * 129) == "k" * 127 + "…"


def test_counts_agree_with_their_nouns():
    assert [counted(count, "cell") for count in (0, 1, 2, 1000)] == ["0 cells", "1 cell", "2 cells", "1,000 cells"]


def test_lists_of_values_are_cut_in_length_and_in_each_value():
    assert listed(("a", 1, 0.5, True)) == "a, 1, 0.5, true"
    assert listed(("x" * 61,)) == "x" * 59 + "…"
    assert listed(tuple(range(2000))).endswith("18, 19, … (1,980 more)")
