"""The fence inside a target: roles, claim table and event triggers that let our roles do our actions and no more.

Generated from the closed set of actions, so a new action and its opening in the fence are one change. Four roles: one
that reads, one that repairs tables, one that ends sessions, and, only where it is asked for, one for roles' settings,
the server's settings, slots and prepared transactions. What the fence cannot take away: the fix role may read what the
owners of the tables may read.
"""

from __future__ import annotations

from dataclasses import dataclass

from guardrails.rendered import NAME_PREFIX
from guardrails.server_action import ROLE_SETTINGS, SERVER_SETTINGS
from guardrails.sql.identifier import literal, quoted
from guardrails.table_action import STORAGE_PARAMETERS

SCHEMA = "stanch_guard"

_NAME = '("([^"]|"")+"|[a-z_][a-z0-9_]*)'
_OUR_NAME = f'("{NAME_PREFIX}([^"]|"")+"|{NAME_PREFIX}[a-z0-9_]+)'
_NAMES = f"{_NAME}(, {_NAME})*"
_METHOD = "( USING (hash|gin|gist|spgist|brin))?"
_CREATE_INDEX = f"CREATE INDEX CONCURRENTLY {_OUR_NAME} ON {_NAME}\\.{_NAME}{_METHOD} \\({_NAMES}\\)"
_DROP_INDEX = f"DROP INDEX CONCURRENTLY (IF EXISTS )?{_NAME}\\.{_OUR_NAME}"


class UnusableFence(ValueError):
    """The fence cannot be drawn as asked."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What one action needs: the command tag that the server reports and the whole text it may have."""

    tag: str
    pattern: str


_QUALIFIED = f"{_NAME}\\.{_NAME}"
_OURS = f"{_NAME}\\.{_OUR_NAME}"
_NUMBER = "-?[0-9]+([.][0-9]+)?"
_ANY_INDEX = f"DROP INDEX CONCURRENTLY (IF EXISTS )?{_QUALIFIED}"
_PARAMETERS = f"({'|'.join(sorted(STORAGE_PARAMETERS))})"
_FOREIGN_KEY = f"FOREIGN KEY \\({_NAMES}\\) REFERENCES {_QUALIFIED} \\({_NAMES}\\)"
_NOT_NULL = f"CHECK \\({_NAME} IS NOT NULL\\)"

OPENINGS: dict[str, tuple[Opening, ...]] = {
    "create_index_concurrently": (Opening("CREATE INDEX", _CREATE_INDEX), Opening("DROP INDEX", _DROP_INDEX)),
    "create_partitioned_index": (
        Opening("CREATE INDEX", f"CREATE INDEX {_OUR_NAME} ON ONLY {_QUALIFIED}{_METHOD} \\({_NAMES}\\)"),
        Opening("ALTER INDEX", f"ALTER INDEX {_OURS} ATTACH PARTITION {_OURS}"),
        Opening("DROP INDEX", f"DROP INDEX (IF EXISTS )?{_OURS}"),
    ),
    "drop_index_concurrently": (
        Opening("DROP INDEX", _ANY_INDEX),
        Opening("CREATE INDEX", f"CREATE INDEX CONCURRENTLY {_NAME} ON {_QUALIFIED}{_METHOD} \\({_NAMES}\\)"),
    ),
    "reindex_index_concurrently": (
        Opening("REINDEX", f"REINDEX INDEX CONCURRENTLY {_QUALIFIED}"),
        Opening(
            "DROP INDEX",
            f'DROP INDEX CONCURRENTLY IF EXISTS {_NAME}\\.("([^"]|"")+_cc(new|old)"|[a-z0-9_]+_cc(new|old))',
        ),
    ),
    "set_statistics_target": (
        Opening("ALTER TABLE", f"ALTER TABLE {_QUALIFIED} ALTER COLUMN {_NAME} SET STATISTICS -?[0-9]+"),
    ),
    "create_statistics": (
        Opening("CREATE STATISTICS", f"CREATE STATISTICS {_OURS} \\([a-z, ]+\\) ON {_NAMES} FROM {_QUALIFIED}"),
        Opening("DROP STATISTICS", f"DROP STATISTICS (IF EXISTS )?{_OURS}"),
    ),
    "set_table_storage": (
        Opening("ALTER TABLE", f"ALTER TABLE {_QUALIFIED} SET \\({_PARAMETERS} = ({_NUMBER}|true|false)\\)"),
        Opening("ALTER TABLE", f"ALTER TABLE {_QUALIFIED} RESET \\({_PARAMETERS}\\)"),
    ),
    "add_constraint_not_valid": (
        Opening(
            "ALTER TABLE",
            f"ALTER TABLE {_QUALIFIED} ADD CONSTRAINT {_OUR_NAME} ({_FOREIGN_KEY}|{_NOT_NULL}) NOT VALID",
        ),
        Opening("ALTER TABLE", f"ALTER TABLE {_QUALIFIED} DROP CONSTRAINT {_OUR_NAME}"),
    ),
    "validate_constraint": (Opening("ALTER TABLE", f"ALTER TABLE {_QUALIFIED} VALIDATE CONSTRAINT {_NAME}"),),
}
"""VACUUM and ANALYZE run no event trigger; the signal and admin connections are not the fix role's."""

