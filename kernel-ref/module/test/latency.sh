# In the guest: how long each kind of call takes over fuse.ko and over fuseref, same daemon.
# Prints the table; fails where the means are further apart than $LIMIT per cent (10).
. ./common.sh
rounds=${ROUNDS:-200}

# measure NAME TYPE DAEMON OPTIONS...
measure() {
    local name=$1 type=$2 daemon=$3
    shift 3
    fresh_source
    ./mount.fuseref -t "$type" /mnt/m "$daemon" "$@" || exit 1
    wait_for_mount
    ./calls /mnt/m 4 >/dev/null || exit 1
    ./calls /mnt/m "$rounds" >"$name.$type" || failed=yes
    umount /mnt/m
    sleep 0.2
}

compare() {
    local name=$1
    shift
    measure "$name" fuse "$@"
    measure "$name" fuseref "$@"
    awk -v name="$name" -v limit="${LIMIT:-10}" '
        NR == FNR { stock[$1] = $2; next }
        { ratio = $2 / stock[$1] - 1; wrong = ratio > limit / 100 || ratio < -limit / 100
          printf "%-14s %-14s %10d %10d %+6.1f %%%s\n", name, $1, stock[$1], $2, 100 * ratio,
                 wrong ? "  too far" : ""
          if (wrong) far = 1 }
        END { exit far }' "$name.fuse" "$name.fuseref" || failed=yes
}

none=attr_timeout=0,entry_timeout=0
echo "mount          call             fuse.ko    fuseref  difference (ns a call)"
compare null nullfs -s -o attr_timeout=100,entry_timeout=100
compare null_no_times nullfs -s -o $none
compare null_direct nullfs -s -o direct_io,$none
compare stack stackfs -s -o source=/tmp/source,$none
compare stack_direct stackfs -s -o source=/tmp/source,direct_io,$none
finish
