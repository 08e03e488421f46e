from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from service.identity import Identities, Person, TokenEntry, new_token, read_tokens, token_hash
from service.settings import UnusableSettings

if TYPE_CHECKING:
    from pathlib import Path

ADA, VIC = "stn_of-ada", "stn_of-vic"
ENTRIES = (
    TokenEntry(person="ada", roles=("approver", "responder"), sha256=token_hash(ADA)),
    TokenEntry(person="vic", roles=("viewer",), sha256=token_hash(VIC)),
)
KNOWN = Identities.of(ENTRIES, "secret")


def test_a_token_is_known_by_its_hash_alone(tmp_path: Path) -> None:
    made = new_token()
    assert made.startswith("stn_")
    assert made != new_token()
    path = tmp_path / "tokens.yaml"
    path.write_text(yaml.safe_dump([{"person": "ada", "roles": ["approver"], "sha256": token_hash(made)}]), "utf-8")
    (entry,) = read_tokens(path)
    assert made not in path.read_text(encoding="utf-8")
    assert Identities.of((entry,), "s").by_token(made) == Person("ada", frozenset({"approver"}))


@pytest.mark.parametrize("token", ["", "stn_of-ad", ADA + " ", token_hash(ADA), "\xff", "\u20ac", "x" * 100_000])
def test_any_other_token_is_nobodys(token: str) -> None:
    assert KNOWN.by_token(token) is None


def test_without_a_file_nobody_gets_in() -> None:
    assert read_tokens(None) == ()
    assert Identities.of((), "s").by_token(ADA) is None


@pytest.mark.parametrize(
    "text",
    ["{", "a: 1", "- person: ada", "- {person: ada, roles: [king], sha256: " + "0" * 64 + "}",
     "- {person: ada, roles: [viewer], sha256: hunter2}", "- {person: '', roles: [], sha256: " + "0" * 64 + "}"],
)  # fmt: skip
def test_a_tokens_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnusableSettings, match="expected a list of") as caught:
        read_tokens(path)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UnusableSettings, match="STANCH_API_TOKENS_FILE"):
        read_tokens(tmp_path / "none.yaml")


def test_only_an_admin_may_do_what_others_may() -> None:
    approver, admin = Person("a", frozenset({"approver"})), Person("b", frozenset({"admin"}))
    assert (approver.may("approver"), approver.may("responder")) == (True, False)
    assert all(admin.may(role) for role in ("viewer", "responder", "approver", "admin"))


def test_whoever_logged_in_elsewhere_has_the_roles_of_now() -> None:
    given = Identities.of(ENTRIES, "secret", {"eve": frozenset({"viewer"})}, {"dba": frozenset({"approver"})})
    assert given.by_name("ada") == Person("ada", frozenset({"approver", "responder"}))
    assert given.by_name("eve", ["dba", "unheard of"], 12.0) == Person("eve", frozenset({"viewer", "approver"}), 12.0)
    assert given.by_name("stranger", ["dba"]) == Person("stranger", frozenset({"approver"}))
    assert given.by_name("stranger", ["unheard of"]) is None


def test_a_login_is_fresh_for_five_minutes_and_a_token_never() -> None:
    assert Person("ada", frozenset(), 300.0).logged_in_just_now
    assert not Person("ada", frozenset(), 300.1).logged_in_just_now
    assert not Person("ada", frozenset()).logged_in_just_now


def test_a_form_belongs_to_one_session() -> None:
    one, other = "a session", "another session"
    assert KNOWN.csrf_holds(one, KNOWN.csrf(one))
    assert not KNOWN.csrf_holds(other, KNOWN.csrf(one))
    for sent in ("", "\xff", "\u20ac", "\ud800", "0" * 64):
        assert not KNOWN.csrf_holds(one, sent)
