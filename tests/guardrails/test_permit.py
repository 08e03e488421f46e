from __future__ import annotations

import base64
from datetime import timedelta, timezone

import pytest

from guardrails.canonical import UnusableDocument, canonical, digest, moment, timestamp
from guardrails.permit import SigningKey, UnusableKey, VerifyKeys, sign, verify
from tests.guardrails.examples import KEY, NOW, document, permit


def test_the_document_holds_exactly_the_named_fields() -> None:
    assert set(document()) == {
        "v",
        "incident",
        "proposal",
        "revision",
        "target",
        "action",
        "params",
        "command",
        "cleanup",
        "rollback",
        "verification",
        "decide_by",
        "start_by",
        "approvers_needed",
    }
    assert document()["decide_by"] == "2026-11-21T12:15:00.000000Z"


def test_the_digest_does_not_depend_on_order() -> None:
    shuffled = dict(sorted(document().items(), reverse=True))
    assert digest(shuffled) == digest(document())
    assert canonical({"b": 1, "a": [True, None, "ü"]}) == '{"a":[true,null,"ü"],"b":1}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60, "\ud800", {"a": {1, 2}}, object()])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(UnusableDocument):
        digest({"value": value})  # type: ignore[dict-item]  # hostile on purpose


def test_one_instant_has_one_spelling() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert timestamp(elsewhere) == timestamp(NOW) == "2026-11-21T12:00:00.000000Z"
    assert moment(timestamp(NOW)) == NOW
    with pytest.raises(UnusableDocument):
        timestamp(NOW.replace(tzinfo=None))


def test_a_key_survives_its_text_and_hides_in_its_repr() -> None:
    again = SigningKey.from_text(KEY.text())
    assert again.public_text() == KEY.public_text()
    assert base64.b64encode(b"seed").decode() not in repr(KEY)
    assert KEY.text().split(":")[1] not in repr(KEY)


def test_a_key_without_an_id_gets_one_from_its_public_half() -> None:
    seed = KEY.text().split(":")[1]
    assert SigningKey.from_text(seed).key_id == SigningKey.from_text(seed).key_id
    assert SigningKey.from_text(seed).key_id != KEY.key_id


@pytest.mark.parametrize("text", ["", "a:", "a:b:", "short", "id:" + "A" * 44, "sp ace:" + "A" * 44, "é" * 44])
def test_a_text_that_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UnusableKey) as refused:
        SigningKey.from_text(text)
    assert "A" * 44 not in str(refused.value)


@pytest.mark.parametrize("text", ["AAAA", "id:AAAA", f"{KEY.public_text()},{KEY.public_text()}"])
def test_verify_keys_must_each_have_their_own_id(text: str) -> None:
    with pytest.raises(UnusableKey):
        VerifyKeys.from_text(text)


def test_two_keys_are_trusted_during_a_rotation() -> None:
    new = SigningKey.generate("api-2")
    keys = VerifyKeys.from_text(f"{KEY.public_text()}, {new.public_text()}")
    assert keys.key_ids == {"api-1", "api-2"}
    assert verify(keys, permit(key=new))
    assert verify(keys, permit())
    assert not verify(VerifyKeys.from_text(new.public_text()), permit())


def test_a_signature_covers_the_approval_as_well_as_the_digest() -> None:
    keys = VerifyKeys.from_text(KEY.public_text())
    one = sign(KEY, approval_id="A-1", digest="d", person="ada", decided_at=NOW)
    other = sign(KEY, approval_id="A-2", digest="d", person="ada", decided_at=NOW)
    assert verify(keys, one)
    assert one.signature != other.signature
