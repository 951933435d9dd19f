# shellcheck shell=bash
# Keeps the keys of stdin, and no others, between two lines of authorized_keys: keys.sh MARK
set -euo pipefail
umask 077
file=~/.ssh/authorized_keys
begin="# $1: begin" end="# $1: end"
keys=$(cat)
mkdir -p ~/.ssh
touch $file
unborn=$(mktemp ~/.ssh/.authorized_keys.XXXXXX)
awk -v begin="$begin" -v end="$end" '$0 == begin {ours = 1} !ours {print} $0 == end {ours = 0}' $file >"$unborn"
added=""
while IFS= read -r key; do
    if [ -n "$key" ] && ! grep -qxF -- "$key" "$unborn"; then added="$added$key"$'\n'; fi
done <<<"$keys"
if [ -n "$added" ]; then printf '%s\n%s%s\n' "$begin" "$added" "$end" >>"$unborn"; fi
if cmp -s "$unborn" $file; then
    rm "$unborn"
else
    chmod 600 "$unborn"
    mv "$unborn" $file
fi
