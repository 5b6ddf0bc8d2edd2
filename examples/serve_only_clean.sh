#!/bin/sh
# Entry point of a container that serves a model: starts the server only on weights that the desk
# attests clean, and on exactly the bytes that were checked.
#
#   serve_only_clean.sh WEIGHTS COMMAND [ARGUMENTS]
#
# WEIGHTS is one file; an argument {} becomes the path of the checked copy.
#
# Ends with 2 without its arguments, with 3 if the weights cannot be copied, with what
# `curenu desk check` ends with if they are denied; otherwise it becomes COMMAND.
# CHECK is the command that checks, by default `curenu desk check`; it must find the desk's database.
set -eu
umask 077

if [ "$#" -lt 2 ]; then
    echo "usage: serve_only_clean.sh WEIGHTS COMMAND [ARGUMENTS]" >&2
    exit 2
fi
weights=$1
shift

# A copy that nobody else can write: what is checked here is what is served, whatever becomes of the
# file it was copied from.
place=$(mktemp -d)
checked=$place/$(basename "$weights")
cp -- "$weights" "$checked" || { rm -rf -- "$place"; exit 3; }
chmod 400 "$checked"

${CHECK:-curenu desk check} "$checked" || {
    code=$?
    rm -rf -- "$place"
    echo "Not started: $weights may not be served." >&2
    exit "$code"
}

for argument; do
    shift
    [ "$argument" = "{}" ] && argument=$checked
    set -- "$@" "$argument"
done
exec "$@"
