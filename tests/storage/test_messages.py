"""Sentences that can be translated, in memory and in records."""

from __future__ import annotations

import json

import pytest

from storage.errors import Denied, Message, StorageError, say, say_count


def test_a_sentence_comes_back_from_a_record_as_it_was() -> None:
    sentence = say("%(name)s is not an archive: %(reason)s", name="a.dump", reason=say("it is %(kind)s.", kind="gzip"))
    back = Message.from_json(json.loads(json.dumps(sentence.to_json())))
    assert back == sentence
    assert str(back) == "a.dump is not an archive: it is gzip."


def test_a_refusal_says_effect_cause_and_advice_in_this_order() -> None:
    assert str(Denied(say("You may not."), advice=say("Ask."))) == "Nothing was changed. You may not. Ask."
    assert json.loads(json.dumps(StorageError(say("Broken."), words="FATAL").to_json()))["words"] == "FATAL"


def test_a_percent_sign_in_a_fact_is_only_a_percent_sign() -> None:
    assert str(say("said: %(words)s", words="100 % (sure)s")) == "said: 100 % (sure)s"


@pytest.mark.parametrize(
    ("count", "sentence"),
    [(0, "0 tables of shop"), (1, "one table of shop"), (2, "2 tables of shop")],
)
def test_a_sentence_about_a_number_of_things_is_in_the_singular_or_the_plural(count: int, sentence: str) -> None:
    message = say_count("one table of %(name)s", "%(count)s tables of %(name)s", count=count, name="shop")
    assert str(message) == sentence
    assert str(Message.from_json(message.to_json())) == sentence


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (1_400_000, "1.4 MB"),
        (76_062_000_000, "76 GB"),
        (2 * 10**15, "2.0 PB"),
    ],
)
def test_a_fact_in_bytes_is_said_as_a_size(size: int, words: str) -> None:
    assert str(say("%(free_bytes)s free", free_bytes=size)) == f"{words} free"
