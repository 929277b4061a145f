#!/bin/sh
# Installs the peers' runtimes that Debian offers. Run as root; what is there already is left alone.
set -eu

packages="openjdk-17-jdk-headless golang-go gcc libc6-dev libgc-dev ocaml-nox"

missing=""
for package in $packages; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done

if [ -z "$missing" ]; then
  echo "All there already: $packages"
  exit 0
fi

echo "Installing with apt-get:$missing"
apt-get update
# Word by word.
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
