#!/bin/sh
# Frees the memory that the kernel keeps copies of files in. On a Jetson, CPU and GPU share the memory, and a GPU may
# not get what such copies take. Nothing is lost: what is not on disk yet is written first; files are read anew later.
#
#     sudo scripts/flush_buffers.sh
set -eu

free_memory() {
    awk '/^MemFree:/ {printf "%.1f GB", $2 / 1e6 * 1.024}' /proc/meminfo
}

if [ ! -w /proc/sys/vm/drop_caches ]; then
    echo "Only root may free the buffers, and only on the host: sudo $0" >&2
    exit 1
fi
before=$(free_memory)
sync
echo 3 > /proc/sys/vm/drop_caches
echo "Free memory: $before before, $(free_memory) now."
