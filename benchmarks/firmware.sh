#!/usr/bin/env bash
# What a patch release of firmware costs to get: two Go toolchains as images, as
# a tar and, with mke2fs and mksquashfs, as file systems, beside xdelta3 and
# casync where they are. Run it in the repository: benchmarks/firmware.sh
# [bytes], of which only so many of each image are taken if they are given. The
# whole costs some minutes of processor time for each kind.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
uuid=6f1c0f58-9a5b-4b0e-8f53-0f6b3ad1c0de
go build -o "$work/upkeep-feed" ./firmware/feed/cmd/upkeep-feed
for v in 1 2; do
	dir=$(go mod download -json "golang.org/toolchain@v0.0.1-go1.25.$v.linux-amd64" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
	cp -r --no-preserve=mode,ownership,timestamps "$dir" "$work/tree$v"
	find "$work/tree$v" -exec touch -hd @1700000000 {} +
done
cd "$work"
./upkeep-feed keys >keys

# image makes the image of a tree.
image() { # kind tree file
	rm -f "$3"
	case $1 in
	tar) tar --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=0755 -cf "$3" -C "$2" . ;;
	ext4) mke2fs -q -t ext4 -b 4096 -U $uuid -E hash_seed=$uuid,lazy_itable_init=0 -d "$2" "$3" 320M >made ;;
	squashfs) mksquashfs "$2" "$3" -comp zstd -all-time 1700000000 -mkfs-time 1700000000 >made ;;
	esac
	[ -z "$bytes" ] || truncate -s "<$bytes" "$3"
}

# others says what two other ways cost.
others() { # old new
	if command -v xdelta3 >made; then
		xdelta3 -e -f -9 -S lzma -B 268435456 -s "$1" "$2" delta
		echo "  xdelta3   $(stat -c %s delta) bytes"
	fi
	if command -v casync >made; then
		rm -rf store1 store2
		casync make --store=store1 1.caibx "$1" --chunk-size=16384 >made
		casync make --store=store2 2.caibx "$2" --chunk-size=16384 >made
		(cd store2 && find . -type f | while read -r chunk; do [ -e "../store1/$chunk" ] || stat -c %s "$chunk"; done) |
			awk -v n="$(stat -c %s 2.caibx)" '{n += $1} END {printf "  casync    %d bytes\n", n}'
	fi
}

bytes=${1:-}
for kind in tar ext4 squashfs; do
	case $kind in ext4) command -v mke2fs ;; squashfs) command -v mksquashfs ;; esac >made || continue
	echo "$kind"
	for v in 1 2; do
		image $kind tree$v $v.img
		./upkeep-feed add -dir feed-$kind -product go -version 1.25.$v $v.img
	done
	others 1.img 2.img
done
