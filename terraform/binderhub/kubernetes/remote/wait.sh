# shellcheck shell=bash
# Waits until the hub works: wait.sh SECONDS NAMESPACE CERTIFICATE
seconds=$1 namespace=$2 certificate=$3
end=$((SECONDS + seconds))
left() { printf '%s' $((end > SECONDS ? end - SECONDS : 1)); }
ask() { kube get --raw "/api/v1/namespaces/$namespace/services/$1/proxy$2"; }

evidence() {
    kube get pods --namespace "$namespace" --output wide >&2 || true
    kube get events --namespace "$namespace" --field-selector type=Warning --sort-by=.lastTimestamp \
        --output 'custom-columns=OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message' 2>/dev/null |
        tail -n 15 | cut -c 1-200 >&2 || true
}

for what in deployment/hub deployment/proxy deployment/binder daemonset/binderhub-dind; do
    say "waiting for $what"
    kube rollout status "$what" --namespace "$namespace" --timeout="$(left)s" --request-timeout=0 >/dev/null || {
        evidence
        fail "$what is not ready within $seconds s" "k3s kubectl describe $what -n $namespace   (on that machine)"
    }
done

say "waiting for /health"
within "$(left)" ask binder:80 /health || {
    evidence
    answer=$(ask binder:80 /health 2>&1 | head -c 500 || true)
    fail "BinderHub is not healthy within $seconds s: $answer" "k3s kubectl logs deployment/binder -n $namespace   (on that machine)"
}

say "waiting for the certificate"
kube wait --for=condition=Ready "certificate/$certificate" --namespace "$namespace" --timeout="$(left)s" \
    --request-timeout=0 >/dev/null 2>&1 || {
    kube get certificates,orders,challenges --namespace "$namespace" >&2 || true
    why=$(kube get challenges --namespace "$namespace" --output 'jsonpath={.items[*].status.reason}' || true)
    fail "there is no certificate within $seconds s: ${why:-no challenge is under way}" \
        "the name must lead to this machine, and port 80 be open to the world"
}
