#!/bin/sh
# Makes a password for each role of database and broker, in files that docker-compose.yml, Kubernetes and systemd read.
# What is there is left as it is: remove a file to have another password made, then run `tianyu init --roles …` again.
#   deploy/make-secrets.sh [FOLDER]
set -eu
folder=${1:-secrets}
umask 077
mkdir -p "$folder"
for name in database_root database_owner database_publisher database_manager database_consumer database_operator \
  database_reader database_web database_reviewer broker_manager broker_consumer broker_operator grafana serve_token; do
  [ -e "$folder/$name" ] && continue
  # Letters and digits only: they have a meaning in no URL and no file of a server.
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$folder/$name"
  # A container's user is another one. Nobody else comes past the folder.
  chmod 0444 "$folder/$name"
done
echo "passwords are in $folder"
