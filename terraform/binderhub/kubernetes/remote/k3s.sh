# shellcheck shell=bash
# k3s as a service: k3s.sh server|agent URL SHA256 CONFIG SECONDS
# An agent that has to join reads its token from stdin.
role=$1 url=$2 expected=$3 config=$4 seconds=$5
unit=k3s
if [ "$role" = agent ]; then unit=k3s-agent; fi
token=/etc/rancher/k3s/token

fetch k3s "$url" "$expected" $store/k3s
install -m 0755 $store/k3s /usr/local/bin/.k3s.new
mv /usr/local/bin/.k3s.new /usr/local/bin/k3s
printf '%s\n' "$config" | write /etc/rancher/k3s/config.yaml 0600
# Delegate, KillMode and the limits: what a service that runs containers needs.
write /etc/systemd/system/$unit.service 0644 <<END
[Unit]
Description=k3s $role
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s $role
Delegate=yes
KillMode=process
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
END

# What was last started, so that a run that was killed in between is made good.
wanted=$(sha256sum /usr/local/bin/k3s /etc/rancher/k3s/config.yaml /etc/systemd/system/$unit.service)
started=$(cat $store/started 2>/dev/null || true)
if [ "$started" != "$wanted" ] || ! systemctl is-active --quiet $unit; then
    if [ "$role" = agent ]; then
        # a token that ends within the hour: once it has joined, a node has a certificate of its own
        write $token 0600
    fi
    say "starting $unit"
    systemctl daemon-reload
    systemctl enable --quiet $unit
    timeout "$seconds" systemctl restart $unit || {
        journalctl --unit $unit --lines 20 --no-pager --output cat >&2 || true
        fail "$unit does not start within $seconds s" "journalctl -u $unit   (on that machine)"
    }
    printf '%s\n' "$wanted" | write $store/started 0600
fi
if [ "$role" = server ]; then
    within "$seconds" kube get --raw /readyz ||
        fail "the Kubernetes API is not ready within $seconds s" "journalctl -u k3s   (on that machine)"
fi
