# shellcheck shell=bash
# What the machine is.
printf 'arch %s\n' "$(uname -m)"
