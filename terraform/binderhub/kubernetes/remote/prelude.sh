# shellcheck shell=bash
# Comes before each of the other scripts, which run on the machines as root.
set -euo pipefail
umask 077

fail() { # fail PROBLEM [HINT]
    printf 'error: %s\n' "$1" >&2
    if [ -n "${2:-}" ]; then printf 'hint: %s\n' "$2" >&2; fi
    exit 1
}

say() { printf '%s\n' "$*" >&2; }

# A run whose Terraform was killed may still be at work here.
exec 9>/run/barehub.lock
flock -w 60 9 || fail "another run is at work on this machine" "wait for it to end"

# shellcheck disable=SC2034 # for the scripts that come after this one
store=/usr/local/lib/barehub
kubeconfig=/etc/rancher/k3s/k3s.yaml

kube() { KUBECONFIG=$kubeconfig k3s kubectl --request-timeout=30s "$@"; }

checksum() { sha256sum "$1" | cut -d ' ' -f 1; }

# fetch NAME URL SHA256 FILE: without a SHA256 the caller learns it from stdout and keeps it.
fetch() {
    local name=$1 url=$2 expected=$3 file=$4 got
    mkdir -p "$(dirname "$file")"
    if [ -n "$expected" ] && [ -s "$file" ] && [ "$(checksum "$file")" = "$expected" ]; then
        got=$expected
    else
        say "downloading $url"
        rm -f "$file.part"
        curl -fsSL --retry 3 --connect-timeout 20 --max-time 900 -o "$file.part" "$url" ||
            fail "$url cannot be downloaded" "curl -fsSLI $url   (on that machine)"
        got=$(checksum "$file.part")
        if [ -n "$expected" ] && [ "$got" != "$expected" ]; then
            rm -f "$file.part"
            fail "$url has the checksum $got, and must have $expected" \
                "find out why before you change checksums.txt"
        fi
        mv "$file.part" "$file"
    fi
    printf 'sha256 %s %s\n' "$got" "$name"
}

# within SECONDS COMMAND...: again and again until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 2
    done
}

# write FILE MODE: stdin becomes the file, as a whole or not at all.
write() {
    local unborn
    mkdir -p "$(dirname "$1")"
    unborn=$(mktemp "$1.XXXXXX")
    cat >"$unborn"
    chmod "$2" "$unborn"
    mv "$unborn" "$1"
}
