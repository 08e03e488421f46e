"""The loop: see what fails on train, propose one edit, measure it on fresh incidents, keep it or not, write it down.

The loop decides nothing that the gate does not say and knows nothing that the ledger does not hold: a run that was
killed goes on from its last line, and the same seed writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from agent.learning.alpha import Profile, level
from agent.learning.apply import apply, paths_of
from agent.learning.critique import page
from agent.learning.e_process import EProcess, UnusableScore
from agent.learning.edits import Edit, Tier, UnusableEdit
from agent.learning.gate import CAP_PAIRS, SequentialTest, Status, Tally, Verdict, added, margin_for, verdict, vetoes
from agent.learning.static_checks import check
from agent.learning.tree import Reader, complexity
from agent.runbook.skill import UnusableSkill
from guardrails.canonical import UnusableDocument, digest
from lab.learn.journal import Journal, UnusableInput

if TYPE_CHECKING:
    from agent.learning.ledger import Row, State

Ask = Callable[[Mapping[str, Any]], dict[str, Any]]

CONFIRM_EVERY = 10
"""Rounds between two strict tests of the whole champion against the last confirmed one."""
WINDOW = 120
"""Train incidents a round looks at."""
COUNTS_AT = 5
"""The round of each ten in which the counts of the window are tried as a batch."""
MAX_REVIEWS = 10
"""With so many edits waiting for a human, none that needs one is proposed."""
VETO_PAIRS = 240
"""An average may be sure before a stratum has been seen: at least so many pairs before anything is kept."""
CONFIRM_PAIRS = 2 * CAP_PAIRS
SMOKE_LOSS = -0.01
"""Mean utility on train below which nothing fresh is spent on an edit."""
GOLDEN_FLIPS = 1
"""Of the train incidents that earlier edits mended, so many may break again."""


@dataclass(frozen=True, slots=True)
class Settings:
    """window: train incidents a round looks at. block: pairs asked for at once. how: rules, or random for a placebo."""

    seed: int
    profile: Profile = "explore"
    window: int = WINDOW
    block: int = 60
    cap: int = CAP_PAIRS
    how: str = "rules"


class FrozenChanged(UnusableInput):
    """What a run is judged by is not what it was: nothing measured before and after can be compared."""


@dataclass(frozen=True, slots=True)
class Screened:
    """An edit that may be worth fresh incidents. gain: mean utility on the train window."""

    edit: Edit
    kind: str
    tree: Mapping[str, str]
    child: str
    tier: Tier
    complexity_delta: int
    gain: float
    mended: tuple[int, ...]


@dataclass(slots=True)
class Loop:
    """journal: locked. seed_tree: the skills a new run starts from. catalogue: questions that can be asked."""

    journal: Journal
    evaluate: Ask
    suggest: Ask
    settings: Settings
    seed_tree: Mapping[str, str]
    catalogue: tuple[str, ...]
    reader: Reader

    def run(self, rounds: int) -> Iterator[Row]:
        """Up to that many rounds in all; rows already written are not repeated. Raises UnusableInput."""
        new = not self.journal.rows()
        if new:
            self._usable(self.seed_tree)  # before anything is written: what cannot start leaves no run behind
        self.journal.config({**asdict(self.settings), "seed_skills": digest(dict(self.seed_tree))})
        if new:
            yield self._start()
        while (state := self.journal.state()).rounds < rounds or self._due(state):
            if self._due(state):
                yield self._confirm(state)
            else:
                yield self._round(state)

    def _start(self) -> Row:
        tree = self.journal.put(dict(self.seed_tree))
        frozen = self.evaluate({"op": "frozen"})
        return self.journal.append({"kind": "start", "tree": tree, **frozen, "settings": asdict(self.settings)})

    # --- One round ------------------------------------------------------------------------------------------------

    def _round(self, state: State) -> Row:
        number = state.rounds + 1
        hashes = self._hashes()
        tree = self._loaded(state.champion)
        self.evaluate({"op": "forget", "keep": state.champion})
        window = f"{self.settings.seed}|window|{(number - 1) // CONFIRM_EVERY}"
        told = self.evaluate({"op": "train", "tree": state.champion, "stream": window, "count": self.settings.window})[
            "trajectories"
        ]
        suggested = self._suggested(state, tree, told, number)
        seeds = [one["seed"] for one in told]
        chosen, dropped = self._screened(state, tree, seeds, suggested["edits"])
        body: Row = {
            "kind": "round",
            "round": number,
            "hashes": hashes,
            "parent": state.champion,
            "failures": suggested["failures"],
            "dropped": dropped,
        }
        row = self._tested(state, body, chosen) if chosen else _nothing(body, suggested["edits"])
        self.journal.page(f"rounds/{number:04d}.md", page(row))
        return self.journal.append(row)

    def _suggested(self, state: State, tree: Mapping[str, str], told: list[Any], number: int) -> dict[str, Any]:
        counts = self.settings.how == "rules" and number % CONFIRM_EVERY == COUNTS_AT
        tiers = [Tier.T1] if len(state.reviews) >= MAX_REVIEWS else [Tier.T1, Tier.T2]
        return self.suggest(
            {
                "tree": dict(tree),
                "trajectories": told,
                "record": asdict(state.record),
                "catalogue": list(self.catalogue),
                "round": number,
                "seed": self.settings.seed,
                "how": "counts" if counts else self.settings.how,
                "tiers": [str(tier) for tier in tiers],
            }
        )

    def _screened(
        self, state: State, tree: Mapping[str, str], seeds: list[int], suggested: list[Any]
    ) -> tuple[Screened | None, list[Row]]:
        """The suggestion that the train window likes best, and why each of the others was dropped."""
        passed: list[Screened] = []
        dropped: list[Row] = []
        for written, kind in suggested:
            try:
                edit = Edit.from_data(written)
                passed.append(self._screen(state, tree, seeds, edit, kind))
            except (UnusableEdit, UnusableSkill, UnusableDocument, UnusableScore) as wrong:
                dropped.append(_dropped(written, kind, str(wrong)))
        if not passed:
            return None, dropped
        best = max(passed, key=lambda one: (one.gain, one.edit.fingerprint))
        for one in passed:
            if one is not best:
                told = _dropped(one.edit.to_data(), one.kind, f"train likes another better: {one.gain:+.4f}")
                dropped.append({**told, "fingerprint": ""})  # it stays a candidate for the next round
        return best, dropped

    def _screen(self, state: State, tree: Mapping[str, str], seeds: list[int], edit: Edit, kind: str) -> Screened:
        """Static checks, relevance, train smoke. Raises UnusableEdit, UnusableSkill."""
        after = apply(edit, tree)
        checked = check(edit, tree, after, reader=self.reader, catalogue=self.catalogue)
        if checked.problems:
            raise UnusableEdit("; ".join(checked.problems))
        child = self._measured({"op": "load", "files": after})["tree"]
        both = {"op": "train_compare", "parent": state.champion, "child": child}
        played = [*seeds, *state.golden]
        # The few incidents it is based on first: most edits change nothing there, and the others need not be played.
        cited = _cited(edit)
        few = [seed for seed in played if seed in cited] if cited else played
        if not few or not self._measured({**both, "seeds": few})["changed"]:
            raise UnusableEdit("it changes no decision on the incidents it is based on")
        seen = self._measured({**both, "seeds": played})
        if len(set(seen["broken"]) & set(state.golden)) > GOLDEN_FLIPS:
            raise UnusableEdit("it breaks incidents again that earlier edits mended")
        gains = seen["differences"][: len(seeds)]
        EProcess().after(gains)  # refuses what is no score
        gain = sum(gains) / len(gains)
        if gain < SMOKE_LOSS:
            raise UnusableEdit(f"clearly worse on train: {gain:+.4f}")
        paths = paths_of(edit.op, edit.skill, tree)
        delta = _complexity(after, paths) - _complexity(tree, paths)
        return Screened(edit, kind, after, child, checked.tier, delta, gain, tuple(seen["mended"][:5]))

    def _tested(self, state: State, body: Row, one: Screened) -> Row:
        alpha = level(self.settings.profile, state.tests + 1, state.keeps)
        test = SequentialTest(alpha, EProcess(margin_for(one.complexity_delta)), cap=self.settings.cap)
        stream = f"{self.settings.seed}|{body['round']}|{one.edit.id}"
        tallies: dict[str, Tally] = {}
        try:
            test, tallies = self._sequential(test, state.champion, one.child, stream)
            said = verdict(test, vetoes(tallies), one.complexity_delta, sensitive=one.tier is Tier.T2)
        except (UnusableScore, UnusableSkill) as wrong:
            said = Verdict(Status.INVALID, f"its score is none: {wrong}")
        child = self.journal.put(dict(one.tree))
        row = {
            **body,
            **_edit_data(one),
            "child": child,
            "status": str(said.status),
            "why": said.why,
            "alpha": alpha,
            "pairs": test.pairs,
            "e_value": _figure(test.helps.value),
            "harm_e_value": _figure(test.hurts.value),
            "mean": _figure(test.mean),
            "half_width": _figure(test.half_width if test.pairs > 1 else 0.0),
            "strata": {name: tally.to_data() for name, tally in tallies.items()},
            "golden": list(one.mended) if said.status is Status.KEEP else [],
        }
        if said.status is Status.AWAITING_REVIEW:
            self._ask_human(row, one)
        return row

    def _sequential(
        self, test: SequentialTest, parent: str, child: str, stream: str
    ) -> tuple[SequentialTest, dict[str, Tally]]:
        """Fresh pairs until the test has ended and the strata have been seen. Raises UnusableScore, UnusableSkill."""
        tallies: dict[str, Tally] = {}
        first = 0
        while test.ended is None or (test.crossed and first < min(VETO_PAIRS, test.cap)):
            count = min(self.settings.block, test.cap - first)
            told = self._measured(
                {"op": "compare", "parent": parent, "child": child, "stream": stream, "first": first, "count": count}
            )
            if len(told["differences"]) != count:
                raise UnusableScore("a score is missing")
            test = test.after(told["differences"])
            tallies = added(tallies, {name: Tally.from_data(one) for name, one in told["tallies"].items()})
            first += count
        return test, tallies

    def _ask_human(self, row: Row, one: Screened) -> None:
        before = self.journal.tree(row["parent"])
        changed = sorted(path for path in {*before, *one.tree} if before.get(path) != one.tree.get(path))
        text = [page(row), "## The exact bytes", ""]
        for path in changed:
            text += [
                f"### {path}",
                "",
                "```yaml",
                one.tree.get(path, "(gone)\n").replace("```", "'''").rstrip(),
                "```",
                "",
            ]
        self.journal.page(f"reviews/{row['edit_id']}.md", "\n".join(text))

    # --- Strict confirmation ----------------------------------------------------------------------------------------

    def _due(self, state: State) -> bool:
        last = state.last or {}
        wanted = self.settings.profile == "explore" and state.rounds and state.rounds % CONFIRM_EVERY == 0
        return bool(wanted and last.get("kind") == "round" and state.champion != state.confirmed)

    def _confirm(self, state: State) -> Row:
        """The whole champion against the last confirmed one, on fresh incidents. A second test that shows nothing, or
        one that shows harm, takes everything since then back.
        """
        hashes = self._hashes()
        self._loaded(state.confirmed)
        self._loaded(state.champion)
        alpha = level("strict", state.strict_tests + 1, state.strict_passed)
        test = SequentialTest(alpha, EProcess(), cap=CONFIRM_PAIRS)
        stream = f"{self.settings.seed}|confirm|{state.rounds}|{state.champion}"
        test, tallies = self._sequential(test, state.confirmed, state.champion, stream)
        found = vetoes(tallies)
        canaries = self.evaluate({"op": "canaries", "tree": state.champion, "stream": stream})
        if canaries["named"]:
            raise FrozenChanged("a candidate names causes that stand in no answer: truth leaks, and the run is void")
        if test.crossed and not found:
            status, why = "confirmed", f"better than the last confirmed, e-value {test.helps.value:.3g}"
        elif found or test.hurts.value >= 20 or state.quiet:  # noqa: PLR2004 as in the gate
            status, why = "rolled_back", "; ".join(found) or f"not shown to be better: e-value {test.helps.value:.3g}"
        else:
            status, why = "undecided", f"e-value {test.helps.value:.3g}, wanted {1 / alpha:.3g}"
        return self.journal.append(
            {
                "kind": "confirm",
                "round": state.rounds,
                "hashes": hashes,
                "confirmed": state.confirmed,
                "champion": state.champion,
                "status": status,
                "why": why,
                "alpha": alpha,
                "pairs": test.pairs,
                "e_value": _figure(test.helps.value),
                "mean": _figure(test.mean),
                "half_width": _figure(test.half_width),
                "strata": {name: tally.to_data() for name, tally in tallies.items()},
                "canaries": canaries,
            }
        )

    # --- Shared -------------------------------------------------------------------------------------------------------

    def _hashes(self) -> dict[str, str]:
        """Raises FrozenChanged."""
        now: dict[str, str] = self.evaluate({"op": "frozen"})["hashes"]
        before = self.journal.rows()[0]["hashes"]
        if changed := sorted(name for name in {*now, *before} if now.get(name) != before.get(name)):
            raise FrozenChanged(
                f"{', '.join(changed)} changed since this run began, so its figures would not compare; start another "
                "with --out"
            )
        return now

    def _loaded(self, name: str) -> dict[str, str]:
        tree = self.journal.tree(name)
        self._usable(tree)
        return tree

    def _usable(self, tree: Mapping[str, str]) -> None:
        """Raises UnusableInput."""
        told = self.evaluate({"op": "load", "files": dict(tree)})
        if "invalid" in told:
            raise UnusableInput(f"the skills to begin with cannot be used: {told['invalid']}")

    def _measured(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Raises UnusableSkill where the evaluator finds the candidate unusable."""
        told = self.evaluate(request)
        if "invalid" in told:
            raise UnusableSkill(str(told["invalid"]))
        return told


