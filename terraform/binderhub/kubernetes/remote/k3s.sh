# shellcheck shell=bash
# k3s as a service: k3s.sh server|agent URL SHA256 CONFIG SECONDS
# An agent that has to join reads its token from stdin.
role=$1 url=$2 expected=$3 config=$4 seconds=$5
unit=k3s
if [ "$role" = agent ]; then unit=k3s-agent; fi
token=/etc/rancher/k3s/token

fetch k3s "$url" "$expected" $store/k3s
restart=""
if ! cmp -s $store/k3s /usr/local/bin/k3s; then
    install -m 0755 $store/k3s /usr/local/bin/.k3s.new
    mv /usr/local/bin/.k3s.new /usr/local/bin/k3s
    restart=yes
fi
if printf '%s\n' "$config" | write /etc/rancher/k3s/config.yaml 0600; then restart=yes; fi

# Delegate, KillMode and the limits: what a service that runs containers needs.
if write /etc/systemd/system/$unit.service 0644 <<END; then restart=yes; systemctl daemon-reload; fi
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

if ! systemctl is-active --quiet $unit; then restart=yes; fi
if [ "$role" = agent ] && [ -n "$restart" ]; then
    # a token that ends within the hour: once it has joined, a node has a certificate of its own
    write $token 0600 || true
fi
if [ -n "$restart" ]; then
    say "starting $unit"
    systemctl enable --quiet $unit
    timeout "$seconds" systemctl restart $unit || {
        journalctl --unit $unit --lines 20 --no-pager --output cat >&2 || true
        fail "$unit does not start within $seconds s" "journalctl -u $unit   (on that machine)"
    }
fi
if [ "$role" = server ]; then
    within "$seconds" kube get --raw /readyz ||
        fail "the Kubernetes API is not ready within $seconds s" "journalctl -u k3s   (on that machine)"
fi
