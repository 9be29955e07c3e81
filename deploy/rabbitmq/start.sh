#!/bin/sh
# Puts the passwords of files into the definitions of users and rights, and starts the broker with these.
set -eu
secrets=${SECRETS:-/run/secrets}
definitions=${DEFINITIONS:-/tmp/definitions.json}
here=$(dirname "$0")

umask 077
cp "$here/definitions.json" "$definitions.new"
chmod 0600 "$definitions.new"
for role in manager consumer operator; do
  password=$(cat "$secrets/broker_$role")
  case $password in
    '' | *[!A-Za-z0-9_-]*)
      echo "$secrets/broker_$role: expected letters, digits, _ and - only (deploy/make-secrets.sh makes such)" >&2
      exit 1
      ;;
  esac
  sed -i "s/@$role@/$password/" "$definitions.new"
done
mv "$definitions.new" "$definitions"
chown rabbitmq "$definitions" 2> /dev/null || true # who is root in the broker's container; elsewhere it is not needed
exec "$@"