DEFAULT_ACTIONS = frozenset(OPENINGS) - {"drop_index_concurrently", "create_partitioned_index"}
"""Without the two that open more than they need: any index to be dropped, and a build that blocks on a plain table."""

_SETTING = f"({'|'.join(sorted(ROLE_SETTINGS - {'connection_limit'}))})"
_SETTING_VALUE = "'(-1|[0-9]{1,12}([.][0-9]{1,3})? ?[A-Za-z]{0,3}|on|off|auto|force_(custom|generic)_plan)'"
PERFORMED: dict[str, tuple[str, ...]] = {
    "set_role_setting": (
        f"ALTER ROLE {_NAME} SET {_SETTING} = {_SETTING_VALUE}",
        f"ALTER ROLE {_NAME} RESET {_SETTING}",
        f"ALTER ROLE {_NAME} CONNECTION LIMIT -?[0-9]+",
    ),
    "drop_replication_slot": ("SELECT pg_catalog\\.pg_drop_replication_slot\\('[a-z0-9_]{1,63}'\\)",),
}
"""What the server role has done for it by a function of the superuser's, word for word as approved: the attributes
PostgreSQL asks for otherwise, CREATEROLE and REPLICATION, would open every role and the whole WAL to it."""
SERVER_ACTIONS = frozenset(PERFORMED) | {"alter_system_reload", "rollback_prepared"}
PERFORM = "perform"
"""The function's name in the schema SCHEMA; it takes the command as its one text argument."""


