# shellcheck shell=bash
# What scripts/invoke and scripts/test share: .venv, made from a lock file. Sourced, never run; the caller sets
# `root`. Written for bash 3.2, the one that macOS has.
#
# .venv is ready when it holds a copy of the very lock file that it was made from, and the path that it was
# made in (its programs name that path, so a moved or copied clone needs a new one). Both are written last.

# Others write nothing that is made here, whatever umask we were given; a stricter one stays.
umask "$(printf '%03o' $(($(umask) | 0022)))"

venv=${root:?}/.venv

# What sets things up has no business with the vault's key.
without_identity() {
    env -u SOPS_AGE_KEY -u SOPS_AGE_KEY_FILE -u SOPS_AGE_KEY_CMD -u AWS_SECRET_ACCESS_KEY \
        -u AWS_WEB_IDENTITY_TOKEN_FILE -u VAULT_TOKEN -u ACTIONS_ID_TOKEN_REQUEST_TOKEN "$@"
}

say() { printf '%s\n' "$*" >&2; }

die() { # die CODE PROBLEM [HINT...]
    local code=$1 hint
    say "error: $2"
    shift 2
    for hint in "$@"; do say "hint: $hint"; done
    exit "$code"
}

venv_is_whole() {
    local made_in=""
    [ -x "$venv/bin/python" ] && [ -r "$venv/made-in" ] || return 1
    IFS= read -r made_in <"$venv/made-in" || true
    [ "$made_in" = "$root" ]
}

# venv_is_ready LOCKFILE
venv_is_ready() { venv_is_whole && cmp -s "$root/$1" "$venv/$1"; }

# venv_make LOCKFILE: several callers at once wait for one another; what a killed one left is made anew.
venv_make() {
    local lock=$1 python
    python=$(find_python) || exit $?
    # The lock is the kernel's: it goes when this shell and the installer below are gone, however they end.
    exec 9<"$root"
    "$python" -c "$take_lock" || die 1 "cannot lock $root"
    if ! venv_is_ready "$lock"; then
        # A development .venv stays one: else scripts/test and scripts/invoke would undo each other's work.
        if [ -e "$venv/requirements-dev.lock" ]; then lock=requirements-dev.lock; fi
        venv_is_whole || venv_start "$python"
        venv_fill "$lock"
    fi
    exec 9<&-
}

take_lock='
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("another command is setting up .venv: waiting for it", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
'

# An empty environment with pip and the pinned uv.
venv_start() {
    local python=$1
    say "setting up .venv (once) with $("$python" -V 2>&1)"
    rm -rf "$venv"
    "$python" -m venv "$venv" || die 1 "cannot make $venv" "$python -m venv $venv"
    without_identity "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --no-deps --only-binary :all: --require-hashes -r <(pin_of_uv) >&2 ||
        die 1 "pip cannot install uv from requirements.lock" "can this machine reach a package index? pip config list"
    printf '%s\n' "$root" >"$venv/made-in"
}

pin_of_uv() { awk '/^uv==/ { on = 1 } on && /^ *#/ { exit } on' "$root/requirements.lock"; }

# Exactly what the lock file names. It is its own build constraint too: the one package that is published as
# source only is then built by the setuptools whose hash stands in the same file.
venv_fill() {
    local lock=$1
    rm -f "$venv/requirements.lock" "$venv/requirements-dev.lock"
    cp "$root/$lock" "$venv/lock.new"
    cp "$root/requirements.lock" "$venv/runtime.new"
    say "installing what $lock names"
    without_identity env -u UV_SYSTEM_PYTHON -u UV_TARGET -u UV_PREFIX "$venv/bin/uv" pip sync \
        --quiet --require-hashes --compile-bytecode --python "$venv/bin/python" --build-constraints "$venv/lock.new" "$venv/lock.new" >&2 ||
        die 1 "uv cannot install what $lock names" "the lines above say why; what is done already is kept for the next try"
    # python-hcl2 builds its parser once, for seconds, and keeps it beside itself.
    "$venv/bin/python" -c 'import hcl2; hcl2.loads("")' 2>/dev/null || true
    mv "$venv/runtime.new" "$venv/requirements.lock"
    mv "$venv/lock.new" "$venv/$lock"
}

probe_python='
import importlib.util, os, sys
if sys.version_info < (3, 11):
    sys.exit(1)
print(os.path.realpath(sys.executable))
sys.exit(0 if importlib.util.find_spec("ensurepip") else 2)
'

# The path of a Python that is new enough and can make environments: the real one, not a link or a shim, which
# would change under .venv when the default Python of the machine does. BAREHUB_PYTHON chooses another.
find_python() {
    local name found code bare=""
    for name in ${BAREHUB_PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        code=0
        found=$("$name" -c "$probe_python" 2>/dev/null) || code=$?
        case $code in
            0) printf '%s\n' "$found" && return ;;
            2) bare=${bare:-$found} ;;
        esac
    done
    if [ -n "$bare" ]; then
        die 3 "$bare cannot make environments: it lacks ensurepip" "sudo apt-get install $(basename "$bare")-venv"
    fi
    die 3 "Python 3.11 or newer is needed, and ${BAREHUB_PYTHON:-PATH} has none" \
        "Debian, Ubuntu: sudo apt-get install python3 python3-venv" "macOS: brew install python" \
        "or name one: BAREHUB_PYTHON=/path/to/python3 scripts/invoke --list"
}
