# shellcheck shell=bash
# Installs or upgrades a chart with the values of stdin: release.sh NAME NAMESPACE CHART SECONDS [OPTION...]
# Helm keeps the values in a secret of the cluster; nothing else does.
name=$1 namespace=$2 chart=$3 seconds=$4
shift 4
# What a killed Helm leaves would keep every later one from working.
kube delete secret --namespace "$namespace" --ignore-not-found --selector \
    "owner=helm,name=$name,status in (pending-install,pending-upgrade,pending-rollback)" >/dev/null
KUBECONFIG=$kubeconfig timeout "$seconds" $store/bin/helm upgrade --install "$name" "$store/$chart" \
    --namespace "$namespace" --create-namespace --history-max 5 --timeout "${seconds}s" "$@" \
    --values - >/dev/null || fail "helm cannot install $name" \
    "k3s kubectl get pods --namespace $namespace   (on that machine)"