@dataclass(frozen=True, slots=True)
class Fence:
    """One database to fence. owners are the roles whose tables may be repaired.

    revoke_owner_writes takes row writes from the owners too, which the fix role would inherit: right where the
    application connects as another role than the owner, an outage where it does not. event_triggers False is for
    managed services that refuse them; then parsing, typed rendering and the claim are the only fence. actions are the
    kinds that are let through; the server role is made only when one of SERVER_ACTIONS is among them. prepared_owners
    are the roles whose prepared transactions may be rolled back: only their owner can, so the server role becomes a
    member of them, without inheriting.
    """

    database: str
    owners: tuple[str, ...]
    diagnose: str = "stanch_diagnose"
    fix: str = "stanch_fix"
    signal: str = "stanch_signal"
    revoke_owner_writes: bool = False
    event_triggers: bool = True
    actions: frozenset[str] = DEFAULT_ACTIONS
    server: str = "stanch_server"
    prepared_owners: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = frozenset(OPENINGS) | SERVER_ACTIONS
        if unknown := sorted(self.actions - known):
            raise UnusableFence(f"the fence has no opening for {unknown[0]!a}; it knows {', '.join(sorted(known))}")
        if not self.owners:
            raise UnusableFence("name at least one role that owns the tables to repair")
        if ("rollback_prepared" in self.actions) != bool(self.prepared_owners):
            raise UnusableFence(
                "rollback_prepared goes with the owners of the prepared transactions, and only with them"
            )
        roles = (self.diagnose, self.fix, self.signal, self.server, *self.owners)
        if len(set(roles)) != len(roles):
            raise UnusableFence("diagnose, fix, signal, server and the owners are different roles")

    @property
    def _has_server(self) -> bool:
        return bool(self.actions & SERVER_ACTIONS)

    @property
    def _writing(self) -> tuple[str, ...]:
        """The roles that claim: each action in the name of the role that runs it."""
        return (self.fix, self.signal, self.server) if self._has_server else (self.fix, self.signal)

    def sql(self) -> str:
        """A script for psql, run as superuser in the database; running it again changes nothing."""
        parts = [
            _HEAD.format(database=quoted(self.database)),
            self._superusers_stay_out(),
            self._roles(),
            self._claim(),
        ]
        if self._has_server:
            parts += [self._server_role()]
        if self.actions & set(PERFORMED):
            parts += [self._perform()]
        if self.revoke_owner_writes:
            parts += [self._revoked(owner) for owner in self.owners]
        parts += [self._event_triggers()] if self.event_triggers else [self._no_event_triggers()]
        return "\n".join([*parts, "COMMIT;", ""])

    def _superusers_stay_out(self) -> str:
        owners = _literals((*self.owners, *self.prepared_owners))
        return f"""
DO $stanch$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname IN ({owners}) AND rolsuper) THEN
    RAISE EXCEPTION 'an owner is a superuser: no fence holds a member of it; give the tables another owner first';
  END IF;
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname IN ({_literals((self.diagnose, *self._writing))})
             AND rolsuper) THEN
    RAISE EXCEPTION 'a role of that name is a superuser: give Stanch roles of its own';
  END IF;
END $stanch$;"""  # noqa: S608 every part is quoted

    def _roles(self) -> str:
        database = quoted(self.database)
        lines = [_role(role) for role in (self.diagnose, self.fix, self.signal)]
        if self._has_server:
            # What it is a member of it may become, but has nothing of until it does.
            lines += [_role(self.server, inherits=False)]
        lines += [
            f"GRANT CONNECT ON DATABASE {database} TO {quoted(role)};"
            for role in (self.diagnose, self.fix, self.signal)
        ]
        lines += [f"GRANT pg_monitor TO {quoted(self.diagnose)};"]
        # Whom a build waits for, which statement a session runs, how far a standby is: without it they are hidden.
        lines += [f"GRANT pg_read_all_stats TO {quoted(self.fix)}, {quoted(self.signal)};"]
        lines += _settings(
            self.diagnose,
            default_transaction_read_only="on",
            statement_timeout="15s",
            lock_timeout="500ms",
            idle_in_transaction_session_timeout="10s",
        )
        # A concurrent build outlives any statement timeout, and a cancelled one leaves an INVALID index.
        lines += _settings(
            self.fix, statement_timeout="0", idle_in_transaction_session_timeout="10s", search_path="pg_catalog"
        )
        lines += [f"GRANT {quoted(owner)} TO {quoted(self.fix)};" for owner in self.owners]
        lines += [f"GRANT pg_signal_backend TO {quoted(self.signal)};"]
        lines += _settings(
            self.signal,
            default_transaction_read_only="on",
            statement_timeout="5s",
            idle_in_transaction_session_timeout="10s",
            search_path="pg_catalog",
        )
        return "\n".join(["", *lines])

    def _server_role(self) -> str:
        server = quoted(self.server)
        lines = [
            "",
            f"GRANT CONNECT ON DATABASE {quoted(self.database)} TO {server};",
            *_settings(self.server, idle_in_transaction_session_timeout="10s", search_path="pg_catalog"),
            *(f"GRANT {quoted(owner)} TO {server};" for owner in self.prepared_owners),
        ]
        if "alter_system_reload" in self.actions:
            lines += [
                f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO {server};",
                _SETTINGS_OF_THE_SERVER.format(
                    settings=_literals(tuple(sorted(SERVER_SETTINGS))), server=literal(self.server).strip()
                ),
            ]
        return "\n".join(lines)

    def _perform(self) -> str:
        patterns = [pattern for kind in sorted(self.actions & set(PERFORMED)) for pattern in PERFORMED[kind]]
        allowed = "\n    OR ".join(f"command ~ {literal(f'^{pattern}$').strip()}" for pattern in patterns)
        function = f"{SCHEMA}.{PERFORM}(command text)"
        return f"""
-- What takes CREATEROLE or REPLICATION otherwise, for exactly the commands Stanch renders.
CREATE OR REPLACE FUNCTION {function} RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $stanch$
DECLARE named text := substring(command FROM '^ALTER ROLE ("(?:[^"]|"")+"|[a-z_][a-z0-9_]*) ');
BEGIN
  IF NOT COALESCE(
    {allowed}, false)
  THEN
    RAISE EXCEPTION 'the fence refuses this command to %', session_user USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF named IN ('all', 'current_user', 'current_role', 'session_user', 'user', 'public', 'none') THEN
    RAISE EXCEPTION '% is no role by name', named USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF left(named, 1) = '"' THEN
    named := replace(substr(named, 2, length(named) - 2), '""', '"');
  END IF;
  IF command LIKE 'ALTER ROLE %' AND NOT EXISTS (
    SELECT FROM pg_roles WHERE rolname = named AND NOT rolsuper
      AND rolname NOT IN ({_literals((self.diagnose, *self._writing))})) THEN
    RAISE EXCEPTION 'the fence keeps the settings of %', named USING ERRCODE = 'insufficient_privilege';
  END IF;
  EXECUTE command;
END $stanch$;
REVOKE ALL ON FUNCTION {function} FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {function} TO {quoted(self.server)};"""  # noqa: S608 every part is quoted

    def _claim(self) -> str:
        writing = ", ".join(quoted(role) for role in self._writing)
        return f"""
-- One row says who ran an approved action. "run" and "abandon" compete for the key; the first wins.
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
REVOKE ALL ON SCHEMA {SCHEMA} FROM PUBLIC;
CREATE TABLE IF NOT EXISTS {SCHEMA}.claim (
  approval_id text NOT NULL CHECK (approval_id <> ''),
  phase text NOT NULL CHECK (phase IN ('run', 'rollback')),
  part integer NOT NULL CHECK (part >= 0),
  kind text NOT NULL CHECK (kind IN ('run', 'abandon')),
  execution_id text NOT NULL,
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (approval_id, phase, part)
);
REVOKE ALL ON {SCHEMA}.claim FROM PUBLIC, {writing};
GRANT USAGE ON SCHEMA {SCHEMA} TO {writing};
GRANT SELECT, INSERT ON {SCHEMA}.claim TO {writing};"""

    def _revoked(self, owner: str) -> str:
        name = literal(owner).strip()
        return f"""
-- The fix role inherits what the owner may do; the application writes as another role. Foreign keys are checked in the
-- name of the tables' owner (SELECT … FOR KEY SHARE asks for UPDATE, a cascade for DELETE), so their tables keep those;
-- and get them back here: run this again with the migration that adds a foreign key, or writes to it fail.
DO $stanch$
DECLARE relation record; through text;
BEGIN
  FOR relation IN
    SELECT c.oid::pg_catalog.regclass AS name,
           EXISTS (SELECT FROM pg_catalog.pg_constraint f
                   WHERE f.contype = 'f' AND c.oid IN (f.conrelid, f.confrelid)) AS in_foreign_key,
           EXISTS (SELECT FROM pg_catalog.pg_constraint f
                   WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.confdeltype = 'c') AS cascades
    FROM pg_catalog.pg_class c
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relowner = {literal(quoted(owner)).strip()}::pg_catalog.regrole
  LOOP
    EXECUTE pg_catalog.format(
      'REVOKE INSERT, %s %s TRUNCATE, TRIGGER ON %s FROM %I',
      CASE WHEN relation.in_foreign_key THEN '' ELSE 'UPDATE,' END,
      CASE WHEN relation.cascades THEN '' ELSE 'DELETE,' END, relation.name, {name});
    IF relation.in_foreign_key THEN
      EXECUTE pg_catalog.format(
        'GRANT SELECT, UPDATE %s ON %s TO %I',
        CASE WHEN relation.cascades THEN ', DELETE' ELSE '' END, relation.name, {name});
    END IF;
  END LOOP;
  SELECT pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::text, ', ') INTO through FROM pg_catalog.pg_proc p
  WHERE p.prosecdef AND p.proowner = {literal(quoted(owner)).strip()}::pg_catalog.regrole;
  IF through IS NOT NULL THEN
    RAISE WARNING 'these run as %, which can no longer write for the application: %', {name}, through;
  END IF;
END $stanch$;"""  # noqa: S608 every part is quoted

    def _openings(self) -> tuple[Opening, ...]:
        return tuple(opening for kind in sorted(self.actions & set(OPENINGS)) for opening in OPENINGS[kind])

    def _kept(self) -> str:
        """The condition under which a dropped object is not ours to drop."""
        ours = f"left(dropped.object_name, {len(NAME_PREFIX)}) = {literal(NAME_PREFIX)}"
        allowed = [f"(dropped.object_type IN ('index', 'statistics object', 'table constraint') AND {ours})"]
        if "add_constraint_not_valid" in self.actions:
            # A foreign key goes with its triggers, which carry the server's own names.
            allowed.append("(dropped.object_type = 'trigger' AND tg_tag = 'ALTER TABLE')")
        if "reindex_index_concurrently" in self.actions:
            allowed.append("(dropped.object_type = 'index' AND dropped.object_name ~ '_cc(new|old)[0-9]*$')")
        if "drop_index_concurrently" in self.actions:
            allowed.append("(dropped.object_type = 'index' AND tg_tag = 'DROP INDEX')")
        return "NOT (" + " OR ".join(allowed) + ")"

    def _event_triggers(self) -> str:
        fix = literal(self.fix).strip()
        others = _literals(tuple(role for role in self._writing if role != self.fix))
        allowed = "\n    OR ".join(
            f"(tg_tag = {literal(opening.tag)} AND pg_catalog.current_query() ~ {literal(f'^{opening.pattern}$')})"
            for opening in self._openings()
        )
        return f"""
-- The fix role may give exactly the commands Stanch renders; the text is what the client sent, whole.
CREATE OR REPLACE FUNCTION {SCHEMA}.refuse_other_commands() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog SET standard_conforming_strings = on AS $stanch$
BEGIN
  IF session_user IN ({others}) OR session_user = {fix} AND NOT COALESCE(
    {allowed}, false)
  THEN
    RAISE EXCEPTION 'the fence refuses % to %', tg_tag, session_user USING ERRCODE = 'insufficient_privilege';
  END IF;
END $stanch$;
CREATE OR REPLACE FUNCTION {SCHEMA}.refuse_other_drops() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $stanch$
DECLARE dropped record;
BEGIN
  IF session_user = {fix} THEN
    FOR dropped IN SELECT * FROM pg_event_trigger_dropped_objects() LOOP
      -- Constraints carry their name in the identity only.
      dropped.object_name := COALESCE(
        dropped.object_name, dropped.address_names[array_upper(dropped.address_names, 1)]);
      IF {self._kept()} THEN
        RAISE EXCEPTION 'the fence refuses to drop %', dropped.object_identity
          USING ERRCODE = 'insufficient_privilege';
      END IF;
    END LOOP;
  END IF;
END $stanch$;
REVOKE ALL ON FUNCTION {SCHEMA}.refuse_other_commands(), {SCHEMA}.refuse_other_drops() FROM PUBLIC;
DROP EVENT TRIGGER IF EXISTS stanch_guard_commands;
CREATE EVENT TRIGGER stanch_guard_commands ON ddl_command_start
  EXECUTE FUNCTION {SCHEMA}.refuse_other_commands();
ALTER EVENT TRIGGER stanch_guard_commands ENABLE ALWAYS;
DROP EVENT TRIGGER IF EXISTS stanch_guard_drops;
CREATE EVENT TRIGGER stanch_guard_drops ON sql_drop
  EXECUTE FUNCTION {SCHEMA}.refuse_other_drops();
ALTER EVENT TRIGGER stanch_guard_drops ENABLE ALWAYS;"""  # noqa: S608 every part is quoted

    def _no_event_triggers(self) -> str:
        return "\n-- Without event triggers the fix role can do whatever the owners can: only Stanch itself holds it."


