# shellcheck shell=bash
# A token with which nodes may join during the next hour, and where: on the master.
k3s token create --ttl 1h --description barehub --kubeconfig $kubeconfig | tail -n 1
kube get node "$1" --output 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}{"\n"}'
