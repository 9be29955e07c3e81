#!/usr/bin/env bash
# Runs once, when MySQL's data folder is new: database users with no more rights than they need.
#   tianyu_owner   makes and upgrades the schema (`tianyu init`)
#   tianyu_engine  reads and writes rows (manager, consumers, operators), and arranges the partitions of two tables
#   tianyu_reader  reads (scientists)
set -euo pipefail

password() {
  local value=${!1:?is not set}
  # The password stands in this file's SQL and in URLs: nothing that has a meaning in either.
  if [[ ! $value =~ ^[A-Za-z0-9_-]+$ ]]; then
    echo "$1 may hold letters, digits, _ and - only: make another, for example by openssl rand -hex 24" >&2
    return 1
  fi
  printf %s "$value"
}

owner=$(password DB_OWNER_PASSWORD)
engine=$(password DB_ENGINE_PASSWORD)
reader=$(password DB_READER_PASSWORD)

MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --protocol=socket --user=root <<SQL
CREATE DATABASE IF NOT EXISTS tianyu;
CREATE USER tianyu_owner IDENTIFIED BY '$owner';
CREATE USER tianyu_engine IDENTIFIED BY '$engine';
CREATE USER tianyu_reader IDENTIFIED BY '$reader';
GRANT CREATE, ALTER, DROP, INDEX, REFERENCES, CREATE VIEW, SHOW VIEW, SELECT, INSERT, UPDATE, DELETE
  ON tianyu.* TO tianyu_owner;
-- To say whose open transaction holds up an upgrade.
GRANT PROCESS ON *.* TO tianyu_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON tianyu.* TO tianyu_engine;
-- The manager's partitions; a right on a table that is not there yet can be given together with CREATE alone.
GRANT CREATE, ALTER ON tianyu.flux TO tianyu_engine;
GRANT CREATE, ALTER ON tianyu.relative_flux TO tianyu_engine;
REVOKE CREATE ON tianyu.flux FROM tianyu_engine;
REVOKE CREATE ON tianyu.relative_flux FROM tianyu_engine;
GRANT SELECT, SHOW VIEW ON tianyu.* TO tianyu_reader;
SQL