def _cited(edit: Edit) -> frozenset[int]:
    """Seeds of the train incidents an edit is based on. Raises UnusableEdit."""
    try:
        return frozenset(int(one.removeprefix("train#")) for one in edit.evidence)
    except ValueError as wrong:
        raise UnusableEdit("its evidence is no train incident") from wrong


def _complexity(tree: Mapping[str, str], paths: tuple[str, ...]) -> int:
    return complexity({path: tree[path] for path in paths if path in tree})


def _edit_data(one: Screened) -> Row:
    return {
        "edit": one.edit.to_data(),
        "edit_id": one.edit.id,
        "fingerprint": one.edit.fingerprint,
        "failure": one.kind,
        "tier": str(one.tier),
        "complexity_delta": one.complexity_delta,
        "train_gain": _figure(one.gain),
    }


def _dropped(written: Any, kind: str, why: str) -> Row:
    try:
        edit = Edit.from_data(written)
    except UnusableEdit:
        return {"op": "", "skill": "", "fingerprint": "", "failure": kind, "why": why[:400]}
    return {"op": edit.op, "skill": edit.skill, "fingerprint": edit.fingerprint, "failure": kind, "why": why[:400]}


def _nothing(body: Row, suggested: list[Any]) -> Row:
    """A round in which no suggestion was worth a fresh incident."""
    why = "nothing was suggested" if not suggested else f"none of {len(suggested)} suggestions was worth a test"
    return {
        **body, "edit": None, "edit_id": "", "fingerprint": "", "failure": "", "tier": "", "complexity_delta": 0,
        "train_gain": 0.0, "child": body["parent"], "status": str(Status.REVERT), "why": why, "alpha": 0.0, "pairs": 0,
        "e_value": 1.0, "harm_e_value": 1.0, "mean": 0.0, "half_width": 0.0, "strata": {}, "golden": [],
    }  # fmt: skip


def _figure(value: float) -> float:
    """As a ledger keeps it: nine significant digits, so that its bytes do not hang on the last bit."""
    return float(f"{value:.9g}")


def with_seed(settings: Settings, seed: int) -> Settings:
    return replace(settings, seed=seed)
