# shellcheck shell=bash
# Starts k3s, and a hub that is there and does not answer, again: wake.sh SECONDS NAMESPACE
systemctl is-active --quiet k3s || systemctl start k3s
within "$1" kube get --raw /readyz ||
    fail "the Kubernetes API is not ready within $1 s" "journalctl -u k3s   (on that machine)"
if kube get deployment binder --namespace "$2" >/dev/null 2>&1 &&
    ! within 20 kube get --raw "/api/v1/namespaces/$2/services/binder:80/proxy/health"; then
    say "the hub does not answer: starting it again"
    kube rollout restart deployment/hub deployment/proxy deployment/binder --namespace "$2" >/dev/null
fi
