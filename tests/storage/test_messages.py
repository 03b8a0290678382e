"""Sentences that can be translated, in memory and in records."""

from __future__ import annotations

import json

from storage.errors import Denied, Message, StorageError, say


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
