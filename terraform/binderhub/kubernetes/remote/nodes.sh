# shellcheck shell=bash
# Waits until the nodes are ready, gives each its purpose, and forgets those that are no more:
#     nodes.sh SECONDS MASTER [NODE...]
seconds=$1 master=$2
shift 2
end=$((SECONDS + seconds))
for name in "$master" "$@"; do
    within $((end - SECONDS)) kube get node "$name" ||
        fail "$name has not joined the cluster within $seconds s" "journalctl -u k3s-agent   (on $name)"
    kube wait --for=condition=Ready "node/$name" --timeout=$((end > SECONDS ? end - SECONDS : 1))s \
        --request-timeout=0 >/dev/null ||
        fail "$name is not ready within $seconds s" "k3s kubectl describe node $name   (on $master)"
done

purpose=hub.jupyter.org/node-purpose
taint=node-role.kubernetes.io/control-plane
for name in "$@"; do kube label --overwrite node "$name" $purpose=user >/dev/null; done
if [ $# -gt 0 ]; then
    kube label --overwrite node "$master" $purpose=core >/dev/null
    kube taint --overwrite node "$master" $taint=:NoSchedule >/dev/null
else
    # one machine for everything
    kube label --overwrite node "$master" $purpose=user >/dev/null
    kube taint node "$master" $taint:NoSchedule- >/dev/null 2>&1 || true
fi

for name in $(kube get nodes --output 'jsonpath={.items[*].metadata.name}'); do
    case " $master $* " in *" $name "*) continue ;; esac
    address=$(kube get node "$name" --output \
        'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}')
    say "$name is no more a machine of this hub"
    kube drain "$name" --ignore-daemonsets --delete-emptydir-data --force --timeout=60s \
        --request-timeout=0 >/dev/null 2>&1 || true
    kube delete node "$name" --wait=false >/dev/null
    printf 'removed %s %s\n' "$name" "$address"
done
