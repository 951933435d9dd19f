# shellcheck shell=bash
# Takes k3s and all that runs in it off this machine; a second time it finds nothing to do.
for unit in k3s k3s-agent; do
    if [ -e "/etc/systemd/system/$unit.service" ]; then
        systemctl disable --quiet --now "$unit" || true
        rm -f "/etc/systemd/system/$unit.service"
    fi
done
systemctl daemon-reload

# The containers outlive k3s, and hold its mounts.
shims=$(ps -e -o pid= -o args= | awk '/\/var\/lib\/rancher\/k3s\/data\/.*containerd-shim/ {print $1}')
for shim in $shims; do
    for pid in $(ps -e -o pid= -o ppid= | awk -v shim="$shim" '$2 == shim {print $1}') "$shim"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
done
awk '$2 ~ "^/(run/k3s|var/lib/rancher/k3s|var/lib/kubelet|run/netns/cni-)" {print $2}' /proc/self/mounts |
    sort -r | while IFS= read -r place; do umount -l "$place" 2>/dev/null || true; done
for link in cni0 flannel.1 flannel-wg kube-ipvs0; do ip link delete "$link" 2>/dev/null || true; done
for tables in iptables ip6tables; do
    if command -v "$tables-save" >/dev/null; then
        rules=$("$tables-save" | grep -v -e KUBE- -e CNI- -e flannel || true)
        printf '%s\n' "$rules" | "$tables-restore" || true
    fi
done
rm -rf /etc/rancher /run/k3s /run/flannel /var/lib/rancher /var/lib/kubelet /var/lib/cni /etc/cni \
    /var/lib/dind /var/run/dind $store /usr/local/bin/k3s
if [ -e /var/lib/rancher ]; then fail "/var/lib/rancher is still there" "reboot the machine, then again"; fi