_HEAD = """\
-- Stanch: roles, claim table and fence for the database {database}.
-- Run it there as superuser: psql -v ON_ERROR_STOP=1 -d {database} -f this-file. It can be run again.
-- Passwords are not set here: use \\password, or certificates.
SET client_min_messages = warning;
BEGIN;"""


_SETTINGS_OF_THE_SERVER = """\
DO $stanch$
DECLARE setting text;
BEGIN
  IF pg_catalog.current_setting('server_version_num')::integer < 150000 THEN
    RAISE WARNING 'before PostgreSQL 15 only a superuser may ALTER SYSTEM: that action will be refused';
    RETURN;
  END IF;
  FOR setting IN SELECT name FROM pg_catalog.pg_settings WHERE name IN ({settings}) LOOP
    EXECUTE pg_catalog.format('GRANT ALTER SYSTEM ON PARAMETER %I TO %I', setting, {server});
  END LOOP;
END $stanch$;"""


def _literals(texts: tuple[str, ...]) -> str:
    return ", ".join(literal(text).strip() for text in texts)


def _role(role: str, *, inherits: bool = True) -> str:
    return f"""\
DO $stanch$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal(role).strip()}) THEN
    CREATE ROLE {quoted(role)} LOGIN;
  END IF;
END $stanch$;
ALTER ROLE {quoted(role)} LOGIN {"INHERIT" if inherits else "NOINHERIT"}
  NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 10;"""


def _settings(role: str, **settings: str) -> list[str]:
    return [f"ALTER ROLE {quoted(role)} SET {name} = {literal(value)};" for name, value in settings.items()]
