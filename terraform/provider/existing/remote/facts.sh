# shellcheck shell=bash
# What is to be known of a machine, a fact a line; without root, so that a lack of it can be told.
set -u
printf 'clock %s\n' "$(date +%s)"
printf 'architecture %s\n' "$(uname -m)"
# shellcheck source=/dev/null
printf 'system %s\n' "$(. /etc/os-release 2>/dev/null && printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-0}")"
printf 'memory %s\n' "$(awk '$1 == "MemTotal:" {print $2}' /proc/meminfo)"
place=/var/lib
printf 'disk %s\n' "$(df -Pk $place | awk 'NR == 2 {print $2}')"
if [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then printf 'root yes\n'; fi
if [ -d /run/systemd/system ]; then # shellcheck source=/dev/null
printf 'systemd yes\n'; fi
for tool in curl tar sha256sum flock timeout cmp install awk; do
    command -v $tool >/dev/null || printf 'lacks %s\n' $tool
done
if ! [ -e /etc/systemd/system/k3s.service ] && command -v ss >/dev/null; then
    for port in 80 443 6443; do
        ss -Hltn "sport = :$port" | awk -v port=$port \
            '$4 !~ /^(127\.|\[::1\])/ {taken = 1} END {if (taken) print "taken", port}'
    done
fi
