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


def test_a_session_carries_a_name_and_the_roles_are_those_of_now() -> None:
    person = KNOWN.by_token(ADA)
    assert person is not None
    cookie = KNOWN.session(person)
    assert KNOWN.by_session(cookie) == person
    fewer = Identities.of((ENTRIES[0].model_copy(update={"roles": ("viewer",)}),), "secret")
    assert fewer.by_session(cookie) == Person("ada", frozenset({"viewer"}))
    assert Identities.of(ENTRIES[1:], "secret").by_session(cookie) is None


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", "\xff.\xff.\xff", "." * 1000])
def test_a_forged_session_is_nobodys(cookie: str) -> None:
    assert KNOWN.by_session(cookie) is None


def test_a_session_of_another_installation_is_nobodys() -> None:
    theirs = Identities.of(ENTRIES, "another secret").session(Person("ada", frozenset()))
    assert KNOWN.by_session(theirs) is None
    assert KNOWN.by_session(KNOWN.session(Person("ada", frozenset()))[:-1] + "!") is None


def test_a_form_belongs_to_one_session() -> None:
    one, other = (KNOWN.session(Person("ada", frozenset())) for _ in range(2))
    assert KNOWN.csrf_holds(one, KNOWN.csrf(one))
    assert not KNOWN.csrf_holds(other, KNOWN.csrf(one))
    for sent in ("", "\xff", "\u20ac", "\ud800", "0" * 64):
        assert not KNOWN.csrf_holds(one, sent)
