# shellcheck shell=bash
# Makes the objects that stdin describes what it says: apply.sh SECONDS
objects=$(cat)
apply() { printf '%s' "$objects" | kube apply --server-side --force-conflicts --field-manager=barehub -f -; }
# a kind may be a moment old, and its webhook not there yet
within "$1" apply || {
    apply >&2 || true
    fail "Kubernetes does not take the objects within $1 s" "k3s kubectl get pods --all-namespaces   (on that machine)"
}
